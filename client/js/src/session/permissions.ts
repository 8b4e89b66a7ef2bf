/** The user's approvals: the server's list joined with the keyring, whose word counts about sites and keys. */
import { isId } from "../body/envelope.ts";
import { base64url, fromBase64url, randomBytes, type Bytes } from "../crypto/bytes.ts";
import { KEY_BYTES, x25519Public } from "../crypto/box.ts";
import { makeP256, p256Public } from "../crypto/p256.ts";
import { BelfryError } from "../error.ts";
import type { ServerPermission } from "../net/api.ts";
import { statusOf } from "../net/http.ts";
import type { KeyringContents, KeyringPermission } from "../keyring/format.ts";
import type { ApproveOptions, Permission, SubscriptionJson } from "../types.ts";
import type { Core } from "./core.ts";
import type { KeyringRoom } from "./keyring.ts";

const AUTH_BYTES = 16;
/** A name is for the eye. */
const NAME_CHARS_MAX = 100;
const ENDPOINT_CHARS_MAX = 2_048;
const CACHED = "permissions";

const isLocal = (host: string): boolean => host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host);

/** Reads a site's origin; throws `malformed` on what is none. */
export function readOrigin(origin: string): string {
  const url = URL.canParse(origin) ? new URL(origin) : null;
  const secure = url !== null && (url.protocol === "https:" || (url.protocol === "http:" && isLocal(url.hostname)));
  if (url === null || !secure || url.origin !== origin.replace(/\/$/, "")) throw new BelfryError("malformed", "a site is an origin such as https://news.example");
  return url.origin;
}

function readEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) && endpoint.length <= ENDPOINT_CHARS_MAX ? new URL(endpoint) : null;
  if (url === null || (url.protocol !== "https:" && !(url.protocol === "http:" && isLocal(url.hostname)))) {
    throw new BelfryError("server-lied", "the endpoint that the server gave is not an https address");
  }
  return endpoint;
}

function checkName(name: string | undefined): void {
  if (name !== undefined && [...name].length > NAME_CHARS_MAX) throw new BelfryError("malformed", `a name has at most ${NAME_CHARS_MAX} characters`);
}

/** Without padding, and of the right length: a pinned key that cannot be read would open nothing. */
function readSiteKey(siteKey: string | undefined): Bytes | undefined {
  if (siteKey === undefined) return undefined;
  const key = fromBase64url(siteKey.replace(/=+$/, ""), KEY_BYTES);
  if (key === null) throw new BelfryError("malformed", "a site's key is 32 bytes in base64url");
  return key;
}

export class PermissionsRoom {
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  #listed: ServerPermission[] = [];

  constructor(core: Core, keyring: KeyringRoom) {
    this.#core = core;
    this.#keyring = keyring;
  }

  /** Reads what was there last. */
  async load(): Promise<void> {
    this.#listed = ((await this.#core.store.get("cache", CACHED)) as ServerPermission[] | undefined) ?? [];
  }

  unload(): void {
    this.#listed = [];
  }

  isMuted(id: string): boolean {
    return this.#listed.some((permission) => permission.id === id && permission.state === "muted");
  }

  async list(): Promise<Permission[]> {
    try {
      await this.refresh();
    } catch (error) {
      if (!(error instanceof BelfryError) || error.code !== "network") throw error;
    }
    return this.#joined();
  }

  /** Reads the server's list. */
  async refresh(): Promise<void> {
    this.#listed = await this.#core.api.permissions();
    await this.#core.store.write([{ table: "cache", put: CACHED, value: this.#listed }]);
    this.#core.tabs.note("permissions");
  }

