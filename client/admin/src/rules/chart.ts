//! The arithmetic of a chart: which part of time is shown, where a value lies, which value is meant by
//! a pointer or a key. Pure; the drawing is in `parts/chart.tsx`.

import type { Span } from "../model.ts";

export type Values = readonly (number | null)[];

const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const SPANS = { hour: HOUR, day: DAY, month: 30 * DAY } as const;
export type SpanName = keyof typeof SPANS;

/** Nothing finer is kept, so nothing shorter is shown. */
export const SHORTEST_MS = 5 * MINUTE;

/** A round number at or above the largest value, so that the scale reads well and does not jump. */
export function ceiling(values: readonly Values[]): number {
  let most = 0;
  for (const line of values) for (const value of line) if (value !== null && value > most) most = value;
  if (most === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) if (step * power >= most * 0.999_999) return step * power;
  return 10 * power;
}

/** Fewer values where there is no room to tell them apart: each the mean of so many. */
export function thinned(values: Values, by: number): Values {
  if (by <= 1) return values;
  return Array.from({ length: Math.ceil(values.length / by) }, (_, at) => {
    const part = values.slice(at * by, (at + 1) * by).filter((value) => value !== null);
    return part.length > 0 ? part.reduce((sum, value) => sum + value, 0) / part.length : null;
  });
}

/** Pieces of a line in a box of this size: a gap where nothing was measured. */
export function path(values: Values, top: number, width: number, height: number): string {
  let drawn = "";
  let down = true;
  values.forEach((value, at) => {
    if (value === null) {
      down = true;
      return;
    }
    const next = values[at + 1] ?? null;
    drawn += `${down ? "M" : "L"}${round(placeOf(at, values.length, width))} ${round(height - (value / top) * height)}`;
    // One value between two gaps would be a line without length.
    if (down && next === null) drawn += "h0.01";
    down = false;
  });
  return drawn;
}

/** The ground under the line, piece by piece. */
export function area(values: Values, top: number, width: number, height: number): string {
  const pieces: string[] = [];
  let begun: number | null = null;
  for (let at = 0; at <= values.length; at += 1) {
    const value = values[at] ?? null;
    if (value !== null && begun === null) begun = at;
    if (value === null && begun !== null) {
      const points: string[] = [];
      for (let inner = begun; inner < at; inner += 1) points.push(`${round(placeOf(inner, values.length, width))} ${round(height - ((values[inner] ?? 0) / top) * height)}`);
      pieces.push(`M${round(placeOf(begun, values.length, width))} ${height}L${points.join("L")}L${round(placeOf(at - 1, values.length, width))} ${height}Z`);
      begun = null;
    }
  }
  return pieces.join("");
}

export function placeOf(at: number, length: number, width: number): number {
  return length > 1 ? (at / (length - 1)) * width : width / 2;
}

/** The value that a pointer at this place means. */
export function indexAt(x: number, length: number, width: number): number {
  if (length <= 1 || width <= 0) return 0;
  return Math.min(length - 1, Math.max(0, Math.round((x / width) * (length - 1))));
}

/** Where a key leads; `null` for a key that means nothing here. */
export function indexByKey(key: string, at: number, length: number): number | null {
  const stride = Math.max(1, Math.round(length / 12));
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowDown: at - 1, ArrowUp: at + 1, PageDown: at - stride, PageUp: at + stride, Home: 0, End: length - 1 }[key];
  return to === undefined ? null : Math.min(length - 1, Math.max(0, to));
}

/** Closer in, or further out, around a place; never past now, nor shorter or longer than there is. */
export function zoomed(span: Span, factor: number, around: number, now: number, longest: number): Span {
  const length = Math.min(longest, Math.max(SHORTEST_MS, (span.to - span.from) * factor));
  const part = (around - span.from) / Math.max(1, span.to - span.from);
  return within({ from: around - part * length, to: around + (1 - part) * length }, now, longest);
}

/** Earlier (-1) or later (1), by half of what is shown. */
export function moved(span: Span, direction: -1 | 1, now: number, longest: number): Span {
  const by = ((span.to - span.from) / 2) * direction;
  return within({ from: span.from + by, to: span.to + by }, now, longest);
}

/** What was drawn over by dragging; `null` where it was a slip of the hand. */
export function dragged(span: Span, from: number, to: number, width: number): Span | null {
  if (Math.abs(to - from) < 8 || width <= 0) return null;
  const time = (x: number) => span.from + (Math.min(width, Math.max(0, x)) / width) * (span.to - span.from);
  const [first, last] = [time(Math.min(from, to)), time(Math.max(from, to))];
  const short = SHORTEST_MS - (last - first);
  return short > 0 ? { from: first - short / 2, to: last + short / 2 } : { from: first, to: last };
}

function within(span: Span, now: number, longest: number): Span {
  const length = Math.min(longest, span.to - span.from);
  const to = Math.min(now, Math.max(span.to, now - longest + length));
  return { from: to - length, to };
}

/** Times to be written under a chart: whole ones, at most `most`. */
export function ticks(span: Span, most: number, offsetMinutes: number): number[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400].map((minutes) => minutes * MINUTE);
  const step = steps.find((candidate) => (span.to - span.from) / candidate <= most) ?? 30 * DAY;
  const offset = offsetMinutes * MINUTE;
  const found: number[] = [];
  for (let at = Math.ceil((span.from - offset) / step) * step + offset; at <= span.to; at += step) found.push(at);
  return found;
}

/** Every n-th row, so that a table of it can be read. */
export function rowsOf(length: number, most: number): number[] {
  const step = Math.max(1, Math.ceil(length / most));
  const rows: number[] = [];
  for (let at = length - 1; at >= 0; at -= step) rows.push(at);
  return rows;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
