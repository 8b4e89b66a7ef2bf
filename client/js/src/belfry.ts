/** A session: one device of one user, from the store to the connection. */
import { fingerprintOf, DeviceKey } from "./crypto/device-key.ts";
import { base64url, fromUtf8 } from "./crypto/bytes.ts";
import { BelfryError } from "./error.ts";
import { Emitter } from "./events.ts";
import { Api } from "./net/api.ts";
import { Http, type Fetch } from "./net/http.ts";
import { Line } from "./net/line.ts";
import { dialMqtt } from "./net/mqtt.ts";
import type { Dial, Incoming, PublishOptions } from "./net/wire.ts";
import { Core, type DeviceRecord, type PrivateSpace } from "./session/core.ts";
import { DevicesRoom } from "./session/devices.ts";
import { InboxRoom, type InboxQuery } from "./session/inbox.ts";
import { KeyringRoom } from "./session/keyring.ts";
import { LinkingRoom } from "./session/linking.ts";
import { PermissionsRoom } from "./session/permissions.ts";
import { RecoveryRoom } from "./session/recovery.ts";
import { browserTabs, Tabs, type TabPlatform } from "./session/tabs.ts";
import { TABLES, type Store } from "./storage.ts";
import { IndexedDbStore } from "./store/indexeddb.ts";
import { MemoryStore } from "./store/memory.ts";
import type {
  Account, ApproveOptions, BelfryEvents, Connection, Device, DeviceKind, KeyringInfo, LinkOffer, LinkRequest, Message,
  Permission, Presence, Providers, SignedOutReason, State, SubscriptionJson, Unopened,
} from "./types.ts";

export type { InboxQuery } from "./session/inbox.ts";

/** What the platform gives; tests give something else. */
export interface Platform {
  fetch?: Fetch;
  dial?: Dial;
  /** `null`: this is the only tab. */
  tabs?: TabPlatform | null;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** From 0 to 1, for pauses. */
  random?: () => number;
}

/** How a session is opened. */
export interface BelfryOptions {
  /** The server's address, such as `https://push.example.org`; in the console `location.origin`. */
  server: string;
  /** Where to keep things. Default: IndexedDB where there is one, else memory. */
  store?: Store;
  /** What the device is called when it is made, such as `Firefox on Linux`. */
  deviceName?: string;
  /** Default: `browser` where there is a document, else `cli`. */
  deviceKind?: DeviceKind;
  /** Whether to connect as soon as there is a device. Default: true. The consent window says false. */
  connect?: boolean;
  platform?: Platform;
}

/** The device's copy of the mailbox. Works without a connection. */
export interface Inbox {
  /** Newest first. */
  list(query?: InboxQuery): Promise<Message[]>;
  get(id: string): Promise<Message | null>;
  /** Reads the page before the oldest that this device has. `done`: there is nothing older. */
  loadOlder(limit?: number): Promise<{ messages: Message[]; done: boolean }>;
  /** Resolves when it holds on this device; the server is told at once or when there is a connection. */
  markSeen(ids: string[]): Promise<void>;
  /** Seen, and gone from the list, on every device. */
  dismiss(ids: string[]): Promise<void>;
  /** Resolves when the server has all that was marked. */
  settled(): Promise<void>;
  /** By permission id; `unseen` and `total` are of what is not dismissed. `perDay` is of the last `days` days, today last. */
  stats(days?: number): Promise<{ unseen: number; permissions: Record<string, { unseen: number; total: number; perDay: number[] }> }>;
  /** What was not shown, by reason. */
  unopened(): Promise<Unopened[]>;
}

/** The user's devices. */
export interface Devices {
  list(): Promise<Device[]>;
  rename(id: string, name: string): Promise<void>;
  /** Ends the device, makes a new keyring key, and flags all permissions `renew`. May throw `sign-in-again`. */
  remove(id: string): Promise<void>;
}

/** The user's approvals. */
export interface Permissions {
  /** From the server, joined with the keyring; without a connection what was there last. */
  list(): Promise<Permission[]>;
  /** Approves a site and answers what the site gets. Keys are made here. */
  approve(origin: string, options?: ApproveOptions): Promise<SubscriptionJson>;
  mute(id: string): Promise<void>;
  allow(id: string): Promise<void>;
  rename(id: string, name: string): Promise<void>;
  revoke(id: string): Promise<void>;
  /** A new permission for the same site, with new keys; revoke the old one when the site has the new subscription. */
  renew(id: string, options?: Pick<ApproveOptions, "applicationServerKey">): Promise<SubscriptionJson>;
}

