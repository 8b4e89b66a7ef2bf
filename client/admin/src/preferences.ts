//! The theme, which the console and the dashboard share: in the same place, beside whatever else the
//! console keeps there.

import { signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

const KEY = "belfry.preferences";

export const theme = signal<Theme>(themeOf(stored()));

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  show();
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...stored(), theme: chosen }));
  } catch {
    // No storage: it holds until the page is closed.
  }
}

addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  theme.value = themeOf(stored());
  show();
});

function show(): void {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

function stored(): Record<string, unknown> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function themeOf(kept: Record<string, unknown>): Theme {
  return kept["theme"] === "light" || kept["theme"] === "dark" ? kept["theme"] : "auto";
}
