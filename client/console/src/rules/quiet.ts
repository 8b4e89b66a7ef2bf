//! Quiet hours: a span of the local day, which may go over midnight.

export interface QuietHours {
  readonly from: string;
  readonly to: string;
}

/** Minutes since midnight of `HH:MM`; `null` where it is no time of day. */
export function minutes(time: string): number | null {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time);
  return match ? Number(match[1]) * 60 + Number(match[2]) : null;
}

export function isQuiet(hours: QuietHours | null, at: Date): boolean {
  if (!hours) return false;
  const from = minutes(hours.from);
  const to = minutes(hours.to);
  if (from === null || to === null || from === to) return false;
  const now = at.getHours() * 60 + at.getMinutes();
  return from < to ? now >= from && now < to : now >= from || now < to;
}
