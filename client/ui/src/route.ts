//! The address of a page, after the `#`: a page, and perhaps one thing of it.

export interface Route<Page extends string> {
  readonly page: Page;
  /** One thing of that page, such as the id of a permission. */
  readonly part: string | null;
}

export interface Routes<Page extends string> {
  /** What is no page is the one that everybody begins with. */
  routeOf(hash: string): Route<Page>;
  hashOf(page: Page, part?: string): string;
}

export function routesOf<Page extends string>(pages: readonly Page[], home: NoInfer<Page>): Routes<Page> {
  const known: ReadonlySet<string> = new Set(pages);
  return {
    routeOf(hash) {
      const [page = "", part = ""] = hash.replace(/^#\/?/, "").split("/");
      if (!known.has(page)) return { page: home, part: null };
      return { page: page as Page, part: part ? decoded(part) : null };
    },
    hashOf: (page, part) => (part ? `#/${page}/${encodeURIComponent(part)}` : `#/${page}`),
  };
}

/** What stands after `#NAME=`, `null` where the address says no such thing. */
export function fragmentOf(hash: string, name: string): string | null {
  const [given = "", ...value] = hash.replace(/^#/, "").split("=");
  return given.toLowerCase() === name && value.join("=") ? decoded(value.join("=")) : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
