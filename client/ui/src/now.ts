//! The present, for "5 minutes ago": moves on twice a minute while the page is in sight.

import { signal } from "@preact/signals";

export const now = signal(Date.now());

const move = () => {
  if (document.visibilityState === "visible") now.value = Date.now();
};
setInterval(move, 30_000);
document.addEventListener("visibilitychange", move);
