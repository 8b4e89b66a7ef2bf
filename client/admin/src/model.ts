//! What the pages of the dashboard know and can ask for, in their own words. `live/` answers over
//! `/admin/v1`, `demo/` with made-up data. Times are milliseconds since 1970. Nothing here names what a
//! notification says, an endpoint, or which site a user approved.

import type { ReadonlySignal } from "@preact/signals";

export { Failure } from "belfry-ui/failure.ts";

/** Where somebody stands: what the one screen is that they should see. */
export type Phase = "starting" | "setting-up" | "signed-out" | "ready" | "broken";
export type Connection = "connecting" | "online" | "offline";
export type Role = "viewer" | "admin";
export type AnyRole = "none" | Role;

export interface Session {
  readonly username: string;
  readonly role: Role;
  /** When it ends at the latest. */
  readonly expires: number;
}

export type SecondFactor = "totp" | "passkey";
/** What is still asked after the password; none: signed in. */
export type SignInStep = readonly SecondFactor[];

/** A page of a list; `next` asks for the one after it. */
export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

export interface Asked {
  readonly search?: string;
  /** A column, with `-` before it for the largest first. */
  readonly sort?: string;
  readonly cursor?: string | null;
}

/** What is going on now: rates are a mean over the last ten seconds. */
export interface Figures {
  readonly at: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly acknowledged: number;
  readonly refused: number;
  /** In the last minute, by the last part of the problem's type. */
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly devices: readonly { readonly transport: string; readonly version: string; readonly count: number }[];
  readonly mailboxDepth: number;
  readonly mailboxBytes: number;
  /** From accepting to a first device having it, over the last minute; `null` where nothing was delivered. */
  readonly deliveryP50Ms: number | null;
  readonly deliveryP99Ms: number | null;
  readonly commitBatch: number | null;
  readonly commitP99Ms: number | null;
}

/** Values in steps of one length, the oldest first; `null` where nothing was measured. */
export interface Series {
  readonly from: number;
  readonly stepMs: number;
  readonly values: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A limit of one site or user: what holds, and what would hold without its own value. */
export interface OwnLimit {
  readonly name: string;
  readonly inForce: number;
  readonly own: number | null;
  readonly otherwise: number;
}

export interface Site {
  readonly site: string;
  /** Its permissions, of all users; how many users is not told. */
  readonly permissions: number;
  readonly accepted: number;
  readonly refused: number;
  readonly lastUsed: number | null;
  readonly registered: boolean;
  readonly proven: boolean;
  readonly ban: Ban | null;
  readonly hasOwnLimits: boolean;
}

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly created: number;
  readonly lastUsed: number | null;
}

export interface VapidKey {
  readonly key: string;
  readonly firstSeen: number | null;
  readonly lastSeen: number | null;
  /** Registered with the site's API keys, so that it may post in bulk. */
  readonly registered: boolean;
  /** Proven for this origin: a ban of the site covers it. */
  readonly proven: boolean;
}

export interface SiteDetail extends Site {
  readonly limits: readonly OwnLimit[];
  /** The line that proves the origin, of a registered site. */
  readonly proof: string | null;
  readonly apiKeys: readonly ApiKey[];
  readonly vapidKeys: readonly VapidKey[];
}

export interface User {
  readonly id: string;
  readonly username: string;
  readonly role: AnyRole;
  readonly created: number;
  readonly lastSeen: number | null;
  readonly devices: number;
  readonly connected: number;
  readonly permissions: number;
  readonly mailboxDepth: number;
  readonly mailboxBytes: number;
  readonly ban: Ban | null;
  readonly hasOwnLimits: boolean;
}

export interface UserDetail extends User {
  readonly limits: readonly OwnLimit[];
  readonly devicesByKind: Readonly<Record<string, number>>;
  readonly permissionsByState: Readonly<Record<string, number>>;
  readonly secondFactor: boolean;
}

export interface Invite {
  readonly id: string;
  readonly kind: "invite" | "reset";
  readonly about: string | null;
  readonly author: string;
  readonly created: number;
  readonly ends: number;
}

export interface Link {
  readonly link: string;
  readonly ends: number;
}

export type BanKind = "site" | "vapid" | "user" | "address";

