//! The page's address as a signal. A link code in it is taken out at once, also from the history, and
//! kept for the one page that wants it.

import { signal } from "@preact/signals";
import { hashOf, linkCodeOf, routeOf, type Page, type Route } from "./rules/route.ts";

/** The code of a scanned picture, until the linking dialog took it. */
export const scannedCode = signal<string | null>(null);
/** The notification that was clicked outside of the page. */
export const spotlight = signal<string | null>(null);
export const route = signal<Route>(read());

function read(): Route {
  const code = linkCodeOf(location.hash);
  if (code !== null) {
    scannedCode.value = code;
    history.replaceState(null, "", hashOf("devices", "link"));
  }
  return routeOf(location.hash);
}

addEventListener("hashchange", () => {
  route.value = read();
});

export function go(page: Page, part?: string): void {
  location.hash = hashOf(page, part);
}
