//! Made-up sites, users and acts, enough of each that lists have more than a page.

import type { Apns, AuditRow, Ban, Invite, Node, Setting, Site, SiteDetail, Token, User, UserDetail } from "../model.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const start = Date.now();

/** Always the same for the same seed, so that pictures can be compared. */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

const VAPID = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM";

export const bans: Ban[] = [
  { id: "b1", kind: "site", value: "https://spam.example", label: "https://spam.example", reason: "Floods users who asked it to stop", author: "ada", created: start - 2 * DAY, ends: null, ended: false },
  { id: "b2", kind: "address", value: "203.0.113.0/24", label: "203.0.113.0/24", reason: "Guesses endpoints", author: "nightly script", created: start - 5 * HOUR, ends: start + 20 * HOUR, ended: false },
  { id: "b3", kind: "user", value: "u4", label: "mallory", reason: "Shares an account with a bot farm; see the ticket of 21 November, and ask before lifting", author: "ada", created: start - 9 * DAY, ends: start + 21 * DAY, ended: false },
  { id: "b4", kind: "vapid", value: VAPID, label: VAPID, reason: "", author: "grace", created: start - 40 * DAY, ends: null, ended: false },
  { id: "b5", kind: "address", value: "2001:db8:77::/64", label: "2001:db8:77::/64", reason: "Wrong passwords, thousands", author: "grace", created: start - 3 * HOUR, ends: start + 30 * MINUTE, ended: false },
  { id: "b6", kind: "site", value: "https://old.example", label: "https://old.example", reason: "Has been sold", author: "ada", created: start - 90 * DAY, ends: start - 60 * DAY, ended: true },
];

const named: [string, Partial<Site>][] = [
  ["https://ci.example", { permissions: 214, accepted: 88_412, refused: 12, registered: true, proven: true, lastUsed: start - 4_000 }],
  ["https://news.example", { permissions: 1871, accepted: 51_209, refused: 310, registered: true, proven: true, hasOwnLimits: true, lastUsed: start - 31_000 }],
  ["https://shop.example", { permissions: 96, accepted: 1204, registered: true, proven: false, lastUsed: start - 9 * MINUTE }],
  ["https://spam.example", { permissions: 44, accepted: 0, refused: 41_877, ban: bans[0]!, lastUsed: start - 2_000 }],
  ["https://home.example:8443", { permissions: 3, accepted: 311, lastUsed: start - 50 * MINUTE }],
  ["https://a-very-long-subdomain-name-that-goes-on.and-on.and-on.and-on.login.bank.example.evil.example", { permissions: 1, accepted: 2, lastUsed: start - 3 * DAY }],
  ["http://localhost:3000", { permissions: 1, accepted: 0, lastUsed: null }],
];
const rolled = dice(7);
export const sites: Site[] = [
  ...named.map(([site, more]) => siteOf(site, more)),
  ...Array.from({ length: 40 }, (_, at) => siteOf(`https://site-${String(at + 1).padStart(2, "0")}.example`, { permissions: Math.floor(rolled() * 90), accepted: Math.floor(rolled() * 900), refused: rolled() > 0.8 ? Math.floor(rolled() * 40) : 0, lastUsed: start - Math.floor(rolled() * 20 * DAY) })),
];

function siteOf(site: string, more: Partial<Site>): Site {
  return { site, permissions: 1, accepted: 0, refused: 0, lastUsed: null, registered: false, proven: false, ban: null, hasOwnLimits: false, ...more };
}

