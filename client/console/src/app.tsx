//! The console: opens what this browser has, draws what fits it, and tells of what arrives.

import { effect, signal } from "@preact/signals";
import { AgainDialog } from "belfry-ui/again.tsx";
import { Button } from "belfry-ui/controls.tsx";
import { Gate, Splash } from "belfry-ui/gate.tsx";
import { oneLine } from "belfry-ui/rules/hostile.ts";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { announce, Toasts } from "belfry-ui/toasts.tsx";
import { render, type JSX } from "preact";
import { go, inviteToken, resetToken, route } from "./address.ts";
import { openModel } from "./live/model.ts";
import type { Item, Model } from "./model.ts";
import { ModelProvider } from "./pages/context.ts";
import { InsecurePage } from "./pages/insecure.tsx";
import { LinkThisPage } from "./pages/link-this.tsx";
import { ResetPage } from "./pages/reset.tsx";
import { Shell } from "./pages/shell.tsx";
import { NoDevicePage, SignInPage } from "./pages/sign-in.tsx";
import { preferences } from "./preferences.ts";
import type { Surroundings } from "./rules/safety.ts";
import { close, show, startWorker } from "./system.ts";
import { text } from "./text.ts";

const at: Surroundings = {
  secure: isSecureContext,
  subtle: "subtle" in crypto && crypto.subtle !== undefined,
  serviceWorker: "serviceWorker" in navigator,
  notifications: "Notification" in globalThis,
  hostname: location.hostname,
  port: location.port,
};
const accepted = signal(at.secure);
const root = document.getElementById("root")!;
/** Several that arrive within this time are announced as one, or a screen reader would never end. */
const GATHER_MS = 800;

function Screen({ model }: { model: Model }): JSX.Element {
  switch (model.phase.value) {
    case "starting": return <Splash />;
    case "signed-out": return <SignInPage key={inviteToken.value ?? ""} />;
    case "no-device": return <NoDevicePage />;
    case "unlinked": return <LinkThisPage />;
    case "ready": return <Shell />;
  }
}

function App({ model }: { model: Model }): JSX.Element {
  return (
    <ModelProvider value={model}>
      {accepted.value ? resetToken.value ? <ResetPage token={resetToken.value} /> : <Screen model={model} /> : <InsecurePage at={at} onGoOn={() => (accepted.value = true)} />}
      <AgainDialog signIn={(password) => model.actions.signInAgain(password)} username={model.account.value?.username ?? ""} />
      <Toasts />
    </ModelProvider>
  );
}

/** The guide is for who has never been here and has nothing to come back to. */
function guideFirst(model: Model): void {
  const stop = effect(() => {
    if (model.phase.value !== "ready" || model.sites.value === null || model.items.value === null) return;
    const isNew = model.sites.value.length === 0 && model.items.value.length === 0 && !preferences.peek().welcomed;
    queueMicrotask(() => {
      stop();
      if (isNew && route.peek().page === "inbox") go("welcome");
    });
  });
}

function tellOfArrivals(model: Model): void {
  let waiting: Item[] = [];
  model.onArrival((item) => {
    const isMuted = model.sites.value?.find((site) => site.permission === item.permission)?.state === "muted";
    if (isMuted || item.seen) return;
    if (model.leading.value) void show(item);
    if (waiting.length === 0) setTimeout(() => {
      const [one] = waiting;
      announce(waiting.length === 1 && one ? text.inbox.arrived(siteLabel(one.site), oneLine(one.title, 100)) : text.inbox.arrivedMany(waiting.length));
      waiting = [];
    }, GATHER_MS);
    waiting.push(item);
  });
  model.onGone((ids) => void close(ids));
}

function Broken(): JSX.Element {
  return (
    <Gate>
      <h1>{text.failure.other}</h1>
      <Button look="primary" onClick={() => location.reload()}>{text.retry}</Button>
    </Gate>
  );
}

render(<Splash />, root);
openModel().then(
  (model) => {
    render(<App model={model} />, root);
    guideFirst(model);
    tellOfArrivals(model);
    startWorker();
    effect(() => {
      if (model.phase.value === "signed-out") document.title = text.titled(text.signIn.titleIn, 0);
      else if (model.phase.value === "unlinked") document.title = text.titled(text.link.title, 0);
    });
  },
  (error: unknown) => {
    console.error(error);
    render(<Broken />, root);
  },
);
