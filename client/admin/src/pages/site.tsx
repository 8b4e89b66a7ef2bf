//! One site: what it sends, what it may send, its keys, and blocking it.

import { useSignal } from "@preact/signals";
import { Button, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Hostile, Notice, PageHead, SiteMark, SiteName } from "belfry-ui/parts.tsx";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import type { ApiKey, BanKind, SiteDetail, VapidKey } from "../model.ts";
import { BanDialog, Blocked } from "../parts/ban.tsx";
import { Chart } from "../parts/chart.tsx";
import { Ago, Fact, Shown, Trouble } from "../parts/lists.tsx";
import { OwnLimits } from "../parts/own-limits.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { SpanBar, useSpan } from "../parts/span.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { useRead } from "../read.ts";
import { count, rate } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.sites;

interface Asking {
  readonly kind: BanKind;
  readonly value: string;
  readonly label: string;
}

export function SitePage({ site }: { site: string }): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const blocking = useSignal<Asking | null>(null);
  const reading = useRead(() => model.reads.site(site), [site], ["sites", "bans", "limits"]);
  const label = siteLabel(site);
  const isBlocked = reading.value?.ban ?? null;
  return (
    <div class="page">
      <a class="back" href={hashOf("sites")}>{words.back}</a>
      <PageHead title={label}>
        {mayWrite && reading.value && !isBlocked ? <Button look="danger-quiet" icon="ban" aria-label={words.blockNamed(label)} onClick={() => (blocking.value = { kind: "site", value: site, label })}>{words.block}</Button> : null}
      </PageHead>
      <Shown reading={reading}>
        {(detail) => (
          <>
            {detail.ban ? <Blocked ban={detail.ban} mayWrite={mayWrite} /> : null}
            <dl class="card facts-list wide">
              <Fact name={words.site}><span class="named"><SiteMark site={site} small /><SiteName site={site} /></span></Fact>
              <Fact name={words.permissions}>{count(detail.permissions)}</Fact>
              <Fact name={words.accepted}>{count(detail.accepted)}</Fact>
              <Fact name={words.refused}>{count(detail.refused)}</Fact>
              <Fact name={words.lastUsed}><Ago at={detail.lastUsed} /></Fact>
            </dl>
            <Usage site={site} />
            <OwnLimits title={words.quota} lead={words.quotaLead} limits={detail.limits} mayWrite={mayWrite} save={(limits) => model.actions.setSiteLimits(site, limits)} />
            <Keys detail={detail} mayWrite={mayWrite} />
            <Vapid keys={detail.vapidKeys} onBlock={mayWrite ? (key) => (blocking.value = { kind: "vapid", value: key, label: shortKey(key) }) : null} />
          </>
        )}
      </Shown>
      {blocking.value ? <BanDialog about={blocking.value} onClose={() => (blocking.value = null)} /> : null}
    </div>
  );
}

function Usage({ site }: { site: string }): JSX.Element {
  const model = useModel();
  const choice = useSpan("day");
  const at = useSignal<number | null>(null);
  const { span } = choice;
  const reading = useRead(() => model.reads.series(["accepted", "refused"], span, site), [site, span.from, span.to]);
  return (
    <section class="page" aria-labelledby="usage">
      <div class="page-head"><h2 id="usage">{words.usage}</h2><SpanBar choice={choice} /></div>
      {reading.fault ? <Trouble fault={reading.fault} again={reading.again} busy={reading.busy} /> : (
        <Chart
          title={words.chart} unit={text.overview.units.perSecond} format={rate} series={reading.value} span={span} longest={choice.longest}
          lines={[{ metric: "accepted", name: words.accepted, colour: 1 }, { metric: "refused", name: words.refused, colour: 4 }]}
          at={at.value} onAt={(time) => (at.value = time)} onSpan={choice.set}
        />
      )}
    </section>
  );
}

