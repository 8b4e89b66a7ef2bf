//! What needs a sign-in of the last ten minutes asks for the password once and goes on.

import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Form, PasswordField, useAction, WhoseForm } from "./controls.tsx";
import { Dialog, SubmitOrCancel } from "./dialog.tsx";
import { Failure } from "./failure.ts";
import { text } from "./text.ts";

const asking = signal<{ resolve(): void; reject(why: Failure): void } | null>(null);

/** Does the work; if the server wants a fresh sign-in, asks for the password and does it again. */
export async function fresh<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "again") throw error;
    await new Promise<void>((resolve, reject) => {
      asking.value?.reject(error);
      asking.value = { resolve, reject };
    });
    return work();
  }
}

export function AgainDialog({ signIn, username }: { signIn: (password: string) => Promise<void>; username: string }): JSX.Element | null {
  const password = useSignal("");
  const action = useAction();
  const asked = asking.value;
  if (!asked) return null;
  const end = (settle: () => void) => {
    password.value = "";
    action.clear();
    asking.value = null;
    settle();
  };
  const giveUp = () => end(() => asked.reject(new Failure("again", text.again.lead)));
  return (
    <Dialog title={text.again.title} onClose={giveUp}>
      <Form
        onSubmit={() => void action.run(async () => {
          await signIn(password.value);
          end(asked.resolve);
        })}
      >
        <p class="soft">{text.again.lead}</p>
        <PasswordField label={text.again.password} autofocus autocomplete="current-password" value={password.value} onText={(value) => (password.value = value)} fault={action.fault?.message} />
        <SubmitOrCancel submit={text.again.submit} busy={action.busy} onCancel={giveUp} />
        <WhoseForm username={username} />
      </Form>
    </Dialog>
  );
}
