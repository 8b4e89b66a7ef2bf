//! What this browser alone remembers of how somebody likes it. Nothing here is secret.

import { effect, signal } from "@preact/signals";

export interface Preferences {
  readonly theme: "auto" | "light" | "dark";
  /** System notifications say what they are about. */
  readonly preview: boolean;
  /** System notifications are wanted here; whether the browser allows them is another matter. */
  readonly system: boolean;
  /** The first-run guide was finished or skipped. */
  readonly welcomed: boolean;
  /** Dismissed, but put back on this device by undo. */
  readonly kept: readonly string[];
}

const KEY = "belfry.preferences";
const KEPT_MAX = 200;
const DEFAULT: Preferences = { theme: "auto", preview: true, system: true, welcomed: false, kept: [] };

export const preferences = signal<Preferences>(read());

export function prefer(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change };
}

export function keep(ids: readonly string[]): void {
  prefer({ kept: [...new Set([...preferences.value.kept, ...ids])].slice(-KEPT_MAX) });
}

export function letGo(ids: readonly string[]): void {
  const gone = new Set(ids);
  if (preferences.value.kept.some((id) => gone.has(id))) prefer({ kept: preferences.value.kept.filter((id) => !gone.has(id)) });
}

effect(() => {
  const chosen = preferences.value;
  if (chosen.theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen.theme;
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // No storage: it holds until the page is closed.
  }
});

addEventListener("storage", (event) => {
  if (event.key === KEY) preferences.value = read();
});

function read(): Preferences {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof stored === "object" && stored !== null ? { ...DEFAULT, ...stored } : DEFAULT;
  } catch {
    return DEFAULT;
  }
}
