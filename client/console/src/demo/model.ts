//! The console over made-up data, for looking at each of its pages: `?demo=full`, `empty`, `error`, …
//! Only `build.mjs --demo` bundles it; it never ships.

import { signal } from "@preact/signals";
import { Failure, type Account, type Actions, type Alarm, type Connection, type Device, type Item, type Model, type Phase, type Site } from "../model.ts";
import type { QuietHours } from "../rules/quiet.ts";
import { text } from "../text.ts";

const scene = new URLSearchParams(location.search).get("demo") ?? "full";
const full = ["full", "error", "hostile", "offline", "alarm", "again"].includes(scene);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const start = Date.now();
const DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg==";

const item = (id: number, permission: string, site: string, minutes: number, title: string, body: string, more: Partial<Item> = {}): Item => ({
  id: `n${id}`, seq: 1000 - id, permission, site, name: "", sent: start - minutes * MINUTE, urgency: "normal", seen: false, dismissed: false, title, body, actions: [], ...more,
});

const plainItems: Item[] = [
  item(1, "ci", "https://ci.example", 2, "Build failed on main", "3 tests are red in the storage crate. The last green build was 41 minutes ago.", { urgency: "high", url: "https://ci.example/42", actions: [{ title: "Log", url: "https://ci.example/42/log" }] }),
  item(2, "ci", "https://ci.example", 38, "Build passed on feature/inbox", "All 812 tests are green in 4 min 12 s.", { seen: true, url: "https://ci.example/41" }),
  item(3, "news", "https://news.example", 11, "Storm warning for the coast tonight", "Gusts of up to 110 km/h are expected between 22:00 and 04:00. Ferries are cancelled until further notice; trains run with delays. Secure what stands outside, keep away from the shore, and check on neighbours who live alone. The next bulletin is due at eight in the evening.", { url: "https://weather.example/coast", icon: DOT }),
  item(4, "news", "https://news.example", 95, "The library opens on Sundays again", "From December, ten to four.", { seen: true, url: "https://news.example/library" }),
  item(5, "shop", "https://shop.example", 240, "Your parcel is on its way", "It should be with you tomorrow between 9 and 12.", { seen: true, name: "Bookshop" }),
  ...Array.from({ length: 8 }, (_, at) => item(20 + at, "home", "https://home.example:8443", 300 + at * 70, `The washing machine has finished (${at + 1})`, "", { seen: true })),
  item(40, "ci", "https://ci.example", 3000, "Nightly build passed", "", { seen: true, dismissed: true }),
  item(41, "quiet", "https://deals.example", 50, "Only today: everything must go", "Seventy percent off.", {}),
];

const hostileItems: Item[] = [
  item(1, "x", "https://evil.example", 1, "<img src=x onerror=alert(1)><script>alert(2)</script>", "<b>bold?</b> &lt;i&gt; javascript:alert(3) \u202egnp.exe", { url: "javascript:alert(4)", icon: "https://evil.example/track.png", actions: [{ title: "<u>x</u>", url: "https://login.bank.example/very/long" }] }),
  item(2, "x", "https://evil.example", 2, "W".repeat(4000), "verylongwordwithoutanyspace".repeat(200)),
  item(3, "x", "https://evil.example", 3, "שלום עולם — a title in two directions", "مرحبا بالعالم 123 (abc)\nsecond line\n\n\n\n\nthird\nfourth\nfifth", { name: "‮evil name" }),
  item(4, "x", "https://evil.example", 4, `Z${"\u0321\u0322\u0334\u0338".repeat(60)}algo`, `${"👩‍👩‍👧‍👦".repeat(120)}`),
  item(5, "x", "https://a-very-long-subdomain-name-that-goes-on.and-on.and-on.and-on.login.bank.example.evil.example", 5, "", ""),
];

