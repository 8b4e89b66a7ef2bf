//! The sites that may reach the user: approve by hand, mute, rename, renew, revoke.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Switch, useAction } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, Rename } from "belfry-ui/dialog.tsx";
import { now } from "belfry-ui/now.ts";
import { CopyBox, Empty, Hostile, Notice, PageHead, SiteMark, SiteName, SkeletonRows, Sparkline } from "belfry-ui/parts.tsx";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { ago, day } from "belfry-ui/rules/times.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Site } from "../model.ts";
import { hashOf } from "../rules/route.ts";
import { text } from "../text.ts";
import { ApproveDialog } from "./approve.tsx";
import { useModel } from "./context.ts";
import { Trouble } from "./inbox.tsx";
import { go } from "../address.ts";

type Asking = { readonly what: "edit" | "revoke" | "renew"; readonly site: Site };

export function SitesPage({ part }: { part: string | null }): JSX.Element {
  const model = useModel();
  const asking = useSignal<Asking | null>(null);
  useEffect(() => void model.actions.readSites(), []);
  const words = text.sites;
  const sites = model.sites.value;
  const close = () => {
    asking.value = null;
  };
  const approve = (look: string) => <Button look={look} icon="plus" onClick={() => go("sites", "approve")}>{words.approve}</Button>;
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>{sites?.length ? approve("primary") : null}</PageHead>
      {model.trouble.value ? <Trouble /> : null}
      {sites === null ? <SkeletonRows /> : null}
      {sites?.length === 0 ? <Empty icon="site" title={words.emptyTitle} actions={<>{approve("primary")}<a class="button" href={hashOf("welcome")}>{text.inbox.test}</a></>}>{words.emptyBody}</Empty> : null}
      {sites?.length ? (
        <ul class="card rows">
          {sites.map((site) => <SiteRow key={site.permission} site={site} ask={(what) => (asking.value = { what, site })} />)}
        </ul>
      ) : null}
      {part === "approve" ? <ApproveDialog onClose={() => go("sites")} /> : null}
      {asking.value?.what === "edit" ? <EditSite site={asking.value.site} onClose={close} /> : null}
      {asking.value?.what === "renew" ? <RenewSite site={asking.value.site} onClose={close} /> : null}
      {asking.value?.what === "revoke" ? <RevokeSite site={asking.value.site} onClose={close} /> : null}
    </div>
  );
}

function SiteRow({ site, ask }: { site: Site; ask: (what: Asking["what"]) => void }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const words = text.sites;
  const label = siteLabel(site.site);
  const muted = site.state === "muted";
  const turn = () => action.run(async () => {
    await model.actions.setMuted(site.permission, !muted);
    say(muted ? words.unmutedToast(label) : words.mutedToast(label));
  });
  return (
    <li>
      <article class="row" aria-label={label} data-permission={site.permission}>
        <SiteMark site={site.site} />
        <div class="row-main">
          <div class="row-title">
            <h2><SiteName site={site.site} /></h2>
            {site.name ? <span class="soft"><Hostile max={64}>{site.name}</Hostile></span> : null}
            {site.unseen > 0 && !muted ? <span class="chip good">{words.unseen(site.unseen)}</span> : null}
            {muted ? <span class="chip">{words.muted}</span> : null}
            {site.pinned ? <span class="chip good">{words.pinned}</span> : null}
            {site.receipts ? <span class="chip">{words.receiptsChip}</span> : null}
            {site.renew ? <span class="chip warn">{words.renewChip}</span> : null}
            {site.hasKeys ? null : <span class="chip bad">{words.noKeys}</span>}
          </div>
          <div class="facts">
            <span>{site.lastUsed === null ? words.neverUsed : words.lastUsed(ago(site.lastUsed, now.value))}</span>
            <span>{words.count(site.accepted)}</span>
            {site.created === null ? null : <span>{words.since(day(site.created, now.value))}</span>}
          </div>
        </div>
        <div class="row-side">
          <Sparkline counts={site.perDay} label={words.chart(site.perDay)} />
          <div class="buttons">
            <Button look="quiet slim" busy={action.busy} aria-label={muted ? words.unmuteNamed(label) : words.muteNamed(label)} onClick={() => void turn()}>{muted ? words.unmute : words.mute}</Button>
            <Button look="quiet slim" aria-label={words.editNamed(label)} onClick={() => ask("edit")}>{words.edit}</Button>
            <Button look="danger-quiet slim" aria-label={words.revokeNamed(label)} onClick={() => ask("revoke")}>{words.revoke}</Button>
          </div>
        </div>
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        {site.hasKeys ? null : <Notice icon="warn" look="bad"><p>{words.noKeysBody}</p></Notice>}
        {site.renew ? (
          <Notice icon="key" look="warn">
            <p>{words.renewBody}</p>
            <Button look="slim" aria-label={words.renewNamed(label)} onClick={() => ask("renew")}>{words.renew}</Button>
          </Notice>
        ) : null}
      </article>
    </li>
  );
}

interface SiteDialogProps {
  site: Site;
  onClose: () => void;
}

function EditSite({ site, onClose }: SiteDialogProps): JSX.Element {
  const model = useModel();
  const receipts = useSignal(site.receipts);
  const words = text.sites;
  const work = async (name: string) => {
    if (name !== site.name) await model.actions.renameSite(site.permission, name);
    if (receipts.value !== site.receipts) await model.actions.setReceipts(site.permission, receipts.value);
    say(text.settings.saved);
  };
  return (
    <Rename title={siteLabel(site.site)} label={words.editName} name={site.name} work={work} onClose={onClose}>
      <Switch label={words.receipts} hint={words.receiptsHint} checked={receipts.value} onChange={(allowed) => (receipts.value = allowed)} />
    </Rename>
  );
}

function RenewSite({ site, onClose }: SiteDialogProps): JSX.Element {
  const model = useModel();
  const made = useSignal<string | null>(null);
  const action = useAction();
  const words = text.sites;
  return (
    <Dialog title={words.renewTitle(siteLabel(site.site))} onClose={onClose} firm={made.value !== null}>
      {made.value === null ? <p>{words.renewLead}</p> : <><p>{words.subscriptionLead}</p><CopyBox value={made.value} name={words.subscription} label={words.copyLabel} /></>}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons end">
        {made.value === null ? (
          <>
            <Button onClick={onClose}>{text.cancel}</Button>
            <Button look="primary" busy={action.busy} onClick={() => void action.run(async () => { made.value = await model.actions.renew(site.permission); })}>{words.renewSubmit}</Button>
          </>
        ) : <Button onClick={onClose}>{text.done}</Button>}
      </div>
    </Dialog>
  );
}

function RevokeSite({ site, onClose }: SiteDialogProps): JSX.Element {
  const model = useModel();
  const label = siteLabel(site.site);
  const work = async () => {
    await fresh(() => model.actions.revoke(site.permission));
    say(text.sites.revoked(label));
  };
  return <Confirm title={text.sites.revokeTitle(label)} points={text.sites.revokePoints} submit={text.sites.revoke} work={work} onClose={onClose} />;
}
