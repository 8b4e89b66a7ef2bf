//! When something ends, as people choose and say it. Pure: the present is a parameter.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const date = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });

export const ENDS = { hour: HOUR, day: DAY, week: 7 * DAY, month: 30 * DAY, year: 365 * DAY } as const;
export type EndChoice = keyof typeof ENDS | "never" | "date";

export function until(at: number, now: number): string {
  const left = at - now;
  if (left <= 0) return "ended";
  if (left < HOUR) return relative.format(Math.max(1, Math.round(left / MINUTE)), "minute");
  if (left < 2 * DAY) return relative.format(Math.round(left / HOUR), "hour");
  if (left < 60 * DAY) return relative.format(Math.round(left / DAY), "day");
  return date.format(at);
}

/** `null`: never. `undefined`: no such time, or one that has passed. `typed` is a local `YYYY-MM-DDTHH:MM`. */
export function endOf(choice: EndChoice, typed: string, now: number): number | null | undefined {
  if (choice === "never") return null;
  if (choice !== "date") return now + ENDS[choice];
  const at = new Date(typed).getTime();
  return Number.isFinite(at) && at > now ? at : undefined;
}

/** For a field that wants a local date and time. */
export function localInput(at: number): string {
  const local = new Date(at - new Date(at).getTimezoneOffset() * MINUTE);
  return local.toISOString().slice(0, 16);
}
