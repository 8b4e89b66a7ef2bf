//! The model over the SDK: signals that follow its events, actions that call it. Lists are read again
//! when an event says so, at most once in a short while, and a notification is shown before that.

import { Belfry, watchPresence, type Device as SdkDevice, type Message, type Permission, type State } from "@belfry/client";
import { batch, effect, signal } from "@preact/signals";
import { idleDetection } from "../idle.ts";
import { Failure, type Account, type Actions, type Alarm, type Connection, type Device, type Item, type Model, type Phase, type Site } from "../model.ts";
import type { QuietHours } from "../rules/quiet.ts";
import { DAYS } from "../rules/sparkline.ts";
import { text } from "../text.ts";
import { actionsOver } from "./actions.ts";
import { deviceName } from "./device-name.ts";
import { failureOf } from "./failure.ts";
import { alarmsOf, deviceOf, itemOf, siteOf } from "./views.ts";

/** As many as a device keeps. */
const ITEMS_MAX = 2000;
/** Events come in swarms; one reading serves those of this time. */
const GATHER_MS = 120;
/** Others come and go without an event of theirs. */
const DEVICES_EVERY_MS = 30_000;
const OLDER_ITEMS = 50;
const CALLED_OFFLINE_AFTER_MS = 4_000;
const CONNECTS_WITHIN_MS = 15_000;

export async function openModel(options: { connect?: boolean } = {}): Promise<Model> {
  const belfry = await Belfry.open({ server: location.origin, deviceName: deviceName(navigator.userAgent), deviceKind: "browser", connect: options.connect ?? true });
  const live = new Live(belfry);
  live.start(options.connect ?? true);
  return live;
}

class Live implements Model {
  readonly phase = signal<Phase>("starting");
  readonly connection = signal<Connection>("connecting");
  readonly account = signal<Account | null>(null);
  readonly items = signal<readonly Item[] | null>(null);
  readonly hasOlder = signal(true);
  readonly sites = signal<readonly Site[] | null>(null);
  readonly devices = signal<readonly Device[] | null>(null);
  readonly alarms = signal<readonly Alarm[]>([]);
  readonly quietHours = signal<QuietHours | null>(null);
  readonly recovery = signal<"none" | "made" | "stale">("none");
  readonly fingerprint = signal("");
  readonly unopened = signal(0);
  readonly trouble = signal<string | null>(null);
  readonly leading = signal(true);
  readonly ended = signal<"expired" | "removed" | null>(null);
  readonly actions: Actions;

  readonly #belfry: Belfry;
  readonly #arrivals = new Set<(item: Item) => void>();
  readonly #gone = new Set<(ids: readonly string[]) => void>();
  readonly #gathering = new Map<string, ReturnType<typeof setTimeout>>();
  #watches = true;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #sdkDevices: readonly SdkDevice[] = [];
  #sdkPermissions: readonly Permission[] = [];

  constructor(belfry: Belfry) {
    this.#belfry = belfry;
    this.actions = actionsOver(belfry, {
      sites: () => this.#readSites(),
      devices: () => this.#readDevices(),
      items: () => this.#readItems(),
      account: () => this.#readAccount(),
      older: () => this.#loadOlder(),
      keyring: () => this.#readKeyring(),
      everything: async () => {
        await this.#readAll(false);
        return this.trouble.value;
      },
      online: () => this.#online(),
      quietly: (read) => this.#quietly(read),
    });
  }