function Keys({ detail, mayWrite }: { detail: SiteDetail; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  const making = useSignal(false);
  const made = useSignal<string | null>(null);
  const ending = useSignal<ApiKey | null>(null);
  const end = async (key: ApiKey) => {
    await model.actions.endApiKey(detail.site, key.id);
    say(words.keyEnded);
  };
  return (
    <section class="card padded" aria-labelledby="api-keys">
      <div class="setting">
        <div><h2 id="api-keys">{words.keys}</h2><span class="hint">{words.keysLead}</span></div>
        {mayWrite && detail.registered ? <Button onClick={() => (making.value = true)}>{words.keyMake}</Button> : null}
      </div>
      {detail.registered && !detail.proven ? <Notice icon="warn" look="warn"><p>{words.keysUnproven}</p></Notice> : null}
      {detail.apiKeys.length === 0 ? <p class="soft">{words.keysNone}</p> : (
        <ul class="lines">
          {detail.apiKeys.map((key) => (
            <li key={key.id} data-id={key.id}>
              <div><b><Hostile max={64}>{key.name}</Hostile></b><span class="hint">{words.keyCreated} <Ago at={key.created} /> · {words.keyLast} <Ago at={key.lastUsed} /></span></div>
              {mayWrite ? <Button look="danger-quiet slim" aria-label={words.keyEndNamed(key.name)} onClick={() => (ending.value = key)}>{words.keyEnd}</Button> : null}
            </li>
          ))}
        </ul>
      )}
      {making.value ? <MakeKey site={detail.site} onClose={() => (making.value = false)} onMade={(key) => { making.value = false; made.value = key; }} /> : null}
      {made.value ? <ShownOnce title={words.keyMade} lead={words.keyMadeLead} value={made.value} name={words.keyMade} copyLabel={words.keyCopy} onClose={() => (made.value = null)} /> : null}
      {ending.value ? <Confirm title={words.keyEndTitle(ending.value.name)} points={words.keyEndPoints} submit={words.keyEnd} work={() => end(ending.value!)} onClose={() => (ending.value = null)} /> : null}
    </section>
  );
}

function MakeKey({ site, onClose, onMade }: { site: string; onClose: () => void; onMade: (key: string) => void }): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const action = useAction();
  return (
    <Dialog title={words.keyMake} onClose={onClose}>
      <Form onSubmit={() => void action.run(async () => onMade(await model.actions.makeApiKey(site, name.value.trim())))}>
        <TextField label={words.keyName} hint={words.keyNameHint} maxLength={64} autocomplete="off" value={name.value} onText={(value) => (name.value = value)} fault={action.fault?.message} />
        <SubmitOrCancel submit={words.keyMake} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

/** Enough of a key to tell it from others. */
function shortKey(key: string): string {
  return key.length > 20 ? `${key.slice(0, 10)}…${key.slice(-6)}` : key;
}

function Vapid({ keys, onBlock }: { keys: readonly VapidKey[]; onBlock: ((key: string) => void) | null }): JSX.Element {
  const columns: Column<VapidKey>[] = [
    {
      key: "key", title: words.vapid,
      cell: (key) => (
        <span class="named">
          <code title={key.key}>{shortKey(key.key)}</code>
          <span class={`chip ${key.proven ? "good" : ""}`}>{key.proven ? words.vapidProven : words.vapidClaimed}</span>
          {key.registered ? <span class="chip">{words.vapidRegistered}</span> : null}
        </span>
      ),
    },
    { key: "first", title: words.vapidFirst, number: true, cell: (key) => <Ago at={key.firstSeen} /> },
    { key: "last", title: words.vapidSeen, number: true, cell: (key) => <Ago at={key.lastSeen} /> },
  ];
  if (onBlock) columns.push({ key: "act", title: text.table.act, cell: (key) => <Button look="danger-quiet slim" aria-label={words.vapidBlockNamed(shortKey(key.key))} onClick={() => onBlock(key.key)}>{words.vapidBlock}</Button> });
  return (
    <section class="stack" aria-labelledby="vapid">
      <div class="section-head"><h2 id="vapid">{words.vapid}</h2><p class="soft">{words.vapidLead}</p></div>
      {keys.length === 0 ? <p class="soft">{words.vapidNone}</p> : <Table label={words.vapid} columns={columns} rows={keys} idOf={(key) => key.key} />}
    </section>
  );
}
