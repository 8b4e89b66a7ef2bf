/** Bytes, and the texts they are written as. */
import { base32nopad, base64urlnopad } from "@scure/base";

/** Bytes over a plain `ArrayBuffer`, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Joins. */
export function concat(...parts: Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** From the system's generator, which is there on insecure origins too. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** UTF-8. */
export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

/** Reads UTF-8; throws on what is not. A byte order mark stays. */
export function fromUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** base64url without padding. */
export function base64url(bytes: Uint8Array): string {
  return base64urlnopad.encode(bytes);
}

/** Reads base64url without padding; `null` if it is none, or not of `length` bytes. */
export function fromBase64url(text: unknown, length?: number): Bytes | null {
  if (typeof text !== "string") return null;
  try {
    const bytes = base64urlnopad.decode(text) as Bytes;
    return length === undefined || bytes.length === length ? bytes : null;
  } catch {
    return null;
  }
}

/** base32 of RFC 4648 in upper case, without padding. */
export function base32(bytes: Uint8Array): string {
  return base32nopad.encode(bytes);
}

/** Reads it; `null` if it is none. */
export function fromBase32(text: string): Bytes | null {
  try {
    return base32nopad.decode(text) as Bytes;
  } catch {
    return null;
  }
}

/** Whether both are the same, in a time that depends on the length alone. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index++) difference |= one[index]! ^ other[index]!;
  return difference === 0;
}

/** Which is greater, byte by byte; a longer one is greater than its beginning. */
export function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const shared = Math.min(one.length, other.length);
  for (let index = 0; index < shared; index++) {
    const difference = one[index]! - other[index]!;
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}
