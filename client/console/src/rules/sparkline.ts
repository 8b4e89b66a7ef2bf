//! How much a site sent, by day, from the local copy of the mailbox, and the line that draws it.

const DAY_MS = 86_400_000;
export const DAYS = 14;

/** Counts for the last `DAYS` days, the oldest first; a day is 24 hours back from now. */
export function daily(times: readonly number[], now: number, days = DAYS): number[] {
  const counts = new Array<number>(days).fill(0);
  for (const time of times) {
    const back = Math.floor((now - time) / DAY_MS);
    if (back >= 0 && back < days) counts[days - 1 - back]! += 1;
  }
  return counts;
}

/** Points of a polyline in a box of this width and height; a flat line at the bottom for nothing. */
export function points(counts: readonly number[], width: number, height: number): string {
  const most = Math.max(1, ...counts);
  const step = counts.length > 1 ? width / (counts.length - 1) : 0;
  return counts.map((count, at) => `${round(at * step)},${round(height - (count / most) * height)}`).join(" ");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
