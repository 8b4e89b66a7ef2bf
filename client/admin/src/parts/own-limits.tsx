//! The limits of one site or user: what holds, and a value of its own in its place.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import type { OwnLimit, Unit } from "../model.ts";
import { inUnit, parsed, typed } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { undoing } from "./undo.ts";

interface OwnLimitsProps {
  readonly title: string;
  readonly lead: string;
  readonly limits: readonly OwnLimit[];
  readonly mayWrite: boolean;
  readonly save: (limits: Readonly<Record<string, number | null>>) => Promise<void>;
}

const unitOf = (name: string): Unit => (name.endsWith("_bytes") ? "bytes" : "count");

export function OwnLimits({ title, lead, limits, mayWrite, save }: OwnLimitsProps): JSX.Element {
  const asking = useSignal(false);
  const words = text.limits;
  return (
    <section class="card padded" aria-labelledby="own-limits">
      <div class="setting">
        <div><h2 id="own-limits">{title}</h2><span class="hint">{lead}</span></div>
        {mayWrite ? <Button onClick={() => (asking.value = true)}>{words.change}</Button> : null}
      </div>
      <dl class="facts-list">
        {limits.map((limit) => (
          <div class="fact" key={limit.name} data-limit={limit.name}>
            <dt>{words.names[limit.name] ?? limit.name}</dt>
            <dd>{inUnit(limit.inForce, unitOf(limit.name))} {limit.own === null ? null : <span class="chip good">{words.own}</span>}</dd>
          </div>
        ))}
      </dl>
      {asking.value ? <LimitsDialog title={title} limits={limits} save={save} onClose={() => (asking.value = false)} /> : null}
    </section>
  );
}

function LimitsDialog({ title, limits, save, onClose }: { title: string; limits: readonly OwnLimit[]; save: OwnLimitsProps["save"]; onClose: () => void }): JSX.Element {
  const words = text.limits;
  const fields = useSignal<Readonly<Record<string, string>>>(Object.fromEntries(limits.map((limit) => [limit.name, limit.own === null ? "" : typed(limit.own, unitOf(limit.name))])));
  const action = useAction();
  const submit = () => action.run(async () => {
    const changed: Record<string, number | null> = {};
    for (const limit of limits) {
      const asked = (fields.value[limit.name] ?? "").trim();
      const value = asked === "" ? null : parsed(asked, unitOf(limit.name));
      if (value === null && asked !== "") return action.fail(unitOf(limit.name) === "bytes" ? words.wrongBytes : words.wrongCount, limit.name);
      if (value !== limit.own) changed[limit.name] = value;
    }
    if (Object.keys(changed).length > 0) await save(changed);
    onClose();
    if (Object.keys(changed).length === 0) return;
    const before = Object.fromEntries(limits.filter((limit) => limit.name in changed).map((limit) => [limit.name, limit.own]));
    say(words.saved, undoing(() => save(before)));
  });
  const elsewhere = action.fault && !limits.some((limit) => limit.name === action.fault?.field) ? action.fault.message : null;
  return (
    <Dialog title={title} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.ownLead}</p>
        {limits.map((limit) => (
          <TextField
            key={limit.name}
            label={words.names[limit.name] ?? limit.name}
            hint={words.otherwise(inUnit(limit.otherwise, unitOf(limit.name)))}
            inputMode="text"
            autocomplete="off"
            placeholder={typed(limit.otherwise, unitOf(limit.name))}
            value={fields.value[limit.name] ?? ""}
            onText={(value) => (fields.value = { ...fields.value, [limit.name]: value })}
            fault={action.fault?.field === limit.name ? action.fault.message : null}
          />
        ))}
        {elsewhere ? <Fault>{elsewhere}</Fault> : null}
        <SubmitOrCancel submit={text.save} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
