/** A device's X25519 pair, with a secret half that does not leave the platform where that can be had. */
import { randomBytes, type Bytes } from "./bytes.ts";
import { KEY_BYTES, x25519Agree, x25519Public } from "./box.ts";

/** As it is kept in a store. */
export type KeptKey = { publicKey: Bytes; secret: Bytes } | { publicKey: Bytes; secret: CryptoKey };

/** What can be done with the secret half. */
export class DeviceKey {
  readonly kept: KeptKey;

  constructor(kept: KeptKey) {
    this.kept = kept;
  }

  get publicKey(): Bytes {
    return this.kept.publicKey;
  }

  /** Makes one: not extractable if `keepsCryptoKeys` and the platform knows X25519. */
  static async make(keepsCryptoKeys: boolean): Promise<DeviceKey> {
    if (keepsCryptoKeys && globalThis.crypto.subtle !== undefined) {
      try {
        const pair = (await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"])) as CryptoKeyPair;
        const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
        return new DeviceKey({ publicKey, secret: pair.privateKey });
      } catch {
        // The platform does not know X25519.
      }
    }
    return DeviceKey.fromSecret(randomBytes(KEY_BYTES));
  }

  static fromSecret(secret: Bytes): DeviceKey {
    return new DeviceKey({ publicKey: x25519Public(secret), secret });
  }

  /** The shared secret; `null` where their key is of low order or none. */
  async agree(theirs: Bytes): Promise<Bytes | null> {
    if (theirs.length !== KEY_BYTES) return null;
    const { secret } = this.kept;
    if (secret instanceof Uint8Array) return x25519Agree(secret, theirs);
    try {
      const key = await crypto.subtle.importKey("raw", theirs, { name: "X25519" }, false, []);
      const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: key }, secret, 256));
      return shared.some((byte) => byte !== 0) ? shared : null;
    } catch {
      return null;
    }
  }
}

/** The first 16 characters of a public key's base64url in groups of four, as the `belfry` command writes it. */
export function fingerprintOf(publicKey: string): string {
  return publicKey.slice(0, 16).replace(/.{4}(?!$)/g, "$& ");
}
