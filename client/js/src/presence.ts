/** Whether somebody is at this device: a pure rule, and what watches a page for it. */
import type { Belfry } from "./belfry.ts";
import type { Presence, QuietHours } from "./types.ts";

/** Without pointer and keys for so long, nobody looks. */
const INPUT_IDLE_MS = 2 * 60 * 1000;
/** How often a page that is in use says so again, and how often idleness is looked at: under the patience of the leading tab. */
const TICK_MS = 30_000;

/** What presence is decided from. Times are milliseconds since 1970. */
export interface PresenceInput {
  /** The page is visible. */
  visible: boolean;
  /** The page has the focus. */
  focused: boolean;
  /** The page is frozen or on its way out. */
  frozen: boolean;
  /** When the user last moved a pointer or pressed a key in this page. */
  lastInput: number;
  /** What the Idle Detection API says, where the user allowed it; `null` where not. */
  idle: { user: "active" | "idle"; screen: "locked" | "unlocked" } | null;
  quietHours: QuietHours | null;
  now: number;
  /** Minutes that local time is ahead of UTC. */
  utcOffset: number;
}

/** Minutes since midnight; `null` if it is no `HH:MM`. */
function minutes(text: unknown): number | null {
  const match = typeof text === "string" ? /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) : null;
  return match === null ? null : Number(match[1]) * 60 + Number(match[2]);
}

/** Whether it is quiet now. From and to the same is never; `22:00` to `07:00` goes over midnight. */
export function isQuiet(quietHours: QuietHours | null, now: number, utcOffset: number): boolean {
  const [from, to] = [minutes(quietHours?.from), minutes(quietHours?.to)];
  if (from === null || to === null || from === to) return false;
  const local = (((Math.floor(now / 60_000) + utcOffset) % 1440) + 1440) % 1440;
  return from < to ? local >= from && local < to : local >= from || local < to;
}

/** `active` or `away`. */
export function presenceOf(input: PresenceInput): Presence {
  const { visible, focused, frozen, lastInput, idle, quietHours, now, utcOffset } = input;
  if (frozen || !visible || isQuiet(quietHours, now, utcOffset)) return "away";
  if (idle?.screen === "locked") return "away";
  // The detector sees other windows too: somebody at the machine with the page in view is there, focus or not.
  if (idle !== null) return idle.user === "active" ? "active" : "away";
  return focused && now - lastInput < INPUT_IDLE_MS ? "active" : "away";
}

interface IdleDetectorLike extends EventTarget {
  userState: "active" | "idle" | null;
  screenState: "locked" | "unlocked" | null;
  start(options: { threshold: number; signal: AbortSignal }): Promise<void>;
}

declare global {
  // Chromium alone has it.
  var IdleDetector: (new () => IdleDetectorLike) | undefined;
}

async function detectIdle(signal: AbortSignal, told: (idle: PresenceInput["idle"]) => void): Promise<void> {
  if (globalThis.IdleDetector === undefined) return;
  try {
    // Asked for elsewhere, by a click of the user; here it is used if it was granted.
    const permission = await navigator.permissions.query({ name: "idle-detection" as PermissionName });
    if (permission.state !== "granted") return;
    const detector = new globalThis.IdleDetector();
    detector.addEventListener("change", () => {
      const { userState, screenState } = detector;
      told(userState === null || screenState === null ? null : { user: userState, screen: screenState });
    });
    await detector.start({ threshold: INPUT_IDLE_MS, signal });
  } catch {
    // Not allowed, or not known: input in the page has to do.
  }
}

/** Watches this page and tells the session; the answer stops it. */
export function watchPresence(belfry: Belfry): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  let lastInput = Date.now();
  let frozen = false;
  let idle: PresenceInput["idle"] = null;
  let said: Presence | null = null;
  let saidAt = 0;

  const say = (): void => {
    const now = Date.now();
    const presence = presenceOf({
      visible: document.visibilityState === "visible",
      focused: document.hasFocus(),
      frozen, lastInput, idle, now,
      quietHours: belfry.keyring.setting<QuietHours>("quietHours"),
      utcOffset: -new Date(now).getTimezoneOffset(),
    });
    if (presence === said && (presence === "away" || now - saidAt < TICK_MS)) return;
    said = presence;
    saidAt = now;
    belfry.setPresence(presence);
  };
  const input = (): void => {
    const now = Date.now();
    // A pointer that moves says so hundreds of times a second.
    if (now - lastInput < 1_000 && said === "active") return;
    lastInput = now;
    say();
  };
  const freeze = (is: boolean) => (): void => {
    frozen = is;
    say();
  };
  const passive = { signal, passive: true, capture: true };
  for (const name of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) window.addEventListener(name, input, passive);
  for (const name of ["focus", "blur"]) window.addEventListener(name, say, { signal });
  document.addEventListener("visibilitychange", say, { signal });
  document.addEventListener("freeze", freeze(true), { signal });
  document.addEventListener("resume", freeze(false), { signal });
  window.addEventListener("pagehide", freeze(true), { signal });
  window.addEventListener("pageshow", freeze(false), { signal });
  const timer = setInterval(say, TICK_MS);
  const off = belfry.on("keyring", say);
  void detectIdle(signal, (is) => {
    idle = is;
    say();
  });
  say();
  return () => {
    stop.abort();
    clearInterval(timer);
    off();
  };
}
