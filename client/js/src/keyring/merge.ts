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

/** The one that is gone, else the later: an id is never given twice, so a device that was shut out stays out, whoever named it anew meanwhile. */
export function goneOrLater<Item extends Merged>(one: Item, other: Item): Item {
  if ((one.removed === true) === (other.removed === true)) return later(one, other);
  return one.removed === true ? one : other;
}

/** The items that stay, by name. One that is gone for long is forgotten, unless one side still had it: that side has to hear of it first. */
function join<Item extends Merged>(named: [string, Item][], stays: (one: Item, other: Item) => Item, now: number, keptMs = REMOVED_KEPT_MS): [string, Item][] {
  const joined = new Map<string, Item>();
  const there = new Set<string>();
  for (const [name, item] of named) {
    const other = joined.get(name);
    joined.set(name, other === undefined ? item : stays(other, item));
    if (item.removed !== true) there.add(name);
  }
  const kept = [...joined].filter(([name, item]) => there.has(name) || item.changed + keptMs >= now);
  return kept.sort(([one], [other]) => compareBytes(utf8(one), utf8(other)));
}

function joinLists<Item extends Merged & { id: string }>(ours: Item[], theirs: Item[], now: number, keptMs?: number): Item[] {
  return join([...ours, ...theirs].map((item): [string, Item] => [item.id, item]), goneOrLater, now, keptMs).map(([, item]) => item);
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
  // For good: a device that was away for long must not bring back one that was shut out.
  merged.devices = joinLists(ours.devices, theirs.devices, now, Infinity);
  merged.permissions = joinLists(ours.permissions, theirs.permissions, now);
  // From entries, since a setting may be called __proto__.
  merged.settings = Object.fromEntries(join([...Object.entries(ours.settings), ...Object.entries(theirs.settings)], later, now));
  if (ours.recovery !== undefined && theirs.recovery !== undefined) merged.recovery = later(ours.recovery, theirs.recovery);
  return merged;
}

/** Without the permissions and settings that are gone for longer than anybody needs to know. */
export function forgetRemoved(contents: KeyringContents, now: number): KeyringContents {
  const kept = (item: Merged): boolean => item.removed !== true || item.changed + REMOVED_KEPT_MS >= now;
  const settings = Object.fromEntries(Object.entries(contents.settings).filter(([, setting]) => kept(setting)));
  return { ...contents, permissions: contents.permissions.filter(kept), settings };
}

/** Whether one of both has something that the other one lacks. */
function differs(one: [string, Merged][], other: [string, Merged][]): boolean {
  const there = new Map(other);
  return one.some(([name, item]) => {
    const same = there.get(name);
    return same === undefined ? item.removed !== true : canonicalJson(same) !== canonicalJson(item);
  });
}

/**
 * Whether both say the same, whatever their generations and the order of their lists. That something is gone which the
 * other one does not have says nothing: else two devices whose clocks differ would put and forget it by turns.
 */
export function sameContents(one: KeyringContents, other: KeyringContents): boolean {
  const items = ({ devices, permissions, settings }: KeyringContents): [string, Merged][][] => [
    devices.map((item) => [item.id, item]),
    permissions.map((item) => [item.id, item]),
    Object.entries(settings),
  ];
  const rest = (contents: KeyringContents): string => canonicalJson({ ...contents, generation: 0, devices: [], permissions: [], settings: {} });
  const others = items(other);
  return rest(one) === rest(other) && items(one).every((list, index) => !differs(list, others[index]!) && !differs(others[index]!, list));
}

/** The time of a change to an item that was changed at `before`: always later. */
export function changedAt(now: number, before: number | undefined): number {
  return before === undefined ? now : Math.max(now, before + 1);
}
