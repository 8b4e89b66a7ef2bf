//! Every act of those who run the server, and whether the record of them is whole.

import { useSignal } from "@preact/signals";
import { Button, Fault, useAction } from "belfry-ui/controls.tsx";
import { Hostile, Notice, PageHead } from "belfry-ui/parts.tsx";
import { wholeTime } from "belfry-ui/rules/times.ts";
import type { JSX } from "preact";
import type { AuditRow, Verified } from "../model.ts";
import { Ago, download, Search, ShownList } from "../parts/lists.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { useList } from "../read.ts";
import { changes } from "../rules/changes.ts";
import { count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const words = text.audit;

const COLUMNS: readonly Column<AuditRow>[] = [
  {
    key: "what", title: words.what,
    cell: (row) => <span class="two-lines"><b>{words.actNames[row.act] ?? row.act}</b><span class="hint">{words.row(row.n)} · <Ago at={row.at} /></span></span>,
  },
  { key: "target", title: words.on, cell: (row) => (row.target === null ? <span class="soft">{words.none}</span> : <Hostile max={120}>{row.target}</Hostile>) },
  { key: "who", title: words.who, cell: (row) => <><Hostile max={64}>{row.actor}</Hostile> <span class="soft">{words.actorKinds[row.actorKind]}</span></> },
  { key: "change", title: words.change, whole: true, cell: (row) => <Change row={row} /> },
];

export function AuditPage(): JSX.Element {
  const model = useModel();
  const search = useSignal("");
  const act = useSignal("");
  const verified = useSignal<Verified | null>(null);
  const checking = useAction();
  const exporting = useAction();
  const list = useList((cursor) => model.reads.audit({ search: search.value, act: act.value, cursor }), [search.value, act.value], ["audit"]);
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>
        <div class="buttons">
          <Button busy={exporting.busy} onClick={() => void exporting.run(async () => download(words.fileName, "application/x-ndjson", await model.reads.auditNdjson()))}>{words.export}</Button>
          <Button icon="shield" busy={checking.busy} onClick={() => void checking.run(async () => { verified.value = await model.actions.verifyAudit(); })}>{words.verify}</Button>
        </div>
      </PageHead>
      {checking.fault ?? exporting.fault ? <Fault>{(checking.fault ?? exporting.fault)?.message}</Fault> : null}
      {verified.value && !checking.busy ? <Verdict verified={verified.value} /> : null}
      <div class="finder">
        <Search label={words.search} value={search.value} onSearch={(asked) => (search.value = asked)} />
        <select class="input select" aria-label={words.what} value={act.value} onChange={(event) => (act.value = event.currentTarget.value)}>
          <option value="">{words.acts}</option>
          {Object.entries(words.groups).map(([group, name]) => <option key={group} value={group}>{name}</option>)}
        </select>
      </div>
      <ShownList reading={list} icon="list" emptyTitle={words.emptyTitle} emptyBody={words.emptyBody} narrowed={search.value !== "" || act.value !== ""}>
        {(rows) => <Table label={words.title} columns={COLUMNS} rows={rows} idOf={(row) => String(row.n)} busy={list.busy} />}
      </ShownList>
    </div>
  );
}

function Verdict({ verified }: { verified: Verified }): JSX.Element {
  const bad = !verified.ok;
  return (
    <Notice icon={bad ? "warn" : "check"} look={bad ? "bad" : ""} live>
      <p><b>{bad ? words.broken(verified.brokenAt ?? 0) : words.verified(verified.rows)}</b></p>
      <p>{bad ? words.brokenAdvice : words.verifiedHead}</p>
      <code class="hash">{verified.head}</code>
    </Notice>
  );
}

function Change({ row }: { row: AuditRow }): JSX.Element {
  const found = changes(row.before, row.after);
  return (
    <details class="change">
      <summary>{found.length === 0 ? words.details : found.length === 1 ? found[0]!.name : `${words.showChange} (${count(found.length)})`}</summary>
      <dl>
        {found.map((change) => (
          <div key={change.name}>
            <dt><Hostile max={64}>{change.name}</Hostile></dt>
            <dd>
              {change.before === null ? null : <><span class="hidden">{words.before}: </span><del><Hostile max={200}>{change.before}</Hostile></del></>}
              {change.after === null ? null : <><span class="hidden">{words.after}: </span><ins><Hostile max={200}>{change.after}</Hostile></ins></>}
            </dd>
          </div>
        ))}
        <div><dt>{words.when}</dt><dd>{wholeTime(row.at)}</dd></div>
        <div><dt>{words.hash}</dt><dd><code class="hash">{row.hash}</code></dd></div>
      </dl>
    </details>
  );
}
