/** A session: one device of one user, from the store to the connection. */
import { fingerprintOf, DeviceKey } from "./crypto/device-key.ts";
import { base64url } from "./crypto/bytes.ts";
import { BelfryError } from "./error.ts";
import { Emitter } from "./events.ts";
import type { BelfryOptions, Devices, Inbox, Keyring, Linking, Permissions, Recovery } from "./faces.ts";
import { Api } from "./net/api.ts";
import { Http } from "./net/http.ts";
import { dialMqtt } from "./net/mqtt.ts";
import { ConnectionRoom } from "./session/connection.ts";
import { Core, type DeviceRecord } from "./session/core.ts";
import { DevicesRoom } from "./session/devices.ts";
import { InboxRoom } from "./session/inbox.ts";
import { KeyringRoom } from "./session/keyring.ts";
import { LinkingRoom } from "./session/linking.ts";
import { PermissionsRoom } from "./session/permissions.ts";
import { RecoveryRoom } from "./session/recovery.ts";
import { browserTabs, Tabs } from "./session/tabs.ts";
import { TABLES, type Store } from "./storage.ts";
import { IndexedDbStore } from "./store/indexeddb.ts";
import { MemoryStore } from "./store/memory.ts";
import type { Account, BelfryEvents, Connection, Presence, Providers, SignedOutReason, State } from "./types.ts";

/** A little less than the server's 10 minutes. */
const FRESH_MS = 9 * 60 * 1000;
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
  readonly #connection: ConnectionRoom;
  readonly #linking: LinkingRoom;
  #state: State = { name: "signed-out", reason: null, username: null };
  #fresh: { token: string; until: number } | null = null;
  #notes: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: BelfryOptions, server: string, store: Store) {
    super();
    this.server = server;
    this.#options = options;
    const { fetch, tabs = browserTabs(), now = Date.now } = options.platform ?? {};
    const api = new Api(new Http(server, fetch ?? ((url, init) => globalThis.fetch(url, init))));
    api.onUnauthorized = () => void this.#expired().catch(() => undefined);
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
    this.#connection = new ConnectionRoom({
      core: this.#core,
      keyring: this.#keyring,
      inbox: this.#inbox,
      permissions: this.#permissions,
      dial: options.platform?.dial ?? dialMqtt,
      random: options.platform?.random ?? Math.random,
      onRemoved: () => void this.#removed().catch(() => undefined),
    });
    const linked = (): Promise<void> => this.#linked();
    this.#linking = new LinkingRoom(this.#core, this.#keyring, this.#connection.space(), linked);
    const recovery = new RecoveryRoom(this.#core, this.#keyring, linked);
    this.inbox = this.#inboxFace();
    this.devices = this.#devices;
    this.permissions = this.#permissionsFace();
    this.keyring = this.#keyringFace();
    this.linking = this.#linking;
    this.recovery = recovery;
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
        // A store that cannot be read now: the next tab, or the next start, tries again.
        void belfry.#lead().catch(() => undefined);
      });
      // The tab that leads says how the connection is: it is told of changes alone otherwise.
      belfry.#core.tabs.note("opened");
      globalThis.addEventListener?.("online", belfry.#hurry);
      globalThis.document?.addEventListener("visibilitychange", belfry.#hurry);
    }
    return belfry;
  }

  get state(): State {
    return this.#state;
  }

  get connection(): Connection {
    return this.#connection.connection;
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

  /** With the token of a reset link. Every session of its account ends; keys are not recovered. */
  async resetPassword(reset: { token: string; password: string }): Promise<void> {
    await this.#core.api.resetPassword(reset);
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
    await this.#core.loadRecord();
    let { record } = this.#core;
    const { token, userId } = await this.#core.api.signIn({ username, password }, record?.device ?? null);
    if (record?.device && record.userId !== userId && !replace) {
      await this.#core.api.signOut(token).catch(() => undefined);
      throw new BelfryError("another-account", `this store has a device of ${record.username}`);
    }
    this.#core.api.token = token;
    try {
      if (record !== null && (record.userId !== userId || !(await this.#isStillThere(record)))) {
        await this.#wipe();
        record = null;
      }
    } catch (error) {
      this.#core.api.token = record?.token ?? null;
      throw error;
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
    const { token, userId } = await this.#core.api.signIn({ username: record.username, password }, record.device);
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
      const { token } = await api.signIn({ username: record.username, password: old }, record.device);
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
    this.#connection.heardPresence(tabs.id, presence);
  }

  /** Connects again after another program took this device's connection over, or at once where a pause is running. */
  reconnect(): void {
    void this.#core.tabs.call("reconnect").catch(() => undefined);
  }

  /** Closes the connection and the store; the session goes on with the next `open`. */
  async close(): Promise<void> {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#core.tabs.note("presence", null);
    const forgotten = this.#linking.close();
    // Without a connection the requests stay until they expire.
    if (this.connection === "online") await forgotten;
    this.#dropFresh();
    await this.#connection.close();
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
    if (this.#core.tabs.leading) this.#connection.start();
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
    const there = (await this.#core.api.devices()).find((device) => device.id === id);
    // No reason to forget what this device has.
    if (there !== undefined && there.publicKey !== base64url(key.publicKey)) throw new BelfryError("server-lied", "the server lists this device with another key");
    return there !== undefined;
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

  /** The token is no good any more: it ran out or was ended, or it went with the device. */
  async #expired(): Promise<void> {
    if (this.#state.name === "signed-out" || this.#closed) return;
    const { device } = this.#core.record ?? {};
    if (device && !(await this.#core.api.knowsDevice(device.id, device.password).catch(() => true))) return this.#removed();
    // Meanwhile the connection may have been told.
    if ((this.#state as State).name === "signed-out") return;
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
    this.#connection.start();
  }

  /** Whichever tab has the connection. */
  async #stopEverywhere(): Promise<void> {
    if (!this.leading) this.#core.tabs.note("stop");
    await this.#connection.stop();
  }

  readonly #hurry = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") this.#connection.hurry();
  };

  // Between tabs

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
        if (this.#core.record?.token && this.#core.tabs.leading) this.#connection.start();
        else if (!this.#core.record?.token) await this.#connection.stop();
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
        this.#connection.hear(topic, payload);
        return;
      }
      case "presence":
        this.#connection.heardPresence(tab, detail as Presence | null);
        return;
      case "opened":
        if (this.leading) this.#core.tabs.note("connection", this.connection);
        return;
      case "connection":
        this.#connection.heardConnection(detail as Connection);
        return;
      case "stop":
        if (this.#core.tabs.leading) await this.#connection.stop();
        return;
      default:
        return;
    }
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
      mute: (id) => permissions.change(id, { state: "muted" }),
      allow: (id) => permissions.change(id, { state: "allowed" }),
      setReceipts: (id, receipts) => permissions.change(id, { receipts }),
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
      repair: () => keyring.repair(),
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
