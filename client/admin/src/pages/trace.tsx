//! What became of one message, by the address that its site has. The address is a secret: it stays in
//! the field and the body of one request.

import { useSignal } from "@preact/signals";
import { Button, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { PageHead, SiteName } from "belfry-ui/parts.tsx";
import { wholeTime } from "belfry-ui/rules/times.ts";
import type { JSX } from "preact";
import type { Trace } from "../model.ts";
import { Fact, Until } from "../parts/lists.tsx";
import { bytes, milliseconds, seconds } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const words = text.trace;
const ENDED = new Set(["delivered", "expired", "withdrawn", "replaced", "pushed-out", "revoked"]);

function looksLikeOne(address: string): boolean {
  try {
    return /^https?:$/.test(new URL(address).protocol);
  } catch {
    return false;
  }
}

function passed(ms: number): string {
  return ms < 60_000 ? milliseconds(ms) : seconds(Math.round(ms / 60_000) * 60);
}

export function TracePage(): JSX.Element {
  const model = useModel();
  const address = useSignal("");
  const found = useSignal<Trace | null>(null);
  const action = useAction();
  const submit = () => action.run(async () => {
    found.value = null;
    if (!looksLikeOne(address.value.trim())) return action.fail(words.wrong);
    found.value = await model.reads.trace(address.value.trim());
  });
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <section class="card padded" aria-label={words.title}>
        <Form onSubmit={() => void submit()}>
          <TextField label={words.label} hint={words.hint} autocomplete="off" inputMode="url" value={address.value} onText={(value) => { address.value = value; action.clear(); }} fault={action.fault?.message} mono />
          <div class="buttons"><Button type="submit" look="primary" busy={action.busy}>{words.submit}</Button></div>
        </Form>
      </section>
      <div role="status">{found.value ? <Found trace={found.value} /> : null}</div>
      <p class="soft small">{words.privacy}</p>
    </div>
  );
}

function Found({ trace }: { trace: Trace }): JSX.Element {
  const [first] = trace.milestones;
  const open = !trace.milestones.some((milestone) => ENDED.has(milestone.what));
  return (
    <section class="card padded" aria-label={words.milestones}>
      <dl class="facts-list">
        <Fact name={words.site}><SiteName site={trace.site} /></Fact>
        <Fact name={words.urgency}>{trace.urgency ?? "–"}</Fact>
        <Fact name={words.bytes}>{bytes(trace.bytes)}</Fact>
        <Fact name={words.expires}><Until at={trace.expires} none={words.noExpiry} /></Fact>
      </dl>
      <h2>{words.milestones}</h2>
      <ol class="milestones">
        {trace.milestones.map((milestone, at) => (
          <li key={at} class={milestone.what}>
            <b>{words.what[milestone.what] ?? milestone.what}</b>
            <span class="hint"><time dateTime={new Date(milestone.at).toISOString()}>{wholeTime(milestone.at)}</time>{at > 0 && first ? `, ${words.after(passed(milestone.at - first.at))}` : ""}</span>
          </li>
        ))}
        {open ? <li class="open"><span class="soft">{words.open}</span></li> : null}
      </ol>
    </section>
  );
}
