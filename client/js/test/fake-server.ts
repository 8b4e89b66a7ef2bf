/** A small server in memory, that a test can have tell lies: everything it holds can be changed from outside. */
import { base64url, fromBase64url, randomBytes, type Bytes } from "../src/crypto/bytes.ts";
import type { Fetch } from "../src/net/http.ts";
import { DialFailed, type Dial, type DialOptions, type Ending, type Incoming, type PublishOptions, type Wire } from "../src/net/wire.ts";

interface FakeDevice {
  device_id: string;
  name: string;
  kind: string;
  public_key: string;
  created: string;
  urgency_min: string;
  password: string;
}

interface FakePermission {
  permission_id: string;
  site: string;
  name: null;
  state: string;
  created: string;
  accepted: number;
  last_used: null;
  receipts: boolean;
}

type Item = Record<string, unknown> & { id: string; permission: string; seq: number; seen: boolean };

/** What the server is asked, as a test sees it. */
export interface Request {
  method: string;
  path: string;
  json: Record<string, unknown>;
  bytes: Bytes;
}

const id = (): string => base64url(randomBytes(16)).replace(/^[-_]/, "a");
const json = (status: number, value: unknown, headers: Record<string, string> = {}): Response =>
  new Response(value === undefined ? null : JSON.stringify(value), { status, headers: { "Content-Type": "application/json", ...headers } });
const problem = (status: number, type = "problem"): Response => json(status, { type: `https://belfry.dev/problems/${type}`, title: type, status, detail: type });

export class FakeServer {
  readonly user = id();
  readonly password = "correct horse battery staple";
  devices: FakeDevice[] = [];
  permissions: FakePermission[] = [];
  keyring: { sealed: Bytes; version: number } | null = null;
  wraps = new Map<string, Bytes>();
  log: Item[] = [];
  seq = 0;
  offline = false;
  /** All that was asked. */
  readonly requests: Request[] = [];
  readonly connections = new Map<string, FakeConnection>();
  readonly retained = new Map<string, Uint8Array>();
  /** Sessions with their filters, by device. */
  readonly sessions = new Map<string, Set<string>>();
  readonly owed = new Map<string, Incoming[]>();
  tokens = new Set<string>();
  /** Looks at each request first; answers instead of the server if it gives something. */
  lie: (request: Request) => Response | undefined = () => undefined;
  /** What a device's DISCONNECTs and CONNECTs were. */
  readonly dialled: DialOptions[] = [];

  /** Only what was put to the server. */
  uploads(): Request[] {
    return this.requests.filter(({ method, path }) => method === "PUT" && path.startsWith("/v1/keyring"));
  }

  readonly fetch: Fetch = async (url, init) => {
    if (this.offline) throw new TypeError("fetch failed");
    const { pathname, search } = new URL(url);
    const bytes = init.body === undefined || init.body === null ? new Uint8Array() : new Uint8Array(init.body as Uint8Array);
    let parsed: unknown = null;
    try {
      parsed = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      // Opaque bytes.
    }
    const request: Request = { method: init.method ?? "GET", path: `${pathname}${search}`, json: (parsed ?? {}) as Record<string, unknown>, bytes: bytes as Bytes };
    this.requests.push(request);
    return this.lie(request) ?? this.answer(request, new Headers(init.headers));
  };

  answer(request: Request, headers: Headers): Response {
    const { method, json: body } = request;
    const path = request.path.split("?")[0]!;
    if (method === "POST" && path === "/v1/accounts") return json(201, {});
    if (method === "POST" && path === "/v1/sessions") {
      if (body["password"] !== this.password) return problem(401);
      const token = id();
      this.tokens.add(token);
      return json(201, { access_token: token, token_type: "Bearer", expires_in: 1, user_id: this.user });
    }
    const basic = /^Basic (.*)$/.exec(headers.get("Authorization") ?? "");
    if (basic !== null) return this.devices.some(({ device_id, password }) => atob(basic[1]!) === `${device_id}:${password}`) ? this.#history(new URL(`http://x${request.path}`).searchParams) : problem(401);
    if (!this.tokens.has((headers.get("Authorization") ?? "").replace("Bearer ", ""))) return problem(401, "unauthorized");
    if (path === "/v1/sessions/current") return json(200, {});
    if (path === "/v1/me") return json(200, { user_id: this.user, username: "ada" });
    if (path.startsWith("/v1/devices")) return this.#devices(method, path, body);
    if (path.startsWith("/v1/permissions")) return this.#permissions(method, path, body);
    if (path.startsWith("/v1/keyring")) return this.#keyring(request, path, headers);
    if (path.startsWith("/v1/notifications")) return this.#history(new URL(`http://x${request.path}`).searchParams);
    return problem(404);
  }

