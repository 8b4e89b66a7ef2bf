//! What the inbox shows: what waits or what was put away, grouped by site, the group with the newest first, found by
//! words. Pure over the local copy of the mailbox.

import type { Item } from "../model.ts";

export type Shelf = "inbox" | "archive";

export interface Group {
  readonly site: string;
  readonly items: readonly Item[];
  readonly unseen: number;
}

export interface InboxInput {
  readonly items: readonly Item[];
  /** The muted permissions: what comes of them goes to the archive at once. */
  readonly muted: ReadonlySet<string>;
  /** Dismissed, but put back on this device by undo. */
  readonly kept: ReadonlySet<string>;
  readonly shelf: Shelf;
  readonly unseenOnly: boolean;
  readonly query: string;
}

export function waits(item: Item, muted: ReadonlySet<string>, kept: ReadonlySet<string>): boolean {
  return (!item.dismissed || kept.has(item.id)) && !muted.has(item.permission);
}

export function groups(input: InboxInput): Group[] {
  const words = wordsOf(input.query);
  const bySite = new Map<string, Item[]>();
  const newestFirst = [...input.items].sort((a, b) => b.sent - a.sent || (b.seq ?? Infinity) - (a.seq ?? Infinity));
  for (const item of newestFirst) {
    const waiting = waits(item, input.muted, input.kept);
    if (waiting !== (input.shelf === "inbox") || (input.unseenOnly && item.seen) || !matches(item, words)) continue;
    const items = bySite.get(item.site);
    if (items) items.push(item);
    else bySite.set(item.site, [item]);
  }
  return [...bySite].map(([site, items]) => ({ site, items, unseen: items.filter((item) => !item.seen).length }));
}

/** What the badge counts. */
export function unseenCount(items: readonly Item[], muted: ReadonlySet<string>): number {
  return items.reduce((count, item) => count + (!item.seen && waits(item, muted, NONE) ? 1 : 0), 0);
}

const NONE: ReadonlySet<string> = new Set();

function wordsOf(query: string): string[] {
  return fold(query).split(/\s+/u).filter(Boolean);
}

function matches(item: Item, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = fold(`${item.title} ${item.body} ${item.site} ${item.name}`);
  return words.every((word) => text.includes(word));
}

function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();
}
