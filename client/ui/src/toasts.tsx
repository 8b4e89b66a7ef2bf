//! Short words at the foot of the page, one of them with an undo; and what screen readers are told
//! of notifications that arrive. A toast stays while a pointer or the focus is on it.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { text } from "./text.ts";
import { Button } from "./controls.tsx";
import { Icon } from "./icons.tsx";

interface Toast {
  readonly id: number;
  readonly words: string;
  readonly undo: (() => void) | null;
}

const STAYS_MS = 5000;
const UNDO_STAYS_MS = 8000;
const TOASTS_MAX = 2;

const toasts = signal<readonly Toast[]>([]);
const announced = signal("");
let last = 0;

export function say(words: string, undo: (() => void) | null = null): void {
  last += 1;
  toasts.value = [...toasts.value, { id: last, words, undo }].slice(-TOASTS_MAX);
}

/** For screen readers alone: what others see by themselves. */
export function announce(words: string): void {
  announced.value = words;
}

function drop(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

function ToastLine({ toast }: { toast: Toast }): JSX.Element {
  const held = useRef(false);
  useEffect(() => {
    let left = toast.undo ? UNDO_STAYS_MS : STAYS_MS;
    const tick = setInterval(() => {
      if (!held.current) left -= 250;
      if (left <= 0) drop(toast.id);
    }, 250);
    return () => clearInterval(tick);
  }, [toast]);
  const hold = (on: boolean) => () => {
    held.current = on;
  };
  return (
    <div class="toast" onPointerEnter={hold(true)} onPointerLeave={hold(false)} onFocusIn={hold(true)} onFocusOut={hold(false)}>
      <span>{toast.words}</span>
      {toast.undo ? (
        <Button look="quiet slim" onClick={() => { drop(toast.id); toast.undo?.(); }}>{text.undo}</Button>
      ) : null}
      <button type="button" class="icon-button" aria-label={text.close} onClick={() => drop(toast.id)}>
        <Icon name="cross" size={16} />
      </button>
    </div>
  );
}

export function Toasts(): JSX.Element {
  return (
    <>
      <div class="toasts" role="status" aria-live="polite">
        {toasts.value.map((toast) => <ToastLine key={toast.id} toast={toast} />)}
      </div>
      <div class="hidden" role="log" aria-live="polite">{announced.value}</div>
    </>
  );
}
