//! System notifications, the badge, and the service worker behind both. Whatever a site sent goes
//! there as text; no picture and no address of its, so nothing is fetched to show one.

import { signal } from "@preact/signals";
import { manyLines, oneLine } from "belfry-ui/rules/hostile.ts";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { go, spotlight } from "./address.ts";
import type { Item } from "./model.ts";
import { preferences } from "./preferences.ts";

export type PermissionState = "granted" | "denied" | "default" | "missing";

export const permission = signal<PermissionState>(current());

/** Notifications of pages without a service worker, by tag. */
const own = new Map<string, Notification>();
const BODY_CHARS_MAX = 300;

function current(): PermissionState {
  return "Notification" in globalThis && isSecureContext ? Notification.permission : "missing";
}

export async function requestPermission(): Promise<void> {
  if (permission.value === "missing") return;
  await Notification.requestPermission();
  permission.value = current();
}

/** Trusted Types: the one script that is ever named by code is the worker. */
const workerAddress = (): string => {
  const types = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown } } }).trustedTypes;
  if (!types) return "/sw.js";
  const policy = types.createPolicy("belfry", {
    createScriptURL(url) {
      if (url !== "/sw.js") throw new TypeError("only the service worker is a script here");
      return url;
    },
  });
  return policy.createScriptURL("/sw.js") as string;
};

export function startWorker(): void {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register(workerAddress(), { scope: "/", updateViaCache: "none" }).catch((error: unknown) => {
    console.warn("belfry: no service worker, so the console needs a connection to open", error);
  });
  navigator.serviceWorker.addEventListener("message", (event) => {
    const said = event.data as { belfry?: unknown; tag?: unknown } | null;
    if (said?.belfry === "show") raise(String(said.tag));
  });
}

/** Shows one, unless the user is looking at the console or wants none. */
export async function show(item: Item): Promise<void> {
  if (permission.value !== "granted" || !preferences.value.system) return;
  if (document.visibilityState === "visible" && document.hasFocus()) return;
  const site = siteLabel(item.site);
  const preview = preferences.value.preview;
  const title = preview ? oneLine(item.title, 100) || site : site;
  const body = preview ? [site, oneLine(manyLines(item.body), BODY_CHARS_MAX)].filter(Boolean).join("\n") : "";
  const options: NotificationOptions = { body, tag: item.id, icon: "/icon-192.png", badge: "/icon-192.png", requireInteraction: item.urgency === "high" };
  const worker = await registration();
  try {
    if (worker) await worker.showNotification(title, options);
    else plain(title, options);
  } catch (error) {
    console.warn("belfry: the browser did not show a notification", error);
  }
}

function plain(title: string, options: NotificationOptions): void {
  const shown = new Notification(title, options);
  own.set(options.tag!, shown);
  shown.onclick = () => {
    focus();
    raise(options.tag!);
    shown.close();
  };
  shown.onclose = () => own.delete(options.tag!);
}

/** It was clicked: the inbox opens at it. */
function raise(id: string): void {
  spotlight.value = id;
  go("inbox");
}

/** Takes away what was seen elsewhere. */
export async function close(ids: readonly string[]): Promise<void> {
  for (const id of ids) own.get(id)?.close();
  const worker = await registration();
  if (!worker || permission.value !== "granted") return;
  for (const id of ids) for (const shown of await worker.getNotifications({ tag: id })) shown.close();
}

async function registration(): Promise<ServiceWorkerRegistration | null> {
  if (!("serviceWorker" in navigator)) return null;
  const worker = await navigator.serviceWorker.getRegistration("/");
  return worker?.active ? worker : null;
}

/** The count on the icon of the tab and of the installed console. */
export function badge(unseen: number): void {
  const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  const address = unseen > 0 ? "/logo-unseen.svg" : "/logo.svg";
  if (icon && icon.getAttribute("href") !== address) icon.setAttribute("href", address);
  const app = navigator as { setAppBadge?: (count: number) => Promise<void>; clearAppBadge?: () => Promise<void> };
  const set = unseen > 0 ? app.setAppBadge?.(unseen) : app.clearAppBadge?.();
  set?.catch(() => undefined);
}
