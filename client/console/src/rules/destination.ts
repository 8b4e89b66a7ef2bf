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
