//! Who asks, in the consent window. Pure: it is given what a `message` event says and whether it
//! came from the opener, and decides; it never posts. The first well-formed request from the opener
//! fixes origin and request for good. Nothing in the request is believed about who asks: the origin
//! is the one that the browser put on the event, and a name from the site is only repeated as such.

import { bytesOf } from "belfry-ui/rules/bytes.ts";

export interface Request {
  readonly origin: string;
  readonly applicationServerKey: string | null;
  readonly siteKey: string | null;
  /** What the site calls itself. Hostile text, never shown in place of the origin. */
  readonly name: string | null;
}

export type Refusal = "origin-null" | "origin-insecure" | "request-malformed";

export type Opener =
  | { readonly is: "waiting" }
  | { readonly is: "asked"; readonly request: Request }
  | { readonly is: "refused"; readonly why: Refusal; readonly origin: string };

export interface Heard {
  /** `event.source === window.opener`, and there is an opener. */
  readonly fromOpener: boolean;
  /** `event.origin`, as the browser serialises it. */
  readonly origin: string;
  readonly data: unknown;
}

/** The longest name that is repeated; a site's name is not worth more room than that. */
const NAME_CHARS_MAX = 64;
/** An uncompressed P-256 point (RFC 8292 §3.2). */
const APPLICATION_SERVER_KEY_BYTES = 65;
const SITE_KEY_BYTES = 32;

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function hear(state: Opener, heard: Heard): Opener {
  if (state.is !== "waiting" || !heard.fromOpener || !asksToSubscribe(heard.data)) return state;
  const why = refusesOrigin(heard.origin);
  if (why) return { is: "refused", why, origin: heard.origin };
  const request = requestOf(heard.origin, heard.data);
  return request ? { is: "asked", request } : { is: "refused", why: "request-malformed", origin: heard.origin };
}

/** Why a page of this origin may not ask, or `null` where it may. */
export function refusesOrigin(origin: string): Refusal | null {
  if (origin === "null" || origin === "") return "origin-null";
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    return "origin-null";
  }
  if (url.origin !== origin) return "origin-null";
  if (url.protocol === "https:") return null;
  return url.protocol === "http:" && LOOPBACK.has(url.hostname) ? null : "origin-insecure";
}

/** Where a refusal may be told: only a page whose origin can be named as a target. */
export function canAnswer(state: Opener): string | null {
  if (state.is === "asked") return state.request.origin;
  if (state.is === "refused" && state.why !== "origin-null") return state.origin;
  return null;
}

function asksToSubscribe(data: unknown): data is Record<string, unknown> {
  return typeof data === "object" && data !== null && (data as Record<string, unknown>)["belfry"] === "subscribe";
}

function requestOf(origin: string, data: Record<string, unknown>): Request | null {
  const applicationServerKey = keyOf(data["applicationServerKey"], APPLICATION_SERVER_KEY_BYTES);
  const siteKey = keyOf(data["siteKey"], SITE_KEY_BYTES);
  const name = data["name"];
  if (applicationServerKey === undefined || siteKey === undefined) return null;
  if (name !== undefined && name !== null && typeof name !== "string") return null;
  const shown = typeof name === "string" ? name.trim().slice(0, NAME_CHARS_MAX) : "";
  return { origin, applicationServerKey, siteKey, name: shown || null };
}

/** The key as base64url without padding, `null` where there is none, `undefined` where it is no key. */
function keyOf(value: unknown, bytes: number): string | null | undefined {
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") return undefined;
  const text = value.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
  const decoded = bytesOf(text);
  if (decoded?.length !== bytes) return undefined;
  if (bytes === APPLICATION_SERVER_KEY_BYTES && decoded[0] !== 4) return undefined;
  return text;
}
