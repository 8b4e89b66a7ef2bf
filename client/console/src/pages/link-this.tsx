//! A browser that is signed in but holds no keys: it shows a code for a linked device, or takes the
//! recovery phrase.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Field, Form, Segments, useAction } from "belfry-ui/controls.tsx";
import { Gate } from "belfry-ui/gate.tsx";
import { CodeGroups, CopyButton, QrCode } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Failure, type LinkOffer } from "../model.ts";
import { phraseOf, WORDS } from "../rules/words.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export function LinkThisPage(): JSX.Element {
  const model = useModel();
  const way = useSignal<"code" | "phrase">("code");
  const words = text.link;
  const action = useAction();
  return (
    <Gate roomy foot={words.lost}>
      <div class="section-head">
        <h1>{words.title}</h1>
        <p class="soft">{words.lead}</p>
      </div>
      <div>
        <Segments label={words.title} value={way.value} options={[["code", words.byCode], ["phrase", words.byPhrase]]} onChange={(value) => (way.value = value)} />
      </div>
      {way.value === "code" ? <ByCode /> : <ByPhrase />}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons">
        <Button look="quiet slim" icon="out" busy={action.busy} onClick={() => void action.run(() => fresh(() => model.actions.signOut(true)))}>{words.signOut}</Button>
      </div>
    </Gate>
  );
}

function ByCode(): JSX.Element {
  const model = useModel();
  const words = text.link;
  const offer = useSignal<LinkOffer | null>(null);
  const ended = useSignal<string | null>(null);
  const round = useSignal(0);
  const now = useSignal(Date.now());

  useEffect(() => {
    let current: LinkOffer | null = null;
    let left = false;
    offer.value = null;
    ended.value = null;
    const stop = (error: unknown) => {
      if (!left) ended.value = error instanceof Failure ? error.message : words.expired;
    };
    model.actions.offerLink().then((made) => {
      if (left) return made.cancel();
      current = made;
      offer.value = made;
      made.done.catch(stop);
    }, stop);
    const tick = setInterval(() => (now.value = Date.now()), 15_000);
    return () => {
      left = true;
      current?.cancel();
      clearInterval(tick);
    };
  }, [round.value]);

  if (ended.value) {
    return (
      <div class="stack">
        <Fault>{ended.value}</Fault>
        <div class="buttons"><Button look="primary" onClick={() => (round.value += 1)}>{words.fresh}</Button></div>
      </div>
    );
  }
  const shown = offer.value;
  if (!shown) return <div class="stack" role="status"><span class="hidden">{text.loading}</span><div class="skeleton long" /><div class="skeleton short" /></div>;
  return (
    <div class="split">
      <QrCode value={shown.address} label={words.qr} />
      <div>
        <p>{words.byCodeSteps}</p>
        <CodeGroups code={shown.code} label={words.code} />
        <div class="buttons"><CopyButton look="slim" value={shown.code} label={words.copyCode} /></div>
        <p class="soft small" role="status">{words.waiting} {words.expires(Math.max(1, Math.ceil((shown.expires - now.value) / 60_000)))}</p>
        <Print />
      </div>
    </div>
  );
}

function Print(): JSX.Element | null {
  const model = useModel();
  if (!model.fingerprint.value) return null;
  return (
    <div>
      <p class="label small">{text.link.fingerprint}</p>
      <p class="fingerprint">{model.fingerprint.value}</p>
      <p class="hint">{text.link.fingerprintHint}</p>
    </div>
  );
}

function ByPhrase(): JSX.Element {
  const model = useModel();
  const typed = useSignal("");
  const action = useAction();
  const phrase = phraseOf(typed.value);
  const count = phrase ? phrase.split(" ").length : 0;
  const words = text.link;
  return (
    <Form onSubmit={() => void action.run(() => model.actions.recover(phrase))}>
      <Field label={words.phraseLabel} hint={`${words.phraseHint} ${words.phraseCount(count)}.`} fault={action.fault?.message}>
        {(attributes) => (
          <textarea {...attributes} class="input mono" rows={3} autocomplete="off" autocapitalize="none" spellcheck={false} value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
        )}
      </Field>
      <div class="buttons">
        <Button type="submit" look="primary" busy={action.busy} aria-disabled={count !== WORDS}>{words.phraseSubmit}</Button>
      </div>
    </Form>
  );
}
