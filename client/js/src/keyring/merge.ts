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

/** The items that stay, by name. One that is gone for long is forgotten, unless one side still had it: that side has to hear of it first. */
function join<Item extends Merged>(named: [string, Item][], now: number): [string, Item][] {
  const joined = new Map<string, Item>();
  const there = new Set<string>();
  for (const [name, item] of named) {
    const other = joined.get(name);
    joined.set(name, other === undefined ? item : later(other, item));
    if (item.removed !== true) there.add(name);
  }
  const stays = [...joined].filter(([name, item]) => there.has(name) || item.changed + REMOVED_KEPT_MS >= now);
  return stays.sort(([one], [other]) => compareBytes(utf8(one), utf8(other)));
}

function joinLists<Item extends Merged & { id: string }>(ours: Item[], theirs: Item[], now: number): Item[] {
  return join([...ours, ...theirs].map((item): [string, Item] => [item.id, item]), now).map(([, item]) => item);
}

/** What both hold, in one; the same whichever is first. Whoever puts it gives it a generation above both. */
export function mergeKeyrings(ours: KeyringContents, theirs: KeyringContents, now: number): KeyringContents {
  // Of fields that this client does not know the greater JSON stays.
  const merged: KeyringContents = { ...ours, ...theirs };
  for (const [name, value] of Object.entries(ours)) {
    if (name in theirs) merged[name] = greater(value, theirs[name]);
  }
  merged.user = theirs.user;
  merged.epoch = Math.max(ours.epoch, theirs.epoch);
  merged.generation = Math.max(ours.generation, theirs.generation);
  merged.devices = joinLists(ours.devices, theirs.devices, now);
  merged.permissions = joinLists(ours.permissions, theirs.permissions, now);
  // From entries, since a setting may be called __proto__.
  merged.settings = Object.fromEntries(join([...Object.entries(ours.settings), ...Object.entries(theirs.settings)], now));
  if (ours.recovery !== undefined && theirs.recovery !== undefined) merged.recovery = later(ours.recovery, theirs.recovery);
  return merged;
}

/** Without the items that are gone for longer than anybody needs to know. */
export function forgetRemoved(contents: KeyringContents, now: number): KeyringContents {
  const kept = (item: Merged): boolean => item.removed !== true || item.changed + REMOVED_KEPT_MS >= now;
  return { ...contents, devices: contents.devices.filter(kept), permissions: contents.permissions.filter(kept) };
}

/** Whether both say the same, whatever their generations and the order of their lists. */
export function sameContents(one: KeyringContents, other: KeyringContents): boolean {
  const sorted = (contents: KeyringContents): string => {
    const byId = (a: { id: string }, b: { id: string }): number => compareBytes(utf8(a.id), utf8(b.id));
    return canonicalJson({ ...contents, generation: 0, devices: [...contents.devices].sort(byId), permissions: [...contents.permissions].sort(byId) });
  };
  return sorted(one) === sorted(other);
}

/** The time of a change to an item that was changed at `before`: always later. */
export function changedAt(now: number, before: number | undefined): number {
  return before === undefined ? now : Math.max(now, before + 1);
}
