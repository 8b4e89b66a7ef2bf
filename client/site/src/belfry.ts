/**
 * What a site calls. It asks for one subscription at a time, and keeps nothing but the address of the
 * user's server, once that server has answered as one.
 */
import { askServer } from "./ask.js";
import { openConsent, type Request, type Subscription } from "./consent.js";
import { BelfryError } from "./errors.js";
import { serverOrigin } from "./origin.js";

export interface SubscribeOptions {
  /** The user's server; without it the user is asked once. */
  server?: string;
  /** The site's VAPID key (RFC 8292), as for `PushManager.subscribe()`: base64url, or its 65 bytes. */
  applicationServerKey?: string | ArrayBuffer | ArrayBufferView;
  /** The site's X25519 key: the user's devices then show only what was sealed with it. Base64url, or its 32 bytes. */
  siteKey?: string | ArrayBuffer | ArrayBufferView;
  /** What the site calls itself. The user sees it beside the origin, never instead. */
  name?: string;
  /** Milliseconds until `timeout`: ten minutes, since the user may have to sign in first. */
  timeout?: number;
}

export interface Belfry {
  /** Asks the user for a subscription. Call it from a click. Rejects with a `BelfryError`. */
  subscribe(options?: SubscribeOptions): Promise<Subscription>;
  /** Forgets the server that the user gave on this site. */
  forgetServer(): void;
}

const TIMEOUT_MS = 600_000;
const KEPT = "belfry.server";

export function belfryOf(page: Window & typeof globalThis): Belfry {
  let underWay: { window?: Window } | undefined;

  async function subscribe(options: SubscribeOptions = {}): Promise<Subscription> {
    if (underWay) {
      underWay.window?.focus();
      throw new BelfryError("busy", "The user is being asked already");
    }
    const mine: { window?: Window } = {};
    underWay = mine;
    try {
      const request = requestOf(options);
      const kept = options.server === undefined ? recall() : undefined;
      // Nothing is awaited where the server is known: the click opens the window.
      const server = kept ?? (options.server === undefined ? await askServer(page) : serverOrigin(options.server));
      let known = false;
      const consent = openConsent(page, server, request, options.timeout ?? TIMEOUT_MS, () => {
        known = true;
        if (options.server === undefined) remember(server);
      });
      mine.window = consent.window;
      try {
        return await consent.answer;
      } finally {
        // A remembered address where no server answers any more would be used for ever.
        if (kept !== undefined && !known) forgetServer();
      }
    } finally {
      underWay = undefined;
    }
  }

  function recall(): string | undefined {
    try {
      return serverOrigin(page.localStorage.getItem(KEPT) ?? "");
    } catch {
      return undefined;
    }
  }

  function remember(server: string): void {
    try {
      page.localStorage.setItem(KEPT, server);
    } catch {
      // Storage is blocked or full: the user is asked again next time.
    }
  }

  function forgetServer(): void {
    try {
      page.localStorage.removeItem(KEPT);
    } catch {
      // Where there is no storage, there is nothing to forget.
    }
  }

  return { subscribe, forgetServer };
}

function requestOf(options: SubscribeOptions): Request {
  return {
    ...(options.applicationServerKey !== undefined && { applicationServerKey: base64url(options.applicationServerKey) }),
    ...(options.siteKey !== undefined && { siteKey: base64url(options.siteKey) }),
    ...(options.name !== undefined && { name: options.name }),
  };
}

function base64url(key: string | ArrayBuffer | ArrayBufferView): string {
  if (typeof key === "string") return key;
  const bytes = ArrayBuffer.isView(key) ? new Uint8Array(key.buffer, key.byteOffset, key.byteLength) : new Uint8Array(key);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
