//! The address of a page, after the `#`. The link code of a QR code comes the same way; it is a
//! secret, so whoever reads it takes it out of the address at once.

export type Page = "inbox" | "sites" | "devices" | "keys" | "settings" | "welcome";

export interface Route {
  readonly page: Page;
  /** One thing of that page: a permission of "sites", `link` of "devices". */
  readonly part: string | null;
}

const PAGES: ReadonlySet<string> = new Set<Page>(["inbox", "sites", "devices", "keys", "settings", "welcome"]);

export function routeOf(hash: string): Route {
  const [page = "", part = ""] = hash.replace(/^#\/?/, "").split("/");
  if (!PAGES.has(page)) return { page: "inbox", part: null };
  return { page: page as Page, part: part ? decoded(part) : null };
}

export function hashOf(page: Page, part?: string): string {
  return part ? `#/${page}/${encodeURIComponent(part)}` : `#/${page}`;
}

/** The code of `#link=CODE`, `null` for every other address. */
export function linkCodeOf(hash: string): string | null {
  const match = /^#link=(.+)$/i.exec(hash);
  return match ? decoded(match[1]!) : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
