/** `crypto-box`: a nonce, then NaCl's `crypto_box` from the site's key to the permission's. */
import { concat, randomBytes, type Bytes } from "../crypto/bytes.ts";
import { boxKey, NONCE_BYTES, openSecretbox, secretbox, TAG_BYTES, x25519Agree } from "../crypto/box.ts";
import { pad, unpad } from "../crypto/padding.ts";
import { BODY_BYTES_MAX } from "./aes128gcm.ts";

const BLOCK = 128;

/** Of the text: all whole blocks that fit, less one byte of padding. */
export const BOX_TEXT_BYTES_MAX = Math.floor((BODY_BYTES_MAX - NONCE_BYTES - TAG_BYTES) / BLOCK) * BLOCK - 1;

/** `null` if it is not from this site to this permission. */
export function openCryptoBox(body: Uint8Array, siteKey: Uint8Array, secret: Uint8Array): Bytes | null {
  if (body.length > BODY_BYTES_MAX || body.length < NONCE_BYTES + TAG_BYTES + BLOCK) return null;
  const shared = x25519Agree(secret, siteKey);
  const padded = shared && openSecretbox(boxKey(shared), body.subarray(0, NONCE_BYTES), body.subarray(NONCE_BYTES));
  return padded && unpad(padded, BLOCK);
}

/** Seals up to {@link BOX_TEXT_BYTES_MAX} bytes. A nonce is never used twice between the same two keys. */
export function sealCryptoBox(text: Uint8Array, x25519: Uint8Array, siteSecret: Uint8Array, nonce: Bytes = randomBytes(NONCE_BYTES)): Bytes {
  if (text.length > BOX_TEXT_BYTES_MAX) throw new RangeError(`a text has at most ${BOX_TEXT_BYTES_MAX} bytes`);
  const shared = x25519Agree(siteSecret, x25519);
  if (shared === null) throw new RangeError("the permission's key is none");
  return concat(nonce, secretbox(boxKey(shared), nonce, pad(text, BLOCK)));
}
