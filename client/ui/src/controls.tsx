//! Buttons, fields, switches and what they share: an action under way, and what it failed with.

import { useSignal } from "@preact/signals";
import type { ButtonHTMLAttributes, ComponentChildren, JSX } from "preact";
import { useId, useRef } from "preact/hooks";
import { Failure } from "./failure.ts";
import { text } from "./text.ts";
import { Icon, type IconName } from "./icons.tsx";

export interface Running {
  readonly busy: boolean;
  readonly fault: Failure | null;
  run(work: () => Promise<void>): Promise<void>;
  fail(message: string, field?: string): void;
  clear(): void;
}

/** One action of a form or button: never twice at once, and its failure as something to show. */
export function useAction(): Running {
  const busy = useSignal(false);
  const fault = useSignal<Failure | null>(null);
  const running = useRef(false);
  return {
    busy: busy.value,
    fault: fault.value,
    async run(work) {
      if (running.current) return;
      running.current = true;
      busy.value = true;
      fault.value = null;
      try {
        await work();
      } catch (error) {
        fault.value = error instanceof Failure ? error : new Failure("other", text.wrong);
        if (!(error instanceof Failure)) console.error(error);
      } finally {
        running.current = false;
        busy.value = false;
      }
    },
    fail(message, field) {
      fault.value = new Failure("other", message, field ?? null);
    },
    clear() {
      fault.value = null;
    },
  };
}

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "type" | "aria-disabled"> {
  type?: "button" | "submit";
  "aria-disabled"?: boolean | undefined;
  look?: string;
  icon?: IconName;
  busy?: boolean;
  children?: ComponentChildren;
}

/** While it is busy it keeps the focus: it only says that it is, and does nothing. */
export function Button({ look = "", icon, busy = false, children, onClick, type = "button", ...rest }: ButtonProps): JSX.Element {
  return (
    <button
      {...rest}
      type={type}
      class={`button ${look}`}
      aria-busy={busy || undefined}
      aria-disabled={busy || rest["aria-disabled"] || undefined}
      onClick={(event) => {
        if (busy || rest["aria-disabled"]) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon ? <Icon name={icon} size={18} /> : null}
      {children}
    </button>
  );
}

interface FieldProps {
  label: ComponentChildren;
  hint?: ComponentChildren;
  fault?: string | null | undefined;
  children: (attributes: { id: string; "aria-describedby": string | undefined; "aria-invalid": "true" | undefined }) => ComponentChildren;
}

export function Field({ label, hint, fault, children }: FieldProps): JSX.Element {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", fault ? `${id}-fault` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": fault ? "true" : undefined })}
      {hint ? <p class="hint" id={`${id}-hint`}>{hint}</p> : null}
      {fault ? <Fault id={`${id}-fault`}>{fault}</Fault> : null}
    </div>
  );
}

interface TextFieldProps {
  label: ComponentChildren;
  name?: string;
  autocomplete?: AutoFill;
  placeholder?: string;
  inputMode?: "text" | "url" | "numeric";
  autofocus?: boolean;
  maxLength?: number;
  hint?: ComponentChildren;
  fault?: string | null | undefined;
  value: string;
  onText: (value: string) => void;
  mono?: boolean;
}

export function TextField({ label, hint, fault, value, onText, mono, ...rest }: TextFieldProps): JSX.Element {
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(attributes) => (
        <input {...rest} {...attributes} type="text" autocapitalize="off" spellcheck={false} class={mono ? "input mono" : "input"} value={value} onInput={(event) => onText(event.currentTarget.value)} />
      )}
    </Field>
  );
}

/** One input whose type changes, so that showing the password does not lose the place in it. */
const secretInput = (shown: boolean): object => ({ type: shown ? "text" : "password" });

export function PasswordField(props: Omit<TextFieldProps, "mono" | "inputMode">): JSX.Element {
  const { label, hint, fault, value, onText, ...rest } = props;
  const shown = useSignal(false);
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(attributes) => (
        <div class="password">
          <input {...secretInput(shown.value)} {...rest} {...attributes} class="input" autocapitalize="off" spellcheck={false} value={value} onInput={(event) => onText(event.currentTarget.value)} />
          <Button look="quiet slim" aria-pressed={shown.value} aria-label={`${shown.value ? text.hide : text.show}: ${typeof label === "string" ? label : ""}`} onClick={() => (shown.value = !shown.value)}>
            {shown.value ? text.hide : text.show}
          </Button>
        </div>
      )}
    </Field>
  );
}

/** For password managers: whose password the form is about. */
export function WhoseForm({ username }: { username: string }): JSX.Element {
  return <input class="hidden" type="text" name="username" autocomplete="username" value={username} readOnly tabIndex={-1} aria-hidden="true" />;
}

export function Fault({ id, children }: { id?: string; children: ComponentChildren }): JSX.Element {
  return (
    <p class="fault" id={id} role="alert">
      <Icon name="warn" size={18} />
      <span>{children}</span>
    </p>
  );
}

interface SwitchProps {
  label: string;
  hint?: ComponentChildren;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
}

export function Switch({ label, hint, checked, disabled = false, onChange }: SwitchProps): JSX.Element {
  const id = useId();
  return (
    <label class="switch">
      <span>
        <span class="label">{label}</span>
        {hint ? <span class="hint" id={id}>{hint}</span> : null}
      </span>
      <input type="checkbox" role="switch" aria-label={label} aria-describedby={hint ? id : undefined} checked={checked} disabled={disabled} onChange={(event) => onChange(event.currentTarget.checked)} />
    </label>
  );
}

interface SegmentsProps<Value extends string> {
  label: string;
  value: Value;
  options: readonly (readonly [Value, string])[];
  onChange: (value: Value) => void;
}

export function Segments<Value extends string>({ label, value, options, onChange }: SegmentsProps<Value>): JSX.Element {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="hidden">{label}</legend>
      {options.map(([option, words]) => (
        <label key={option}>
          <input type="radio" name={name} value={option} checked={option === value} onChange={() => onChange(option)} />
          <span>{words}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** Submits by Enter too; the browser's own bubbles are off, faults are shown in place. */
export function Form({ onSubmit, children, label }: { onSubmit: () => void; children: ComponentChildren; label?: string }): JSX.Element {
  return (
    <form
      class="form"
      noValidate
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}
