/** From what the server sends to what may be shown, or the reason why not. Pure. */
import { base64url, fromBase64url } from "../crypto/bytes.ts";
import { NONCE_BYTES } from "../crypto/box.ts";
import type { KeyringPermission } from "../keyring/format.ts";
import type { Content, UnopenedReason, Urgency } from "../types.ts";
import { openAes128gcm, SALT_BYTES } from "./aes128gcm.ts";
import { openCryptoBox } from "./crypto-box.ts";
import { readContent } from "./content.ts";

/** A notification's payload (docs/protocol.md), with times as milliseconds since 1970. */
export interface Envelope {
  id: string;
  permission: string;
  site: string;
  seq: number | null;
  sent: number;
  expires: number;
  urgency: Urgency;
  topic: string | null;
  encoding: "aes128gcm" | "crypto-box";
  /** base64url. */
  body: string;
}

const ID = /^[A-Za-z0-9._~-]{1,64}$/;
const URGENCIES: readonly unknown[] = ["very-low", "low", "normal", "high"];

/** `null` for what is none. */
export const readUrgency = (value: unknown): Urgency | null => (URGENCIES.includes(value) ? (value as Urgency) : null);

/** Whether it can be an id: opaque, URL-safe, at most 64 bytes. */
export const isId = (value: unknown): value is string => typeof value === "string" && ID.test(value);

/** Reads the payload, parsed from its JSON; `null` if it is no notification. */
export function readEnvelope(value: unknown): Envelope | null {
  if (typeof value !== "object" || value === null) return null;
  const field = value as Record<string, unknown>;
  const [sent, expires] = [Date.parse(String(field["sent"])), Date.parse(String(field["expires"]))];
  const { id, permission, site, encoding, body, topic, seq } = field;
  const urgency = readUrgency(field["urgency"]);
  if (!isId(id) || !isId(permission) || typeof site !== "string" || typeof body !== "string") return null;
  if (Number.isNaN(sent) || Number.isNaN(expires) || urgency === null) return null;
  if (encoding !== "aes128gcm" && encoding !== "crypto-box") return null;
  return {
    id, permission, site, sent, expires, encoding, body,
    urgency,
    seq: typeof seq === "number" && Number.isSafeInteger(seq) ? seq : null,
    topic: typeof topic === "string" ? topic : null,
  };
}

/** What came of opening one. */
export type Opening = { content: Content; /** The salt or nonce, base64url. */ nonce: string } | { refused: UnopenedReason };

/** Opens an envelope with what the keyring has for its permission. Whether it was there before is judged by {@link Recent}. */
export async function openEnvelope(envelope: Envelope, permission: KeyringPermission | undefined): Promise<Opening> {
  if (permission === undefined || permission.removed === true) return { refused: "unknown-permission" };
  if (permission.site !== envelope.site) return { refused: "another-site" };
  const siteKey = fromBase64url(permission.siteKey, 32);
  // A pinned key that cannot be read is no leave to take what is not from it.
  if (permission.siteKey !== undefined && (envelope.encoding !== "crypto-box" || siteKey === null)) return { refused: "downgraded" };
  const body = fromBase64url(envelope.body);
  const [p256, auth, x25519] = [fromBase64url(permission.p256, 32), fromBase64url(permission.auth, 16), fromBase64url(permission.x25519, 32)];
  if (body === null || p256 === null || auth === null || x25519 === null) return { refused: "does-not-open" };
  const isBox = envelope.encoding === "crypto-box";
  const text = isBox ? siteKey && openCryptoBox(body, siteKey, x25519) : await openAes128gcm(body, { p256, auth });
  if (text === null) return { refused: "does-not-open" };
  return { content: readContent(text), nonce: base64url(body.subarray(0, isBox ? NONCE_BYTES : SALT_BYTES)) };
}
