// The encoding `crypto-box`: NaCl's crypto_box from the site's key to the permission's, over the padded
// text, with the nonce in front. docs/encryption.md has it byte by byte, and an example.
import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { randomBytes } from "node:crypto";

const NONCE_BYTES = 24;
const BLOCK_BYTES = 128;

export class SiteKey {
  #secret;

  /** A real site makes one pair and keeps it: its users' devices have pinned the public half. */
  constructor(secret = x25519.utils.randomSecretKey()) {
    this.#secret = secret;
  }

  /** What the user's devices pin. */
  get public() {
    return Buffer.from(x25519.getPublicKey(this.#secret)).toString("base64url");
  }

  /** The key that NaCl calls `beforenm`. */
  sharedWith(key) {
    const words = (bytes) => new Uint32Array(new Uint8Array(bytes).buffer);
    const out = new Uint32Array(8);
    const sigma = words(new TextEncoder().encode("expand 32-byte k"));
    hsalsa(sigma, words(x25519.getSharedSecret(this.#secret, key)), new Uint32Array(4), out);
    return new Uint8Array(out.buffer);
  }
}

export function sealFor(recipient, siteKey, text, nonce = randomBytes(NONCE_BYTES)) {
  const plain = new TextEncoder().encode(text);
  const padded = new Uint8Array((Math.floor(plain.length / BLOCK_BYTES) + 1) * BLOCK_BYTES);
  padded.set(plain);
  padded[plain.length] = 0x80;
  const key = siteKey.sharedWith(new Uint8Array(Buffer.from(recipient, "base64url")));
  return Buffer.concat([nonce, xsalsa20poly1305(key, nonce).encrypt(padded)]);
}
