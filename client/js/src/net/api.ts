/** The server's routes. What it answers is read into types here, and believed only in what a server is asked for. */
import { BelfryError } from "../error.ts";
import { base64url, type Bytes } from "../crypto/bytes.ts";
import { isId, readEnvelope, readUrgency, type Envelope } from "../body/envelope.ts";
import type { Account, DeviceKind, Presence, Providers, Urgency } from "../types.ts";
import { Http, statusOf, type Credentials } from "./http.ts";

/** A page's items, the most that the server gives. */
const PAGE_ITEMS = 100;
/** So that a server that always says there is more does not keep the device busy: as many as there are permissions, and ten times. */
const PAGES_MAX = 100;

export interface ServerDevice {
  id: string;
  name: string;
  kind: DeviceKind;
  publicKey: string;
  created: number;
  online: boolean;
  presence: Presence | null;
  lastSeen: number | null;
  urgencyMin: Urgency;
}

export interface ServerPermission {
  id: string;
  site: string;
  name: string | null;
  state: "allowed" | "muted";
  created: number;
  accepted: number;
  lastUsed: number | null;
  receipts: boolean;
}

export interface ServerKeyring {
  sealed: Bytes;
  etag: string;
}

type Fields = Record<string, unknown>;

const nonsense = (what: string): BelfryError => new BelfryError("network", `the server's answer is not ${what}`);

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null) throw nonsense(what);
  return value as Fields;
}

function text(from: Fields, name: string, what: string): string {
  const value = from[name];
  if (typeof value !== "string") throw nonsense(what);
  return value;
}

function id(from: Fields, name: string, what: string): string {
  const value = from[name];
  if (!isId(value)) throw nonsense(what);
  return value;
}

const time = (value: unknown): number | null => {
  const parsed = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(parsed) ? null : parsed;
};

const orNull = (value: unknown): string | null => (typeof value === "string" ? value : null);

function readDevice(value: unknown): ServerDevice {
  const device = fields(value, "a device");
  const presence = device["presence"];
  return {
    id: id(device, "device_id", "a device"),
    name: text(device, "name", "a device"),
    kind: text(device, "kind", "a device") as DeviceKind,
    publicKey: text(device, "public_key", "a device"),
    created: time(device["created"]) ?? 0,
    online: device["online"] === true,
    presence: presence === "active" || presence === "away" ? presence : null,
    lastSeen: time(device["last_seen"]),
    urgencyMin: readUrgency(device["urgency_min"]) ?? "very-low",
  };
}

function readPermission(value: unknown): ServerPermission {
  const permission = fields(value, "a permission");
  return {
    id: id(permission, "permission_id", "a permission"),
    site: text(permission, "site", "a permission"),
    name: orNull(permission["name"]),
    state: permission["state"] === "muted" ? "muted" : "allowed",
    created: time(permission["created"]) ?? 0,
    accepted: typeof permission["accepted"] === "number" ? permission["accepted"] : 0,
    lastUsed: time(permission["last_used"]),
    receipts: permission["receipts"] === true,
  };
}

/** A notification of the history; `null` where the item is none. */
export type HistoryItem = { envelope: Envelope; seen: boolean } | null;

function readItem(value: unknown): HistoryItem {
  const envelope = readEnvelope(value);
  return envelope && { envelope, seen: (value as Fields)["seen"] === true };
}

export class Api {
  readonly #http: Http;
  /** Told when the token is no good any more. */
  onUnauthorized: () => void = () => undefined;
  token: string | null = null;

  constructor(http: Http) {
    this.#http = http;
  }

