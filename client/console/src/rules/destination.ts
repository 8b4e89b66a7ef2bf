//! Where a link of a notification leads. Only https is followed; what leads away from the site that
//! was approved is said before it is opened.

export interface Destination {
  readonly href: string;
  /** The host that must be shown, `null` where it is the permission's site itself. */
  readonly elsewhere: string | null;
}

export function destination(url: string | undefined, site: string): Destination | null {
  if (!url) return null;
  let target: URL;
  try {
    target = new URL(url);
  } catch {
    return null;
  }
  if (target.protocol !== "https:" || target.username !== "" || target.password !== "") return null;
  // `host` is in ASCII: a look-alike in another script shows as `xn--…`.
  return { href: target.href, elsewhere: target.origin === site ? null : target.host };
}

/** A picture that is shown without fetching anything; SVG is left out, it can be a program. */
export function picture(icon: string | undefined): string | null {
  if (!icon || icon.length > ICON_CHARS_MAX) return null;
  return /^data:image\/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/]+=*$/.test(icon) ? icon : null;
}

/** A notification has at most 4 kB; nothing longer can be one of its icons. */
const ICON_CHARS_MAX = 8192;

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
