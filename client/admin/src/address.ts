//! The page's address as a signal. A set-up link's token in it is taken out as it is read, also from
//! the history, and kept for the one page that wants it.

import { signal } from "@preact/signals";
import { fragmentOf, routesOf, type Route as AnyRoute } from "belfry-ui/route.ts";

const PAGES = ["overview", "sites", "users", "bans", "limits", "apns", "nodes", "audit", "tokens", "trace", "account", "menu"] as const;

export type Page = (typeof PAGES)[number];
export type Route = AnyRoute<Page>;

export const { routeOf, hashOf } = routesOf<Page>(PAGES, "overview");

/** The token of a set-up link, until it was used. */
export const setupToken = signal<string | null>(null);
export const route = signal<Route>(read());

function read(): Route {
  const token = fragmentOf(location.hash, "setup");
  if (token !== null) {
    setupToken.value = token;
    history.replaceState(null, "", location.pathname + location.search);
  }
  return routeOf(location.hash);
}

addEventListener("hashchange", () => {
  route.value = read();
});

export function go(page: Page, part?: string): void {
  location.hash = hashOf(page, part);
}
