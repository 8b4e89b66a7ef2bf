//! The dashboard over made-up data, for looking at each of its pages: `?demo=full`, `empty`, `error`, …
//! Only `build.mjs --demo` bundles it; it never ships.

import { signal } from "@preact/signals";
import { setupToken } from "../address.ts";
import { Failure, type Account, type AdminSession, type Asked, type Ban, type Changed, type Connection, type Figures, type Listed, type Model, type Passkey, type Phase, type Session } from "../model.ts";
import { text } from "../text.ts";
import * as data from "./data.ts";
import { figuresAt, seriesOf } from "./figures.ts";

const scene = new URLSearchParams(location.search).get("demo") ?? "full";
const quiet = scene === "empty";
const PAGE = 25;
const { start, DAY, HOUR, MINUTE } = data;

/** As the server would: searched, sorted, and a page of it. */
function listed<Item extends object>(items: readonly Item[], asked: Asked, words: (item: Item) => string): Listed<Item> {
  const wanted = (asked.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const found = items.filter((item) => wanted.every((word) => words(item).toLowerCase().includes(word)));
  const column = asked.sort?.replace(/^-/, "").replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const sign = asked.sort?.startsWith("-") ? -1 : 1;
  if (column) found.sort((a, b) => sign * compare((a as Record<string, unknown>)[column], (b as Record<string, unknown>)[column]));
  const from = Number(asked.cursor ?? 0);
  return { items: found.slice(from, from + PAGE), next: from + PAGE < found.length ? String(from + PAGE) : null };
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" || typeof b === "number") return Number(a ?? 0) - Number(b ?? 0);
  return String(a).localeCompare(String(b));
}

const CONSEQUENCES = {
  site: { connections: 0, permissions: 1871, vapidKeys: 2, sites: 1, users: 0, admins: 0 },
  vapid: { connections: 0, permissions: 44, vapidKeys: 1, sites: 2, users: 0, admins: 0 },
  user: { connections: 2, permissions: 14, vapidKeys: 0, sites: 0, users: 1, admins: 0 },
  address: { connections: 3, permissions: 0, vapidKeys: 0, sites: 0, users: 2, admins: 1 },
} as const;

export function openModel(): Promise<Model> {
  const settle = async <Value>(value: Value, ms = 200): Promise<Value> => {
    if (scene === "loading") await new Promise(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (scene === "error") throw new Failure("offline", text.offline);
    return value;
  };
  const phases: Record<string, Phase> = { "signed-out": "signed-out", expired: "signed-out", starting: "starting", broken: "broken" };
  const phase = signal<Phase>(setupToken.value !== null ? "setting-up" : (phases[scene] ?? "ready"));
  const session = signal<Session | null>({ username: "ada", role: scene === "viewer" ? "viewer" : "admin", expires: start + 11 * HOUR });
  const connection = signal<Connection>(scene === "offline" || scene === "error" ? "offline" : scene === "loading" ? "connecting" : "online");
  const figures = signal<Figures | null>(scene === "loading" || scene === "error" ? null : figuresAt(Date.now(), quiet));
  if (figures.value) setInterval(() => (figures.value = figuresAt(Date.now(), quiet)), 2000);
  const changes = signal<Record<Changed, number>>({ sites: 0, users: 0, bans: 0, limits: 0, audit: 0, tokens: 0, nodes: 0, account: 0 });
  const changed = (...what: Changed[]) => {
    const next = { ...changes.value };
    for (const one of [...what, "audit" as const]) next[one] += 1;
    changes.value = next;
  };
  setupToken.subscribe((token) => {
    if (token === null && phase.peek() === "setting-up") phase.value = "signed-out";
  });

  const none = <Item>(items: readonly Item[]): Item[] => (quiet ? [] : [...items]);
  let bans = none(data.bans);
  let sites = none(data.sites);
  let users = quiet ? data.users.slice(0, 1) : [...data.users];
  let links = none(data.links);
  let settings = quiet ? data.settings.map((one) => ({ ...one, set: null, inForce: one.configured, overrides: 0 })) : [...data.settings];
  let tokens = none(data.tokens);
  const own = new Map<string, Record<string, number | null>>();
  let isFresh = scene !== "again";
  let account: Account = { username: "ada", role: session.value!.role, totpSince: quiet ? null : start - 40 * DAY, passkeys: quiet ? [] : [{ id: "p1", name: "laptop", created: start - 40 * DAY, lastUsed: start - 3 * HOUR }] };
  let sessions: AdminSession[] = [
    { id: "s1", current: true, created: start - HOUR, lastUsed: start - 2_000, address: "198.51.100.4", client: "Firefox on Linux" },
    ...(quiet ? [] : [{ id: "s2", current: false, created: start - 9 * HOUR, lastUsed: start - 25 * MINUTE, address: "2001:db8:4:1::/64", client: "Safari on iPhone" }]),
  ];
  let last = 100;
  const id = () => `x${(last += 1)}`;
  const freshly = () => {
    if (!isFresh) throw new Failure("again", "");
  };
  const banOf = (kind: Ban["kind"], value: string) => bans.find((ban) => !ban.ended && ban.kind === kind && ban.value === value) ?? null;
  const limited = <Detail extends { limits: readonly { name: string; inForce: number; own: number | null; otherwise: number }[] }>(detail: Detail, name: string): Detail => {
    const values = own.get(name) ?? {};
    return { ...detail, limits: detail.limits.map((limit) => (limit.name in values ? { ...limit, own: values[limit.name] ?? null, inForce: values[limit.name] ?? limit.otherwise } : limit)) };
  };

  return Promise.resolve({
    phase, session, connection, figures, changes,
    ended: signal(scene === "expired" ? ("expired" as const) : null),
    reads: {
      series: (metrics, span) => settle(seriesOf(metrics, span, quiet)),
      sites: (asked) => settle(listed(sites.map((site) => ({ ...site, ban: banOf("site", site.site) })), asked, (site) => site.site)),
      site: async (name) => {
        const site = sites.find((one) => one.site === name);
        if (!site) throw new Failure("missing", text.sites.gone);
        return settle(limited(data.siteDetail({ ...site, ban: banOf("site", name) }), name));
      },
      users: (asked) => settle(listed(users.map((user) => ({ ...user, ban: banOf("user", user.id) })), asked, (user) => user.username)),
      user: async (name) => {
        const user = users.find((one) => one.id === name);
        if (!user) throw new Failure("missing", text.users.gone);
        return settle(limited(data.userDetail({ ...user, ban: banOf("user", name) }), name));
      },
      links: () => settle({ items: links, next: null }),
      bans: (asked) => settle(listed(bans.filter((ban) => (asked.ended || !ban.ended) && (!asked.kind || ban.kind === asked.kind)), asked, (ban) => `${ban.label} ${ban.reason} ${ban.author}`)),
      consequence: (draft) => {
        if (draft.kind === "address" && !/^[0-9a-f.:/]+$/i.test(draft.value)) return settle(null).then(() => { throw new Failure("refused", "This is neither an address nor a range.", "value"); });
        return settle({ ...CONSEQUENCES[draft.kind], admins: draft.value === "u1" ? 1 : CONSEQUENCES[draft.kind].admins });
      },
      bansCsv: () => settle(["kind,value,reason,ends", ...bans.map((ban) => `${ban.kind},${ban.value},"${ban.reason}",`)].join("\r\n")),
      limits: () => settle(settings),
      removals: (instead = {}) => settle(settings.filter((one) => one.name.startsWith("retention.")).map((one) => {
        const value = instead[one.name] ?? one.inForce;
        const shorter = value > 0 && (instead[one.name] ?? Infinity) < one.inForce;
        return { name: one.name, notifications: shorter && /ttl|history/.test(one.name) ? 18_204 : 0, bytes: shorter ? 21_400_000 : 0, devices: value > 0 && one.name.endsWith("device_idle") ? 17 : 0, users: value > 0 && one.name.endsWith("account_idle") ? 4 : 0, rows: !quiet && one.name.endsWith("audit") && value > 0 ? 12 : 0 };
      })),
      apns: () => settle(scene === "apns" ? { configured: true, bundleIds: ["org.example.belfry"], devices: 31, lastResult: { at: start - 4 * MINUTE, ok: true, detail: "200" } } : quiet ? { ...data.apns, devices: 0 } : data.apns),
      nodes: () => settle(quiet ? [] : data.nodes),
      audit: (asked) => settle(listed(none(data.audit).filter((row) => !asked.act || row.act.startsWith(asked.act)), asked, (row) => `${row.actor} ${row.act} ${row.target ?? ""}`)),
      auditNdjson: () => settle(data.audit.map((row) => JSON.stringify(row)).join("\n")),
      tokens: () => settle({ items: tokens, next: null }),
      trace: async (message) => {
        await settle(null);
        if (!message.includes("/message/")) throw new Failure("missing", "No message has this address, or it is too long ago.");
        return { site: "https://ci.example", urgency: "high", bytes: 1204, expires: start + 2 * DAY, milestones: [{ what: "accepted", at: start - 9 * MINUTE }, { what: "stored", at: start - 9 * MINUTE + 5 }, { what: "delivered", at: start - 9 * MINUTE + 83 }] };
      },
      account: () => settle(account),
      sessions: () => settle({ items: sessions, next: null }),
    },
    actions: {
      signIn: async (username) => {
        await settle(null);
        if (username === "ada") return ["totp", "passkey"];
        if (username === "grace") {
          phase.value = "ready";
          return [];
        }
        throw new Failure("refused", "The name or the password is not right.");
      },
      signInWithCode: async (code) => {
        await settle(null);
        if (code !== "123456") throw new Failure("refused", "This code is not right. Codes change every 30 seconds.");
        phase.value = "ready";
      },
      signInWithPasskey: async () => {
        await settle(null);
        throw new Failure("refused", text.account.passkeyRefused);
      },
      signInAgain: async () => {
        isFresh = true;
      },
      setUp: async (username) => {
        await settle(null);
        if (setupToken.value === "old") throw new Failure("refused", text.setUp.gone);
        if (username.length < 2) throw new Failure("refused", "A name has at least two characters.", "username");
        phase.value = "ready";
      },
      signOut: async () => {
        await settle(null);
        phase.value = "signed-out";
      },
      retry: () => (phase.value = "ready"),

      setSiteLimits: async (site, limits) => {
        await settle(null);
        own.set(site, { ...own.get(site), ...limits });
        changed("sites");
      },
      registerSite: async (site) => {
        await settle(null);
        sites = [{ site, permissions: 0, accepted: 0, refused: 0, lastUsed: null, registered: true, proven: false, ban: null, hasOwnLimits: false }, ...sites.filter((one) => one.site !== site)];
        changed("sites");
      },
      unregisterSite: async (site) => {
        await settle(null);
        sites = sites.map((one) => (one.site === site ? { ...one, registered: false, proven: false } : one));
        changed("sites");
      },
      verifySite: async (site) => {
        await settle(null);
        if (site === "https://shop.example") return { proven: false, detail: "There is no text at https://shop.example/.well-known/belfry-site (404), and _belfry-site.shop.example has no TXT record." };
        sites = sites.map((one) => (one.site === site ? { ...one, proven: true } : one));
        changed("sites");
        return { proven: true, detail: "Found." };
      },
      registerVapid: async () => {
        await settle(null);
        changed("sites");
      },
      forgetVapid: async () => {
        await settle(null);
        changed("sites");
      },
      makeApiKey: async () => {
        changed("sites");
        return settle("belfry_site_mR2x0YkqZ7v1mE2Qb5zL0fVt9aJw3cHs");
      },
      endApiKey: async () => {
        await settle(null);
        changed("sites");
      },

      createUser: async (username, password, role) => {
        await settle(null);
        if (users.some((user) => user.username === username)) throw new Failure("refused", "This name is taken: choose another.", "username");
        if (password.length < 8) throw new Failure("refused", "A password has at least 8 characters.", "password");
        users = [...users, { id: id(), username, role, created: Date.now(), lastSeen: null, devices: 0, connected: 0, permissions: 0, mailboxDepth: 0, mailboxBytes: 0, ban: null, hasOwnLimits: false }];
        changed("users");
      },
      makeInvite: async (ends) => settle({ link: `${location.origin}/#invite=mR2x0YkqZ7v1mE2Qb5zL0fVt9aJw3cHsN4pTgD8uXyo`, ends }),
      makeReset: async () => {
        freshly();
        return settle({ link: `${location.origin}/#reset=mR2x0YkqZ7v1mE2Qb5zL0fVt9aJw3cHsN4pTgD8uXyo`, ends: Date.now() + DAY });
      },
      endLink: async (link) => {
        await settle(null);
        links = links.filter((one) => one.id !== link);
        changed("users");
      },
      setRole: async (user, role) => {
        await settle(null);
        freshly();
        if (user === "u1" && role !== "admin") throw new Failure("refused", "This is the last admin of the server.");
        users = users.map((one) => (one.id === user ? { ...one, role } : one));
        changed("users");
      },
      setUserLimits: async (user, limits) => {
        await settle(null);
        own.set(user, { ...own.get(user), ...limits });
        changed("users");
      },
      disconnect: () => settle(1),

      ban: async (draft) => {
        await settle(null);
        if (banOf(draft.kind, draft.value)) throw new Failure("refused", "This is blocked already.", "value");
        const label = draft.kind === "user" ? (users.find((user) => user.id === draft.value)?.username ?? draft.value) : draft.value;
        const made: Ban = { ...draft, id: id(), label, author: "ada", created: Date.now(), ended: false };
        bans = [made, ...bans];
        changed("bans");
        return made;
      },
      changeBan: async (ban, change) => {
        await settle(null);
        bans = bans.map((one) => (one.id === ban ? { ...one, ...change } : one));
        changed("bans");
      },
      liftBan: async (ban) => {
        await settle(null);
        bans = bans.map((one) => (one.id === ban ? { ...one, ended: true, ends: Date.now() } : one));
        changed("bans");
      },
      importBans: async (csv) => {
        await settle(null);
        const lines = csv.trim().split(/\r?\n/).slice(1);
        const problems = lines.flatMap((line, at) => (/^(site|vapid|user|address),[^,]+/.test(line) ? [] : [{ line: at + 2, detail: "the kind is not one of site, vapid, user, address" }]));
        return { added: lines.length - problems.length, changed: 0, unchanged: 0, problems };
      },

      setLimits: async (limits) => {
        await settle(null);
        settings = settings.map((one) => (one.name in limits ? { ...one, set: limits[one.name] ?? null, inForce: limits[one.name] ?? one.configured } : one));
        changed("limits");
      },
      testApns: () => settle("Apple took it (200)."),
      verifyAudit: () => settle(scene === "tampered" ? { rows: 71, ok: false, brokenAt: 43, head: data.audit[0]!.hash } : { rows: 71, ok: true, brokenAt: null, head: data.audit[0]!.hash }),
      makeToken: async (name, role, ends) => {
        await settle(null);
        freshly();
        tokens = [{ id: id(), name, role, author: "ada", created: Date.now(), ends, lastUsed: null, expired: false }, ...tokens];
        changed("tokens");
        return "belfry_admin_mR2x0YkqZ7v1mE2Qb5zL0fVt9aJw3cHsN4pTgD8uXyo";
      },
      endToken: async (token) => {
        await settle(null);
        tokens = tokens.filter((one) => one.id !== token);
        changed("tokens");
      },

      changePassword: async (before) => {
        await settle(null);
        if (before === "wrong") throw new Failure("refused", "The current password is not right.", "old");
      },
      offerTotp: async () => settle({ secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: "otpauth://totp/Belfry:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Belfry" }),
      confirmTotp: async (code) => {
        await settle(null);
        if (code !== "123456") throw new Failure("refused", "This code is not right. Is the clock of the phone right?", "code");
        account = { ...account, totpSince: Date.now() };
        changed("account");
      },
      endTotp: async () => {
        await settle(null);
        account = { ...account, totpSince: null };
        changed("account");
      },
      addPasskey: async (name) => {
        await settle(null);
        const added: Passkey = { id: id(), name, created: Date.now(), lastUsed: null };
        account = { ...account, passkeys: [...account.passkeys, added] };
        changed("account");
      },
      endPasskey: async (passkey) => {
        await settle(null);
        account = { ...account, passkeys: account.passkeys.filter((one) => one.id !== passkey) };
        changed("account");
      },
      endSession: async (ended) => {
        await settle(null);
        sessions = sessions.filter((one) => one.id !== ended);
        changed("account");
      },
      signOutEverywhere: async () => {
        await settle(null);
        phase.value = "signed-out";
      },
    },
  });
}
