//! Numbers as people say them, and as they type them. Pure.

import type { Unit } from "../model.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const KIB = 1024;
const BYTE_UNITS = [["GiB", KIB ** 3], ["MiB", KIB ** 2], ["KiB", KIB]] as const;
const TIME_UNITS = [["d", 86_400], ["h", 3600], ["m", 60], ["s", 1]] as const;
const TIME_WORDS = { d: ["day", "days"], h: ["hour", "hours"], m: ["minute", "minutes"], s: ["second", "seconds"] } as const;

export function count(value: number): string {
  return whole.format(value);
}

/** Few digits, for places with little room: 1.2K. */
export function brief(value: number): string {
  return Math.abs(value) < 1000 ? tenths.format(value) : short.format(value);
}

export function rate(value: number): string {
  return (value < 1 ? hundredths : value < 100 ? tenths : whole).format(value);
}

export function bytes(value: number): string {
  for (const [unit, size] of BYTE_UNITS) if (value >= size) return `${tenths.format(value / size)} ${unit}`;
  return `${whole.format(value)} B`;
}

export function milliseconds(value: number): string {
  return value >= 1000 ? `${hundredths.format(value / 1000)} s` : `${(value < 10 ? tenths : whole).format(value)} ms`;
}

/** The largest unit that says it without a fraction: 604800 is 7 days. */
export function seconds(value: number): string {
  if (value === 0) return "never";
  for (const [unit, size] of TIME_UNITS) {
    if (value % size === 0) return `${whole.format(value / size)} ${TIME_WORDS[unit][value === size ? 0 : 1]}`;
  }
  return `${tenths.format(value)} seconds`;
}

export function inUnit(value: number, unit: Unit): string {
  return unit === "bytes" ? bytes(value) : unit === "seconds" ? seconds(value) : count(value);
}

/** As it stands in the field to be changed, and in the configuration: `7d`, `4MiB`, `600`. */
export function typed(value: number, unit: Unit): string {
  if (unit === "bytes") for (const [name, size] of BYTE_UNITS) if (value > 0 && value % size === 0) return `${value / size}${name}`;
  if (unit === "seconds") for (const [name, size] of TIME_UNITS) if (value > 0 && value % size === 0) return `${value / size}${name}`;
  return String(value);
}

/** What somebody typed; `null` where it is no such value. */
export function parsed(text: string, unit: Unit): number | null {
  const match = /^(\d[\d_,. ']*)\s*([a-z]*)$/i.exec(text.trim());
  if (!match) return null;
  const digits = match[1]!.replace(/[_, ']/g, "");
  if (!/^\d+(\.\d+)?$/.test(digits)) return null;
  const factor = factorOf(match[2]!.toLowerCase(), unit);
  const value = Number(digits) * (factor ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : null;
}

function factorOf(suffix: string, unit: Unit): number | null {
  if (suffix === "") return 1;
  if (unit === "bytes") return suffix === "b" ? 1 : (BYTE_UNITS.find(([name]) => name.toLowerCase() === suffix || name[0]!.toLowerCase() === suffix)?.[1] ?? null);
  if (unit === "seconds") return TIME_UNITS.find(([name]) => name === suffix || TIME_WORDS[name].includes(suffix as never))?.[1] ?? null;
  return null;
}
