/** `aes128gcm`: RFC 8291, one record of RFC 8188. */
import { gcm } from "@noble/ciphers/aes.js";
import { concat, randomBytes, utf8, type Bytes } from "../crypto/bytes.ts";
import { hkdf } from "../crypto/hash.ts";
import { makeP256, p256Agree, p256Public } from "../crypto/p256.ts";

/** Of an encrypted body, whatever its encoding. */
export const BODY_BYTES_MAX = 4096;
export const SALT_BYTES = 16;

const KEY_ID_BYTES = 65;
const HEADER_BYTES = SALT_BYTES + 4 + 1 + KEY_ID_BYTES;
const TAG_BYTES = 16;
const DELIMITER = 0x02;
const RECORD_SIZE_MIN = 18;

/** Of the text: what is left of the body without header, delimiter and tag. */
export const AES_TEXT_BYTES_MAX = BODY_BYTES_MAX - HEADER_BYTES - 1 - TAG_BYTES;

/** What a permission opens with. */
export interface AesKeys {
  /** The scalar, 32 bytes. */
  p256: Bytes;
  /** 16 bytes. */
  auth: Bytes;
}

async function contentKeys(secret: Bytes, theirs: Bytes, receiver: Bytes, sender: Bytes, auth: Bytes, salt: Bytes): Promise<{ key: Bytes; nonce: Bytes }> {
  const shared = await p256Agree(secret, theirs);
  const material = hkdf(shared, auth, concat(utf8("WebPush: info\0"), receiver, sender), 32);
  return {
    key: hkdf(material, salt, "Content-Encoding: aes128gcm\0", 16),
    nonce: hkdf(material, salt, "Content-Encoding: nonce\0", 12),
  };
}

/** `null` if it is not to these keys. */
export async function openAes128gcm(body: Bytes, keys: AesKeys): Promise<Bytes | null> {
  if (body.length > BODY_BYTES_MAX || body.length < HEADER_BYTES + 1 + TAG_BYTES) return null;
  const salt = body.subarray(0, SALT_BYTES);
  const recordSize = new DataView(body.buffer, body.byteOffset).getUint32(SALT_BYTES);
  const record = body.subarray(HEADER_BYTES);
  if (body[SALT_BYTES + 4] !== KEY_ID_BYTES || recordSize < RECORD_SIZE_MIN || recordSize < record.length) return null;
  const sender = body.subarray(SALT_BYTES + 5, HEADER_BYTES);
  try {
    const { key, nonce } = await contentKeys(keys.p256, sender, p256Public(keys.p256), sender, keys.auth, salt);
    const padded = gcm(key, nonce).decrypt(record) as Bytes;
    let end = padded.length - 1;
    while (end >= 0 && padded[end] === 0) end--;
    return padded[end] === DELIMITER ? padded.slice(0, end) : null;
  } catch {
    return null;
  }
}

/** Seals up to {@link AES_TEXT_BYTES_MAX} bytes to a subscription's `p256dh` and `auth`. */
export async function sealAes128gcm(
  text: Uint8Array,
  p256dh: Bytes,
  auth: Bytes,
  random: { salt: Bytes; secret: Bytes } = { salt: randomBytes(SALT_BYTES), secret: makeP256() },
): Promise<Bytes> {
  if (text.length > AES_TEXT_BYTES_MAX) throw new RangeError(`a text has at most ${AES_TEXT_BYTES_MAX} bytes`);
  const sender = p256Public(random.secret);
  const { key, nonce } = await contentKeys(random.secret, p256dh, p256dh, sender, auth, random.salt);
  const header = new Uint8Array(5);
  new DataView(header.buffer).setUint32(0, BODY_BYTES_MAX);
  header[4] = KEY_ID_BYTES;
  return concat(random.salt, header, sender, gcm(key, nonce).encrypt(concat(text, Uint8Array.of(DELIMITER))));
}
