//! Who is kept out: made, changed, lifted, and carried from one server to another as CSV.

import { useSignal } from "@preact/signals";
import { Button, Fault, Field, Form, Switch, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Hostile, Notice, PageHead, SiteName } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import type { Ban, BanKind, Imported } from "../model.ts";
import { BanDialog, EditBan, lift } from "../parts/ban.tsx";
import { Ago, download, Search, ShownList, Until } from "../parts/lists.tsx";
import { SortChoice, Table, type Column } from "../parts/table.tsx";
import { useList } from "../read.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.bans;
const KINDS = Object.keys(words.kinds) as BanKind[];
const IMPORT_BYTES_MAX = 1024 * 1024;
const PROBLEMS_SHOWN = 5;

function What({ ban }: { ban: Ban }): JSX.Element {
  switch (ban.kind) {
    case "site": return <a href={hashOf("sites", ban.value)}><SiteName site={ban.value} /></a>;
    case "user": return <a href={hashOf("users", ban.value)}><Hostile max={64}>{ban.label}</Hostile></a>;
    case "vapid": return <code title={ban.value}>{`${ban.value.slice(0, 10)}…${ban.value.slice(-6)}`}</code>;
    case "address": return <code>{ban.value}</code>;
  }
}

const COLUMNS: readonly Column<Ban>[] = [
  {
    key: "what", title: words.what, sort: "value",
    cell: (ban) => (
      <span class="named"><What ban={ban} /><span class="chip">{words.kinds[ban.kind]}</span>{ban.ended ? <span class="chip">{words.ended}</span> : null}</span>
    ),
  },
  { key: "reason", title: words.reason, cell: (ban) => (ban.reason ? <Hostile max={200}>{ban.reason}</Hostile> : <span class="soft">{words.reasonNone}</span>) },
  { key: "author", title: words.author, cell: (ban) => <Hostile max={64}>{ban.author}</Hostile> },
  { key: "created", title: words.created, sort: "created", number: true, time: true, cell: (ban) => <Ago at={ban.created} /> },
  { key: "ends", title: words.ends, sort: "ends", number: true, time: true, cell: (ban) => <Until at={ban.ends} none={words.untilLifted} /> },
];

export function BansPage(): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const search = useSignal("");
  const sort = useSignal("-created");
  const kind = useSignal<BanKind | "">("");
  const withEnded = useSignal(false);
  const asking = useSignal<"make" | "import" | Ban | null>(null);
  const exporting = useAction();
  const list = useList(
    (cursor) => model.reads.bans({ search: search.value, sort: sort.value, kind: kind.value, ended: withEnded.value, cursor }),
    [search.value, sort.value, kind.value, withEnded.value],
    ["bans"],
  );
  const close = () => {
    asking.value = null;
  };
  const acts: Column<Ban> = {
    key: "act", title: text.table.act,
    cell: (ban) => (ban.ended ? null : (
      <span class="buttons">
        <Button look="quiet slim" aria-label={words.editNamed(ban.label)} onClick={() => (asking.value = ban)}>{words.edit}</Button>
        <Lift ban={ban} />
      </span>
    )),
  };
  const columns = mayWrite ? [...COLUMNS, acts] : COLUMNS;
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>
        <div class="buttons">
          <Button busy={exporting.busy} onClick={() => void exporting.run(async () => download(words.fileName, "text/csv", await model.reads.bansCsv()))}>{words.export}</Button>
          {mayWrite ? <Button onClick={() => (asking.value = "import")}>{words.import}</Button> : null}
          {mayWrite ? <Button look="primary" icon="ban" onClick={() => (asking.value = "make")}>{words.make}</Button> : null}
        </div>
      </PageHead>
      {exporting.fault ? <Fault>{exporting.fault.message}</Fault> : null}
      <div class="finder">
        <Search label={words.search} value={search.value} onSearch={(asked) => (search.value = asked)} />
        <select class="input select" aria-label={words.kind} value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value as BanKind | "")}>
          <option value="">{words.all}</option>
          {KINDS.map((one) => <option key={one} value={one}>{words.kinds[one]}</option>)}
        </select>
        <SortChoice columns={COLUMNS} sort={sort.value} onSort={(asked) => (sort.value = asked)} />
        <Switch label={words.withEnded} checked={withEnded.value} onChange={(on) => (withEnded.value = on)} />
      </div>
      <ShownList reading={list} icon="shield" emptyTitle={words.emptyTitle} emptyBody={words.emptyBody} narrowed={search.value !== "" || kind.value !== ""}>
        {(bans) => <Table label={words.title} columns={columns} rows={bans} idOf={(ban) => ban.id} sort={sort.value} onSort={(asked) => (sort.value = asked)} busy={list.busy} />}
      </ShownList>
      {asking.value === "make" ? <BanDialog about={null} onClose={close} /> : null}
      {asking.value === "import" ? <ImportDialog onClose={close} /> : null}
      {asking.value !== null && typeof asking.value === "object" ? <EditBan ban={asking.value} onClose={close} /> : null}
    </div>
  );
}

function Lift({ ban }: { ban: Ban }): JSX.Element {
  const model = useModel();
  const action = useAction();
  return <Button look="danger-quiet slim" busy={action.busy} aria-label={words.liftNamed(ban.label)} onClick={() => void action.run(() => lift(model, ban))}>{words.lift}</Button>;
}

function ImportDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const csv = useSignal("");
  const found = useSignal<Imported | null>(null);
  const action = useAction();
  const take = (value: string) => {
    csv.value = value;
    found.value = null;
    action.clear();
  };
  const read = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > IMPORT_BYTES_MAX) return action.fail(words.importNothing);
    take(await file.text());
  };
  const ready = found.value !== null && found.value.problems.length === 0 && found.value.added + found.value.changed > 0;
  const submit = () => action.run(async () => {
    if (!csv.value.trim()) return action.fail(words.importNothing);
    if (!ready) {
      found.value = await model.actions.importBans(csv.value, true);
      return;
    }
    const done = await model.actions.importBans(csv.value, false);
    onClose();
    say(words.imported(done.added + done.changed));
  });
  return (
    <Dialog title={words.importTitle} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.importLead}</p>
        <Field label={words.importFile}>{(attributes) => <input {...attributes} class="input" type="file" accept=".csv,text/csv" onChange={(event) => void read(event.currentTarget.files?.[0])} />}</Field>
        <Field label={words.importText}>{(attributes) => <textarea {...attributes} class="input mono" spellcheck={false} value={csv.value} onInput={(event) => take(event.currentTarget.value)} placeholder={"kind,value,reason,ends\naddress,203.0.113.0/24,flood,"} />}</Field>
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        {found.value ? <Found found={found.value} /> : null}
        <SubmitOrCancel submit={ready ? words.importSubmit : words.importLook} look={ready ? "danger" : "primary"} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function Found({ found }: { found: Imported }): JSX.Element {
  const bad = found.problems.length > 0;
  return (
    <Notice icon={bad ? "warn" : "check"} look={bad ? "bad" : ""} live>
      <p>{bad ? words.importProblems(found.problems.length) : words.importSummary(found.added, found.changed, found.unchanged)}</p>
      {bad ? <ul>{found.problems.slice(0, PROBLEMS_SHOWN).map((problem) => <li key={problem.line}>{words.importLine(problem.line, problem.detail)}</li>)}</ul> : null}
    </Notice>
  );
}
