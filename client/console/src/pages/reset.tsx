//! A new password, by the link that an admin made for somebody who forgot theirs.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, PasswordField, useAction } from "belfry-ui/controls.tsx";
import { Gate } from "belfry-ui/gate.tsx";
import { Points } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { resetToken } from "../address.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export function ResetPage({ token }: { token: string }): JSX.Element {
  const model = useModel();
  const password = useSignal("");
  const action = useAction();
  const words = text.reset;
  const leave = () => {
    resetToken.value = null;
  };
  const submit = () => action.run(async () => {
    await model.actions.resetPassword(token, password.value);
    leave();
    say(words.done);
  });
  const isField = action.fault?.field === "password";
  return (
    <Gate>
      <h1>{words.title}</h1>
      <Points items={words.points} />
      <Form onSubmit={() => void submit()} label={words.title}>
        <PasswordField label={words.password} name="password" autocomplete="new-password" hint={text.signIn.passwordHint} value={password.value} onText={(value) => (password.value = value)} fault={isField ? action.fault?.message : null} />
        {action.fault && !isField ? <Fault>{action.fault.message}</Fault> : null}
        <Button type="submit" look="primary wide" busy={action.busy}>{words.submit}</Button>
      </Form>
      <Button look="quiet wide" onClick={leave}>{text.cancel}</Button>
    </Gate>
  );
}
