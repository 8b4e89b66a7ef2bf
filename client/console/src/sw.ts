//! The service worker: keeps the shell of the console, so that it opens without a connection, and
//! brings a click on a system notification to the console. It touches neither the API nor `/consent`:
//! what a site is given access with always comes fresh. It fetches nothing to show a notification.

declare const SHELL: readonly string[];
declare const VERSION: string;

interface Extendable extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Clicked extends Extendable {
  readonly notification: Notification;
}
interface WindowClient {
  readonly url: string;
  focus(): Promise<WindowClient>;
  postMessage(message: unknown): void;
}
interface ServiceWorkerScope {
  readonly location: Location;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { type: "window"; includeUncontrolled: boolean }): Promise<readonly WindowClient[]>;
    openWindow(url: string): Promise<WindowClient | null>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Extendable) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void;
  addEventListener(type: "notificationclick", listener: (event: Clicked) => void): void;
}

const worker = self as unknown as ServiceWorkerScope;
const CACHE = `belfry-shell-${VERSION}`;
/** How long a page is waited for before the kept one is shown. */
const PATIENCE_MS = 3000;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL.map((address) => new Request(address, { cache: "no-cache" }))))
      .then(() => worker.skipWaiting()),
  );
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("belfry-shell-") && name !== CACHE).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (url.pathname === "/") event.respondWith(page(request));
  else if (SHELL.includes(url.pathname)) event.respondWith(kept(request, url.pathname));
});

/** The newest page that comes soon, else the one that was kept. */
async function page(request: Request): Promise<Response> {
  const fresh = fetch(request);
  const cached = await (await caches.open(CACHE)).match("/");
  if (!cached) return fresh;
  const late = new Promise<Response>((resolve) => setTimeout(() => resolve(cached), PATIENCE_MS));
  const usable = fresh.then((response) => (response.ok ? response : cached)).catch(() => cached);
  return Promise.race([usable, late]);
}

async function kept(request: Request, pathname: string): Promise<Response> {
  return (await (await caches.open(CACHE)).match(pathname)) ?? fetch(request);
}

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show(event.notification.tag));
});

async function show(tag: string): Promise<void> {
  const windows = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = windows.find((client) => new URL(client.url).pathname === "/");
  if (!open) {
    await worker.clients.openWindow("/#/inbox");
    return;
  }
  await open.focus();
  open.postMessage({ belfry: "show", tag });
}
