//! Tokens for programs that use the admin API.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, Segments, TextField, useAction } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Hostile, PageHead } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import type { Role, Token } from "../model.ts";
import { EndField, useEnding } from "../parts/end-field.tsx";
import { Ago, ShownList, Until } from "../parts/lists.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { useList } from "../read.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.tokens;

const COLUMNS: readonly Column<Token>[] = [
  {
    key: "name", title: words.name,
    cell: (token) => (
      <span class="named">
        <Hostile max={64}>{token.name}</Hostile>
        <span class={`chip ${token.role === "admin" ? "warn" : ""}`}>{text.roles[token.role]}</span>
        {token.expired ? <span class="chip bad">{words.expired}</span> : null}
      </span>
    ),
  },
  { key: "author", title: words.author, cell: (token) => <Hostile max={64}>{token.author}</Hostile> },
  { key: "created", title: words.created, number: true, cell: (token) => <Ago at={token.created} /> },
  { key: "used", title: words.lastUsed, number: true, cell: (token) => <Ago at={token.lastUsed} /> },
  { key: "ends", title: words.ends, number: true, cell: (token) => <Until at={token.ends} none={words.noEnd} /> },
];

export function TokensPage(): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const making = useSignal(false);
  const made = useSignal<string | null>(null);
  const ending = useSignal<Token | null>(null);
  const list = useList(() => model.reads.tokens(), [], ["tokens"]);
  const end = async (token: Token) => {
    await model.actions.endToken(token.id);
    say(words.ended);
  };
  const make = (look: string) => (mayWrite ? <Button look={look} icon="plus" onClick={() => (making.value = true)}>{words.make}</Button> : null);
  const acts: Column<Token> = { key: "act", title: text.table.act, cell: (token) => <Button look="danger-quiet slim" aria-label={words.endNamed(token.name)} onClick={() => (ending.value = token)}>{words.end}</Button> };
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>{list.value?.length ? make("primary") : null}</PageHead>
      <ShownList reading={list} icon="key" emptyTitle={words.emptyTitle} emptyBody={words.emptyBody} emptyActions={make("primary")} narrowed={false}>
        {(tokens) => <Table label={words.title} columns={mayWrite ? [...COLUMNS, acts] : COLUMNS} rows={tokens} idOf={(token) => token.id} busy={list.busy} />}
      </ShownList>
      {making.value ? <MakeToken onClose={() => (making.value = false)} onMade={(token) => { making.value = false; made.value = token; }} /> : null}
      {made.value ? <ShownOnce title={words.made} lead={words.madeLead} value={made.value} name={words.made} copyLabel={words.copy} onClose={() => (made.value = null)} /> : null}
      {ending.value ? <Confirm title={words.endTitle(ending.value.name)} points={words.endPoints} submit={words.end} work={() => end(ending.value!)} onClose={() => (ending.value = null)} /> : null}
    </div>
  );
}

function MakeToken({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const role = useSignal<Role>("viewer");
  const ending = useEnding("month");
  const action = useAction();
  const submit = () => action.run(async () => {
    if (!name.value.trim()) return action.fail(words.nameMissing, "name");
    const ends = ending.at();
    if (ends === undefined) return action.fail(text.ends.wrong, "ends");
    onMade(await fresh(() => model.actions.makeToken(name.value.trim(), role.value, ends)));
  });
  const field = (named: string) => (action.fault?.field === named ? action.fault.message : null);
  return (
    <Dialog title={words.make} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <TextField label={words.name} hint={words.nameHint} maxLength={64} autocomplete="off" value={name.value} onText={(value) => (name.value = value)} fault={field("name")} />
        <div class="field">
          <span class="label">{words.role}</span>
          <Segments label={words.role} value={role.value} options={[["viewer", text.roles.viewer], ["admin", text.roles.admin]]} onChange={(chosen) => (role.value = chosen)} />
          <span class="hint">{text.roleHints[role.value]}</span>
        </div>
        <EndField label={words.endChoice} ending={ending} never={words.never} choices={["day", "week", "month", "year", "date", "never"]} fault={field("ends")} />
        {action.fault && !["name", "ends"].includes(action.fault.field ?? "") ? <Fault>{action.fault.message}</Fault> : null}
        <SubmitOrCancel submit={words.submit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