/** What the devices share, sealed. */
export interface Keyring {
  readonly info: KeyringInfo | null;
  /** Reads it from the server and judges it. */
  refresh(): Promise<void>;
  /** A setting that all devices share, such as `quietHours`. */
  setting<T>(name: string): T | null;
  setSetting(name: string, value: unknown): Promise<void>;
  /** This device's own fingerprint. */
  fingerprint(): string;
}

/** Linking a device by code. */
export interface Linking {
  /** On the new device (`unlinked`). */
  offer(): Promise<LinkOffer>;
  /** On a linked device: reads the code (or the text of the QR code) and fetches who asks. */
  read(code: string): Promise<LinkRequest>;
}

/** The recovery phrase. */
export interface Recovery {
  /** Makes a new one, instead of the old: twelve words, shown once. */
  make(): Promise<string>;
  /** On a device that is `unlinked`. */
  use(words: string): Promise<void>;
}

/** A little less than the server's 10 minutes. */
const FRESH_MS = 9 * 60 * 1000;
/** A tab that said nothing for so long is gone: one that is used says so more often. */
const PRESENCE_STALE_MS = 90_000;
const OLDER_ITEMS = 50;

/** One device of one user. Tabs of one browser profile share it; one of them holds the connection. */
export class Belfry extends Emitter<BelfryEvents> {
  readonly server: string;
  readonly inbox: Inbox;
  readonly devices: Devices;
  readonly permissions: Permissions;
  readonly keyring: Keyring;
  readonly linking: Linking;
  readonly recovery: Recovery;

