//! The addresses of the console. The link code of a QR code comes the same way; it is a secret, so
//! whoever reads it takes it out of the address at once.

import { fragmentOf, routesOf, type Route as AnyRoute } from "belfry-ui/route.ts";

const PAGES = ["inbox", "sites", "devices", "keys", "settings", "welcome"] as const;

export type Page = (typeof PAGES)[number];
/** One thing of a page: a permission of "sites", `link` of "devices". */
export type Route = AnyRoute<Page>;

export const { routeOf, hashOf } = routesOf<Page>(PAGES, "inbox");

/** The token of `#invite=TOKEN` or `#reset=TOKEN`: a link that an admin made. */
export function tokenOf(hash: string): { readonly kind: "invite" | "reset"; readonly token: string } | null {
  for (const kind of ["invite", "reset"] as const) {
    const token = fragmentOf(hash, kind);
    if (token !== null) return { kind, token };
  }
  return null;
}

/** The code of `#link=CODE`, `null` for every other address. */
export function linkCodeOf(hash: string): string | null {
  return fragmentOf(hash, "link");
}
