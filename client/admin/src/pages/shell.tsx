//! The frame of the dashboard: navigation (a sidebar, or tabs at the foot of a phone), banners, the page.

import { Button } from "belfry-ui/controls.tsx";
import { Icon, type IconName } from "belfry-ui/icons.tsx";
import { Hostile, Notice, PageHead } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { useEffect, useErrorBoundary, useRef } from "preact/hooks";
import { hashOf, route, type Page } from "../address.ts";
import { LOGO } from "../logo.ts";
import { text } from "../text.ts";
import { AccountPage } from "./account.tsx";
import { ApnsPage } from "./apns.tsx";
import { AuditPage } from "./audit.tsx";
import { BansPage } from "./bans.tsx";
import { useModel } from "./context.ts";
import { LimitsPage } from "./limits.tsx";
import { MenuPage } from "./menu.tsx";
import { NodesPage } from "./nodes.tsx";
import { OverviewPage } from "./overview.tsx";
import { SitePage } from "./site.tsx";
import { SitesPage } from "./sites.tsx";
import { TokensPage } from "./tokens.tsx";
import { TracePage } from "./trace.tsx";
import { UserPage } from "./user.tsx";
import { UsersPage } from "./users.tsx";

/** The first four have a tab on a phone too; the others are behind "More" there. */
export const PAGES: readonly (readonly [Page, IconName])[] = [
  ["overview", "chart"], ["sites", "site"], ["users", "users"], ["bans", "ban"], ["limits", "settings"], ["apns", "phone"],
  ["nodes", "node"], ["audit", "list"], ["tokens", "key"], ["trace", "trace"], ["account", "user"],
];
const TABS = 4;

export function Shell(): JSX.Element {
  const { page, part } = route.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const tabbed = PAGES.slice(0, TABS).some(([to]) => to === page);

  useEffect(() => {
    document.title = text.titled(text.nav[page]);
  }, [page]);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    (main.current?.querySelector<HTMLElement>("h1") ?? main.current)?.focus({ preventScroll: true });
  }, [page, part]);

  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{text.skip}</a>
      <header class="sidebar">
        <div class="masthead">
          <a class="brand" href={hashOf("overview")}><img src={LOGO} alt="" width={32} height={32} />{text.product}</a>
          <LinkState />
        </div>
        <nav class="tabs" aria-label={text.nav.label}>
          <ul>
            {PAGES.map(([to, icon], at) => (
              <li key={to} class={at < TABS ? "" : "wide-only"}>
                <a href={hashOf(to)} aria-current={to === page ? "page" : undefined}><Icon name={icon} size={22} /><span>{text.nav[to]}</span></a>
              </li>
            ))}
            <li class="narrow-only"><a href={hashOf("menu")} aria-current={tabbed ? undefined : "page"}><Icon name="more" size={22} /><span>{text.nav.menu}</span></a></li>
          </ul>
        </nav>
        <Who />
      </header>
      <main class="content" id="main" tabIndex={-1} ref={main}>
        <Banners />
        <Guarded key={`${page}/${part ?? ""}`} />
      </main>
    </div>
  );
}

function Who(): JSX.Element {
  const session = useModel().session.value;
  return (
    <div class="account-line">
      <Hostile max={64}>{session?.username ?? ""}</Hostile>
      <span class="soft">{text.roles[session?.role ?? "viewer"]}</span>
      <LinkState />
    </div>
  );
}

/** A page that fails over an answer it cannot read leaves the others as they are. */
function Guarded(): JSX.Element {
  const [error, reset] = useErrorBoundary((thrown: unknown) => console.error(thrown));
  if (!error) return <CurrentPage />;
  return (
    <div class="page">
      <PageHead title={text.nav[route.value.page]} />
      <Notice icon="warn" look="bad" live><p>{text.wrong}</p><Button look="slim" onClick={reset}>{text.retry}</Button></Notice>
    </div>
  );
}

function CurrentPage(): JSX.Element {
  const { page, part } = route.value;
  switch (page) {
    case "overview": return <OverviewPage />;
    case "sites": return part ? <SitePage key={part} site={part} /> : <SitesPage />;
    case "users": return part ? <UserPage key={part} id={part} /> : <UsersPage />;
    case "bans": return <BansPage />;
    case "limits": return <LimitsPage />;
    case "apns": return <ApnsPage />;
    case "nodes": return <NodesPage />;
    case "audit": return <AuditPage />;
    case "tokens": return <TokensPage />;
    case "trace": return <TracePage />;
    case "account": return <AccountPage />;
    case "menu": return <MenuPage />;
  }
}

function LinkState(): JSX.Element {
  const state = useModel().connection.value;
  return (
    <span class="link-state">
      <span class={`dot ${state === "online" ? "on" : state === "connecting" ? "wait" : ""}`} />
      {text.connection[state]}
    </span>
  );
}

function Banners(): JSX.Element {
  const model = useModel();
  return (
    <div class="banners">
      {model.connection.value === "offline" ? <Notice icon="cloudOff" look="warn" live><p>{text.stale}</p></Notice> : null}
      {model.session.value?.role === "viewer" ? <Notice icon="shield"><p><b>{text.roles.viewer}.</b> {text.viewerNote}</p></Notice> : null}
    </div>
  );
}
