//! The keys of one site: what proves its origin, the API keys it posts in bulk with, its VAPID keys.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { CopyBox, Hostile, Notice } from "belfry-ui/parts.tsx";
import { bytesOf } from "belfry-ui/rules/bytes.ts";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import type { ApiKey, SiteDetail, VapidKey } from "../model.ts";
import { Ago } from "../parts/lists.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { undoing } from "../parts/undo.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const words = text.sites;

export function Keys({ detail, mayWrite }: { detail: SiteDetail; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  const making = useSignal(false);
  const made = useSignal<string | null>(null);
  const ending = useSignal<ApiKey | null>(null);
  const leaving = useSignal(false);
  const action = useAction();
  const label = siteLabel(detail.site);
  const register = async () => {
    await model.actions.registerSite(detail.site);
    say(words.registered(label));
  };
  const unregister = async () => {
    await model.actions.unregisterSite(detail.site);
    say(words.unregistered(label));
  };
  const end = async (key: ApiKey) => {
    await model.actions.endApiKey(detail.site, key.id);
    say(words.keyEnded);
  };
  return (
    <section class="card padded" aria-labelledby="api-keys">
      <div class="setting">
        <div><h2 id="api-keys">{words.keys}</h2><span class="hint">{words.keysLead}</span></div>
        {!mayWrite ? null : detail.registered ? (
          <div class="buttons">
            <Button look="danger-quiet" onClick={() => (leaving.value = true)}>{words.unregister}</Button>
            <Button onClick={() => (making.value = true)}>{words.keyMake}</Button>
          </div>
        ) : <Button busy={action.busy} onClick={() => void action.run(register)}>{words.registerSubmit}</Button>}
      </div>
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      {detail.registered ? null : <p class="soft">{words.notRegistered}</p>}
      {detail.registered && !detail.proven ? <Proof detail={detail} mayWrite={mayWrite} /> : null}
      {!detail.registered ? null : detail.apiKeys.length === 0 ? <p class="soft">{words.keysNone}</p> : (
        <ul class="lines">
          {detail.apiKeys.map((key) => (
            <li key={key.id} data-id={key.id}>
              <div><b><Hostile max={64}>{key.name}</Hostile></b><span class="hint">{words.keyCreated} <Ago at={key.created} /> · {words.keyLast} <Ago at={key.lastUsed} /></span></div>
              {mayWrite ? <Button look="danger-quiet slim" aria-label={words.keyEndNamed(key.name)} onClick={() => (ending.value = key)}>{words.keyEnd}</Button> : null}
            </li>
          ))}
        </ul>
      )}
      {leaving.value ? <Confirm title={words.unregisterTitle(label)} points={words.unregisterPoints} submit={words.unregister} work={unregister} onClose={() => (leaving.value = false)} /> : null}
      {making.value ? <MakeKey site={detail.site} onClose={() => (making.value = false)} onMade={(key) => { making.value = false; made.value = key; }} /> : null}
      {made.value ? <ShownOnce title={words.keyMade} lead={words.keyMadeLead} value={made.value} name={words.keyMade} copyLabel={words.keyCopy} onClose={() => (made.value = null)} /> : null}
      {ending.value ? <Confirm title={words.keyEndTitle(ending.value.name)} points={words.keyEndPoints} submit={words.keyEnd} work={() => end(ending.value!)} onClose={() => (ending.value = null)} /> : null}
    </section>
  );
}

/** What the site has to show, and looking for it. */
function Proof({ detail, mayWrite }: { detail: SiteDetail; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const look = () => action.run(async () => {
    const { proven, detail: found } = await model.actions.verifySite(detail.site);
    if (proven) say(words.verified);
    else action.fail(found);
  });
  return (
    <div class="stack">
      <Notice icon="warn" look="warn"><p>{words.keysUnproven}</p></Notice>
      {detail.proof ? <CopyBox value={detail.proof} name={words.proof} label={words.proofCopy} /> : null}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      {mayWrite ? <div class="buttons"><Button busy={action.busy} onClick={() => void look()}>{words.verify}</Button></div> : null}
    </div>
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
export function shortKey(key: string): string {
  return key.length > 20 ? `${key.slice(0, 10)}…${key.slice(-6)}` : key;
}

interface VapidProps {
  readonly detail: SiteDetail;
  readonly mayWrite: boolean;
  readonly onBlock: ((key: string) => void) | null;
}

export function Vapid({ detail, mayWrite, onBlock }: VapidProps): JSX.Element {
  const model = useModel();
  const adding = useSignal(false);
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
  if (mayWrite) columns.push({
    key: "act", title: text.table.act,
    cell: (key) => (
      <span class="buttons">
        {detail.registered ? <RegisterKey site={detail.site} vapid={key} /> : null}
        {onBlock ? <Button look="danger-quiet slim" aria-label={words.vapidBlockNamed(shortKey(key.key))} onClick={() => onBlock(key.key)}>{words.vapidBlock}</Button> : null}
      </span>
    ),
  });
  const add = async (key: string) => {
    await model.actions.registerVapid(detail.site, key);
    say(words.vapidAdded, undoing(() => model.actions.forgetVapid(detail.site, key)));
  };
  return (
    <section class="stack" aria-labelledby="vapid">
      <div class="setting">
        <div class="section-head"><h2 id="vapid">{words.vapid}</h2><p class="soft">{words.vapidLead}</p></div>
        {mayWrite && detail.registered ? <Button onClick={() => (adding.value = true)}>{words.vapidAdd}</Button> : null}
      </div>
      {detail.vapidKeys.length === 0 ? <p class="soft">{words.vapidNone}</p> : <Table label={words.vapid} columns={columns} rows={detail.vapidKeys} idOf={(key) => key.key} />}
      {adding.value ? <AddVapid work={add} onClose={() => (adding.value = false)} /> : null}
    </section>
  );
}

function RegisterKey({ site, vapid }: { site: string; vapid: VapidKey }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const { registerVapid, forgetVapid } = model.actions;
  const turn = () => action.run(async () => {
    await (vapid.registered ? forgetVapid(site, vapid.key) : registerVapid(site, vapid.key));
    say(vapid.registered ? words.vapidForgotten : words.vapidAdded, undoing(() => (vapid.registered ? registerVapid(site, vapid.key) : forgetVapid(site, vapid.key))));
  });
  const label = (vapid.registered ? words.vapidForgetNamed : words.vapidRegisterNamed)(shortKey(vapid.key));
  return (
    <>
      <Button look="quiet slim" busy={action.busy} aria-label={label} onClick={() => void turn()}>{vapid.registered ? words.vapidForget : words.vapidRegister}</Button>
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
    </>
  );
}

function AddVapid({ work, onClose }: { work: (key: string) => Promise<void>; onClose: () => void }): JSX.Element {
  const typed = useSignal("");
  const action = useAction();
  const submit = () => action.run(async () => {
    const bytes = bytesOf(typed.value.trim());
    // An uncompressed P-256 point (RFC 8292 §3.2).
    if (bytes?.length !== 65 || bytes[0] !== 4) return action.fail(words.vapidWrong);
    await work(typed.value.trim());
    onClose();
  });
  return (
    <Dialog title={words.vapidAdd} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.vapidAddLead}</p>
        <TextField label={words.vapidLabel} hint={words.vapidHint} autocomplete="off" value={typed.value} onText={(value) => { typed.value = value; action.clear(); }} fault={action.fault?.message} mono />
        <SubmitOrCancel submit={words.vapidRegister} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