export function siteDetail(site: Site): SiteDetail {
  const own = site.hasOwnLimits;
  return {
    ...site,
    limits: [
      { name: "site_per_second", inForce: own ? 1200 : 600, own: own ? 1200 : null, otherwise: 600 },
      { name: "site_per_day", inForce: 5_000_000, own: null, otherwise: 5_000_000 },
      { name: "permission_per_minute", inForce: 60, own: null, otherwise: 60 },
      { name: "permission_burst", inForce: 20, own: null, otherwise: 20 },
    ],
    proof: site.registered ? "belfry-site=Zk3vT0o1Yw4a9b2cQ7mXrA" : null,
    apiKeys: site.registered ? [{ id: "k1", name: "newsletter", created: start - 60 * DAY, lastUsed: start - 4 * MINUTE }, { id: "k2", name: "staging", created: start - 3 * DAY, lastUsed: null }] : [],
    vapidKeys: site.accepted + site.refused > 1000
      ? [
          { key: VAPID, firstSeen: start - 200 * DAY, lastSeen: start - 2_000, registered: site.registered, proven: true },
          { key: VAPID.split("").reverse().join(""), firstSeen: start - 2 * DAY, lastSeen: start - 6 * HOUR, registered: false, proven: false },
        ]
      : [],
  };
}

const people = ["ada", "grace", "linus", "mallory", "eve", "margaret", "alan", "barbara", "edsger", "frances"];
const roll = dice(11);
export const users: User[] = [...people, ...Array.from({ length: 52 }, (_, at) => `person-${String(at + 1).padStart(2, "0")}`), "‮desrever and a very long name that goes on and on, as some do"].map((username, at) => ({
  id: `u${at + 1}`, username,
  role: at === 0 ? "admin" : at === 1 ? "viewer" : "none",
  created: start - Math.floor((0.2 + roll()) * 300 * DAY),
  lastSeen: at === 8 ? null : start - Math.floor(roll() ** 4 * 40 * DAY),
  devices: 1 + Math.floor(roll() * 4), connected: at === 8 ? 0 : roll() > 0.4 ? 1 : 0,
  permissions: Math.floor(roll() * 30), mailboxDepth: Math.floor(roll() ** 3 * 900), mailboxBytes: Math.floor(roll() ** 3 * 3_000_000),
  ban: username === "mallory" ? bans[2]! : null, hasOwnLimits: username === "linus",
}));

export function userDetail(user: User): UserDetail {
  return {
    ...user,
    limits: [
      { name: "mailbox_notifications", inForce: user.hasOwnLimits ? 5000 : 1000, own: user.hasOwnLimits ? 5000 : null, otherwise: 1000 },
      { name: "mailbox_bytes", inForce: 4 * 1024 * 1024, own: null, otherwise: 4 * 1024 * 1024 },
      { name: "unproven_per_second", inForce: 10, own: null, otherwise: 10 },
      { name: "devices_per_user", inForce: 20, own: null, otherwise: 20 },
      { name: "permissions_per_user", inForce: 1000, own: null, otherwise: 1000 },
    ],
    devicesByKind: user.devices > 1 ? { browser: user.devices - 1, android: 1 } : { browser: 1 },
    permissionsByState: { allowed: user.permissions, muted: user.permissions > 5 ? 2 : 0 },
    secondFactor: user.role === "admin",
  };
}

export const links: Invite[] = [
  { id: "l1", kind: "invite", about: null, author: "ada", created: start - 3 * HOUR, ends: start + 6 * DAY },
  { id: "l2", kind: "reset", about: "edsger", author: "ada", created: start - 20 * MINUTE, ends: start + 23 * HOUR },
];

const setting = (name: string, unit: Setting["unit"], configured: number, minimum: number, maximum: number, more: Partial<Setting> = {}): Setting => ({ name, unit, configured, set: null, inForce: more.set ?? configured, minimum, maximum, overrides: 0, ...more });

