/** Two keyrings that were written at the same time become one, item by item: docs/keys.md, *Which keyring a device takes*. */
import { compareBytes, utf8 } from "../crypto/bytes.ts";
import { REMOVED_KEPT_MS, type KeyringContents } from "./format.ts";

/** JSON with its keys sorted by bytes and without spaces. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([one], [other]) => compareBytes(utf8(one), utf8(other)));
  return `{${entries.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(",")}}`;
}

interface Merged {
  changed: number;
  removed?: true;
}

const greater = <T>(one: T, other: T): T => (compareBytes(utf8(canonicalJson(one)), utf8(canonicalJson(other))) >= 0 ? one : other);

/** The one that stays. */
export function later<Item extends Merged>(one: Item, other: Item): Item {
  if (one.changed !== other.changed) return one.changed > other.changed ? one : other;
  const [oneGone, otherGone] = [one.removed === true, other.removed === true];
  if (oneGone !== otherGone) return oneGone ? one : other;
  return greater(one, other);
}

function mergeLists<Item extends Merged & { id: string }>(ours: Item[], theirs: Item[]): Item[] {
  const merged = new Map(ours.map((item) => [item.id, item]));
  for (const item of theirs) {
    const there = merged.get(item.id);
    merged.set(item.id, there === undefined ? item : later(there, item));
  }
  return [...merged.values()];
}

/**
 * What both hold, in one. User, epoch and generation are of `theirs`, which is the server's: whoever puts the
 * answer gives it a generation above both. Of fields that this client does not know the greater JSON stays.
 */
export function mergeKeyrings(ours: KeyringContents, theirs: KeyringContents): KeyringContents {
  const merged: KeyringContents = { ...ours, ...theirs };
  for (const [name, value] of Object.entries(ours)) {
    if (name in theirs) merged[name] = greater(value, theirs[name]);
  }
  merged.user = theirs.user;
  merged.epoch = theirs.epoch;
  merged.generation = Math.max(ours.generation, theirs.generation);
  merged.devices = mergeLists(ours.devices, theirs.devices);
  merged.permissions = mergeLists(ours.permissions, theirs.permissions);
  const settings = new Map(Object.entries(ours.settings));
  for (const [name, setting] of Object.entries(theirs.settings)) {
    const there = settings.get(name);
    settings.set(name, there === undefined ? setting : later(there, setting));
  }
  // From entries, since a setting may be called __proto__.
  merged.settings = Object.fromEntries(settings);
  if (ours.recovery !== undefined && theirs.recovery !== undefined) merged.recovery = later(ours.recovery, theirs.recovery);
  return merged;
}

/** Without the items that are gone for longer than anybody needs to know. */
export function forgetRemoved(contents: KeyringContents, now: number): KeyringContents {
  const kept = (item: Merged): boolean => item.removed !== true || now - item.changed < REMOVED_KEPT_MS;
  return { ...contents, devices: contents.devices.filter(kept), permissions: contents.permissions.filter(kept) };
}

/** Whether both say the same, whatever their order. */
export function sameContents(one: KeyringContents, other: KeyringContents): boolean {
  const sorted = (contents: KeyringContents): string => {
    const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
    return canonicalJson({ ...contents, devices: [...contents.devices].sort(byId), permissions: [...contents.permissions].sort(byId) });
  };
  return sorted(one) === sorted(other);
}

/** The time of a change to an item that was changed at `before`: always later. */
export function changedAt(now: number, before: number | undefined): number {
  return before === undefined ? now : Math.max(now, before + 1);
}
