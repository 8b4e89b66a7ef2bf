/**
 * The device's copy of the mailbox. What is stored is sealed as the site sent it; texts are in memory alone.
 *
 * Only the leading tab receives and reads the history; the others hear of it and read the store.
 */
import { openEnvelope, readEnvelope, type Envelope } from "../body/envelope.ts";
import { Recent, usedKey, type Used } from "../body/recent.ts";
import { fromUtf8 } from "../crypto/bytes.ts";
import type { HistoryItem } from "../net/api.ts";
import type { Change } from "../storage.ts";
import type { Content, Message, Unopened, UnopenedReason } from "../types.ts";
import type { Core } from "./core.ts";
import type { KeyringRoom } from "./keyring.ts";

/** Twice what a mailbox and its history have at most. */
export const MESSAGES_MAX = 2_000;
/** Without keys: lest a server that makes them up pushes out what can be read. */
const WAITING_MAX = 100;
/** Of one message to `seen`; the server takes 1,000. */
const SEEN_IDS_MAX = 500;
/** Pages of the history that are read after a pause. */
const CATCH_UP_PAGES_MAX = 30;
/** Dismissed elsewhere before they came here: more than a mailbox has. */
const DISMISSED_MAX = 4_096;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Above every `seq`. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** A notification as it is kept. */
export interface KeptMessage {
  envelope: Envelope;
  seen: boolean;
  dismissed: boolean;
  /** It has no keys here yet: it is tried again when the keyring changes. */
  waiting: boolean;
}

/** Which messages to list. */
export interface InboxQuery {
  /** Default: 50. */
  limit?: number;
  /** Only older ones than this message id. */
  before?: string;
  permission?: string;
  site?: string;
  /** Default: false. */
  dismissed?: boolean;
  /** Default: false. */
  unseenOnly?: boolean;
  /** Words that all have to stand in title, body, site or name; case does not matter. */
  search?: string;
}

const byAge = (one: KeptMessage, other: KeptMessage): number =>
  other.envelope.sent - one.envelope.sent || (other.envelope.seq ?? 0) - (one.envelope.seq ?? 0) || (one.envelope.id < other.envelope.id ? -1 : 1);

export class InboxRoom {
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  readonly #isMuted: (permission: string) => boolean;
  #messages = new Map<string, KeptMessage>();
  readonly #contents = new Map<string, Content>();
  #recent = new Recent();
  #outbox = new Set<string>();
  #settling: (() => void)[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #flushing: Promise<void> | null = null;
  #flushAgain = false;
  /** How what was marked goes to the server; `null` without a connection. */
  send: ((kind: "seen" | "dismissed", ids: string[]) => Promise<void>) | null = null;

  constructor(core: Core, keyring: KeyringRoom, isMuted: (permission: string) => boolean) {
    this.#core = core;
    this.#keyring = keyring;
    this.#isMuted = isMuted;
  }

  /** Between two messages, lest one that is stored meanwhile is forgotten. */
  load(): Promise<void> {
    return this.#serially(() => this.#load());
  }