  get #as(): Credentials {
    if (this.token === null) throw new BelfryError("wrong-state", "nobody is signed in");
    return { token: this.token };
  }

  async #told<T>(asking: Promise<T>): Promise<T> {
    try {
      return await asking;
    } catch (error) {
      if (statusOf(error) === 401 && error instanceof BelfryError && error.code !== "sign-in-again") this.onUnauthorized();
      throw error;
    }
  }

  #json(ask: Omit<Parameters<Http["json"]>[0], "as">): Promise<unknown> {
    return this.#told(this.#http.json({ ...ask, as: this.#as }));
  }

  async #done(ask: Omit<Parameters<Http["ask"]>[0], "as">, fresh?: string | null): Promise<void> {
    if (fresh) await this.#http.ask({ ...ask, as: { token: fresh } });
    else await this.#told(this.#http.ask({ ...ask, as: this.#as }));
  }

  async #all<T>(path: string, read: (item: unknown) => T): Promise<T[]> {
    const items: T[] = [];
    let cursor = "";
    for (let page = 0; page < PAGES_MAX; page++) {
      const answer = fields(await this.#json({ path: `${path}?limit=${PAGE_ITEMS}${cursor}` }), "a page");
      if (!Array.isArray(answer["items"])) throw nonsense("a page");
      items.push(...answer["items"].map(read));
      if (typeof answer["next"] !== "string") break;
      cursor = `&cursor=${encodeURIComponent(answer["next"])}`;
    }
    return items;
  }

  async providers(): Promise<Providers> {
    const answer = fields(await this.#http.json({ path: "/v1/auth/providers" }), "a list of providers");
    return { password: answer["password"] === true, oidc: orNull(answer["oidc"]), registration: answer["registration"] === true };
  }

  async signUp(account: { username: string; password: string; invite?: string }): Promise<void> {
    await this.#http.ask({ method: "POST", path: "/v1/accounts", json: account });
  }

  async resetPassword(reset: { token: string; password: string }): Promise<void> {
    await this.#http.ask({ method: "POST", path: "/v1/resets", json: reset });
  }

  /** On a device that there is, with its credentials, so that the sign-in ends with it. */
  async signIn(as: { username: string; password: string }, on: { id: string; password: string } | null): Promise<{ token: string; userId: string }> {
    try {
      const device = on && { device: on.id, password: on.password };
      const answer = fields(await this.#http.json({ method: "POST", path: "/v1/sessions", as: device, json: as }), "a sign-in");
      return { token: text(answer, "access_token", "a sign-in"), userId: id(answer, "user_id", "a sign-in") };
    } catch (error) {
      if (statusOf(error) !== 401) throw error;
      throw new BelfryError("wrong-credentials", "the name or the password is wrong", { cause: error });
    }
  }

  /** Ends the sign-in of a token. */
  async signOut(token: string): Promise<void> {
    await this.#http.ask({ method: "DELETE", path: "/v1/sessions/current", as: { token } });
  }

  async me(): Promise<Account> {
    const answer = fields(await this.#json({ path: "/v1/me" }), "an account");
    const account: Account = { userId: id(answer, "user_id", "an account"), username: text(answer, "username", "an account") };
    const grace = answer["away_grace"];
    if (typeof grace === "number" || grace === null) account.awayGrace = grace;
    return account;
  }

  /** Ends the other sign-ins: `fresh` is the one that stays, where it is given. */
  async changePassword(old: string, now: string, fresh: string | null): Promise<void> {
    try {
      await this.#done({ method: "PUT", path: "/v1/me/password", json: { old, new: now } }, fresh);
    } catch (error) {
      if (statusOf(error) !== 403) throw error;
      throw new BelfryError("wrong-credentials", "the old password is wrong", { cause: error });
    }
  }

  setAwayGrace(seconds: number | null): Promise<void> {
    return this.#done({ method: "PATCH", path: "/v1/me", json: { away_grace: seconds } });
  }

  eraseAccount(fresh: string | null): Promise<void> {
    return this.#done({ method: "DELETE", path: "/v1/me" }, fresh);
  }

  async createDevice(device: { name: string; kind: DeviceKind; publicKey: Bytes }): Promise<{ id: string; password: string }> {
    const json = { name: device.name, kind: device.kind, public_key: base64url(device.publicKey) };
    const answer = fields(await this.#json({ method: "POST", path: "/v1/devices", json }), "a device");
    return { id: id(answer, "device_id", "a device"), password: text(fields(answer["mqtt"], "a device"), "password", "a device") };
  }

  devices(): Promise<ServerDevice[]> {
    return this.#all("/v1/devices", readDevice);
  }

  /** Whether the server still knows the device by its password. */
  async knowsDevice(device: string, password: string): Promise<boolean> {
    try {
      await this.#http.ask({ path: "/v1/notifications?limit=1", as: { device, password } });
      return true;
    } catch (error) {
      if (statusOf(error) === 401) return false;
      throw error;
    }
  }

  changeDevice(device: string, change: { name: string } | { urgency_min: Urgency }): Promise<void> {
    return this.#done({ method: "PATCH", path: `/v1/devices/${encodeURIComponent(device)}`, json: change });
  }

  removeDevice(device: string, fresh: string | null): Promise<void> {
    return this.#done({ method: "DELETE", path: `/v1/devices/${encodeURIComponent(device)}` }, fresh);
  }

  permissions(): Promise<ServerPermission[]> {
    return this.#all("/v1/permissions", readPermission);
  }

  async createPermission(site: string, applicationServerKey: string | undefined): Promise<{ id: string; site: string; endpoint: string }> {
    const json = { site, ...(applicationServerKey === undefined ? {} : { application_server_key: applicationServerKey }) };
    const answer = fields(await this.#json({ method: "POST", path: "/v1/permissions", json }), "a permission");
    return { id: id(answer, "permission_id", "a permission"), site: text(answer, "site", "a permission"), endpoint: text(answer, "endpoint", "a permission") };
  }

  changePermission(permission: string, change: { state: "allowed" | "muted" } | { receipts: boolean }): Promise<void> {
    return this.#done({ method: "PATCH", path: `/v1/permissions/${encodeURIComponent(permission)}`, json: change });
  }

  revoke(permission: string): Promise<void> {
    return this.#done({ method: "DELETE", path: `/v1/permissions/${encodeURIComponent(permission)}` });
  }

  /** `null`: the server says there is none. */
  async keyring(): Promise<ServerKeyring | null> {
    try {
      const { bytes, etag } = await this.#told(this.#http.ask({ path: "/v1/keyring", as: this.#as }));
      if (etag === null) throw nonsense("a keyring");
      return { sealed: bytes, etag };
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw error;
    }
  }

  /** `null`: there is none. */
  async wrap(recipient: string): Promise<Bytes | null> {
    try {
      return (await this.#told(this.#http.ask({ path: `/v1/keyring/wraps/${encodeURIComponent(recipient)}`, as: this.#as }))).bytes;
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw error;
    }
  }

  /** Puts the keyring instead of the one with `etag`, or as the first; false if another device was faster. */
  async putKeyring(sealed: Bytes, etag: string | null, wraps: Record<string, Bytes>): Promise<boolean> {
    const headers: Record<string, string> = etag === null ? { "If-None-Match": "*" } : { "If-Match": etag };
    const boxed = Object.entries(wraps).map(([recipient, wrap]) => [recipient, base64url(wrap)]);
    const body = boxed.length === 0 ? { bytes: sealed } : { json: { sealed: base64url(sealed), wraps: Object.fromEntries(boxed) as unknown } };
    try {
      await this.#done({ method: "PUT", path: "/v1/keyring", headers, ...body });
      return true;
    } catch (error) {
      if (statusOf(error) === 412) return false;
      throw error;
    }
  }

  /** Newest first before a `seq`, or oldest first after one. `next` goes on. */
  async history(where: { before: number } | { after: number } | { cursor: string }, limit = PAGE_ITEMS): Promise<{ items: HistoryItem[]; next: string | null }> {
    const query = "before" in where ? `before=${where.before}` : "after" in where ? `after=${where.after}` : `cursor=${encodeURIComponent(where.cursor)}`;
    const answer = fields(await this.#json({ path: `/v1/notifications?${query}&limit=${Math.min(limit, PAGE_ITEMS)}` }), "a page");
    if (!Array.isArray(answer["items"])) throw nonsense("a page");
    return { items: answer["items"].map(readItem), next: orNull(answer["next"]) };
  }
}