export interface BanDraft {
  readonly kind: BanKind;
  /** An origin, a VAPID key, a user's id, an address or a range. */
  readonly value: string;
  readonly reason: string;
  /** `null`: until it is lifted. */
  readonly ends: number | null;
}

export interface Ban extends BanDraft {
  readonly id: string;
  /** What people call it: of a user, the name. */
  readonly label: string;
  readonly author: string;
  readonly created: number;
  readonly ended: boolean;
}

/** What an act would do now. */
export interface Consequence {
  readonly connections: number;
  readonly permissions: number;
  readonly vapidKeys: number;
  readonly sites: number;
  readonly users: number;
  /** Of those who run the server: it may be one's own. */
  readonly admins: number;
}

export interface Imported {
  readonly added: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly problems: readonly { readonly line: number; readonly detail: string }[];
}

export type Unit = "count" | "bytes" | "seconds";

export interface Setting {
  /** As in the configuration: `limits.site_per_second`. */
  readonly name: string;
  readonly unit: Unit;
  readonly configured: number;
  /** Set here, over the configuration. */
  readonly set: number | null;
  readonly inForce: number;
  readonly minimum: number;
  readonly maximum: number;
  /** How many sites or users have a value of their own. */
  readonly overrides: number;
}

/** What a retention would remove now, had it this value. */
export interface Removal {
  readonly name: string;
  readonly notifications: number;
  readonly bytes: number;
  readonly devices: number;
  readonly users: number;
  readonly rows: number;
}

export interface Apns {
  readonly configured: boolean;
  readonly bundleIds: readonly string[];
  readonly devices: number;
  readonly lastResult: { readonly at: number; readonly ok: boolean; readonly detail: string } | null;
}

export type Health = "ok" | "warning" | "failing";

export interface Node {
  readonly id: string;
  readonly self: boolean;
  readonly version: string;
  readonly started: number;
  readonly seen: number;
  readonly ready: boolean;
  readonly connections: number;
  readonly memoryBytes: number | null;
  readonly diskFreeBytes: number | null;
  readonly diskBytes: number | null;
  readonly checks: readonly { readonly name: string; readonly health: Health; readonly detail: string }[];
}

export interface AuditRow {
  readonly n: number;
  readonly at: number;
  readonly actor: string;
  readonly actorKind: "account" | "token" | "operator" | "server";
  readonly act: string;
  readonly target: string | null;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly hash: string;
}

export interface Verified {
  readonly rows: number;
  readonly ok: boolean;
  /** The first row that does not fit to the one before it. */
  readonly brokenAt: number | null;
  readonly head: string;
}

export interface Token {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly author: string;
  readonly created: number;
  readonly ends: number | null;
  readonly lastUsed: number | null;
  readonly expired: boolean;
}

export type MilestoneKind = "accepted" | "stored" | "delivered" | "expired" | "withdrawn" | "replaced" | "seen" | "pushed-out" | "revoked";

export interface Trace {
  readonly site: string;
  /** Null once the notification is gone. */
  readonly urgency: string | null;
  readonly bytes: number;
  readonly expires: number | null;
  readonly milestones: readonly { readonly what: MilestoneKind; readonly at: number }[];
}

export interface Passkey {
  readonly id: string;
  readonly name: string;
  readonly created: number;
  readonly lastUsed: number | null;
}

export interface Account {
  readonly username: string;
  readonly role: Role;
  readonly totpSince: number | null;
  readonly passkeys: readonly Passkey[];
}

export interface TotpOffer {
  readonly secret: string;
  /** `otpauth://…`, for the picture. */
  readonly uri: string;
}

export interface AdminSession {
  readonly id: string;
  readonly current: boolean;
  readonly created: number;
  readonly lastUsed: number;
  readonly address: string;
  readonly client: string;
}

/** Lists that somebody may be looking at while others change them. */
export type Changed = "sites" | "users" | "bans" | "limits" | "audit" | "tokens" | "nodes" | "account";

export interface Model {
  readonly phase: ReadonlySignal<Phase>;
  readonly session: ReadonlySignal<Session | null>;
  readonly connection: ReadonlySignal<Connection>;
  /** Why the last session ended, where it was not by signing out. */
  readonly ended: ReadonlySignal<"expired" | "role" | null>;
  readonly figures: ReadonlySignal<Figures | null>;
  /** Counts up with each change, here or elsewhere, so that what shows it reads again. */
  readonly changes: ReadonlySignal<Readonly<Record<Changed, number>>>;
  readonly reads: Reads;
  readonly actions: Actions;
}

