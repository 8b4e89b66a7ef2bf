/**
 * The device's connection, in the tab that leads: what comes in goes to the inbox and the keyring, and what may have
 * been missed is read again. Other tabs publish and subscribe through it.
 */
import { isId } from "../body/envelope.ts";
import { fromUtf8 } from "../crypto/bytes.ts";
import { BelfryError } from "../error.ts";
import { Line } from "../net/line.ts";
import type { Dial, Incoming, PublishOptions } from "../net/wire.ts";
import type { Connection, Presence } from "../types.ts";
import type { Core, PrivateSpace } from "./core.ts";
import type { InboxRoom } from "./inbox.ts";
import type { KeyringRoom } from "./keyring.ts";
import type { PermissionsRoom } from "./permissions.ts";
import { TabPresences } from "./presences.ts";

/** Of one message or event; the server takes no more either. */
const IDS_MAX = 1_000;

/** What the connection serves, and what it needs. */
export interface ConnectionParts {
  core: Core;
  keyring: KeyringRoom;
  inbox: InboxRoom;
  permissions: PermissionsRoom;
  dial: Dial;
  random: () => number;
  /** The server says that this device was removed. */
  onRemoved: () => void;
}

export class ConnectionRoom {
  readonly #parts: ConnectionParts;
  readonly #core: Core;
  readonly #presences: TabPresences;
  readonly #heard = new Map<string, Set<(payload: Uint8Array) => void>>();
  #connection: Connection = "offline";
  #line: Line | null = null;
  #asking = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#core = parts.core;
    this.#presences = new TabPresences(parts.core.tabs.id, parts.core.now, (presence) => void this.#say(presence).catch(() => undefined));
    this.#offerToTabs();
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** Connects, where there is a device of somebody who is signed in. */
  start(): void {
    const { record } = this.#core;
    if (this.#line !== null || !record?.device || record.token === null) return;
    const { id, password } = record.device;
    const prefix = `u/${record.userId}`;
    const line = new Line({
      dial: this.#parts.dial,
      random: this.#parts.random,
      subscribed: record.subscribed,
      leftover: record.filters,
      device: {
        url: `${this.#core.server.replace(/^http/, "ws")}/mqtt`,
        clientId: id,
        username: record.userId,
        password,
        onMessage: (message) => this.#incoming(prefix, message),
      },
      filters: [
        { filter: `${prefix}/n/+`, qos: 1 },
        { filter: `${prefix}/events`, qos: 0 },
        { filter: `${prefix}/x/dismissed`, qos: 1, noLocal: true },
      ],
      events: {
        onConnection: (connection) => {
          this.#connected(connection, true);
        },
        onOpen: (resumed) => this.#open(resumed),
        onStopped: (why) => {
          if (why === "removed") this.#parts.onRemoved();
        },
        onSubscribed: () => this.#core.changeRecord({ subscribed: true }),
      },
    });
    this.#line = line;
    line.start();
  }

  async stop(): Promise<void> {
    const line = this.#line;
    this.#line = null;
    this.#parts.inbox.send = null;
    await line?.stop();
  }

  /** Does not wait for the end of a pause. */
  hurry(): void {
    this.#line?.hurry();
  }

  /** The end of this tab. */
  async close(): Promise<void> {
    this.#presences.close();
    await this.stop();
  }

  /** Another tab leads, and its connection changed. */
  heardConnection(connection: Connection): void {
    if (!this.#core.tabs.leading) this.#connected(connection, false);
  }

  #connected(connection: Connection, own: boolean): void {
    if (connection !== "online") this.#parts.inbox.send = null;
    if (connection === this.#connection) return;
    this.#connection = connection;
    if (own) this.#core.tabs.note("connection", connection);
    this.#core.emit("connection", connection);
  }

  /** What may have been missed is read again; each part fails by itself. */
  async #open(resumed: boolean): Promise<void> {
    const line = this.#line;
    const { record } = this.#core;
    if (line === null || !record?.device) return;
    const topics = { seen: `u/${record.userId}/d/${record.device.id}/seen`, dismissed: `u/${record.userId}/x/dismissed` };
    this.#parts.inbox.send = (kind, ids) => line.publish(topics[kind], JSON.stringify({ ids }));
    const said = this.#presences.presence;
    if (said !== null) await this.#say(said).catch(() => undefined);
    this.#parts.inbox.flush();
    await this.#parts.keyring.refresh().catch(() => undefined);
    await this.#parts.permissions.refresh().catch(() => undefined);
    this.#core.tell("permissions", { changed: null });
    this.#core.tell("devices", { changed: null });
    await this.#parts.inbox.catchUp(resumed).catch(() => undefined);
  }

  async #incoming(prefix: string, { topic, payload }: Incoming): Promise<void> {
    if (topic.startsWith(`${prefix}/n/`)) await this.#parts.inbox.receive(payload).then(() => this.#askForKeys());
    else if (topic === `${prefix}/events`) await this.#event(readJson(payload));
    else if (topic === `${prefix}/x/dismissed`) await this.#parts.inbox.heardDismissed(readIds(readJson(payload)));
    else if (topic.startsWith(`${prefix}/x/`)) {
      this.#core.tabs.note("private", { topic, payload });
      this.hear(topic, payload);
    }
  }

