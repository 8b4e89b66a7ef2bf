//! When Approve may be pressed: only after the window was visible and focused for a second without
//! a break, and again after it lost either. So a click that was meant for the page behind, or the
//! second half of a double click, approves nothing. Pure: the clock is a parameter.

export const DWELL_MS = 1000;

/** Since when the window is visible and focused; `null` where it is not. */
export type Dwell = { readonly since: number | null };

export interface Attention {
  readonly visible: boolean;
  readonly focused: boolean;
}

export function attend(dwell: Dwell, attention: Attention, now: number): Dwell {
  if (!attention.visible || !attention.focused) return dwell.since === null ? dwell : { since: null };
  return dwell.since === null ? { since: now } : dwell;
}

export function mayApprove(dwell: Dwell, now: number): boolean {
  return dwell.since !== null && now - dwell.since >= DWELL_MS;
}

/** Milliseconds until it may be pressed if nothing changes; `null` where that is never. */
export function wait(dwell: Dwell, now: number): number | null {
  return dwell.since === null ? null : Math.max(0, dwell.since + DWELL_MS - now);
}
