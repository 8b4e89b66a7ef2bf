//! The browser's offer to install the console, where it makes one.

import { signal } from "@preact/signals";

interface InstallPrompt extends Event {
  prompt(): Promise<unknown>;
}

export const installing = signal<InstallPrompt | null>(null);

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  installing.value = event as InstallPrompt;
});
addEventListener("appinstalled", () => {
  installing.value = null;
});
