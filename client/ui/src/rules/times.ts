//! Times as people say them. Pure: the present is a parameter.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayOfYear = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "medium" });

export function ago(then: number, now: number): string {
  const passed = now - then;
  if (passed < 45_000) return "just now";
  if (passed < HOUR) return relative.format(-Math.max(1, Math.round(passed / MINUTE)), "minute");
  if (passed < DAY) return relative.format(-Math.round(passed / HOUR), "hour");
  if (passed < 7 * DAY) return relative.format(-Math.round(passed / DAY), "day");
  return day(then, now);
}

export function day(then: number, now: number): string {
  const same = new Date(then).getFullYear() === new Date(now).getFullYear();
  return (same ? dayOfYear : dayAndYear).format(then);
}

export function clockTime(then: number): string {
  return clock.format(then);
}

export function wholeTime(then: number): string {
  return whole.format(then);
}

/** Seconds as "30 seconds", "2 minutes". */
export function duration(seconds: number): string {
  if (seconds < 120 && seconds % 60 !== 0) return `${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} ${minutes === 1 ? "minute" : "minutes"}`;
  const hours = Math.round(minutes / 60);
  return `${hours} ${hours === 1 ? "hour" : "hours"}`;
}
