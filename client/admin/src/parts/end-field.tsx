//! When it ends: a few spans that people mean, or a date.

import { useSignal } from "@preact/signals";
import { Field } from "belfry-ui/controls.tsx";
import type { JSX } from "preact";
import { endOf, localInput, type EndChoice } from "../rules/ends.ts";
import { text } from "../text.ts";

export interface Ending {
  readonly choice: EndChoice;
  readonly typed: string;
  /** As `endOf`, at the moment of asking. */
  at(): number | null | undefined;
  set(choice: EndChoice): void;
  type(value: string): void;
}

export function useEnding(first: EndChoice, at: number | null = null): Ending {
  const choice = useSignal<EndChoice>(at === null ? first : "date");
  const typed = useSignal(localInput(at ?? Date.now() + 7 * 86_400_000));
  return {
    choice: choice.value,
    typed: typed.value,
    at: () => endOf(choice.peek(), typed.peek(), Date.now()),
    set: (chosen) => (choice.value = chosen),
    type: (value) => (typed.value = value),
  };
}

interface EndFieldProps {
  readonly label: string;
  readonly ending: Ending;
  readonly choices: readonly EndChoice[];
  /** How an end that does not come is called; of a ban, until it is lifted. */
  readonly never?: string;
  readonly fault?: string | null | undefined;
}

export function EndField({ label, ending, choices, never = text.ends.never, fault }: EndFieldProps): JSX.Element {
  const dated = ending.choice === "date";
  return (
    <div class="end-field">
      <Field label={label} fault={dated ? null : fault}>
        {(attributes) => (
          <select {...attributes} class="input" value={ending.choice} onChange={(event) => ending.set(event.currentTarget.value as EndChoice)}>
            {choices.map((choice) => <option key={choice} value={choice}>{choice === "never" ? never : text.ends[choice]}</option>)}
          </select>
        )}
      </Field>
      {dated ? (
        <Field label={text.ends.when} fault={fault}>
          {(attributes) => <input {...attributes} class="input" type="datetime-local" value={ending.typed} onInput={(event) => ending.type(event.currentTarget.value)} />}
        </Field>
      ) : null}
    </div>
  );
}