  #joined(): Permission[] {
    return this.#listed.map(({ id, site, name, state, created, accepted, lastUsed, receipts }): Permission => {
      const kept = this.#keyring.permission(id);
      const known = kept !== undefined && kept.removed !== true && typeof kept.site === "string";
      return {
        id, state, created, accepted, lastUsed, receipts, known,
        site: known ? (kept.site ?? site) : site,
        name: known ? (kept.name ?? null) : name,
        siteMismatch: known && kept.site !== site,
        renew: known && kept.renew === true,
        siteKey: known ? (kept.siteKey ?? null) : null,
      };
    });
  }

  async approve(origin: string, options: ApproveOptions = {}): Promise<SubscriptionJson> {
    const site = readOrigin(origin);
    checkName(options.name);
    const siteKey = readSiteKey(options.siteKey);
    const { contents } = this.#keyring;
    if (contents === null) throw new BelfryError("wrong-state", "this device has no keyring: link it first");
    const made = await this.#core.api.createPermission(site, options.applicationServerKey);
    try {
      if (made.site !== site) throw new BelfryError("server-lied", "the server made a permission for another site");
      const endpoint = readEndpoint(made.endpoint);
      const [p256, auth, x25519] = [makeP256(), randomBytes(AUTH_BYTES), randomBytes(KEY_BYTES)];
      const keys = { p256: base64url(p256), auth: base64url(auth), x25519: base64url(x25519) };
      await this.#keyring.change({
        edit: ({ permissions }, stamp) => {
          // An id that is taken would put these keys in the place of another site's.
          if (!isId(made.id) || permissions.some(({ id }) => id === made.id)) throw new BelfryError("server-lied", "the server gave the id of another permission");
          const permission: KeyringPermission = { id: made.id, site, endpoint, ...keys, changed: stamp() };
          if (siteKey !== undefined) permission.siteKey = base64url(siteKey);
          if (options.name !== undefined) permission.name = options.name;
          permissions.push(permission);
        },
      });
      await this.refresh().catch(() => undefined);
      this.#core.tell("permissions", { changed: made.id });
      return { endpoint, expirationTime: null, keys: { p256dh: base64url(p256Public(p256)), auth: keys.auth, x25519: base64url(x25519Public(x25519)) } };
    } catch (error) {
      // Nobody has its keys. An id that belongs to another permission is left alone.
      if (this.#keyring.permission(made.id) === undefined) await this.#core.api.revoke(made.id).catch(() => undefined);
      throw error;
    }
  }

  async change(id: string, change: { state: "allowed" | "muted" } | { receipts: boolean }): Promise<void> {
    await this.#core.api.changePermission(id, change);
    await this.refresh().catch(() => undefined);
    this.#core.tell("permissions", { changed: id });
  }

  /** The name is the user's, and stands in the keyring alone. */
  async rename(id: string, name: string): Promise<void> {
    checkName(name);
    await this.#keyring.change({
      edit: (contents, stamp) => {
        const permission = find(contents, id);
        permission.name = name;
        permission.changed = stamp(permission);
      },
    });
    this.#core.tell("permissions", { changed: id });
  }

  async revoke(id: string): Promise<void> {
    try {
      await this.#core.api.revoke(id);
    } catch (error) {
      // Revoked before, and the keyring may not know.
      if (statusOf(error) !== 404) throw error;
    }
    await this.forget(id);
    await this.refresh().catch(() => undefined);
    this.#core.tell("permissions", { changed: id });
  }

  /** Takes its keys out of the keyring. */
  async forget(id: string): Promise<void> {
    const kept = this.#keyring.permission(id);
    if (kept === undefined || kept.removed === true) return;
    await this.#keyring.change({
      edit: (contents, stamp) => {
        contents.permissions = contents.permissions.map((permission) =>
          permission.id === id && permission.removed !== true ? { id, removed: true, changed: stamp(permission) } : permission,
        );
      },
    });
  }

  renew(id: string, options: Pick<ApproveOptions, "applicationServerKey"> = {}): Promise<SubscriptionJson> {
    const kept = this.#keyring.permission(id);
    if (kept === undefined || kept.removed === true || kept.site === undefined) throw new BelfryError("wrong-state", "the keyring does not have this permission");
    const approval: ApproveOptions = { ...options };
    if (kept.name !== undefined) approval.name = kept.name;
    if (kept.siteKey !== undefined) approval.siteKey = kept.siteKey;
    return this.approve(kept.site, approval);
  }
}

function find(contents: KeyringContents, id: string): KeyringPermission {
  const permission = contents.permissions.find((one) => one.id === id && one.removed !== true);
  if (permission === undefined) throw new BelfryError("wrong-state", "the keyring does not have this permission");
  return permission;
}
