//! A site's address: how it is written, and what somebody meant who typed one.

/** How a site is written where there is room for few words: its host, and the scheme if it is not https. */
export function siteLabel(site: string): string {
  return site.startsWith("https://") ? site.slice("https://".length) : site;
}

/** The origin that was meant by what somebody typed; `null` where it is none that may be approved. */
export function typedSite(text: string): string | null {
  const trimmed = text.trim();
  if (!trimmed) return null;
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
  let url: URL;
  try {
    url = new URL(withScheme);
  } catch {
    return null;
  }
  if (url.username || url.password) return null;
  if (url.protocol === "https:") return url.hostname.includes(".") || url.hostname === "localhost" || url.hostname.startsWith("[") ? url.origin : null;
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "http:" && loopback ? url.origin : null;
}
