//! How much a site sent, by day, from the local copy of the mailbox.


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