  /** The event that the keyring changed may have been lost. */
  #askForKeys(): void {
    if (this.#asking || !this.#parts.inbox.isWaiting) return;
    this.#asking = true;
    void this.#parts.keyring.refresh().catch(() => undefined).finally(() => {
      this.#asking = false;
    });
  }

  async #event(event: Record<string, unknown>): Promise<void> {
    const text = (name: string): string => (typeof event[name] === "string" ? event[name] : "");
    switch (event["event"]) {
      case "permission.revoked":
        await this.#parts.inbox.withdrawPermission(text("permission"));
        this.#askForPermissions(text("permission"));
        return;
      case "permission.granted":
      case "permission.muted":
      case "permission.allowed":
        this.#askForPermissions(text("permission"));
        return;
      case "notification.seen":
        await this.#parts.inbox.heardSeen(readIds(event));
        return;
      case "notification.withdrawn":
        await this.#parts.inbox.withdraw([text("id")]);
        return;
      case "keyring.changed":
        void this.#parts.keyring.refresh().catch(() => undefined);
        return;
      case "device.added":
      case "device.removed":
        if (event["event"] === "device.removed" && text("device") === this.#core.record?.device?.id) this.#parts.onRemoved();
        else this.#core.tell("devices", { changed: text("device") });
        return;
      default:
        return;
    }
  }

  /** Not awaited: the next message need not wait for the server's list. */
  #askForPermissions(changed: string): void {
    void this.#parts.permissions.refresh().catch(() => undefined).then(() => {
      this.#core.tell("permissions", { changed });
    });
  }

  // Presence

  /** What a tab says of itself; `null` when it closes. */
  heardPresence(tab: string, presence: Presence | null): void {
    this.#presences.heard(tab, presence);
  }

  async #say(presence: Presence): Promise<void> {
    const { record } = this.#core;
    if (this.#line?.open !== true || !record?.device) return;
    await this.#line.publish(`u/${record.userId}/d/${record.device.id}/presence`, presence);
  }

  // For every tab

  /** The private space. */
  space(): PrivateSpace {
    const { tabs } = this.#core;
    return {
      publish: (topic, payload, options) => tabs.call("publish", topic, payload, options),
      subscribe: async (topic, heard) => {
        const listeners = this.#heard.get(topic) ?? new Set();
        this.#heard.set(topic, listeners);
        listeners.add(heard);
        const close = async (): Promise<void> => {
          listeners.delete(heard);
          if (listeners.size > 0) return;
          this.#heard.delete(topic);
          await tabs.call("unsubscribe", topic);
        };
        try {
          await tabs.call("subscribe", topic);
        } catch (error) {
          await close().catch(() => undefined);
          if (error instanceof BelfryError) throw error;
          throw new BelfryError("network", "there is no connection", { cause: error });
        }
        return close;
      },
    };
  }

  /** A message there. */
  hear(topic: string, payload: Uint8Array): void {
    for (const heard of [...(this.#heard.get(topic) ?? [])]) heard(payload);
  }

  #offerToTabs(): void {
    const { tabs } = this.#core;
    const { inbox } = this.#parts;
    const line = (): Line => {
      if (this.#line === null) throw new BelfryError("network", "there is no connection");
      return this.#line;
    };
    const filters = (change: (filters: string[]) => string[]): Promise<void> => this.#core.changeRecord({ filters: change(this.#core.record?.filters ?? []) });
    tabs.offer("publish", (topic: string, payload: string | Uint8Array, options?: PublishOptions) => line().publish(topic, payload, options));
    tabs.offer("subscribe", async (filter: string) => {
      await filters((held) => [...held, filter]);
      await line().subscribe(filter);
    });
    tabs.offer("unsubscribe", async (filter: string) => {
      await this.#line?.unsubscribe(filter);
      await filters((held) => held.filter((one) => one !== filter));
    });
    tabs.offer("loadOlder", (limit: number) => inbox.loadOlder(limit));
    tabs.offer("catchUp", () => inbox.catchUp(false));
    tabs.offer("reconnect", async () => {
      if (this.#line === null) this.start();
      else {
        this.#line.start();
        this.#line.hurry();
      }
    });
  }
}

function readJson(payload: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(fromUtf8(payload));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function readIds(value: Record<string, unknown>): string[] {
  return Array.isArray(value["ids"]) ? value["ids"].filter(isId).slice(0, IDS_MAX) : [];
}
