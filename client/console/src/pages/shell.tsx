//! The frame of the console: navigation (a sidebar, or tabs at the foot of a phone), banners, the page.

import { Icon, type IconName } from "belfry-ui/icons.tsx";
import { Hostile, Notice } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { route } from "../address.ts";
import { preferences } from "../preferences.ts";
import { unseenCount } from "../rules/inbox.ts";
import { hashOf, type Page } from "../rules/route.ts";
import { badge } from "../system.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { DevicesPage } from "./devices.tsx";
import { InboxPage } from "./inbox.tsx";
import { KeysPage } from "./keys.tsx";
import { SettingsPage } from "./settings.tsx";
import { SitesPage } from "./sites.tsx";
import { WelcomePage } from "./welcome.tsx";

const TABS: readonly (readonly [Page, IconName])[] = [["inbox", "inbox"], ["sites", "site"], ["devices", "device"], ["keys", "key"], ["settings", "settings"]];

export function Shell(): JSX.Element {
  const model = useModel();
  const { page } = route.value;
  const muted = new Set((model.sites.value ?? []).filter((site) => site.state === "muted").map((site) => site.permission));
  const unseen = unseenCount(model.items.value ?? [], muted);
  const alarmed = model.alarms.value.length > 0;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);

  useEffect(() => {
    document.title = text.titled(text.nav[page], unseen);
    badge(unseen);
  }, [page, unseen]);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    (main.current?.querySelector<HTMLElement>("h1") ?? main.current)?.focus({ preventScroll: true });
  }, [page]);

  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{text.skip}</a>
      <header class="sidebar">
        <div class="masthead">
          <a class="brand" href={hashOf("inbox")}><img src="/logo.svg" alt="" width={32} height={32} />{text.brand}</a>
          <LinkState />
        </div>
        <nav class="tabs" aria-label={text.nav.label}>
          <ul>
            {TABS.map(([to, icon]) => (
              <li key={to}>
                <a href={hashOf(to)} aria-current={to === page ? "page" : undefined}>
                  <Icon name={icon} size={22} />
                  <span>{text.nav[to]}</span>
                  {to === "inbox" && unseen > 0 ? <span class="count"><span aria-hidden="true">{unseen > 99 ? "99+" : unseen}</span><span class="hidden">{text.nav.unseen(unseen)}</span></span> : null}
                  {to === "keys" && alarmed ? <span class="flag"><span class="hidden">{text.nav.alarm}</span></span> : null}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="account-line">
          <Hostile max={64}>{model.account.value?.username ?? ""}</Hostile>
          <LinkState />
        </div>
      </header>
      <main class="content" id="main" tabIndex={-1} ref={main}>
        <Banners page={page} />
        <CurrentPage />
      </main>
    </div>
  );
}

function CurrentPage(): JSX.Element {
  const { page, part } = route.value;
  switch (page) {
    case "inbox": return <InboxPage />;
    case "sites": return <SitesPage part={part} />;
    case "devices": return <DevicesPage part={part} />;
    case "keys": return <KeysPage part={part} />;
    case "settings": return <SettingsPage />;
    case "welcome": return <WelcomePage />;
  }
}

function LinkState(): JSX.Element {
  const model = useModel();
  const state = model.connection.value;
  return (
    <span class="link-state">
      <span class={`dot ${state === "online" ? "on" : state === "connecting" ? "wait" : ""}`} />
      {text.connection[state]}
    </span>
  );
}

/** At most one of each kind, the gravest first; none while the guide is open. */
function Banners({ page }: { page: Page }): JSX.Element | null {
  const model = useModel();
  const words = text.banners;
  if (page === "welcome") return null;
  const renew = (model.sites.value ?? []).filter((site) => site.renew).length;
  const recovery = model.recovery.value;
  return (
    <div class="banners">
      {model.alarms.value.length > 0 && page !== "keys" ? <Notice icon="warn" look="bad" live><p>{words.alarm} <a href={hashOf("keys")}>{words.alarmLink}</a></p></Notice> : null}
      {model.connection.value === "offline" ? <Notice icon="cloudOff" look="warn" live><p>{words.offline}</p></Notice> : null}
      {recovery === "stale" && page !== "keys" ? <Notice icon="key" look="warn"><p>{words.staleRecovery} <a href={hashOf("keys", "phrase")}>{words.recoveryLink}</a></p></Notice> : null}
      {renew > 0 && page !== "sites" ? <Notice icon="key" look="warn"><p>{words.renew(renew)} <a href={hashOf("sites")}>{words.renewLink}</a></p></Notice> : null}
      {recovery === "none" && page === "inbox" && preferences.value.welcomed && (model.sites.value?.length ?? 0) > 1 ? <Notice icon="key"><p>{words.noRecovery} <a href={hashOf("keys", "phrase")}>{words.recoveryLink}</a></p></Notice> : null}
    </div>
  );
}