  #devices(method: string, path: string, body: Record<string, unknown>): Response {
    if (method === "GET") return json(200, { items: this.devices.map(({ password: _, ...device }) => ({ ...device, online: this.connections.has(device.device_id), presence: null, last_seen: null })), next: null });
    const name = path.split("/")[3] ?? "";
    if (method === "POST") {
      const device = { device_id: id(), name: String(body["name"]), kind: String(body["kind"]), public_key: String(body["public_key"]), created: new Date().toISOString(), urgency_min: "very-low", password: id() };
      this.devices.push(device);
      return json(201, { device_id: device.device_id, mqtt: { password: device.password } });
    }
    const there = this.devices.find(({ device_id }) => device_id === name);
    if (there === undefined) return problem(404);
    if (method === "PATCH") {
      Object.assign(there, body);
      return json(200, {});
    }
    this.devices = this.devices.filter((device) => device !== there);
    this.connections.get(name)?.drop({ why: "disconnected", code: 0x98 });
    this.event({ event: "device.removed", device: name });
    return json(200, {});
  }

  #permissions(method: string, path: string, body: Record<string, unknown>): Response {
    if (method === "GET") return json(200, { items: this.permissions, next: null });
    if (method === "POST") {
      const permission = { permission_id: id(), site: String(body["site"]), name: null, state: "allowed", created: new Date().toISOString(), accepted: 0, last_used: null, receipts: false };
      this.permissions.push(permission);
      return json(201, { permission_id: permission.permission_id, site: permission.site, state: "allowed", endpoint: `https://push.example/push/${id()}`, expirationTime: null });
    }
    const there = this.permissions.find(({ permission_id }) => permission_id === path.split("/")[3]);
    if (there === undefined) return problem(404);
    if (method === "PATCH") Object.assign(there, body);
    else this.permissions = this.permissions.filter((permission) => permission !== there);
    return json(200, {});
  }

  #keyring({ method, json: body, bytes }: Request, path: string, headers: Headers): Response {
    const recipient = path.split("/")[4];
    if (recipient !== undefined) {
      const wrap = this.wraps.get(recipient);
      return wrap === undefined ? problem(404) : new Response(wrap);
    }
    if (method === "GET") return this.keyring === null ? problem(404) : new Response(this.keyring.sealed, { headers: { ETag: `"${this.keyring.version}"` } });
    const fits = headers.get("If-None-Match") === "*" ? this.keyring === null : headers.get("If-Match") === `"${this.keyring?.version}"`;
    if (!fits) return problem(412, "changed");
    const isJson = headers.get("Content-Type") === "application/json";
    const sealed = isJson ? fromBase64url(body["sealed"]) : bytes;
    if (sealed === null) return problem(422);
    const named = Object.keys((isJson ? body["wraps"] : {}) as Record<string, string>);
    if (named.some((name) => name !== "recovery" && !this.devices.some(({ device_id }) => device_id === name))) return problem(422, "invalid");
    for (const [name, wrap] of Object.entries((isJson ? body["wraps"] : {}) as Record<string, string>)) this.wraps.set(name, fromBase64url(wrap)!);
    this.keyring = { sealed, version: (this.keyring?.version ?? 0) + 1 };
    this.event({ event: "keyring.changed" });
    return json(200, {});
  }

  #history(query: URLSearchParams): Response {
    const [before, after] = [Number(query.get("before") ?? Infinity), Number(query.get("after") ?? 0)];
    const items = query.has("before") ? this.log.filter(({ seq }) => seq < before).reverse() : this.log.filter(({ seq }) => seq > after);
    const limit = Number(query.get("limit") ?? 50);
    const cut = items.slice(0, limit);
    const next = items.length > limit ? "more" : null;
    return json(200, { items: cut, next });
  }

  // MQTT

  readonly dial: Dial = async (options) => {
    this.dialled.push(options);
    if (this.offline) throw new DialFailed({ why: "lost", code: null });
    const device = this.devices.find(({ device_id }) => device_id === options.clientId);
    if (device?.password !== options.password) throw new DialFailed({ why: "refused", code: 0x86 });
    this.connections.get(options.clientId)?.drop({ why: "disconnected", code: 0x8e });
    if (options.clean) this.sessions.delete(options.clientId);
    const sessionPresent = this.sessions.has(options.clientId);
    const filters = this.sessions.get(options.clientId) ?? new Set<string>();
    this.sessions.set(options.clientId, filters);
    const connection = new FakeConnection(this, options, filters, sessionPresent);
    this.connections.set(options.clientId, connection);
    for (const message of this.owed.get(options.clientId) ?? []) void connection.deliver(message);
    this.owed.delete(options.clientId);
    return connection;
  };

  /** To each session with a matching filter. Resolves when all that are connected have acknowledged. */
  async publish(topic: string, payload: Uint8Array | string, from: string | null = null): Promise<void> {
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    const deliveries: Promise<void>[] = [];
    for (const [device, filters] of this.sessions) {
      if (device === from || ![...filters].some((filter) => matches(filter, topic))) continue;
      const message = { topic, payload: bytes, retained: false };
      const connection = this.connections.get(device);
      if (connection !== undefined) deliveries.push(connection.deliver(message));
      else if (!topic.endsWith("/events")) this.owed.set(device, [...(this.owed.get(device) ?? []), message]);
    }
    await Promise.all(deliveries);
  }

  event(event: Record<string, unknown>): void {
    void this.publish(`u/${this.user}/events`, JSON.stringify(event));
  }

  /** A notification as the server would pass it on; fields of it can be lied about. */
  async notify(notification: { permission: string; site: string; encoding: string; body: Bytes } & Record<string, unknown>): Promise<string> {
    const { body, ...rest } = notification;
    const seq = ++this.seq;
    const now = Date.now();
    const item: Item = {
      id: id(), seq, sent: new Date(now).toISOString(), expires: new Date(now + 3_600_000).toISOString(), urgency: "normal",
      ...rest, body: base64url(body), seen: false,
    };
    this.log.push(item);
    await this.publish(`u/${this.user}/n/${notification.permission}`, JSON.stringify(item));
    return item.id;
  }
}

