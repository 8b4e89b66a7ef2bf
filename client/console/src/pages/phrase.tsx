//! The recovery phrase: made by the program, shown once, and asked back in part. It is never stored,
//! and the dialog closes by its buttons alone once the words stand there.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog } from "belfry-ui/dialog.tsx";
import { Notice } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { askedPlaces } from "../rules/words.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export function PhraseDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const words = useSignal<readonly string[] | null>(null);
  const checking = useSignal(false);
  const action = useAction();
  const had = useMemo(() => model.recovery.value !== "none", []);

  if (words.value === null) {
    return (
      <Dialog title={had ? text.keys.replace : text.keys.make} onClose={onClose}>
        <p>{text.keys.shownLead}</p>
        {had ? <Notice icon="warn" look="warn"><p>{text.keys.replaceNote}</p></Notice> : null}
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        <div class="buttons end">
          <Button onClick={onClose}>{text.cancel}</Button>
          <Button
            look="primary"
            busy={action.busy}
            onClick={() => void action.run(async () => {
              words.value = (await fresh(() => model.actions.makeRecoveryPhrase())).split(" ");
            })}
          >
            {had ? text.keys.replace : text.keys.make}
          </Button>
        </div>
      </Dialog>
    );
  }
  const done = () => {
    onClose();
    say(text.keys.confirmed);
  };
  return checking.value
    ? <CheckWords words={words.value} onBack={() => (checking.value = false)} onDone={done} />
    : <ShowWords words={words.value} onNext={() => (checking.value = true)} />;
}

function ShowWords({ words, onNext }: { words: readonly string[]; onNext: () => void }): JSX.Element {
  return (
    <Dialog title={text.keys.shownTitle} onClose={() => undefined} firm>
      <p class="soft">{text.keys.shownLead}</p>
      <ol class="phrase" translate={false} aria-label={text.keys.recovery}>
        {words.map((word, at) => <li key={at}>{word}</li>)}
      </ol>
      <div class="buttons end"><Button look="primary" onClick={onNext}>{text.keys.shownNext}</Button></div>
    </Dialog>
  );
}

function CheckWords({ words, onBack, onDone }: { words: readonly string[]; onBack: () => void; onDone: () => void }): JSX.Element {
  const places = useMemo(() => askedPlaces((below) => crypto.getRandomValues(new Uint32Array(1))[0]! % below, 3, words.length), [words]);
  const typed = useSignal<readonly string[]>(places.map(() => ""));
  const wrong = useSignal<number | null>(null);
  const submit = () => {
    const at = places.findIndex((place, index) => typed.value[index]!.trim().toLowerCase() !== words[place]);
    wrong.value = at < 0 ? null : at;
    if (at < 0) onDone();
  };
  return (
    <Dialog title={text.keys.confirmTitle} onClose={() => undefined} firm>
      <Form onSubmit={submit}>
        {places.map((place, index) => (
          <TextField
            key={place}
            label={text.keys.confirmLabel(place + 1)}
            autocomplete="off"
            mono
            value={typed.value[index]!}
            onText={(value) => { typed.value = typed.value.map((old, at) => (at === index ? value : old)); }}
            fault={wrong.value === index ? text.keys.confirmWrong(place + 1) : null}
          />
        ))}
        <div class="buttons end">
          <Button onClick={onBack}>{text.keys.confirmBack}</Button>
          <Button type="submit" look="primary">{text.keys.confirmSubmit}</Button>
        </div>
      </Form>
    </Dialog>
  );
}