export const settings: Setting[] = [
  setting("limits.permission_per_minute", "count", 60, 1, 60_000),
  setting("limits.permission_burst", "count", 20, 1, 10_000),
  setting("limits.site_per_second", "count", 600, 1, 100_000, { set: 300, overrides: 1 }),
  setting("limits.site_per_day", "count", 5_000_000, 1, 1_000_000_000),
  setting("limits.unproven_per_second", "count", 10, 1, 10_000),
  setting("limits.unproven_address_per_second", "count", 100, 1, 100_000),
  setting("limits.mailbox_notifications", "count", 1000, 10, 100_000, { overrides: 1 }),
  setting("limits.mailbox_bytes", "bytes", 4 * 1024 * 1024, 65_536, 1024 ** 3),
  setting("limits.connections_per_address", "count", 1000, 1, 100_000),
  setting("limits.devices_per_user", "count", 20, 1, 1000),
  setting("limits.permissions_per_user", "count", 1000, 1, 100_000),
  setting("limits.accounts_per_hour", "count", 5, 1, 10_000),
  setting("retention.ttl_max", "seconds", 30 * 86_400, 60, 366 * 86_400),
  setting("retention.history", "seconds", 7 * 86_400, 0, 366 * 86_400),
  setting("retention.device_idle", "seconds", 0, 0, 3660 * 86_400),
  setting("retention.account_idle", "seconds", 0, 0, 3660 * 86_400),
  setting("retention.audit", "seconds", 0, 0, 3660 * 86_400, { set: 365 * 86_400 }),
];

export const apns: Apns = { configured: false, bundleIds: [], devices: 3, lastResult: null };

export const nodes: Node[] = [{
  id: "belfry-1", self: true, version: "0.6.0", started: start - 6 * DAY, seen: start - 1_000, ready: true, connections: 1204, memoryBytes: 214 * 1024 * 1024, diskFreeBytes: 31.4 * 1024 ** 3, diskBytes: 80 * 1024 ** 3,
  checks: [
    { name: "store", health: "ok", detail: "Answers in 0.4 ms." },
    { name: "mailbox", health: "ok", detail: "99 of 100 commits within 6 ms." },
    { name: "disk", health: "warning", detail: "61% full; at 95% nothing new is accepted." },
    { name: "bus", health: "ok", detail: "Embedded." },
  ],
}];

const HASHES = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const act = (n: number, minutes: number, actor: string, name: string, target: string | null, before: AuditRow["before"], after: AuditRow["after"], actorKind: AuditRow["actorKind"] = "account"): AuditRow => ({
  n, at: start - minutes * MINUTE, actor, actorKind, act: name, target, before, after, hash: HASHES.slice(n % 60) + HASHES.slice(0, n % 60),
});

export const audit: AuditRow[] = [
  act(71, 4, "ada", "limits.set", null, { "limits.site_per_second": 600 }, { "limits.site_per_second": 300 }),
  act(70, 180, "grace", "ban.create", "2001:db8:77::/64", null, { kind: "address", reason: "Wrong passwords, thousands", ends: "2026-11-26T01:00:00Z" }),
  act(69, 300, "nightly script", "ban.import", "203.0.113.0/24", null, { added: 1, changed: 0 }, "token"),
  act(68, 420, "ada", "user.role", "grace", { role: "none" }, { role: "viewer" }),
  act(67, 500, "mallory", "sign-in.failed", null, null, { address: "203.0.113.9" }),
  act(66, 1440, "ada", "token.create", "nightly script", null, { role: "admin", ends: null }),
  act(65, 2880, "ada", "ban.create", "https://spam.example", null, { kind: "site", reason: "Floods users who asked it to stop", ends: null }),
  act(64, 3000, "root", "setup-link", null, null, null, "operator"),
  ...Array.from({ length: 63 }, (_, at) => act(63 - at, 4000 + at * 600, at % 5 === 0 ? "grace" : "ada", ["sign-in", "user.create", "site.limits", "ban.lift", "user.invite"][at % 5]!, at % 5 === 0 ? null : `thing-${63 - at}`, at % 5 === 2 ? { site_per_second: null } : null, at % 5 === 2 ? { site_per_second: 900 } : null)),
];

export const tokens: Token[] = [
  { id: "t1", name: "nightly script", role: "admin", author: "ada", created: start - DAY, ends: null, lastUsed: start - 5 * HOUR, expired: false },
  { id: "t2", name: "dashboard on the wall", role: "viewer", author: "ada", created: start - 40 * DAY, ends: start + 50 * DAY, lastUsed: start - 20_000, expired: false },
  { id: "t3", name: "migration", role: "admin", author: "grace", created: start - 80 * DAY, ends: start - 50 * DAY, lastUsed: start - 51 * DAY, expired: true },
];
