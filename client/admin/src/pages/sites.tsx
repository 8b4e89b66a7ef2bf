//! The sites that send to this server's users.

import { useSignal } from "@preact/signals";
import { Button, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { PageHead, SiteMark, SiteName } from "belfry-ui/parts.tsx";
import { siteLabel, typedSite } from "belfry-ui/rules/site.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { go, hashOf } from "../address.ts";
import type { Site } from "../model.ts";
import { Ago, Search, ShownList } from "../parts/lists.tsx";
import { SortChoice, Table, type Column } from "../parts/table.tsx";
import { useList } from "../read.ts";
import { count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.sites;

const COLUMNS: readonly Column<Site>[] = [
  {
    key: "site", title: words.site, sort: "site",
    cell: (site) => (
      <span class="named">
        <SiteMark site={site.site} small />
        <a href={hashOf("sites", site.site)}><SiteName site={site.site} /></a>
        {site.ban ? <span class="chip bad">{words.blocked}</span> : null}
        {site.registered ? <span class={`chip ${site.proven ? "good" : "warn"}`}>{site.proven ? words.proven : words.unproven}</span> : null}
        {site.hasOwnLimits ? <span class="chip">{words.ownLimits}</span> : null}
      </span>
    ),
  },
  { key: "permissions", title: words.permissions, sort: "permissions", number: true, cell: (site) => count(site.permissions) },
  { key: "accepted", title: words.accepted, sort: "accepted", number: true, cell: (site) => count(site.accepted) },
  { key: "refused", title: words.refused, sort: "refused", number: true, cell: (site) => count(site.refused) },
  { key: "used", title: words.lastUsed, sort: "last_used", number: true, time: true, cell: (site) => <Ago at={site.lastUsed} /> },
];

export function SitesPage(): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const search = useSignal("");
  const sort = useSignal("-accepted");
  const registering = useSignal(false);
  const list = useList((cursor) => model.reads.sites({ search: search.value, sort: sort.value, cursor }), [search.value, sort.value], ["sites", "bans"]);
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>{mayWrite ? <Button icon="plus" onClick={() => (registering.value = true)}>{words.register}</Button> : null}</PageHead>
      <div class="finder">
        <Search label={words.search} value={search.value} onSearch={(asked) => (search.value = asked)} />
        <SortChoice columns={COLUMNS} sort={sort.value} onSort={(asked) => (sort.value = asked)} />
      </div>
      <ShownList reading={list} icon="site" emptyTitle={words.emptyTitle} emptyBody={words.emptyBody} narrowed={search.value !== ""}>
        {(sites) => <Table label={words.title} columns={COLUMNS} rows={sites} idOf={(site) => site.site} sort={sort.value} onSort={(asked) => (sort.value = asked)} busy={list.busy} />}
      </ShownList>
      {registering.value ? <RegisterSite onClose={() => (registering.value = false)} /> : null}
    </div>
  );
}

function RegisterSite({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const address = useSignal("");
  const action = useAction();
  const submit = () => action.run(async () => {
    const site = typedSite(address.value);
    if (!site) return action.fail(words.registerWrong);
    await model.actions.registerSite(site);
    onClose();
    say(words.registered(siteLabel(site)));
    go("sites", site);
  });
  return (
    <Dialog title={words.register} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.registerLead}</p>
        <TextField label={words.registerLabel} hint={words.registerHint} inputMode="url" autocomplete="off" value={address.value} onText={(value) => (address.value = value)} fault={action.fault?.message} />
        <SubmitOrCancel submit={words.registerSubmit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
