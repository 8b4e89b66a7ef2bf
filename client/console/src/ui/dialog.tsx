//! A modal dialog on the platform's own `<dialog>`: it holds the focus, closes with Escape, and gives
//! the focus back. One that must not be lost by a slip (a phrase shown once) is closed by its buttons alone.

import type { ComponentChildren, JSX } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { text } from "../text.ts";
import { Button, Fault, Form, useAction } from "./controls.tsx";
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
        <div class="buttons end">
          <Button onClick={onClose}>{text.cancel}</Button>
          <Button type="submit" look="danger" busy={action.busy}>{submit}</Button>
        </div>
      </Form>
    </Dialog>
  );
}
