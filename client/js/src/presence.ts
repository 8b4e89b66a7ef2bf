import type { Belfry } from "./belfry.ts";
import type { Presence, QuietHours } from "./types.ts";

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

/** `active` or `away`. */
export function presenceOf(_input: PresenceInput): Presence {
  throw new Error("not yet");
}

/** Watches this page and tells the session; the answer stops it. */
export function watchPresence(_belfry: Belfry): () => void {
  throw new Error("not yet");
}
