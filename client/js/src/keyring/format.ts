/** The keyring and its wraps, byte by byte as docs/keys.md has them. Nothing here decides what is believed. */
import { base64url, concat, fromBase64url, fromUtf8, randomBytes, utf8, type Bytes } from "../crypto/bytes.ts";
import { boxKey, KEY_BYTES, NONCE_BYTES, openSecretbox, secretbox, TAG_BYTES } from "../crypto/box.ts";
import { deflate, inflate } from "../crypto/deflate.ts";
import type { DeviceKey } from "../crypto/device-key.ts";
import { pad, unpad } from "../crypto/padding.ts";
import type { DeviceKind } from "../types.ts";

/** Of a sealed keyring; the server takes no more. */
export const SEALED_BYTES_MAX = 256 * 1024;
/** Of an inflated one, so that a bomb is refused. */
export const INFLATED_BYTES_MAX = 4 * 1024 * 1024;
/** How long an item that is gone is remembered: longer than a device is likely to be away. */
export const REMOVED_KEPT_MS = 90 * 24 * 60 * 60 * 1000;

const VERSION = 1;
const KEYRING_BLOCK = 1024;

/** What became of an item: fields that this client does not know stay as they are. */
interface Item {
  changed: number;
  removed?: true;
  [unknown: string]: unknown;
}

/** A trusted device, or one that was. */
export interface KeyringDevice extends Item {
  id: string;
  /** X25519, base64url; absent where it is removed. */
  key?: string;
  name?: string;
  kind?: DeviceKind;
}

/** The secret keys of a permission. */
export interface KeyringPermission extends Item {
  id: string;
  site?: string;
  endpoint?: string;
  p256?: string;
  auth?: string;
  x25519?: string;
  siteKey?: string;
  name?: string;
  renew?: boolean;
}

/** The public half of the recovery key, and the key of its proof. */
export interface KeyringRecovery extends Item {
  key?: string;
  proof?: string;
}

/** A setting that all devices share. */
export interface KeyringSetting extends Item {
  value?: unknown;
}

/** What the devices share. */
export interface KeyringContents {
  user: string;
  epoch: number;
  generation: number;
  devices: KeyringDevice[];
  recovery?: KeyringRecovery;
  permissions: KeyringPermission[];
  settings: Record<string, KeyringSetting>;
  [unknown: string]: unknown;
}

/** The keyring key, on its way to another device. */
export interface WrapPayload {
  user: string;
  epoch: number;
  generation: number;
  key: string;
  [unknown: string]: unknown;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isText = (value: unknown): value is string => typeof value === "string";
const isItem = (value: unknown): value is Item => isObject(value) && isCount(value["changed"]);
const isKey = (value: unknown, bytes: number): boolean => fromBase64url(value, bytes) !== null;
const isNamedItem = (value: unknown): boolean => isItem(value) && isText(value["id"]);

/** Reads the JSON of a keyring; `null` if it is none. */
export function readContents(json: string): KeyringContents | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (!isObject(value) || !isText(value["user"]) || !isCount(value["epoch"]) || !isCount(value["generation"])) return null;
  const { devices, permissions, settings, recovery } = value;
  // Known fields of an item that cannot be read cost that item alone, so that a slip of one client does not lock out all.
  if (!Array.isArray(devices) || !devices.every(isNamedItem)) return null;
  if (!Array.isArray(permissions) || !permissions.every(isNamedItem)) return null;
  if (!isObject(settings) || !Object.values(settings).every(isItem)) return null;
  if (recovery !== undefined && !isItem(recovery)) return null;
  return value as KeyringContents;
}

/** Seals a keyring. Throws a `RangeError` if it comes to more than {@link SEALED_BYTES_MAX}. */
export async function sealKeyring(contents: KeyringContents, key: Bytes, nonce: Bytes = randomBytes(NONCE_BYTES)): Promise<Bytes> {
  const padded = pad(await deflate(utf8(JSON.stringify(contents))), KEYRING_BLOCK);
  const sealed = concat(Uint8Array.of(VERSION), nonce, secretbox(key, nonce, padded));
  if (sealed.length > SEALED_BYTES_MAX) throw new RangeError(`a sealed keyring has at most ${SEALED_BYTES_MAX} bytes`);
  return sealed;
}

/** Why bytes are not the keyring or wrap that they should be. */
export type Unreadable = "too-large" | "malformed" | "does-not-open";

/** Opens it, or says why not. */
export async function openKeyring(sealed: Bytes, key: Bytes): Promise<KeyringContents | Unreadable> {
  if (sealed.length > SEALED_BYTES_MAX) return "too-large";
  if (sealed.length < 1 + NONCE_BYTES + TAG_BYTES || sealed[0] !== VERSION) return "malformed";
  const padded = openSecretbox(key, sealed.subarray(1, 1 + NONCE_BYTES), sealed.subarray(1 + NONCE_BYTES));
  if (padded === null) return "does-not-open";
  const compressed = unpad(padded, KEYRING_BLOCK);
  const json = compressed && (await inflate(compressed, INFLATED_BYTES_MAX));
  try {
    return (json && readContents(fromUtf8(json))) ?? "malformed";
  } catch {
    return "malformed";
  }
}

/** Boxes bytes from this device to a public key, in the format of a wrap. */
export async function sealBox(payload: Uint8Array, from: DeviceKey, to: Bytes, nonce: Bytes = randomBytes(NONCE_BYTES)): Promise<Bytes> {
  const shared = await from.agree(to);
  if (shared === null) throw new RangeError("the recipient's key is none");
  return concat(Uint8Array.of(VERSION), from.publicKey, nonce, secretbox(boxKey(shared), nonce, payload));
}

/** Opens it and says whose key it is from. */
export async function openBox(wrap: Bytes, to: Pick<DeviceKey, "agree">): Promise<{ sender: Bytes; payload: Bytes } | Unreadable> {
  const header = 1 + KEY_BYTES + NONCE_BYTES;
  if (wrap.length < header + TAG_BYTES || wrap[0] !== VERSION) return "malformed";
  const sender = wrap.slice(1, 1 + KEY_BYTES);
  const shared = await to.agree(sender);
  const payload = shared && openSecretbox(boxKey(shared), wrap.subarray(1 + KEY_BYTES, header), wrap.subarray(header));
  return payload === null ? "does-not-open" : { sender, payload };
}

/** A wrap for a device. */
export function sealWrap(payload: WrapPayload, from: DeviceKey, to: Bytes, nonce?: Bytes): Promise<Bytes> {
  return sealBox(utf8(JSON.stringify(payload)), from, to, nonce);
}

/** Reads the JSON of a wrap; `null` if it is none. */
export function readWrapPayload(json: Uint8Array): WrapPayload | null {
  try {
    const value: unknown = JSON.parse(fromUtf8(json));
    const whole = isObject(value) && isText(value["user"]) && isCount(value["epoch"]) && isCount(value["generation"]);
    return whole && isKey(value["key"], KEY_BYTES) ? (value as WrapPayload) : null;
  } catch {
    return null;
  }
}

/** Opens it, or says why not. Whose it is has to be judged before it is believed. */
export async function openWrap(wrap: Bytes, to: Pick<DeviceKey, "agree">): Promise<{ sender: string; payload: WrapPayload } | Unreadable> {
  const opened = await openBox(wrap, to);
  if (typeof opened === "string") return opened;
  const payload = readWrapPayload(opened.payload);
  return payload === null ? "malformed" : { sender: base64url(opened.sender), payload };
}
