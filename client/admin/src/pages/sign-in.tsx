//! Signing in: name and password and perhaps a second factor, or a passkey alone; and the first admin.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, PasswordField, TextField, useAction } from "belfry-ui/controls.tsx";
import { Gate } from "belfry-ui/gate.tsx";
import { Notice } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { setupToken } from "../address.ts";
import { LOGO } from "../logo.ts";
import type { SecondFactor, SignInStep } from "../model.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export const hasPasskeys = "PublicKeyCredential" in globalThis && isSecureContext;

export function SignInPage(): JSX.Element {
  const needs = useSignal<SignInStep>([]);
  return needs.value.length > 0 ? <SecondStep needs={needs.value} onAgain={() => (needs.value = [])} /> : <FirstStep onNeeds={(steps) => (needs.value = steps)} />;
}

function FirstStep({ onNeeds }: { onNeeds: (needs: SignInStep) => void }): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const password = useSignal("");
  const action = useAction();
  const byPasskey = useAction();
  const words = text.signIn;
  const ended = model.ended.value;
  const submit = () => action.run(async () => {
    byPasskey.clear();
    onNeeds(await model.actions.signIn(name.value.trim(), password.value));
  });
  return (
    <Gate logo={LOGO}>
      <div class="section-head"><h1 tabIndex={-1}>{words.title}</h1><p class="soft">{words.lead}</p></div>
      {ended ? <Notice icon="warn" look="warn" live><p>{words.ended[ended]}</p></Notice> : null}
      <Form onSubmit={() => void submit()} label={words.title}>
        <TextField label={words.username} name="username" autocomplete="username" maxLength={64} value={name.value} onText={(value) => (name.value = value)} />
        <PasswordField label={words.password} name="password" autocomplete="current-password" value={password.value} onText={(value) => (password.value = value)} />
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        <Button type="submit" look="primary wide" busy={action.busy}>{words.submit}</Button>
      </Form>
      {hasPasskeys ? (
        <div class="stack">
          {byPasskey.fault ? <Fault>{byPasskey.fault.message}</Fault> : null}
          <Button look="wide" icon="key" busy={byPasskey.busy} onClick={() => void byPasskey.run(() => model.actions.signInWithPasskey())}>{words.passkey}</Button>
        </div>
      ) : null}
    </Gate>
  );
}

function SecondStep({ needs, onAgain }: { needs: SignInStep; onAgain: () => void }): JSX.Element {
  const model = useModel();
  const usable = needs.filter((need) => need !== "passkey" || hasPasskeys || needs.length === 1);
  const way = useSignal<SecondFactor>(usable[0] ?? "totp");
  const code = useSignal("");
  const action = useAction();
  const heading = useRef<HTMLHeadingElement>(null);
  const words = text.signIn;
  useEffect(() => heading.current?.focus(), []);
  const turn = (to: SecondFactor) => {
    way.value = to;
    action.clear();
  };
  const other = usable.find((one) => one !== way.value);
  return (
    <Gate logo={LOGO} foot={words.lost}>
      <div class="section-head"><h1 ref={heading} tabIndex={-1}>{words.secondTitle}</h1><p class="soft">{way.value === "totp" ? words.codeLead : hasPasskeys ? words.passkeyLead : words.passkeyMissing}</p></div>
      {way.value === "totp" ? (
        <Form onSubmit={() => void action.run(() => model.actions.signInWithCode(code.value.replace(/\s/g, "")))} label={words.secondTitle}>
          <TextField label={words.code} name="code" autocomplete="one-time-code" inputMode="numeric" maxLength={10} hint={words.codeHint} value={code.value} onText={(value) => (code.value = value)} fault={action.fault?.message} mono />
          <Button type="submit" look="primary wide" busy={action.busy}>{words.codeSubmit}</Button>
        </Form>
      ) : (
        <div class="stack">
          {action.fault ? <Fault>{action.fault.message}</Fault> : null}
          {hasPasskeys ? <Button look="primary wide" icon="key" busy={action.busy} onClick={() => void action.run(() => model.actions.signInWithPasskey())}>{words.usePasskey}</Button> : null}
        </div>
      )}
      <div class="stack">
        {other ? <Button look="quiet wide" onClick={() => turn(other)}>{other === "totp" ? words.useCode : words.usePasskey}</Button> : null}
        <Button look="quiet wide" onClick={onAgain}>{words.startOver}</Button>
      </div>
    </Gate>
  );
}

export function SetUpPage(): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const password = useSignal("");
  const action = useAction();
  const words = text.setUp;
  const field = (named: string) => (action.fault?.field === named ? action.fault.message : null);
  const elsewhere = action.fault && !["username", "password"].includes(action.fault.field ?? "") ? action.fault.message : null;
  const submit = () => action.run(async () => {
    await model.actions.setUp(name.value.trim(), password.value);
    setupToken.value = null;
    say(words.done);
  });
  return (
    <Gate logo={LOGO}>
      <div class="section-head"><h1>{words.title}</h1><p class="soft">{words.lead}</p></div>
      <Form onSubmit={() => void submit()} label={words.title}>
        <TextField label={words.username} name="username" autocomplete="username" maxLength={64} hint={words.existing} value={name.value} onText={(value) => (name.value = value)} fault={field("username")} />
        <PasswordField label={words.password} name="password" autocomplete="new-password" hint={words.passwordHint} value={password.value} onText={(value) => (password.value = value)} fault={field("password")} />
        {elsewhere ? <Fault>{elsewhere}</Fault> : null}
        <Button type="submit" look="primary wide" busy={action.busy}>{words.submit}</Button>
      </Form>
      <Button look="quiet wide" onClick={() => (setupToken.value = null)}>{words.toSignIn}</Button>
    </Gate>
  );
}

export function BrokenPage(): JSX.Element {
  const model = useModel();
  const words = text.broken;
  return (
    <Gate logo={LOGO}>
      <div class="section-head"><h1>{words.title}</h1><p class="soft">{words.lead}</p></div>
      <Button look="primary wide" onClick={() => model.actions.retry()}>{text.retry}</Button>
    </Gate>
  );
}