  start(watches: boolean): void {
    const belfry = this.#belfry;
    this.#watches = watches;
    belfry.on("state", (state) => this.#enter(state));
    belfry.on("connection", (connection) => this.#connected(connection));
    belfry.on("notification", ({ message, live }) => this.#arrived(message, live));
    belfry.on("seen", ({ ids }) => this.#mark(ids, { seen: true }));
    belfry.on("dismissed", ({ ids }) => this.#mark(ids, { seen: true, dismissed: true }));
    belfry.on("withdrawn", ({ ids }) => this.#withdrawn(ids));
    belfry.on("permissions", () => this.#soon("sites", () => this.#readSites()));
    belfry.on("devices", () => this.#soon("devices", () => this.#readDevices()));
    belfry.on("unopened", () => this.#soon("alarms", () => this.#readAlarms()));
    belfry.on("keyring", () => {
      this.#readKeyring();
      // Names and sites of what is listed come from it.
      this.#soon("sites", () => this.#readSites());
      this.#soon("devices", () => this.#readDevices());
      this.#soon("items", () => this.#readItems());
    });
    if (watches) {
      // The SDK looks once for Idle Detection, when it begins to watch.
      let stop = () => undefined as void;
      effect(() => {
        stop();
        if (idleDetection.value) stop = watchPresence(belfry);
      });
      setInterval(() => {
        if (this.phase.value === "ready" && document.visibilityState === "visible" && this.connection.value === "online") void this.#quietly(() => this.#readDevices());
      }, DEVICES_EVERY_MS);
    }
    this.#connected(belfry.connection);
    this.#enter(belfry.state);
  }

  onArrival(listener: (item: Item) => void): () => void {
    this.#arrivals.add(listener);
    return () => this.#arrivals.delete(listener);
  }

  onGone(listener: (ids: readonly string[]) => void): () => void {
    this.#gone.add(listener);
    return () => this.#gone.delete(listener);
  }

  #enter(state: State): void {
    const before = this.phase.value;
    batch(() => {
      this.phase.value = state.name;
      this.ended.value = state.name === "signed-out" ? state.reason : null;
      if (state.name === "signed-out") this.#forget();
      else this.account.value = { username: state.username, awayGrace: this.account.value?.awayGrace ?? null };
      if (state.name === "unlinked" || state.name === "ready") this.fingerprint.value = this.#belfry.keyring.fingerprint();
    });
    if (state.name === "ready" && before !== "ready") void this.#readAll(true);
  }

  #forget(): void {
    this.account.value = null;
    this.items.value = null;
    this.sites.value = null;
    this.devices.value = null;
    this.alarms.value = [];
    this.quietHours.value = null;
    this.recovery.value = "none";
    this.unopened.value = 0;
    this.trouble.value = null;
    this.hasOlder.value = true;
    this.#sdkDevices = [];
    this.#sdkPermissions = [];
  }

  #connected(connection: Connection): void {
    const before = this.connection.value;
    clearTimeout(this.#patience);
    if (connection !== "connecting" || before === "online") this.connection.value = connection === "offline" || navigator.onLine ? connection : "offline";
    // It goes on trying; but who waits this long is offline, whatever it is trying.
    if (connection === "connecting") this.#patience = setTimeout(() => (this.connection.value = "offline"), CALLED_OFFLINE_AFTER_MS);
    if (connection === "online" && before !== "online" && this.phase.value === "ready") void this.#readAll(false);
  }

  async #readAll(first: boolean): Promise<void> {
    this.#readKeyring();
    // The consent window shows no more than who is there and what the site has already.
    if (!this.#watches) {
      await Promise.all([this.#quietly(() => this.#readSites()), this.#quietly(() => this.#readAccount())]);
      return;
    }
    await this.#quietly(() => this.#readItems());
    await this.#quietly(() => this.#readSites());
    await Promise.all([this.#quietly(() => this.#readDevices()), this.#quietly(() => this.#readAccount())]);
    // A device that was just linked, or is empty, begins with the newest page of the history.
    if (this.items.value?.length === 0 && (first || this.hasOlder.value)) await this.#quietly(() => this.#loadOlder());
  }

  async #readItems(): Promise<void> {
    const { inbox } = this.#belfry;
    const [waiting, dismissed] = await Promise.all([inbox.list({ limit: ITEMS_MAX }), inbox.list({ limit: ITEMS_MAX, dismissed: true })]);
    this.items.value = [...waiting, ...dismissed].map(itemOf);
    this.leading.value = this.#belfry.leading;
    await this.#readAlarms();
  }

  async #readSites(): Promise<void> {
    this.#sdkPermissions = await this.#belfry.permissions.list();
    await this.#countSites();
  }

  /** What is counted here, of the sites as they were read last: the server is not asked at each notification. */
  async #countSites(): Promise<void> {
    const stats = await this.#belfry.inbox.stats(DAYS);
    this.sites.value = this.#sdkPermissions.map((permission) => siteOf(permission, stats, DAYS)).sort((a, b) => (b.lastUsed ?? b.created ?? 0) - (a.lastUsed ?? a.created ?? 0));
    await this.#readAlarms();
  }

  async #readDevices(): Promise<void> {
    let devices: readonly SdkDevice[];
    try {
      devices = await this.#belfry.devices.list();
    } catch (error) {
      // Nothing is kept of them: the page says so instead of waiting.
      this.devices.value ??= [];
      throw error;
    }
    this.#sdkDevices = devices;
    this.devices.value = devices.map(deviceOf).sort((a, b) => Number(b.self) - Number(a.self) || Number(b.online) - Number(a.online) || (b.lastSeen ?? 0) - (a.lastSeen ?? 0));
    await this.#readAlarms();
  }

  async #readAccount(): Promise<void> {
    const { username, awayGrace } = await this.#belfry.me();
    this.account.value = { username, awayGrace };
  }

  #readKeyring(): void {
    const { keyring } = this.#belfry;
    const info = keyring.info;
    batch(() => {
      this.recovery.value = !info?.recovery ? "none" : info.recoveryStale ? "stale" : "made";
      this.quietHours.value = keyring.setting<QuietHours>("quietHours");
    });
    this.#soon("alarms", () => this.#readAlarms());
  }

  async #readAlarms(): Promise<void> {
    const unopened = await this.#belfry.inbox.unopened();
    batch(() => {
      this.unopened.value = unopened.reduce((sum, { count }) => sum + count, 0);
      this.alarms.value = alarmsOf(this.#belfry.keyring.info, this.#sdkDevices, this.#sdkPermissions, unopened);
    });
  }

  async #loadOlder(): Promise<void> {
    const { done } = await this.#belfry.inbox.loadOlder(OLDER_ITEMS);
    this.hasOlder.value = !done;
    await this.#readItems();
    await this.#readSites();
  }

  #arrived(message: Message, live: boolean): void {
    const item = itemOf(message);
    const others = (this.items.value ?? []).filter((one) => one.id !== item.id);
    this.items.value = [item, ...others];
    this.leading.value = this.#belfry.leading;
    if (live) for (const listener of this.#arrivals) listener(item);
    const used = (one: Permission) => (one.id === item.permission ? { ...one, lastUsed: Math.max(one.lastUsed ?? 0, item.sent) } : one);
    this.#sdkPermissions = this.#sdkPermissions.map(used);
    this.#countSoon();
  }

  #mark(ids: readonly string[], change: { seen: true; dismissed?: true }): void {
    const marked = new Set(ids);
    this.items.value = this.items.value?.map((item) => (marked.has(item.id) ? { ...item, ...change } : item)) ?? null;
    for (const listener of this.#gone) listener(ids);
    this.#countSoon();
  }

  #withdrawn(ids: readonly string[]): void {
    const gone = new Set(ids);
    this.items.value = this.items.value?.filter((item) => !gone.has(item.id)) ?? null;
    for (const listener of this.#gone) listener(ids);
    this.#countSoon();
  }

  /** Linking goes over the connection: a page that has just opened waits for it a little. */
  async #online(): Promise<void> {
    if (this.#belfry.connection === "online") return;
    let late: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      this.#belfry.next("connection", (connection) => connection === "online"),
      new Promise((_, reject) => {
        late = setTimeout(() => reject(new Failure("offline", text.failure.offline)), CONNECTS_WITHIN_MS);
      }),
    ]).finally(() => clearTimeout(late));
  }

  #countSoon(): void {
    if (this.sites.value !== null) this.#soon("counts", () => this.#countSites());
  }

  #soon(what: string, read: () => Promise<void>): void {
    if (this.phase.value !== "ready" || this.#gathering.has(what)) return;
    this.#gathering.set(what, setTimeout(() => {
      this.#gathering.delete(what);
      void this.#quietly(read);
    }, GATHER_MS));
  }

  /** A reading that nobody asked for: it fails into the page's trouble, and what was there stays. */
  async #quietly(read: () => Promise<void>): Promise<void> {
    try {
      await read();
      this.trouble.value = null;
    } catch (error) {
      const failure = failureOf(error);
      // Being offline has a banner of its own.
      if (this.connection.value === "online" || failure.kind !== "offline") this.trouble.value = failure.message;
    }
  }
}
