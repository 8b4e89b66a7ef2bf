//! The dashboard: asks who is there, and draws what fits.

import { effect } from "@preact/signals";
import { AgainDialog } from "belfry-ui/again.tsx";
import { Button } from "belfry-ui/controls.tsx";
import { Gate, Splash } from "belfry-ui/gate.tsx";
import { Toasts } from "belfry-ui/toasts.tsx";
import { render, type JSX } from "preact";
import { openModel } from "./live/model.ts";
import { LOGO } from "./logo.ts";
import type { Model } from "./model.ts";
import { ModelProvider } from "./pages/context.ts";
import { Shell } from "./pages/shell.tsx";
import { BrokenPage, SetUpPage, SignInPage } from "./pages/sign-in.tsx";
import { text } from "./text.ts";
import "./preferences.ts";

const root = document.getElementById("root")!;

function Screen({ model }: { model: Model }): JSX.Element {
  switch (model.phase.value) {
    case "starting": return <Splash logo={LOGO} />;
    case "setting-up": return <SetUpPage />;
    case "signed-out": return <SignInPage />;
    case "ready": return <Shell />;
    case "broken": return <BrokenPage />;
  }
}

function App({ model }: { model: Model }): JSX.Element {
  return (
    <ModelProvider value={model}>
      <Screen model={model} />
      <AgainDialog signIn={(password) => model.actions.signInAgain(password)} username={model.session.value?.username ?? ""} />
      <Toasts />
    </ModelProvider>
  );
}

function Broken(): JSX.Element {
  return (
    <Gate logo={LOGO}>
      <h1>{text.wrong}</h1>
      <Button look="primary" onClick={() => location.reload()}>{text.retry}</Button>
    </Gate>
  );
}

render(<Splash logo={LOGO} />, root);
openModel().then(
  (model) => {
    render(<App model={model} />, root);
    effect(() => {
      if (model.phase.value === "signed-out") document.title = text.titled(text.signIn.title);
      else if (model.phase.value === "setting-up") document.title = text.titled(text.setUp.title);
      else if (model.phase.value === "broken") document.title = text.titled(text.broken.title);
    });
  },
  (error: unknown) => {
    console.error(error);
    render(<Broken />, root);
  },
);
