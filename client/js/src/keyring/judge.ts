/** What a device believes of what the server serves: docs/keys.md, *Which keyring a device takes*, *Wraps*, *Linking* and *Recovery*. */
import { base64url, fromBase64url, type Bytes } from "../crypto/bytes.ts";
import { KEY_BYTES } from "../crypto/box.ts";
import type { DeviceKey } from "../crypto/device-key.ts";
import type { KeyringAlarm } from "../types.ts";
import { openKeyring, openWrap, type KeyringContents, type Unreadable, type WrapPayload } from "./format.ts";
import type { LinkAnswerPayload } from "./link.ts";
import { openRecoveryWrap, type RecoveryKeys } from "./recovery.ts";

/** Why what the server serves is not taken: the words of the shared vectors. */
export type Refusal =
  | Unreadable
  | "other-user"
  | "other-epoch"
  | "older"
  | "wrap-malformed"
  | "wrap-does-not-open"
  | "wrap-unknown-sender"
  | "wrap-other-user"
  | "wrap-old-epoch"
  | "wrap-without-proof"
  | "answer-for-other"
  | "not-listed";

/** A keyring that is believed, with the key that opened it. */
export interface Taken {
  contents: KeyringContents;
  key: Bytes;
}

/** What comes of judging. */
export type Judgement = Taken | { refused: Refusal };

/** What the user is told. */
export function alarmOf(refusal: Refusal): KeyringAlarm {
  if (refusal === "older") return "rolled-back";
  if (refusal === "other-user") return "another-user";
  if (refusal === "other-epoch") return "another-epoch";
  return "does-not-open";
}

/** Whether a key stands in the device list, and is not removed. */
export function trusts(contents: KeyringContents, key: string): boolean {
  return contents.devices.some((device) => device.removed !== true && device.key === key);
}

const unreadableWrap = (why: Unreadable): Refusal => (why === "does-not-open" ? "wrap-does-not-open" : "wrap-malformed");

/** A payload's key; it has been read as one of the right length. */
export function keyOf(payload: WrapPayload): Bytes {
  const key = fromBase64url(payload.key, KEY_BYTES);
  if (key === null) throw new TypeError("a payload that was read has a key");
  return key;
}

async function open(sealed: Bytes, key: Bytes, expected: { user: string; epoch: number; generation: number }): Promise<Judgement> {
  const contents = await openKeyring(sealed, key);
  if (typeof contents === "string") return { refused: contents };
  if (contents.user !== expected.user) return { refused: "other-user" };
  if (contents.epoch !== expected.epoch) return { refused: "other-epoch" };
  if (contents.generation < expected.generation) return { refused: "older" };
  return { contents, key };
}

/** Judges by the local copy. The wrap is asked for only if the local key does not open. */
export async function judge(local: Taken, device: Pick<DeviceKey, "agree" | "publicKey">, sealed: Bytes, wrap: () => Promise<Bytes | null>): Promise<Judgement> {
  const { user, epoch, generation } = local.contents;
  const opened = await open(sealed, local.key, { user, epoch, generation });
  if (!("refused" in opened) || opened.refused !== "does-not-open") return opened;
  const boxed = await wrap();
  if (boxed === null) return opened;
  const unwrapped = await openWrap(boxed, device);
  if (typeof unwrapped === "string") return { refused: unreadableWrap(unwrapped) };
  const { sender, payload } = unwrapped;
  if (sender !== base64url(device.publicKey) && !trusts(local.contents, sender)) return { refused: "wrap-unknown-sender" };
  if (payload.user !== user) return { refused: "wrap-other-user" };
  if (payload.epoch <= epoch) return { refused: "wrap-old-epoch" };
  return open(sealed, keyOf(payload), { user, epoch: payload.epoch, generation });
}

/** Judges on a new device, by the answer that it had at linking. */
export async function judgeLinked(
  own: { user: string; device: string; key: Pick<DeviceKey, "agree" | "publicKey"> },
  answer: LinkAnswerPayload,
  wrap: Bytes,
  sealed: Bytes,
): Promise<Judgement> {
  const publicKey = base64url(own.key.publicKey);
  if (answer.user !== own.user || answer.for !== publicKey) return { refused: "answer-for-other" };
  const unwrapped = await openWrap(wrap, own.key);
  if (typeof unwrapped === "string") return { refused: unreadableWrap(unwrapped) };
  const { sender, payload } = unwrapped;
  if (sender !== answer.key) return { refused: "wrap-unknown-sender" };
  if (payload.user !== own.user) return { refused: "wrap-other-user" };
  if (payload.epoch < answer.epoch) return { refused: "wrap-old-epoch" };
  const opened = await open(sealed, keyOf(payload), { user: own.user, epoch: payload.epoch, generation: answer.generation });
  if ("refused" in opened) return opened;
  const has = (id: string, key: string): boolean => opened.contents.devices.some((device) => device.id === id && device.removed !== true && device.key === key);
  return has(own.device, publicKey) && has(answer.device, answer.key) ? opened : { refused: "not-listed" };
}

/** Judges on a device that has the recovery phrase and nothing else. */
export async function judgeRecovered(user: string, phrase: RecoveryKeys, wrap: Bytes, sealed: Bytes): Promise<Judgement> {
  const unwrapped = await openRecoveryWrap(wrap, phrase);
  if (unwrapped === "without-proof") return { refused: "wrap-without-proof" };
  if (typeof unwrapped === "string") return { refused: unreadableWrap(unwrapped) };
  const { payload } = unwrapped;
  if (payload.user !== user) return { refused: "wrap-other-user" };
  return open(sealed, keyOf(payload), { user, epoch: payload.epoch, generation: payload.generation });
}
