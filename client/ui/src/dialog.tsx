//! A modal dialog on the platform's own `<dialog>`: it holds the focus, closes with Escape, and gives
//! the focus back. One that must not be lost by a slip (a phrase shown once) is closed by its buttons alone.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { text } from "./text.ts";
import { Button, Fault, Form, TextField, useAction } from "./controls.tsx";
import { Points } from "./parts.tsx";

interface DialogProps {
  title: ComponentChildren;
  onClose: () => void;
  firm?: boolean;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, firm = false, children }: DialogProps): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before the next paint: until it is modal it cannot hold the focus, and keys would go astray.
  useLayoutEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      else document.getElementById("main")?.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      aria-labelledby={id}
      onCancel={(event) => {
        if (event.target !== event.currentTarget) return;
        event.preventDefault();
        if (!firm) onClose();
      }}
    >
      <div class="dialog">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface SubmitOrCancelProps {
  submit: string;
  look?: "primary" | "danger";
  busy: boolean;
  /** It is not to be pressed yet. */
  waits?: boolean;
  onCancel: () => void;
}

/** The end of a dialog's form. */
export function SubmitOrCancel({ submit, look = "primary", busy, waits, onCancel }: SubmitOrCancelProps): JSX.Element {
  return (
    <div class="buttons end">
      <Button onClick={onCancel}>{text.cancel}</Button>
      <Button type="submit" look={look} busy={busy} aria-disabled={waits}>{submit}</Button>
    </div>
  );
}

interface RenameProps {
  title: string;
  label: string;
  name: string;
  work: (name: string) => Promise<void>;
  onClose: () => void;
  /** What else is asked there. */
  children?: ComponentChildren;
}

/** Asks for another name. */
export function Rename({ title, label, name, work, onClose, children }: RenameProps): JSX.Element {
  const typed = useSignal(name);
  const action = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      <Form
        onSubmit={() => void action.run(async () => {
          await work(typed.value.trim());
          onClose();
        })}
      >
        <TextField label={label} value={typed.value} maxLength={64} onText={(value) => (typed.value = value)} fault={action.fault?.message} />
        {children}
        <SubmitOrCancel submit={text.save} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

interface ConfirmProps {
  title: string;
  points: readonly string[];
  submit: string;
  work: () => Promise<void>;
  onClose: () => void;
}

/** Says what will follow, and asks. */
export function Confirm({ title, points, submit, work, onClose }: ConfirmProps): JSX.Element {
  const action = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      <Form
        onSubmit={() => void action.run(async () => {
          await work();
          onClose();
        })}
      >
        <Points items={points} icon="warn" look="bad" />
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        <SubmitOrCancel submit={submit} look="danger" busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
