//! Signing in and making an account. What the server offers decides which of the two comes first.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, PasswordField, TextField, useAction, WhoseForm } from "belfry-ui/controls.tsx";
import { Gate } from "belfry-ui/gate.tsx";
import { Notice } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { inviteToken } from "../address.ts";
import { Failure, type SignInOffer } from "../model.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export function SignInPage(): JSX.Element {
  const model = useModel();
  const offer = useSignal<SignInOffer | null>(null);
  const making = useSignal(inviteToken.value !== null);
  const another = useSignal(false);
  const name = useSignal("");
  const password = useSignal("");
  const invite = useSignal(inviteToken.value ?? "");
  const action = useAction();
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    model.actions.signInOffer().then((answer) => (offer.value = answer), (error: unknown) => {
      action.fail(error instanceof Failure ? error.message : text.failure.offline);
    });
  }, []);
  const turn = (up: boolean) => {
    making.value = up;
    action.clear();
    heading.current?.focus();
  };
  const submit = (replace: boolean) => action.run(async () => {
    try {
      if (making.value) {
        await model.actions.signUp(name.value.trim(), password.value, invite.value.trim() || null);
        inviteToken.value = null;
      } else await model.actions.signIn(name.value.trim(), password.value, replace);
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== "another-account") throw error;
      another.value = true;
    }
  });
  const words = text.signIn;
  const up = making.value;
  const field = (named: string) => (action.fault?.field === named ? action.fault.message : null);
  const fault = action.fault && !["username", "password", "invite"].includes(action.fault.field ?? "") ? action.fault.message : null;
  const ended = model.ended.value;
  const needsInvite = offer.value !== null && !offer.value.open;

  return (
    <Gate foot={words.trust}>
      <h1 ref={heading} tabIndex={-1}>{up ? words.titleUp : words.titleIn}</h1>
      {ended && !up ? <Notice icon="warn" look="warn" live>{words[ended]}</Notice> : null}
      <Form onSubmit={() => void submit(false)} label={up ? words.titleUp : words.titleIn}>
        <TextField label={words.username} name="username" autocomplete="username" maxLength={64} value={name.value} onText={(value) => { name.value = value; another.value = false; }} fault={field("username")} />
        <PasswordField label={words.password} name="password" autocomplete={up ? "new-password" : "current-password"} hint={up ? words.passwordHint : null} value={password.value} onText={(value) => (password.value = value)} fault={field("password")} />
        {up && needsInvite ? <TextField label={words.invite} name="invite" hint={words.inviteHint} value={invite.value} onText={(value) => (invite.value = value)} fault={field("invite")} mono /> : null}
        {fault ? <Fault>{fault}</Fault> : null}
        {another.value ? (
          <Notice icon="warn" look="bad" live>
            <p>{words.another}</p>
            <Button look="danger slim" busy={action.busy} onClick={() => void submit(true)}>{words.replace}</Button>
          </Notice>
        ) : null}
        <Button type="submit" look="primary wide" busy={action.busy}>{up ? words.submitUp : words.submitIn}</Button>
      </Form>
      {!up && offer.value?.oidc ? <a class="button wide" href={offer.value.oidc}>{words.oidc}</a> : null}
      <Button look="quiet wide" onClick={() => turn(!up)}>{up ? words.toIn : words.toUp}</Button>
    </Gate>
  );
}

export function NoDevicePage(): JSX.Element {
  const model = useModel();
  const password = useSignal("");
  const action = useAction();
  const words = text.noDevice;
  return (
    <Gate>
      <h1>{words.title}</h1>
      <p class="soft">{words.body}</p>
      <Form onSubmit={() => void action.run(() => model.actions.signIn(model.account.value?.username ?? "", password.value))}>
        <PasswordField label={text.signIn.password} autocomplete="current-password" value={password.value} onText={(value) => (password.value = value)} fault={action.fault?.message} />
        <Button type="submit" look="primary wide" busy={action.busy}>{words.retry}</Button>
        <WhoseForm username={model.account.value?.username ?? ""} />
      </Form>
      <Button look="quiet wide" onClick={() => void action.run(() => model.actions.signOut(false))}>{text.settings.signOut}</Button>
    </Gate>
  );
}
