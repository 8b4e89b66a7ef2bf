//! What is asked before the account changes: a new password, signing out, erasing everything.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, PasswordField, TextField, useAction, WhoseForm } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Points } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

interface Props {
  onClose: () => void;
}

export function PasswordDialog({ onClose }: Props): JSX.Element {
  const model = useModel();
  const before = useSignal("");
  const after = useSignal("");
  const action = useAction();
  const words = text.settings;
  const isNew = action.fault?.field === "password" || action.fault?.field === "new" || action.fault?.field === "new_password";
  return (
    <Dialog title={words.changePassword} onClose={onClose}>
      <Form
        onSubmit={() => void action.run(async () => {
          await fresh(() => model.actions.changePassword(before.value, after.value));
          onClose();
          say(words.passwordChanged);
        })}
      >
        <PasswordField label={words.oldPassword} autofocus autocomplete="current-password" value={before.value} onText={(value) => (before.value = value)} fault={isNew ? null : action.fault?.message} />
        <PasswordField label={words.newPassword} autocomplete="new-password" hint={text.signIn.passwordHint} value={after.value} onText={(value) => (after.value = value)} fault={isNew ? action.fault?.message : null} />
        <SubmitOrCancel submit={words.changePassword} busy={action.busy} onCancel={onClose} />
        <WhoseForm username={model.account.value?.username ?? ""} />
      </Form>
    </Dialog>
  );
}

export function SignOutDialog({ onClose }: Props): JSX.Element {
  const model = useModel();
  const action = useAction();
  const words = text.settings;
  const out = (forget: boolean) => void action.run(async () => {
    await fresh(() => model.actions.signOut(forget));
    onClose();
  });
  return (
    <Dialog title={words.signOutTitle} onClose={onClose}>
      <p class="soft">{words.signOutLead}</p>
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="stack">
        <Button look="primary wide" busy={action.busy} onClick={() => out(false)}>{words.signOutKeep}</Button>
        <Button look="danger-quiet wide" busy={action.busy} onClick={() => out(true)}>{words.signOutForget}</Button>
        <Button look="wide" onClick={onClose}>{text.cancel}</Button>
      </div>
    </Dialog>
  );
}

export function EraseDialog({ onClose }: Props): JSX.Element {
  const model = useModel();
  const typed = useSignal("");
  const action = useAction();
  const words = text.settings;
  const username = model.account.value?.username ?? "";
  const matches = username !== "" && typed.value.trim() === username;
  return (
    <Dialog title={words.eraseTitle} onClose={onClose}>
      <Form
        onSubmit={() => {
          if (matches) void action.run(async () => {
            await fresh(() => model.actions.eraseAccount());
            onClose();
            say(words.erased);
          });
        }}
      >
        <Points items={words.erasePoints} icon="warn" look="bad" />
        <TextField label={words.eraseLabel(username)} autocomplete="off" value={typed.value} onText={(value) => (typed.value = value)} />
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        <SubmitOrCancel submit={words.eraseSubmit} look="danger" busy={action.busy} waits={!matches} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
