/** NaCl's `secretbox` and `crypto_box`: X25519, XSalsa20, Poly1305. */
import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { u32 } from "@noble/ciphers/utils.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { utf8, type Bytes } from "./bytes.ts";

export const NONCE_BYTES = 24;
export const TAG_BYTES = 16;
export const KEY_BYTES = 32;

/** Poly1305's tag ‖ the encrypted text. */
export function secretbox(key: Uint8Array, nonce: Uint8Array, text: Uint8Array): Bytes {
  return xsalsa20poly1305(key, nonce).encrypt(text) as Bytes;
}

/** `null` if it does not open. */
export function openSecretbox(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Bytes | null {
  if (sealed.length < TAG_BYTES) return null;
  try {
    return xsalsa20poly1305(key, nonce).decrypt(sealed) as Bytes;
  } catch {
    return null;
  }
}

const SIGMA = u32(utf8("expand 32-byte k"));

/** The key of a `crypto_box`, from the X25519 secret that both sides share: HSalsa20 of it. */
export function boxKey(shared: Uint8Array): Bytes {
  const out = new Uint32Array(8);
  hsalsa(SIGMA, u32(Uint8Array.from(shared)), new Uint32Array(4), out);
  return new Uint8Array(out.buffer);
}

/** The public half. */
export function x25519Public(secret: Uint8Array): Bytes {
  return x25519.getPublicKey(secret) as Bytes;
}

/** The shared secret; `null` where `theirs` is of low order, so that everybody would know it. */
export function x25519Agree(secret: Uint8Array, theirs: Uint8Array): Bytes | null {
  try {
    return x25519.getSharedSecret(secret, theirs) as Bytes;
  } catch {
    return null;
  }
}
