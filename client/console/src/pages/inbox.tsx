//! What arrived: grouped by site, live, from this device's own copy. An item is seen when it was on
//! screen for a moment while the page had the attention; it leaves the inbox when it is dismissed, on
//! every device.

import { useComputed, useSignal } from "@preact/signals";
import { Button, Fault, Segments, useAction } from "belfry-ui/controls.tsx";
import { Icon } from "belfry-ui/icons.tsx";
import { Empty, Notice, PageHead, SiteMark, SiteName, SkeletonRows } from "belfry-ui/parts.tsx";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import type { Item } from "../model.ts";
import { keep, letGo, preferences } from "../preferences.ts";
import { groups, unseenCount, type Group, type Shelf } from "../rules/inbox.ts";
import { hashOf } from "../rules/route.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { ItemRow } from "./item.tsx";

/** More of one site are behind a button, so that one that sends much does not bury the others. */
const SHOWN_OF_A_SITE = 5;

export function InboxPage(): JSX.Element {
  const model = useModel();
  const shelf = useSignal<Shelf>("inbox");
  const query = useSignal("");
  const unseenOnly = useSignal(false);
  const muted = useComputed(() => new Set((model.sites.value ?? []).filter((site) => site.state === "muted").map((site) => site.permission)));
  const kept = useComputed(() => new Set(preferences.value.kept));
  const shown = useComputed(() =>
    groups({ items: model.items.value ?? [], muted: muted.value, kept: kept.value, shelf: shelf.value, unseenOnly: unseenOnly.value, query: query.value }),
  );
  const unseen = unseenCount(model.items.value ?? [], muted.value);
  const words = text.inbox;

  const dismiss = (ids: readonly string[]) => {
    letGo(ids);
    void model.actions.dismiss(ids).catch(() => say(text.failure.other));
    say(words.dismissed(ids.length), () => {
      keep(ids);
      say(words.undone);
    });
  };

  return (
    <div class="page">
      <PageHead title={words.title} lead={model.items.value ? words.summary(unseen) : text.loading} />
      <div class="finder" role="search">
        <label class="search">
          <span class="hidden">{words.search}</span>
          <Icon name="search" />
          <input class="input" type="search" placeholder={words.search} value={query.value} onInput={(event) => (query.value = event.currentTarget.value)} />
        </label>
        <Segments label={words.shelf} value={shelf.value} options={[["inbox", words.waiting], ["archive", words.archive]]} onChange={(value) => (shelf.value = value)} />
        <Button look={`slim ${unseenOnly.value ? "primary" : ""}`} aria-pressed={unseenOnly.value} onClick={() => (unseenOnly.value = !unseenOnly.value)}>{words.unseenOnly}</Button>
      </div>
      {model.trouble.value ? <Trouble /> : null}
      {model.items.value === null ? <SkeletonRows rows={4} /> : null}
      {model.items.value !== null && shown.value.length === 0 ? <Nothing shelf={shelf.value} query={query.value} onClear={() => (query.value = "")} /> : null}
      {shown.value.map((group) => <GroupCard key={group.site} group={group} shelf={shelf.value} muted={muted.value} searching={query.value !== ""} marks={!unseenOnly.value} onDismiss={dismiss} />)}
      {model.items.value !== null ? <Older /> : null}
      {model.unopened.value > 0 ? <p class="soft small center">{words.unopened(model.unopened.value)} <a href={hashOf("keys")}>{text.nav.keys}</a></p> : null}
    </div>
  );
}

interface GroupCardProps {
  group: Group;
  shelf: Shelf;
  muted: ReadonlySet<string>;
  searching: boolean;
  /** What is looked at becomes seen; not where only the unseen are listed, or they would vanish under the eyes. */
  marks: boolean;
  onDismiss: (ids: readonly string[]) => void;
}

function GroupCard({ group, shelf, muted, searching, marks, onDismiss }: GroupCardProps): JSX.Element {
  const all = useSignal(false);
  const id = `site-${group.site}`;
  const words = text.inbox;
  const items = all.value || searching ? group.items : group.items.slice(0, SHOWN_OF_A_SITE);
  const rest = group.items.length - items.length;
  return (
    <section class="card group" aria-labelledby={id}>
      <header class="group-head">
        <SiteMark site={group.site} small />
        <h2 id={id}><SiteName site={group.site} /></h2>
        {group.unseen > 0 ? <span class="count" aria-label={text.nav.unseen(group.unseen)} role="img">{group.unseen}</span> : null}
        {shelf === "inbox" ? (
          <Button look="quiet slim" aria-label={words.dismissAllOf(siteLabel(group.site))} onClick={() => onDismiss(group.items.map((item: Item) => item.id))}>{words.dismissAll}</Button>
        ) : null}
      </header>
      <ul>
        {items.map((item) => <ItemRow key={item.id} item={item} muted={muted.has(item.permission)} marks={marks} onDismiss={shelf === "inbox" ? onDismiss : null} />)}
      </ul>
      {rest > 0 ? <Button look="quiet group-more" onClick={() => (all.value = true)}>{words.moreOf(rest)}</Button> : null}
      {all.value && !searching ? <Button look="quiet group-more" onClick={() => (all.value = false)}>{words.fewer}</Button> : null}
    </section>
  );
}

function Nothing({ shelf, query, onClear }: { shelf: Shelf; query: string; onClear: () => void }): JSX.Element {
  const model = useModel();
  const words = text.inbox;
  if (query) return <Empty icon="search" title={words.emptyFound} actions={<Button onClick={onClear}>{words.clear}</Button>}>{words.emptyFoundBody}</Empty>;
  if (shelf === "archive") return <Empty icon="archive" title={words.emptyArchive}>{words.emptyArchiveBody}</Empty>;
  const none = model.sites.value?.length === 0;
  const actions = (
    <>
      <a class="button primary" href={hashOf("welcome")}>{words.test}</a>
      <a class="button" href={hashOf("sites", "approve")}>{words.approve}</a>
    </>
  );
  return <Empty icon="bell" title={words.emptyTitle} actions={none ? actions : null}>{none ? words.emptyNoSites : words.emptyBody}</Empty>;
}

function Older(): JSX.Element | null {
  const model = useModel();
  const action = useAction();
  if (!model.hasOlder.value) return model.items.value?.length ? <p class="soft small center">{text.inbox.noOlder}</p> : null;
  return (
    <div class="stack">
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="more"><Button busy={action.busy} onClick={() => void action.run(() => model.actions.loadOlder())}>{text.inbox.loadOlder}</Button></div>
    </div>
  );
}

/** The last reading failed; what was read before still stands below. */
export function Trouble(): JSX.Element {
  const model = useModel();
  const action = useAction();
  return (
    <Notice icon="warn" look="bad" live>
      <p>{model.trouble.value}</p>
      <Button look="slim" busy={action.busy} onClick={() => void action.run(() => model.actions.refresh())}>{text.retry}</Button>
    </Notice>
  );
}