const counts = (seed: number) => Array.from({ length: 14 }, (_, at) => Math.max(0, Math.round(4 + 4 * Math.sin(at * seed) + ((at * seed * 7) % 3) - 2)));
const site = (permission: string, address: string, more: Partial<Site> = {}): Site => ({
  permission, site: address, name: "", state: "allowed", accepted: 128, lastUsed: start - 11 * MINUTE, created: start - 60 * DAY, receipts: false, renew: false, pinned: false, hasKeys: true, unseen: 0, perDay: counts(1.3), ...more,
});
const allSites: Site[] = [
  site("ci", "https://ci.example", { pinned: true, receipts: true, unseen: 1, accepted: 1204, lastUsed: start - 2 * MINUTE, perDay: counts(0.7) }),
  site("news", "https://news.example", { unseen: 1, name: "Morning paper" }),
  site("shop", "https://shop.example", { name: "Bookshop", renew: true, accepted: 7, perDay: counts(2.1) }),
  site("home", "https://home.example:8443", { accepted: 311, perDay: counts(0.4) }),
  site("quiet", "https://deals.example", { state: "muted", accepted: 44, perDay: counts(3.3) }),
  site("none", "http://localhost:3000", { accepted: 0, lastUsed: null, created: start - 5 * MINUTE, perDay: new Array<number>(14).fill(0) }),
  ...(scene === "alarm" ? [site("lost", "https://old.example", { hasKeys: false })] : []),
];
const PRINT = "7K2M QX4D ZR5A 3WNE 6TBY HJ2C LP7V";
const device = (id: string, name: string, kind: string, more: Partial<Device> = {}): Device => ({
  id, name, kind, online: false, presence: null, lastSeen: start - 3 * DAY, urgencyMin: "very-low", self: false, trusted: true, fingerprint: PRINT.split("").reverse().join(""), ...more,
});
const allDevices: Device[] = [
  device("d1", "Firefox on Linux", "browser", { online: true, presence: "active", self: true, fingerprint: PRINT }),
  device("d2", "Pixel in the pocket", "android", { online: true, presence: "away" }),
  device("d3", "nightly script", "cli", { lastSeen: null, urgencyMin: "high" }),
  device("d4", "Chromium on the laptop", "browser"),
  ...(scene === "alarm" ? [device("d5", "Unknown browser", "browser", { trusted: false, fingerprint: "", lastSeen: start - MINUTE })] : []),
];
const alarms: Alarm[] = [
  { kind: "keyring-rolled-back", about: null, count: 1 },
  { kind: "device-key", about: "Pixel in the pocket", count: 1 },
  { kind: "downgraded", about: null, count: 3 },
];

const phases: Record<string, Phase> = { "signed-out": "signed-out", expired: "signed-out", unlinked: "unlinked", "no-device": "no-device", starting: "starting" };