  readonly #options: BelfryOptions;
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  readonly #inbox: InboxRoom;
  readonly #permissions: PermissionsRoom;
  readonly #devices: DevicesRoom;
  #state: State = { name: "signed-out", reason: null, username: null };
  #connection: Connection = "offline";
  #line: Line | null = null;
  #fresh: { token: string; until: number } | null = null;
  #notes: Promise<unknown> = Promise.resolve();
  readonly #heard = new Map<string, Set<(payload: Uint8Array) => void>>();
  readonly #presences = new Map<string, { presence: Presence; at: number }>();
  #presenceTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  private constructor(options: BelfryOptions, server: string, store: Store) {
    super();
    this.server = server;
    this.#options = options;
    const { fetch, tabs = browserTabs(), now = Date.now } = options.platform ?? {};
    const api = new Api(new Http(server, fetch ?? ((url, init) => globalThis.fetch(url, init))));
    api.onUnauthorized = () => void this.#expired();
    this.#core = new Core({
      server, store, api, now,
      tabs: new Tabs(`belfry ${server}`, tabs),
      emit: (name, detail) => {
        this.emit(name, detail);
      },
    });
    this.#core.tabs.onNote = (note, detail, tab) => {
      this.#notes = this.#notes.then(() => this.#noted(note, detail, tab)).catch(() => undefined);
    };
    this.#keyring = new KeyringRoom(this.#core);
    this.#permissions = new PermissionsRoom(this.#core, this.#keyring);
    this.#inbox = new InboxRoom(this.#core, this.#keyring, (id) => this.#permissions.isMuted(id));
    this.#devices = new DevicesRoom(this.#core, this.#keyring, () => this.#freshToken());
    this.#keyring.onChange = () => {
      this.#settle();
      if (this.#core.tabs.leading) void this.#inbox.keyringChanged().catch(() => undefined);
    };
    const linked = (): Promise<void> => this.#linked();
    const linking = new LinkingRoom(this.#core, this.#keyring, this.#space(), linked);
    const recovery = new RecoveryRoom(this.#core, this.#keyring, linked);
    this.inbox = this.#inboxFace();
    this.devices = this.#devices;
    this.permissions = this.#permissionsFace();
    this.keyring = this.#keyringFace();
    this.linking = linking;
    this.recovery = recovery;
    this.#offerToTabs();
  }

  /** Opens what the store has; signed out if it has nothing. Does not wait for the network. */
  static async open(options: BelfryOptions): Promise<Belfry> {
    if (!URL.canParse(options.server)) throw new BelfryError("malformed", "the server is an address such as https://push.example.org");
    const server = new URL(options.server).origin;
    const store = options.store ?? (typeof indexedDB === "undefined" ? new MemoryStore() : await IndexedDbStore.open(`belfry ${server}`));
    const belfry = new Belfry(options, server, store);
    await belfry.#load();
    belfry.#settle();
    if (options.connect !== false) {
      belfry.#core.tabs.campaign(() => {
        void belfry.#lead();
      });
      globalThis.addEventListener?.("online", belfry.#hurry);
      globalThis.document?.addEventListener("visibilitychange", belfry.#hurry);
    }
    return belfry;
  }

  get state(): State {
    return this.#state;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** Whether this tab holds the connection. System notifications are best shown by this one alone. */
  get leading(): boolean {
    return this.#core.tabs.leading;
  }

  // The account

  /** How one may sign in here. */
  providers(): Promise<Providers> {
    return this.#core.api.providers();
  }

  /** Makes an account and signs in. */
  async signUp(account: { username: string; password: string; invite?: string }): Promise<void> {
    if (this.#core.record?.device && !this.#core.record.removed) throw new BelfryError("another-account", "this store has a device of an account; sign out with forget first");
    await this.#core.api.signUp(account);
    await this.signIn({ username: account.username, password: account.password });
  }

  /**
   * Signs in, makes this device if there is none yet, and the keyring if it is the first.
   * `another-account` if the store has a device of somebody else: `replace` forgets that one.
   */
  async signIn(as: { username: string; password: string; replace?: boolean }): Promise<void> {
    const { username, password, replace = false } = as;
    const { token, userId } = await this.#core.api.signIn({ username, password });
    await this.#core.loadRecord();
    let { record } = this.#core;
    if (record?.device && record.userId !== userId && !replace) {
      await this.#core.api.signOut(token).catch(() => undefined);
      throw new BelfryError("another-account", `this store has a device of ${record.username}`);
    }
    this.#core.api.token = token;
    if (record !== null && (record.userId !== userId || !(await this.#isStillThere(record)))) {
      await this.#wipe();
      record = null;
    }
    const signedInAt = this.#core.now();
    await this.#core.saveRecord(
      record === null
        ? { userId, username, token, signedInAt, device: null, removed: false, subscribed: false, filters: [] }
        : { ...record, username, token, signedInAt, removed: false },
    );
    await this.#begin();
  }

  /** Signs in once more, for what needs a fresh sign-in. */
  async confirmPassword(password: string): Promise<void> {
    const { record } = this.#core;
    if (!record?.token) throw new BelfryError("wrong-state", "nobody is signed in");
    const { token, userId } = await this.#core.api.signIn({ username: record.username, password });
    if (userId !== record.userId) throw new BelfryError("server-lied", "the server signed in another account");
    if (record.device === null) {
      await this.#core.saveRecord({ ...record, token, signedInAt: this.#core.now() });
      await this.#begin();
      return;
    }
    // The sign-in that made the device ends with it, so that one stays in use; this one is for the moment.
    this.#dropFresh();
    const fresh = { token, until: this.#core.now() + FRESH_MS };
    this.#fresh = fresh;
    unref(setTimeout(() => {
      if (this.#fresh === fresh) this.#dropFresh();
    }, FRESH_MS));
  }

  /** Ends the sign-in. `forget` removes the device too and empties the store; it may throw `sign-in-again`. */
  async signOut(options: { forget?: boolean } = {}): Promise<void> {
    const { record, api } = this.#core;
    if (options.forget === true && record?.device && record.token !== null) {
      const fresh = this.#freshToken();
      if (fresh === null && this.#core.now() - record.signedInAt > FRESH_MS) throw new BelfryError("sign-in-again", "removing a device needs a sign-in of the last 10 minutes");
      // While this device can still write: the others get a new key, and this one is not trusted any more.
      const others = this.#keyring.info?.devices.some(({ current }) => !current) === true || this.#keyring.info?.recovery === true;
      if (others) await this.#devices.distrust(record.device.id);
      await this.#stopEverywhere();
      await api.removeDevice(record.device.id, fresh);
    }
    await this.#stopEverywhere();
    this.#dropFresh();
    if (record?.token) await api.signOut(record.token).catch(() => undefined);
    if (options.forget === true) await this.#wipe();
    else await this.#core.changeRecord({ token: null });
    await this.#signedOut(null);
  }

  me(): Promise<Account> {
    return this.#core.api.me();
  }

  /** Ends the other sign-ins, on all devices. */
  async changePassword(old: string, now: string): Promise<void> {
    const { record, api } = this.#core;
    if (record === null) throw new BelfryError("wrong-state", "nobody is signed in");
    try {
      await api.changePassword(old, now, null);
    } catch (error) {
      if (!(error instanceof BelfryError) || error.code !== "sign-in-again") throw error;
      const { token } = await api.signIn({ username: record.username, password: old });
      await api.changePassword(old, now, token);
      await this.#core.changeRecord({ token, signedInAt: this.#core.now() });
    }
    this.#fresh = null;
  }

  /** Seconds from 0 to 3600; `null` is the server's default. */
  setAwayGrace(seconds: number | null): Promise<void> {
    return this.#core.api.setAwayGrace(seconds);
  }

  /** Everything of the account, on the server and here. May throw `sign-in-again`. */
  async eraseAccount(): Promise<void> {
    await this.#core.api.eraseAccount(this.#freshToken());
    this.#fresh = null;
    await this.#stopEverywhere();
    await this.#wipe();
    await this.#signedOut(null);
  }

  /** Says `active` or `away` for this tab; the device is active while one of its tabs is. */
  setPresence(presence: Presence): void {
    const { tabs } = this.#core;
    tabs.note("presence", presence);
    this.#heardPresence(tabs.id, presence);
  }

  /** Connects again after another program took this device's connection over, or at once where a pause is running. */
  reconnect(): void {
    void this.#core.tabs.call("reconnect").catch(() => undefined);
  }

  /** Closes the connection and the store; the session goes on with the next `open`. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#presenceTimer);
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#core.tabs.note("presence", null);
    this.#dropFresh();
    await this.#stopLine();
    this.#core.tabs.close();
    this.#core.store.close();
  }

  // From the store to a state

  async #load(): Promise<void> {
    await this.#core.loadRecord();
    if (this.#core.record === null || this.#core.record.token === null) {
      this.#keyring.unload();
      this.#permissions.unload();
      this.#inbox.unload();
      return;
    }
    await this.#permissions.load();
    await this.#keyring.load();
    await this.#inbox.load();
  }

  #settle(): void {
    const { record } = this.#core;
    let state: State;
    if (record === null) state = { name: "signed-out", reason: null, username: null };
    else if (record.token === null) state = { name: "signed-out", reason: record.removed ? "removed" : this.#reason(), username: record.username };
    else if (record.device === null) state = { name: "no-device", userId: record.userId, username: record.username };
    else {
      const name = this.#keyring.contents === null ? "unlinked" : "ready";
      state = { name, userId: record.userId, username: record.username, deviceId: record.device.id };
    }
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    this.emit("state", state);
  }

  #reason(): SignedOutReason {
    return this.#state.name === "signed-out" ? this.#state.reason : null;
  }

  /** After a sign-in: a device, a keyring, a connection. */
  async #begin(): Promise<void> {
    if (this.#core.record?.device === null) {
      try {
        await this.#makeDevice(this.#core.record);
      } catch (error) {
        this.#settle();
        throw error;
      }
    }
    await this.#load();
    if (this.#keyring.contents === null && (await this.#core.api.keyring()) === null) await this.#keyring.begin();
    this.#settle();
    if (this.#core.tabs.leading) this.#startLine();
  }

  async #makeDevice(record: DeviceRecord): Promise<void> {
    const { deviceName, deviceKind } = this.#options;
    const kind = deviceKind ?? (typeof document === "undefined" ? "cli" : "browser");
    const name = deviceName ?? (kind === "browser" ? "Browser" : "Program");
    const key = await DeviceKey.make(this.#core.store.keepsCryptoKeys);
    const { id, password } = await this.#core.api.createDevice({ name, kind, publicKey: key.publicKey });
    const device = { id, password, name, kind, key: key.kept };
    try {
      await this.#core.saveRecord({ ...record, device });
    } catch {
      // A platform that makes such a key but cannot keep it.
      await this.#core.api.removeDevice(id, null).catch(() => undefined);
      const plain = await DeviceKey.make(false);
      const again = await this.#core.api.createDevice({ name, kind, publicKey: plain.publicKey });
      await this.#core.saveRecord({ ...record, device: { ...again, name, kind, key: plain.kept } });
    }
  }

  async #isStillThere(record: DeviceRecord): Promise<boolean> {
    if (record.device === null) return true;
    const { id, key } = record.device;
    const publicKey = base64url(key.publicKey);
    return (await this.#core.api.devices()).some((device) => device.id === id && device.publicKey === publicKey);
  }

  async #linked(): Promise<void> {
    this.#settle();
    await this.#permissions.refresh().catch(() => undefined);
    this.#core.tell("permissions", { changed: null });
    await this.#core.tabs.call("catchUp").catch(() => undefined);
  }

  async #wipe(): Promise<void> {
    await this.#core.store.write(TABLES.map((table) => ({ table, clear: true })));
    await this.#load();
    this.#core.tabs.note("record");
  }

  async #expired(): Promise<void> {
    if (this.#state.name === "signed-out" || this.#closed) return;
    await this.#stopEverywhere();
    await this.#core.changeRecord({ token: null });
    await this.#signedOut("expired");
  }

  async #removed(): Promise<void> {
    if (this.#state.name === "signed-out") return;
    await this.#stopEverywhere();
    await this.#core.changeRecord({ token: null, removed: true });
    await this.#signedOut("removed");
  }

  async #signedOut(reason: SignedOutReason): Promise<void> {
    await this.#load();
    this.#state = { name: "signed-out", reason, username: this.#core.record?.username ?? null };
    this.emit("state", this.#state);
    this.#core.tell("signedOut", { reason });
  }

  #freshToken(): string | null {
    return this.#fresh !== null && this.#fresh.until > this.#core.now() ? this.#fresh.token : null;
  }

  #dropFresh(): void {
    const fresh = this.#fresh;
    this.#fresh = null;
    if (fresh !== null) void this.#core.api.signOut(fresh.token).catch(() => undefined);
  }

  // The connection, in the leading tab

  async #lead(): Promise<void> {
    // What the one before did is in the store.
    await this.#load();
    this.#settle();
    this.#startLine();
  }

  #startLine(): void {
    const { record } = this.#core;
    if (this.#line !== null || this.#closed || !record?.device || record.token === null) return;
    const { id, password } = record.device;
    const prefix = `u/${record.userId}`;
    const line = new Line({
      dial: this.#options.platform?.dial ?? dialMqtt,
      random: this.#options.platform?.random ?? Math.random,
      subscribed: record.subscribed,
      leftover: record.filters,
      device: {
        url: `${this.server.replace(/^http/, "ws")}/mqtt`,
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
          this.#connected(connection);
        },
        onOpen: (resumed) => this.#open(resumed),
        onStopped: (why) => {
          if (why === "removed") void this.#removed();
        },
        onSubscribed: () => this.#core.changeRecord({ subscribed: true }),
      },
    });
    this.#line = line;
    line.start();
  }

  async #stopLine(): Promise<void> {
    const line = this.#line;
    this.#line = null;
    this.#inbox.send = null;
    await line?.stop();
  }

  /** Whichever tab has the connection. */
  async #stopEverywhere(): Promise<void> {
    if (!this.leading) this.#core.tabs.note("stop");
    await this.#stopLine();
  }

  readonly #hurry = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") this.#line?.hurry();
  };

  #connected(connection: Connection): void {
    if (connection !== "online") this.#inbox.send = null;
    if (connection === this.#connection) return;
    this.#connection = connection;
    this.#core.tabs.note("connection", connection);
    this.emit("connection", connection);
  }

  /** What may have been missed is read again; each part fails by itself. */
  async #open(resumed: boolean): Promise<void> {
    const line = this.#line;
    const { record } = this.#core;
    if (line === null || !record?.device) return;
    const topics = { seen: `u/${record.userId}/d/${record.device.id}/seen`, dismissed: `u/${record.userId}/x/dismissed` };
    this.#inbox.send = (kind, ids) => line.publish(topics[kind], JSON.stringify({ ids }));
    const said = this.#presence();
    if (said !== null) await this.#say(said).catch(() => undefined);
    this.#inbox.flush();
    await this.#keyring.refresh().catch(() => undefined);
    await this.#permissions.refresh().catch(() => undefined);
    this.#core.tell("permissions", { changed: null });
    this.#core.tell("devices", { changed: null });
    await this.#inbox.catchUp(resumed).catch(() => undefined);
  }

  async #incoming(prefix: string, { topic, payload }: Incoming): Promise<void> {
    if (topic.startsWith(`${prefix}/n/`)) await this.#inbox.receive(payload).then(() => this.#askForKeys());
    else if (topic === `${prefix}/events`) await this.#event(readJson(payload));
    else if (topic === `${prefix}/x/dismissed`) await this.#inbox.heardDismissed(readIds(readJson(payload)));
    else if (topic.startsWith(`${prefix}/x/`)) {
      this.#core.tabs.note("private", { topic, payload });
      this.#hear(topic, payload);
    }
  }

  #asking = false;

  /** The event that the keyring changed may have been lost. */
  #askForKeys(): void {
    if (this.#asking || !this.#inbox.isWaiting) return;
    this.#asking = true;
    void this.#keyring.refresh().catch(() => undefined).finally(() => {
      this.#asking = false;
    });
  }

  async #event(event: Record<string, unknown>): Promise<void> {
    const text = (name: string): string => (typeof event[name] === "string" ? event[name] : "");
    switch (event["event"]) {
      case "permission.revoked":
        await this.#inbox.withdrawPermission(text("permission"));
        this.#askForPermissions(text("permission"));
        return;
      case "permission.granted":
      case "permission.muted":
      case "permission.allowed":
        this.#askForPermissions(text("permission"));
        return;
      case "notification.seen":
        await this.#inbox.heardSeen(readIds(event));
        return;
      case "notification.withdrawn":
        await this.#inbox.withdraw([text("id")]);
        return;
      case "keyring.changed":
        void this.#keyring.refresh().catch(() => undefined);
        return;
      case "device.added":
      case "device.removed":
        if (event["event"] === "device.removed" && text("device") === this.#core.record?.device?.id) void this.#removed();
        else this.#core.tell("devices", { changed: text("device") });
        return;
      default:
        return;
    }
  }

  /** Not awaited: the next message need not wait for the server's list. */
  #askForPermissions(changed: string): void {
    void this.#permissions.refresh().catch(() => undefined).then(() => {
      this.#core.tell("permissions", { changed });
    });
  }

  // Presence

  #heardPresence(tab: string, presence: Presence | null): void {
    const before = this.#presence();
    if (presence === null) this.#presences.delete(tab);
    else this.#presences.set(tab, { presence, at: this.#core.now() });
    const now = this.#presence();
    if (now !== null && now !== before) void this.#say(now).catch(() => undefined);
    clearTimeout(this.#presenceTimer);
    const others = this.#presences.size > (this.#presences.has(this.#core.tabs.id) ? 1 : 0);
    if (others && now === "active") {
      this.#presenceTimer = setTimeout(() => {
        const later = this.#presence();
        if (later !== null) void this.#say(later).catch(() => undefined);
      }, PRESENCE_STALE_MS + 1);
      unref(this.#presenceTimer);
    }
  }

  /** `null`: none of the tabs ever said anything. */
  #presence(): Presence | null {
    const now = this.#core.now();
    let presence: Presence | null = null;
    for (const [tab, said] of this.#presences) {
      const holds = tab === this.#core.tabs.id || now - said.at <= PRESENCE_STALE_MS;
      if (said.presence === "active" && holds) return "active";
      presence = "away";
    }
    return presence;
  }

  async #say(presence: Presence): Promise<void> {
    const { record } = this.#core;
    if (this.#line?.open !== true || !record?.device) return;
    await this.#line.publish(`u/${record.userId}/d/${record.device.id}/presence`, presence);
  }

  // Between tabs

  #offerToTabs(): void {
    const { tabs } = this.#core;
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
    tabs.offer("loadOlder", (limit: number) => this.#inbox.loadOlder(limit));
    tabs.offer("catchUp", () => this.#inbox.catchUp(false));
    tabs.offer("reconnect", async () => {
      if (this.#line === null) this.#startLine();
      else {
        this.#line.start();
        this.#line.hurry();
      }
    });
  }

  async #noted(note: string, detail: unknown, tab: string): Promise<void> {
    switch (note) {
      case "event": {
        const { name, detail: told } = detail as { name: keyof BelfryEvents; detail: never };
        this.emit(name, told);
        return;
      }
      case "record": {
        await this.#load();
        this.#settle();
        if (this.#core.record?.token && this.#core.tabs.leading) this.#startLine();
        else if (!this.#core.record?.token) await this.#stopLine();
        return;
      }
      case "keyring": {
        await this.#keyring.load();
        this.#settle();
        if (this.#core.tabs.leading) await this.#inbox.keyringChanged();
        if (this.#keyring.info !== null) this.emit("keyring", this.#keyring.info);
        return;
      }
      case "permissions":
        return this.#permissions.load();
      case "messages":
        return this.#inbox.heardMessages(detail as string[]);
      case "outbox":
        if (this.#core.tabs.leading) this.#inbox.flush();
        return;
      case "settled":
        return this.#inbox.heardSettled();
      case "private": {
        const { topic, payload } = detail as { topic: string; payload: Uint8Array };
        this.#hear(topic, payload);
        return;
      }
      case "presence":
        this.#heardPresence(tab, detail as Presence | null);
        return;
      case "connection":
        if (!this.#core.tabs.leading && detail !== this.#connection) {
          this.#connection = detail as Connection;
          this.emit("connection", this.#connection);
        }
        return;
      case "stop":
        if (this.#core.tabs.leading) await this.#stopLine();
        return;
      default:
        return;
    }
  }

  #space(): PrivateSpace {
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

  #hear(topic: string, payload: Uint8Array): void {
    for (const heard of [...(this.#heard.get(topic) ?? [])]) heard(payload);
  }

  // What callers see

  #inboxFace(): Inbox {
    const inbox = this.#inbox;
    return {
      list: (query) => inbox.list(query),
      get: (id) => inbox.get(id),
      loadOlder: async (limit = OLDER_ITEMS) => {
        const { ids, done } = await this.#core.tabs.call<{ ids: string[]; done: boolean }>("loadOlder", limit);
        // In a tab that does not lead, after the note of them.
        await this.#notes;
        if (!this.leading) await inbox.heardMessages(ids);
        const messages = await Promise.all(ids.map((id) => inbox.get(id)));
        return { messages: messages.filter((message) => message !== null), done };
      },
      markSeen: (ids) => inbox.mark("seen", ids),
      dismiss: (ids) => inbox.mark("dismissed", ids),
      settled: () => inbox.settled(),
      stats: (days) => inbox.stats(days),
      unopened: () => inbox.unopened(),
    };
  }

  #permissionsFace(): Permissions {
    const permissions = this.#permissions;
    return {
      list: () => permissions.list(),
      approve: (origin, options) => permissions.approve(origin, options),
      mute: (id) => permissions.setState(id, "muted"),
      allow: (id) => permissions.setState(id, "allowed"),
      rename: (id, name) => permissions.rename(id, name),
      revoke: async (id) => {
        await permissions.revoke(id);
        await this.#inbox.withdrawPermission(id);
      },
      renew: (id, options) => permissions.renew(id, options),
    };
  }

  #keyringFace(): Keyring {
    const keyring = this.#keyring;
    const fingerprint = (): string => fingerprintOf(base64url(this.#core.own().key.publicKey));
    return {
      get info() {
        return keyring.info;
      },
      refresh: () => keyring.refresh(),
      setting: <T>(name: string) => keyring.setting(name) as T | null,
      setSetting: async (name, value) => {
        await keyring.change({
          edit: (contents, stamp) => {
            const before = Object.hasOwn(contents.settings, name) ? contents.settings[name] : undefined;
            contents.settings[name] = { ...before, value, changed: stamp(before) };
          },
        });
      },
      fingerprint,
    };
  }
}

function unref(timer: ReturnType<typeof setTimeout>): void {
  // Node's timers keep the process running, browsers' are numbers.
  (timer as { unref?: () => void }).unref?.();
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
  return Array.isArray(value["ids"]) ? value["ids"].filter((id) => typeof id === "string") : [];
}