function matches(filter: string, topic: string): boolean {
  const [wanted, given] = [filter.split("/"), topic.split("/")];
  return wanted.length === given.length && wanted.every((level, index) => level === "+" || level === given[index]);
}

export class FakeConnection implements Wire {
  readonly ended: Promise<Ending>;
  readonly sessionPresent: boolean;
  readonly published: { topic: string; payload: string }[] = [];
  readonly #server: FakeServer;
  readonly #options: DialOptions;
  readonly #filters: Set<string>;
  #end: (ending: Ending) => void = () => undefined;

  constructor(server: FakeServer, options: DialOptions, filters: Set<string>, sessionPresent: boolean) {
    this.#server = server;
    this.#options = options;
    this.#filters = filters;
    this.sessionPresent = sessionPresent;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  deliver(message: Incoming): Promise<void> {
    return this.#options.onMessage(message);
  }

  drop(ending: Ending): void {
    if (this.#server.connections.get(this.#options.clientId) === this) this.#server.connections.delete(this.#options.clientId);
    this.#end(ending);
  }

  subscribe(filters: { filter: string }[]): Promise<void> {
    for (const { filter } of filters) {
      this.#filters.add(filter);
      for (const [topic, payload] of this.#server.retained) if (matches(filter, topic)) void this.deliver({ topic, payload, retained: true });
    }
    return Promise.resolve();
  }

  unsubscribe(filters: string[]): Promise<void> {
    for (const filter of filters) this.#filters.delete(filter);
    return Promise.resolve();
  }

  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    this.published.push({ topic, payload: new TextDecoder().decode(bytes) });
    if (options.retain === true) {
      if (bytes.length === 0) this.#server.retained.delete(topic);
      else this.#server.retained.set(topic, bytes);
    }
    if (topic.endsWith("/seen")) {
      const { ids } = JSON.parse(new TextDecoder().decode(bytes)) as { ids: string[] };
      for (const item of this.#server.log) if (ids.includes(item.id)) item.seen = true;
      this.#server.event({ event: "notification.seen", ids });
    } else if (topic.includes("/x/")) await this.#server.publish(topic, bytes, this.#options.clientId);
  }

  end(): Promise<void> {
    this.drop({ why: "lost", code: null });
    return Promise.resolve();
  }
}