  async #load(): Promise<void> {
    const { store } = this.#core;
    const [messages, used, outbox, dismissed] = await Promise.all([store.all("messages"), store.all("replay"), store.all("outbox"), store.all("dismissed")]);
    const newest = dismissed.sort((one, other) => Number(other.value) - Number(one.value));
    await store.write(newest.slice(DISMISSED_MAX).map(({ key }): Change => ({ table: "dismissed", remove: key })));
    this.#messages = new Map(messages.map(({ key, value }) => [key, value as KeptMessage]));
    this.#recent = new Recent(used.map(({ value }) => value as Used));
    this.#outbox = new Set(outbox.map(({ key }) => key));
    this.#contents.clear();
  }

  unload(): void {
    this.#messages.clear();
    this.#contents.clear();
    this.#outbox.clear();
    this.#recent = new Recent();
  }

  // Reading

  async list(query: InboxQuery = {}): Promise<Message[]> {
    const { limit = 50, before, permission, site, dismissed = false, unseenOnly = false } = query;
    const words = (query.search ?? "").toLocaleLowerCase().split(/\s+/).filter((word) => word !== "");
    const sorted = [...this.#messages.values()].sort(byAge);
    const from = before === undefined ? 0 : sorted.findIndex(({ envelope }) => envelope.id === before) + 1;
    const found: Message[] = [];
    for (const kept of sorted.slice(from)) {
      if (found.length >= limit) break;
      if (kept.waiting || kept.dismissed !== dismissed || (unseenOnly && kept.seen)) continue;
      if (permission !== undefined && kept.envelope.permission !== permission) continue;
      const message = await this.#message(kept);
      if (message === null || (site !== undefined && message.site !== site)) continue;
      const text = [message.content.title, message.content.body, message.site, message.name].join("\n").toLocaleLowerCase();
      if (words.every((word) => text.includes(word))) found.push(message);
    }
    return found;
  }

  async get(id: string): Promise<Message | null> {
    const kept = this.#messages.get(id);
    return kept === undefined || kept.waiting ? null : this.#message(kept);
  }

  stats(days = 14): Promise<{ unseen: number; permissions: Record<string, { unseen: number; total: number; perDay: number[] }> }> {
    const permissions: Record<string, { unseen: number; total: number; perDay: number[] }> = {};
    const midnight = new Date(this.#core.now()).setHours(24, 0, 0, 0);
    let unseen = 0;
    for (const { envelope, seen, dismissed, waiting } of this.#messages.values()) {
      const known = this.#keyring.permission(envelope.permission);
      if (waiting || known === undefined || known.removed === true) continue;
      const of = (permissions[envelope.permission] ??= { unseen: 0, total: 0, perDay: new Array<number>(days).fill(0) });
      const day = days - 1 - Math.floor((midnight - 1 - envelope.sent) / DAY_MS);
      if (day >= 0 && day < days) of.perDay[day]! += 1;
      if (dismissed) continue;
      of.total += 1;
      if (!seen) {
        of.unseen += 1;
        unseen += 1;
      }
    }
    return Promise.resolve({ unseen, permissions });
  }

  async unopened(): Promise<Unopened[]> {
    const kept = await this.#core.store.all("counts");
    const counts = new Map(kept.map(({ key, value }) => [key as UnopenedReason, value as number]));
    const waiting = [...this.#messages.values()].filter((message) => message.waiting).length;
    if (waiting > 0) counts.set("unknown-permission", (counts.get("unknown-permission") ?? 0) + waiting);
    return [...counts].map(([reason, count]) => ({ reason, count }));
  }

  async #message(kept: KeptMessage): Promise<Message | null> {
    const { envelope, seen, dismissed } = kept;
    const permission = this.#keyring.permission(envelope.permission);
    if (permission === undefined || permission.removed === true || permission.site === undefined) return null;
    let content = this.#contents.get(envelope.id);
    if (content === undefined) {
      const opened = await openEnvelope(envelope, permission);
      if ("refused" in opened) return null;
      content = opened.content;
      this.#contents.set(envelope.id, content);
    }
    const { id, seq, sent, expires, urgency, topic } = envelope;
    const muted = this.#isMuted(envelope.permission);
    return { id, permission: envelope.permission, site: permission.site, name: permission.name ?? null, seq, sent, expires, urgency, topic, content, seen, dismissed, muted };
  }

  // Receiving, in the leading tab

  /** Takes a payload from the connection. When it resolves the notification is stored, or is not to be. */
  receive(payload: Uint8Array): Promise<void> {
    return this.#serially(async () => {
      let envelope: Envelope | null = null;
      try {
        envelope = readEnvelope(JSON.parse(fromUtf8(payload)));
      } catch {
        // No JSON.
      }
      if (envelope === null) await this.#refuse("malformed", null);
      else await this.#take(envelope, { live: true, seen: false });
    });
  }

  async #take(envelope: Envelope, as: { live: boolean; seen: boolean }): Promise<void> {
    if (this.#messages.has(envelope.id)) return;
    const opened = await openEnvelope(envelope, this.#keyring.permission(envelope.permission));
    if ("refused" in opened) {
      if (opened.refused !== "unknown-permission" || this.#keyring.permission(envelope.permission) !== undefined) {
        await this.#refuse(opened.refused, envelope);
        return;
      }
      if ([...this.#messages.values()].filter(({ waiting }) => waiting).length >= WAITING_MAX) {
        await this.#refuse("unknown-permission", envelope);
        return;
      }
      // Approved on another device a moment ago, perhaps: the keyring with its keys is still on its way.
      await this.#keep({ envelope, seen: as.seen, dismissed: false, waiting: true }, []);
      this.#core.tell("unopened", { reason: "unknown-permission", permission: envelope.permission, site: null });
      return;
    }
    await this.#takeOpened({ envelope, seen: as.seen, dismissed: false, waiting: false }, opened, as.live);
  }

  async #takeOpened(kept: KeptMessage, opened: { content: Content; nonce: string }, live: boolean): Promise<void> {
    const { envelope } = kept;
    // Only now, so that a forgery cannot use up a nonce.
    if (this.#recent.repeats(envelope.permission, opened.nonce, envelope.id)) {
      await this.#refuse("replayed", envelope);
      return;
    }
    const { kept: used, forgotten } = this.#recent.remember(envelope.permission, opened.nonce, envelope.id);
    const dismissed = (await this.#core.store.get("dismissed", envelope.id)) !== undefined;
    this.#contents.set(envelope.id, opened.content);
    const now: KeptMessage = { ...kept, dismissed, seen: kept.seen || dismissed };
    await this.#keep(now, [
      { table: "replay", put: usedKey(used.permission, used.nonce), value: used },
      ...forgotten.map(({ permission, nonce }): Change => ({ table: "replay", remove: usedKey(permission, nonce) })),
    ]);
    const message = await this.#message(now);
    if (message !== null) this.#core.tell("notification", { message, live });
  }

  async #keep(kept: KeptMessage, more: Change[]): Promise<void> {
    const { id } = kept.envelope;
    const changes: Change[] = [{ table: "messages", put: id, value: kept }, ...more];
    const gone: string[] = [];
    if (this.#messages.size >= MESSAGES_MAX) {
      const oldest = [...this.#messages.values()].sort(byAge).at(-1);
      if (oldest !== undefined) gone.push(oldest.envelope.id);
    }
    changes.push(...gone.map((old): Change => ({ table: "messages", remove: old })));
    await this.#core.store.write(changes);
    this.#messages.set(id, kept);
    for (const old of gone) this.#forget(old);
    this.#core.tabs.note("messages", [id, ...gone]);
  }

  async #refuse(reason: UnopenedReason, envelope: Envelope | null): Promise<void> {
    const count = ((await this.#core.store.get("counts", reason)) as number | undefined) ?? 0;
    await this.#core.store.write([{ table: "counts", put: reason, value: count + 1 }]);
    const permission = envelope?.permission ?? null;
    const site = permission === null ? null : (this.#keyring.permission(permission)?.site ?? null);
    this.#core.tell("unopened", { reason, permission, site });
  }

  /** Whether something has no keys yet. */
  get isWaiting(): boolean {
    return [...this.#messages.values()].some(({ waiting }) => waiting);
  }

  /** Tries again what had no keys, and lets go of what came of permissions that are gone. */
  keyringChanged(): Promise<void> {
    return this.#serially(async () => {
      const gone = [...this.#messages.values()].filter(({ envelope }) => this.#keyring.permission(envelope.permission)?.removed === true);
      await this.#remove(gone.map(({ envelope }) => envelope.id));
      for (const kept of [...this.#messages.values()].filter(({ waiting }) => waiting).sort(byAge).reverse()) {
        const opened = await openEnvelope(kept.envelope, this.#keyring.permission(kept.envelope.permission));
        if (!("refused" in opened)) {
          await this.#takeOpened({ ...kept, waiting: false }, opened, true);
        } else if (opened.refused !== "unknown-permission") {
          await this.#remove([kept.envelope.id]);
          await this.#refuse(opened.refused, kept.envelope);
        }
      }
    });
  }

  // The history, in the leading tab

  /** Reads the page before the oldest. */
  loadOlder(limit: number): Promise<{ ids: string[]; done: boolean }> {
    return this.#serially(async () => {
      const seqs = [...this.#messages.values()].flatMap(({ envelope }) => envelope.seq ?? []);
      const { items, next } = await this.#core.api.history({ before: seqs.length === 0 ? NEWEST : Math.min(...seqs) }, limit);
      await this.#takeItems(items);
      return { ids: items.flatMap((item) => (item !== null && this.#messages.has(item.envelope.id) ? [item.envelope.id] : [])), done: next === null };
    });
  }

  /**
   * Reads again what may have been missed. A session that goes on gets what it is owed by itself, so only what was
   * seen meanwhile is read; a new one is owed nothing of before, and reads back to what this device has.
   */
  catchUp(resumed: boolean): Promise<void> {
    return this.#serially(async () => {
      const ours = [...this.#messages.values()].filter(({ envelope }) => envelope.seq !== null);
      const newest = Math.max(-1, ...ours.map(({ envelope }) => envelope.seq ?? -1));
      const from = Math.min(newest, ...ours.filter(({ seen }) => !seen).map(({ envelope }) => (envelope.seq ?? 0) - 1));
      if (!resumed) await this.#readBack(from);
      else if (from < newest) await this.#readSeen(from);
    });
  }

  /** Newest first, by whole pages: what was held for this device has a lower `seq` than what it got. */
  async #readBack(to: number): Promise<void> {
    let where: { before: number } | { cursor: string } = { before: NEWEST };
    const read: HistoryItem[] = [];
    for (let page = 0; page < CATCH_UP_PAGES_MAX; page++) {
      const { items, next } = await this.#core.api.history(where);
      read.push(...items);
      // A device that has nothing yet begins with the newest page; the user asks for more.
      if (next === null || to < 0 || items.some((item) => (item?.envelope.seq ?? NEWEST) <= to)) break;
      where = { cursor: next };
    }
    await this.#takeItems(read.reverse());
  }

  async #readSeen(from: number): Promise<void> {
    let where: { after: number } | { cursor: string } = { after: Math.max(0, from) };
    for (let page = 0; page < CATCH_UP_PAGES_MAX; page++) {
      const { items, next } = await this.#core.api.history(where);
      await this.#takeItems(items.filter((item) => item !== null && this.#messages.has(item.envelope.id)));
      if (next === null) return;
      where = { cursor: next };
    }
  }

  async #takeItems(items: HistoryItem[]): Promise<void> {
    const seen: string[] = [];
    for (const item of items) {
      if (item === null) continue;
      const kept = this.#messages.get(item.envelope.id);
      if (kept === undefined) await this.#take(item.envelope, { live: false, seen: item.seen });
      else if (item.seen && !kept.seen) seen.push(item.envelope.id);
    }
    await this.#mark("seen", seen, false);
  }

  // Seen, dismissed, withdrawn

  /** This user saw them, here. */
  async mark(kind: "seen" | "dismissed", ids: string[]): Promise<void> {
    await this.#serially(() => this.#mark(kind, ids, true));
    this.#core.tabs.note("outbox");
    this.flush();
  }

  /**
   * Another device saw them. What this one does not have was held back from it, and is owed to it no more: it is read
   * from the history, where the newest page has it unless it was held for long.
   */
  heardSeen(ids: string[]): Promise<void> {
    return this.#serially(async () => {
      await this.#mark("seen", ids, false);
      const held = new Set(ids.filter((id) => !this.#messages.has(id)));
      if (held.size === 0) return;
      const page = await this.#core.api.history({ before: NEWEST }).catch(() => null);
      const items = page?.items.filter((item) => item !== null && held.has(item.envelope.id)) ?? [];
      await this.#takeItems(items.reverse());
    });
  }

  /** Another device dismissed them. Those that are not here yet are remembered for when they come. */
  heardDismissed(ids: string[]): Promise<void> {
    return this.#serially(() => this.#mark("dismissed", ids, false));
  }

  async #mark(kind: "seen" | "dismissed", ids: string[], send: boolean): Promise<void> {
    const changes: Change[] = [];
    const changed: string[] = [];
    for (const id of new Set(ids)) {
      const kept = this.#messages.get(id);
      const marked = kept !== undefined && !(kind === "seen" ? kept.seen : kept.dismissed);
      if (marked) {
        const now: KeptMessage = { ...kept, seen: true, dismissed: kept.dismissed || kind === "dismissed" };
        this.#messages.set(id, now);
        changes.push({ table: "messages", put: id, value: now });
        changed.push(id);
      }
      if (kept === undefined && kind === "dismissed") changes.push({ table: "dismissed", put: id, value: this.#core.now() });
      if (send && (marked || kept === undefined)) {
        for (const one of kind === "dismissed" ? ["seen", "dismissed"] : ["seen"]) {
          changes.push({ table: "outbox", put: `${one}:${id}`, value: true });
          this.#outbox.add(`${one}:${id}`);
        }
      }
    }
    if (changes.length === 0) return;
    await this.#core.store.write(changes);
    if (changed.length === 0) return;
    this.#core.tabs.note("messages", changed);
    this.#core.tell("seen", { ids: changed });
    if (kind === "dismissed") this.#core.tell("dismissed", { ids: changed });
  }

  /** Taken back by the site. */
  withdraw(ids: string[]): Promise<void> {
    return this.#serially(() => this.#remove(ids));
  }

  /** What came of a permission that is revoked. */
  withdrawPermission(permission: string): Promise<void> {
    return this.#serially(() => this.#remove([...this.#messages.values()].filter(({ envelope }) => envelope.permission === permission).map(({ envelope }) => envelope.id)));
  }

  async #remove(some: string[]): Promise<void> {
    const ids = some.filter((id) => this.#messages.has(id));
    if (ids.length === 0) return;
    await this.#core.store.write(ids.map((id): Change => ({ table: "messages", remove: id })));
    for (const id of ids) this.#forget(id);
    this.#core.tabs.note("messages", ids);
    this.#core.tell("withdrawn", { ids });
  }

  #forget(id: string): void {
    this.#messages.delete(id);
    this.#contents.delete(id);
  }

  // The way to the server

  /** Sends what was marked, where there is a connection in this tab. */
  flush(): void {
    if (this.#flushing !== null) {
      this.#flushAgain = true;
      return;
    }
    this.#flushing = this.#flush()
      .catch(() => undefined)
      .finally(() => {
        this.#flushing = null;
        const again = this.#flushAgain;
        this.#flushAgain = false;
        if (again) this.flush();
      });
  }

  async #flush(): Promise<void> {
    for (const kind of ["seen", "dismissed"] as const) {
      const keys = (await this.#core.store.all("outbox")).map(({ key }) => key).filter((key) => key.startsWith(`${kind}:`));
      for (let from = 0; from < keys.length; from += SEEN_IDS_MAX) {
        const some = keys.slice(from, from + SEEN_IDS_MAX);
        // Without a connection they stay for the next one.
        if (this.send === null) return;
        await this.send(kind, some.map((key) => key.slice(kind.length + 1)));
        await this.#core.store.write(some.map((key): Change => ({ table: "outbox", remove: key })));
        for (const key of some) this.#outbox.delete(key);
      }
    }
    this.#core.tabs.note("settled");
    this.#settle();
  }

  /** The leading tab sent what there was. */
  async heardSettled(): Promise<void> {
    this.#outbox = new Set((await this.#core.store.all("outbox")).map(({ key }) => key));
    this.#settle();
  }

  #settle(): void {
    if (this.#outbox.size > 0) return;
    for (const resolve of this.#settling.splice(0)) resolve();
  }

  settled(): Promise<void> {
    if (this.#outbox.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settling.push(resolve);
    });
  }

  // Other tabs

  /** Another tab changed them: reads them again. */
  heardMessages(ids: string[]): Promise<void> {
    return this.#serially(async () => {
      for (const id of ids) {
        const kept = (await this.#core.store.get("messages", id)) as KeptMessage | undefined;
        if (kept === undefined) this.#forget(id);
        else this.#messages.set(id, kept);
      }
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#queue.then(work, work);
    this.#queue = mine.catch(() => undefined);
    return mine;
  }
}
