/** SHA-256, HMAC and HKDF. */
import { hkdf as nobleHkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { utf8, type Bytes } from "./bytes.ts";

export function sha256(bytes: Uint8Array): Bytes {
  return nobleSha256(bytes) as Bytes;
}

export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Bytes {
  return hmac(nobleSha256, key, bytes) as Bytes;
}

/** HKDF-SHA-256 (RFC 5869). */
export function hkdf(secret: Uint8Array, salt: Uint8Array | undefined, info: string | Uint8Array, length: number): Bytes {
  return nobleHkdf(nobleSha256, secret, salt, typeof info === "string" ? utf8(info) : info, length) as Bytes;
}