export function openModel(_options: { connect?: boolean } = {}): Promise<Model> {
  const refuses = scene === "error";
  const settle = async <T,>(value: T, ms = 350): Promise<T> => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (refuses) throw new Failure("offline", "The server cannot be reached. Check your connection and try again.");
    return value;
  };
  const phase = signal<Phase>(phases[scene] ?? "ready");
  const items = signal<readonly Item[] | null>(scene === "loading" ? null : scene === "hostile" ? hostileItems : full ? plainItems : []);
  const sites = signal<readonly Site[] | null>(scene === "loading" ? null : full ? allSites : []);
  const devices = signal<readonly Device[] | null>(scene === "loading" ? null : full ? allDevices : allDevices.slice(0, 1));
  const account = signal<Account | null>({ username: "ada", awayGrace: 30 });
  const quietHours = signal<QuietHours | null>(full ? { from: "22:00", to: "07:00" } : null);
  const recovery = signal<"none" | "made" | "stale">(scene === "alarm" ? "stale" : full ? "made" : "none");
  let isFresh = false;
  const listeners = new Set<(item: Item) => void>();
  const change = (ids: readonly string[], more: Partial<Item>) => {
    items.value = (items.value ?? []).map((one) => (ids.includes(one.id) ? { ...one, ...more } : one));
  };
  const arrive = (one: Item) => {
    items.value = [one, ...(items.value ?? [])];
    for (const listener of listeners) listener(one);
  };
  const JSON_OF = JSON.stringify({ endpoint: `${location.origin}/push/zvUP1n28kIGo5Kt2zWhvdMi9w_UzRs-7dboMS_o`, expirationTime: null, keys: { p256dh: `B${"x".repeat(86)}`, auth: "BTBZMqHH6r4Tts7J_aSIgg", x25519: "V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE" } }, null, 2);
  const actions: Actions = {
    signInOffer: async () => ({ open: true, oidc: scene === "signed-out" ? "/oidc" : null }),
    signUp: async () => { throw new Failure("refused", "This name is taken: choose another.", "username"); },
    signIn: async (username) => {
      await settle(null);
      if (username === "eve") throw new Failure("another-account", "");
      throw new Failure("refused", "The name or the password is not right.");
    },
    signInAgain: async () => {
      isFresh = true;
    },
    signOut: () => settle(undefined),
    changePassword: () => settle(undefined),
    eraseAccount: () => settle(undefined),
    resetPassword: async (token) => {
      await settle(null);
      if (token === "old") throw new Failure("refused", text.reset.gone);
    },
    offerLink: async () => ({ code: "XKQ2-7M4D-RT5A-3WNE-6TBY-HJ2C-LP7V-QX4D", address: `${location.origin}/#link=XKQ2-7M4D-RT5A-3WNE-6TBY-HJ2C-LP7V-QX4D`, expires: Date.now() + 9.5 * MINUTE, done: new Promise(() => undefined), cancel: () => undefined }),
    recover: async () => { throw new Failure("refused", "These are not the words of this account's recovery phrase. Check the spelling and the order."); },
    readLinkRequest: async (code) => {
      await settle(null);
      if (code.length < 30) throw new Failure("refused", "There is a slip in this code. Compare it with the one on the other device.");
      return { name: "Safari on a tablet", kind: "browser", fingerprint: PRINT, approve: () => settle(undefined), decline: async () => undefined };
    },
    refresh: () => settle(undefined),
    readSites: async () => undefined,
    markSeen: async (ids) => change(ids, { seen: true }),
    dismiss: async (ids) => change(ids, { seen: true, dismissed: true }),
    loadOlder: () => settle(undefined),
    approve: () => settle(JSON_OF),
    renew: () => settle(JSON_OF),
    setMuted: async (permission, muted) => {
      await settle(null, 100);
      sites.value = (sites.value ?? []).map((one) => (one.permission === permission ? { ...one, state: muted ? "muted" : "allowed" } : one));
    },
    setReceipts: async (permission, receipts) => {
      await settle(null, 100);
      sites.value = (sites.value ?? []).map((one) => (one.permission === permission ? { ...one, receipts } : one));
    },
    renameSite: () => settle(undefined),
    revoke: async (permission) => {
      await settle(null);
      sites.value = (sites.value ?? []).filter((one) => one.permission !== permission);
    },
    sendTest: async (title, body, onPost) => {
      await settle(null);
      onPost();
      setTimeout(() => arrive(item(99, "none", location.origin, 0, title, body)), 74);
    },
    renameDevice: () => settle(undefined),
    setUrgencyMin: () => settle(undefined),
    removeDevice: async (id) => {
      if (scene === "again" && !isFresh) throw new Failure("again", "");
      await settle(null);
      devices.value = (devices.value ?? []).filter((one) => one.id !== id);
    },
    makeRecoveryPhrase: () => settle("legal winner thank year wave sausage worth useful legal winner thank yellow"),
    checkKeyring: () => settle(undefined),
    setQuietHours: async (hours) => {
      await settle(null, 100);
      quietHours.value = hours;
    },
    setAwayGrace: async (awayGrace) => {
      account.value = { username: "ada", awayGrace };
    },
  };
  return Promise.resolve({
    phase, items, sites, devices, account, quietHours, recovery, actions,
    connection: signal<Connection>(scene === "offline" ? "offline" : scene === "error" ? "connecting" : "online"),
    hasOlder: signal(full),
    alarms: signal(scene === "alarm" ? alarms : []),
    fingerprint: signal(PRINT),
    unopened: signal(scene === "alarm" ? 3 : 0),
    trouble: signal(refuses ? "The server cannot be reached. Check your connection and try again." : null),
    leading: signal(true),
    ended: signal(scene === "expired" ? "expired" : null),
    onArrival: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onGone: () => () => undefined,
  });
}
