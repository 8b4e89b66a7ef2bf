/** ECDH on P-256: WebCrypto's where there is one, which is many times faster; noble's on insecure origins. */
import { p256 } from "@noble/curves/nist.js";
import { base64url, type Bytes } from "./bytes.ts";

/** As many pairs as a user has permissions. */
const PAIRS_MAX = 1000;

interface Pair {
  publicKey: Bytes;
  key: Promise<CryptoKey> | null;
}

const pairs = new Map<string, Pair>();

/** A scalar. */
export function makeP256(): Bytes {
  return p256.utils.randomSecretKey() as Bytes;
}

function pairOf(secret: Bytes): Pair {
  const name = base64url(secret);
  const there = pairs.get(name);
  if (there !== undefined) return there;
  const publicKey = p256.getPublicKey(secret, false) as Bytes;
  const [x, y] = [base64url(publicKey.subarray(1, 33)), base64url(publicKey.subarray(33))];
  const subtle = globalThis.crypto.subtle as SubtleCrypto | undefined;
  const jwk = { kty: "EC", crv: "P-256", d: name, x, y };
  const key = subtle?.importKey("jwk", jwk, { name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]) ?? null;
  if (pairs.size >= PAIRS_MAX) pairs.clear();
  const pair = { publicKey, key };
  pairs.set(name, pair);
  return pair;
}

/** The point of a scalar, uncompressed. Throws where the scalar is none. */
export function p256Public(secret: Bytes): Bytes {
  return pairOf(secret).publicKey;
}

/** The shared x coordinate. Throws where one of both is no key. */
export async function p256Agree(secret: Bytes, theirs: Bytes): Promise<Bytes> {
  const key = await pairOf(secret).key;
  if (key === null) return p256.getSharedSecret(secret, theirs, true).slice(1) as Bytes;
  const point = await crypto.subtle.importKey("raw", theirs, { name: "ECDH", namedCurve: "P-256" }, false, []);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: point }, key, 256));
}
