//! The page's address as a signal. A link code or an admin's token in it is taken out at once, also from
//! the history, and kept for the one page that wants it.

import { signal } from "@preact/signals";
import { hashOf, linkCodeOf, routeOf, tokenOf, type Page, type Route } from "./rules/route.ts";

/** The code of a scanned picture, until the linking dialog took it. */
export const scannedCode = signal<string | null>(null);
/** The tokens of an invite and of a reset link, until they were used. */
export const inviteToken = signal<string | null>(null);
export const resetToken = signal<string | null>(null);
/** The notification that was clicked outside of the page. */
export const spotlight = signal<string | null>(null);
export const route = signal<Route>(read());

function read(): Route {
  const code = linkCodeOf(location.hash);
  if (code !== null) {
    scannedCode.value = code;
    history.replaceState(null, "", hashOf("devices", "link"));
  }
  const given = tokenOf(location.hash);
  if (given) {
    (given.kind === "invite" ? inviteToken : resetToken).value = given.token;
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
