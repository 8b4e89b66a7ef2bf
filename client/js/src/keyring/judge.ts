/** What a device believes of what the server serves. Pure: docs/keys.md, *Which keyring a device takes* and *Wraps*. */
import type { KeyringAlarm } from "../types.ts";
import type { KeyringContents, WrapPayload } from "./format.ts";
import { sameContents } from "./merge.ts";

/** What becomes of a keyring that the server served. */
export type Judgement =
  /** It is what the device has. */
  | { is: "same" }
  /** It is newer. */
  | { is: "newer" }
  /** Of the same generation, with other contents: merge. */
  | { is: "beside" }
  | { is: "refused"; alarm: KeyringAlarm };

/** `opened` is the contents with the epoch of the key that opened it; `null` if none did. */
export function judgeKeyring(local: KeyringContents, opened: { contents: KeyringContents; keyEpoch: number } | null): Judgement {
  if (opened === null) return { is: "refused", alarm: "does-not-open" };
  const { contents, keyEpoch } = opened;
  if (contents.user !== local.user) return { is: "refused", alarm: "another-user" };
  if (contents.epoch !== keyEpoch || contents.epoch < local.epoch) return { is: "refused", alarm: "another-epoch" };
  if (contents.generation < local.generation) return { is: "refused", alarm: "rolled-back" };
  if (contents.generation > local.generation) return { is: "newer" };
  return sameContents(local, contents) ? { is: "same" } : { is: "beside" };
}

/** Whether a device with a local copy accepts a wrap, by who sealed it. The server's own lists are no reason. */
export function acceptsWrap(local: KeyringContents, sender: string, payload: WrapPayload): boolean {
  const trusted = local.devices.some((device) => device.removed !== true && device.key === sender);
  return trusted && payload.user === local.user && payload.epoch > local.epoch;
}

/** What a device that is new to the keyring knows of it beforehand, from linking or recovery. */
export interface Expected {
  user: string;
  epoch: number;
  /** The lowest that is not a rollback. */
  generation: number;
}

/** Whether a wrap, by its payload, is of the keyring that is expected. */
export function expectsWrap(expected: Expected, payload: WrapPayload): boolean {
  return payload.user === expected.user && payload.epoch >= expected.epoch && payload.generation >= expected.generation;
}

/** Whether a keyring that opened with the key of `payload` is the expected one; an alarm if not. */
export function expectsKeyring(expected: Expected, payload: WrapPayload, contents: KeyringContents): KeyringAlarm | null {
  if (contents.user !== expected.user) return "another-user";
  if (contents.epoch !== payload.epoch) return "another-epoch";
  if (contents.generation < expected.generation || contents.generation < payload.generation) return "rolled-back";
  return null;
}