export interface AuditAsked extends Asked {
  readonly act?: string;
}
export interface BansAsked extends Asked {
  readonly kind?: BanKind | "";
  readonly ended?: boolean;
}

export interface Reads {
  /** `site`: of one site alone. The server chooses the step, about 300 for a span. */
  series(metrics: readonly string[], span: Span, site?: string): Promise<Series>;
  sites(asked: Asked): Promise<Listed<Site>>;
  site(site: string): Promise<SiteDetail>;
  users(asked: Asked): Promise<Listed<User>>;
  user(id: string): Promise<UserDetail>;
  links(): Promise<Listed<Invite>>;
  bans(asked: BansAsked): Promise<Listed<Ban>>;
  consequence(draft: BanDraft): Promise<Consequence>;
  bansCsv(): Promise<string>;
  limits(): Promise<readonly Setting[]>;
  /** With the values in force, or with those instead. */
  removals(instead?: Readonly<Record<string, number>>): Promise<readonly Removal[]>;
  apns(): Promise<Apns>;
  nodes(): Promise<readonly Node[]>;
  audit(asked: AuditAsked): Promise<Listed<AuditRow>>;
  auditNdjson(): Promise<string>;
  tokens(): Promise<Listed<Token>>;
  trace(message: string): Promise<Trace>;
  account(): Promise<Account>;
  sessions(): Promise<Listed<AdminSession>>;
}

export interface Actions {
  signIn(username: string, password: string): Promise<SignInStep>;
  signInWithCode(code: string): Promise<void>;
  /** After the password, or instead of it and the name. */
  signInWithPasskey(): Promise<void>;
  /** A fresh sign-in of the same account, for what needs one of the last ten minutes. */
  signInAgain(password: string): Promise<void>;
  setUp(username: string, password: string): Promise<void>;
  signOut(): Promise<void>;
  retry(): void;

  /** `null` takes a value of its own away. */
  setSiteLimits(site: string, limits: Readonly<Record<string, number | null>>): Promise<void>;
  registerSite(site: string): Promise<void>;
  /** Ends its API keys too; its permissions stay. */
  unregisterSite(site: string): Promise<void>;
  /** Looks for the proof, and says what is there instead. */
  verifySite(site: string): Promise<{ readonly proven: boolean; readonly detail: string }>;
  registerVapid(site: string, key: string): Promise<void>;
  forgetVapid(site: string, key: string): Promise<void>;
  makeApiKey(site: string, name: string): Promise<string>;
  endApiKey(site: string, id: string): Promise<void>;

  createUser(username: string, password: string, role: AnyRole): Promise<void>;
  makeInvite(ends: number): Promise<Link>;
  makeReset(user: string): Promise<Link>;
  endLink(id: string): Promise<void>;
  setRole(user: string, role: AnyRole): Promise<void>;
  setUserLimits(user: string, limits: Readonly<Record<string, number | null>>): Promise<void>;
  disconnect(user: string): Promise<number>;

  ban(draft: BanDraft): Promise<Ban>;
  changeBan(id: string, change: { readonly reason: string; readonly ends: number | null }): Promise<void>;
  liftBan(id: string): Promise<void>;
  /** `dry`: only says what it would do. */
  importBans(csv: string, dry: boolean): Promise<Imported>;

  setLimits(limits: Readonly<Record<string, number | null>>): Promise<void>;
  testApns(): Promise<string>;
  verifyAudit(): Promise<Verified>;
  makeToken(name: string, role: Role, ends: number | null): Promise<string>;
  endToken(id: string): Promise<void>;

  changePassword(before: string, after: string): Promise<void>;
  offerTotp(): Promise<TotpOffer>;
  confirmTotp(code: string): Promise<void>;
  endTotp(): Promise<void>;
  addPasskey(name: string): Promise<void>;
  endPasskey(id: string): Promise<void>;
  endSession(id: string): Promise<void>;
  /** Every session of this account, this one too. */
  signOutEverywhere(): Promise<void>;
}
