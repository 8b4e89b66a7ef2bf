//! Whether somebody is using the page. A dashboard that stands open reads its charts again by itself;
//! that must not keep a session alive that nobody is at.

const FRESH_MS = 60_000;

let last = Date.now();
for (const type of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(type, () => (last = Date.now()), { passive: true, capture: true });

export function isUsed(): boolean {
  return Date.now() - last < FRESH_MS;
}
