/** The code of linking, and the two messages that it keeps from the server: docs/keys.md, *Linking a device*. */
import { base32, concat, fromBase32, fromBase64url, fromUtf8, randomBytes, sameBytes, utf8, type Bytes } from "../crypto/bytes.ts";
import { NONCE_BYTES, openSecretbox, secretbox, TAG_BYTES } from "../crypto/box.ts";
import { hkdf, sha256 } from "../crypto/hash.ts";
import type { DeviceKind } from "../types.ts";

/** How long a code is good for, and how long its messages are kept. */
export const LINK_SECONDS = 600;
/** 128 bits: nobody finds it in ten minutes, nor in ten years. */
export const LINK_SECRET_BYTES = 16;

const CHECK_BYTES = 4;

/** What the new device says. */
export interface LinkRequestPayload {
  user: string;
  device: string;
  key: string;
  name: string;
  kind: DeviceKind;
}

/** What the linked device answers. */
export interface LinkAnswerPayload {
  user: string;
  device: string;
  key: string;
  for: string;
  epoch: number;
  generation: number;
}

/** What both sides derive. */
export interface LinkKeys {
  /** Base32 in lower case, as it stands in the topics. */
  place: string;
  request: Bytes;
  answer: Bytes;
}

const check = (secret: Bytes): Bytes => sha256(concat(utf8("belfry link check"), secret)).slice(0, CHECK_BYTES);

/** `XKQ2-7M4D-…`: eight groups of four. */
export function linkCode(secret: Bytes): string {
  return base32(concat(secret, check(secret))).replace(/.{4}(?!$)/g, "$&-");
}

/** Reads what was typed or scanned, a code or the address with one; `null` if there is a slip in it. */
export function readLinkCode(text: string): Bytes | null {
  const code = text.slice(text.lastIndexOf("#link=") + 1).replace(/^link=/, "");
  const letters = code.toUpperCase().replace(/[\s-]/g, "").replace(/0/g, "O").replace(/1/g, "I").replace(/8/g, "B");
  const bytes = fromBase32(letters);
  if (bytes?.length !== LINK_SECRET_BYTES + CHECK_BYTES) return null;
  const secret = bytes.slice(0, LINK_SECRET_BYTES);
  return sameBytes(check(secret), bytes.subarray(LINK_SECRET_BYTES)) ? secret : null;
}

export function linkKeys(secret: Bytes): LinkKeys {
  const derive = (info: string, length: number): Bytes => hkdf(secret, undefined, info, length);
  return {
    place: base32(derive("belfry link place", 16)).toLowerCase(),
    request: derive("belfry link request", 32),
    answer: derive("belfry link answer", 32),
  };
}

/** Nonce ‖ secretbox of the JSON. */
export function sealLinkMessage(payload: LinkRequestPayload | LinkAnswerPayload, key: Bytes, nonce: Bytes = randomBytes(NONCE_BYTES)): Bytes {
  return concat(nonce, secretbox(key, nonce, utf8(JSON.stringify(payload))));
}

function openLinkMessage(message: Uint8Array, key: Bytes): Record<string, unknown> | null {
  if (message.length < NONCE_BYTES + TAG_BYTES) return null;
  const json = openSecretbox(key, message.subarray(0, NONCE_BYTES), message.subarray(NONCE_BYTES));
  try {
    const value: unknown = json && JSON.parse(fromUtf8(json));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const areTexts = (value: Record<string, unknown>, ...names: string[]): boolean => names.every((name) => typeof value[name] === "string");
const isCount = (value: unknown): boolean => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** `null` if it is not sealed with this key, or says something else. */
export function openLinkRequest(message: Uint8Array, key: Bytes): LinkRequestPayload | null {
  const value = openLinkMessage(message, key);
  if (value === null || !areTexts(value, "user", "device", "key", "name", "kind") || fromBase64url(value["key"], 32) === null) return null;
  return value as unknown as LinkRequestPayload;
}

/** Likewise. */
export function openLinkAnswer(message: Uint8Array, key: Bytes): LinkAnswerPayload | null {
  const value = openLinkMessage(message, key);
  if (value === null || !areTexts(value, "user", "device", "key", "for") || fromBase64url(value["key"], 32) === null) return null;
  return isCount(value["epoch"]) && isCount(value["generation"]) ? (value as unknown as LinkAnswerPayload) : null;
}
