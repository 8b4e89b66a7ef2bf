//! A chart of a few lines over time. A pointer or the arrow keys choose a moment, whose values stand in
//! the legend; dragging, the buttons, or + and - choose another part of time; a table says the same.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Series, Span } from "../model.ts";
import { area, ceiling, dragged, indexAt, indexByKey, path, placeOf, rowsOf, thinned, ticks, zoomed } from "../rules/chart.ts";
import { text } from "../text.ts";

export interface Line {
  readonly metric: string;
  readonly name: string;
  /** Which of the colours of lines, 1 to 4. */
  readonly colour: 1 | 2 | 3 | 4;
}

interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly series: Series | null;
  readonly span: Span;
  readonly longest: number;
  readonly format: (value: number) => string;
  readonly unit: string;
  /** The chosen moment, which the charts of a page share; `null`: the last one. */
  readonly at: number | null;
  readonly onAt: (at: number | null) => void;
  readonly onSpan: (span: Span) => void;
}

const HEIGHT = 150;
const ROWS_MAX = 24;
/** Between two values, in pixels. */
const SPACING = 3;

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clockSeconds = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

function tickWords(at: number, span: Span): string {
  return span.to - span.from > 2 * 86_400_000 ? day.format(at) : clock.format(at);
}

function momentWords(at: number, step: number, span: Span): string {
  const time = (step < 60_000 ? clockSeconds : clock).format(at);
  return span.to - span.from > 20 * 3_600_000 ? `${day.format(at)}, ${time}` : time;
}

function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => (width.value = Math.floor(element.clientWidth));
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return [box, width.value];
}

export function Chart({ title, lines, series, span, longest, format, unit, at, onAt, onSpan }: ChartProps): JSX.Element {
  const [box, width] = useWidth();
  const drag = useSignal<{ from: number; to: number } | null>(null);
  const id = useId();
  // Two values a line's width apart would be a smear.
  const by = Math.max(1, Math.ceil(((series?.values[lines[0]?.metric ?? ""]?.length ?? 0) * SPACING) / Math.max(1, width)));
  const values = lines.map((line) => thinned(series?.values[line.metric] ?? [], by));
  const length = Math.max(0, ...values.map((line) => line.length));
  const top = ceiling(values);
  const from = series?.from ?? span.from;
  const step = (series?.stepMs ?? 1) * by;
  const indexOf = (time: number) => Math.min(length - 1, Math.max(0, Math.round((time - from) / step)));
  const chosen = at === null ? length - 1 : indexOf(at);
  const timeOf = (index: number) => from + index * step;
  const none = length > 0 && values.every((line) => line.every((value) => value === null));
  const say = (index: number) => `${momentWords(timeOf(index), step, span)}: ${lines.map((line, n) => `${line.name} ${worded(values[n]?.[index] ?? null, format)}`).join(", ")}`;

  const place = (event: PointerEvent) => event.clientX - (event.currentTarget as Element).getBoundingClientRect().left;
  const onMove = (event: PointerEvent) => {
    if (length === 0) return;
    const x = place(event);
    if (drag.value) drag.value = { from: drag.value.from, to: x };
    onAt(timeOf(indexAt(x, length, width)));
  };
  const onDown = (event: PointerEvent) => {
    // A finger scrolls the page; the buttons zoom for it.
    if (event.button !== 0 || event.pointerType === "touch" || length === 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    drag.value = { from: place(event), to: place(event) };
  };
  const onUp = () => {
    const drawn = drag.value;
    drag.value = null;
    const wanted = drawn && dragged(span, drawn.from, drawn.to, width);
    if (wanted) onSpan(wanted);
  };
  const onKey = (event: KeyboardEvent) => {
    if (length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = indexByKey(event.key, chosen, length);
    if (to !== null) onAt(timeOf(to));
    else if (event.key === "+" || event.key === "=") onSpan(zoomed(span, 0.5, timeOf(chosen), Date.now(), longest));
    else if (event.key === "-") onSpan(zoomed(span, 2, timeOf(chosen), Date.now(), longest));
    else if (event.key === "Escape") onAt(null);
    else return;
    event.preventDefault();
  };

  return (
    <section class="card chart" aria-labelledby={id}>
      <div class="chart-head">
        <h3 id={id}>{title} <span class="soft">{unit}</span></h3>
        <span class="moment soft">{at !== null && length > 0 ? momentWords(timeOf(chosen), step, span) : text.chart.latest}</span>
      </div>
      <ul class="legend">
        {lines.map((line, n) => (
          <li key={line.metric}>
            <span class={`key line-${line.colour}`} aria-hidden="true" />
            {line.name}
            <b>{length === 0 ? "–" : worded(lastOf(values[n] ?? [], at === null ? null : chosen), format)}</b>
          </li>
        ))}
      </ul>
      <div
        ref={box}
        class={`plot ${drag.value ? "dragging" : ""}`}
        role="slider"
        tabIndex={0}
        aria-label={text.chart.label(title)}
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, length - 1)}
        aria-valuenow={Math.max(0, chosen)}
        aria-valuetext={length === 0 ? text.loading : none ? text.chart.nothing : say(chosen)}
        onPointerMove={onMove}
        onPointerDown={onDown}
        onPointerUp={onUp}
        onPointerCancel={() => (drag.value = null)}
        onPointerLeave={() => { if (!drag.value) onAt(null); }}
        onKeyDown={onKey}
        onBlur={() => onAt(null)}
      >
        {width > 0 ? (
          <svg width={width} height={HEIGHT + 24} viewBox={`0 0 ${width} ${HEIGHT + 24}`} aria-hidden="true">
            <Grid width={width} span={span} />
            {length > 0 ? lines.map((line, n) => (
              <g key={line.metric} class={`line-${line.colour}`}>
                {lines.length === 1 ? <path class="area" d={area(values[n] ?? [], top, width, HEIGHT)} /> : null}
                <path class="stroke" d={path(values[n] ?? [], top, width, HEIGHT)} />
              </g>
            )) : null}
            <g class="grid"><text x={4} y={13}>{format(top)}</text><text x={4} y={HEIGHT / 2 - 4}>{format(top / 2)}</text></g>
            {drag.value ? <rect class="selection" x={Math.max(0, Math.min(drag.value.from, drag.value.to))} y={0} width={Math.min(width, Math.abs(drag.value.to - drag.value.from))} height={HEIGHT} /> : null}
            {at !== null && length > 0 && !none ? (
              <g>
                <line class="cursor" x1={placeOf(chosen, length, width)} x2={placeOf(chosen, length, width)} y1={0} y2={HEIGHT} />
                {lines.map((line, n) => {
                  const value = values[n]?.[chosen] ?? null;
                  return value === null ? null : <circle key={line.metric} class={`line-${line.colour} point`} cx={placeOf(chosen, length, width)} cy={HEIGHT - (value / top) * HEIGHT} r={4} />;
                })}
              </g>
            ) : null}
          </svg>
        ) : null}
        {series === null || none ? <p class="plot-note soft">{series === null ? text.loading : text.chart.nothing}</p> : null}
      </div>
      {length > 0 && !none ? (
        <details class="chart-table">
          <summary>{text.chart.table}</summary>
          <div class="scroller" tabIndex={0} role="region" aria-label={text.chart.tableOf(title)}>
            <table>
              <caption class="hidden">{text.chart.tableOf(title)}</caption>
              <thead><tr><th scope="col">{text.chart.time}</th>{lines.map((line) => <th key={line.metric} scope="col">{line.name}</th>)}</tr></thead>
              <tbody>
                {rowsOf(length, ROWS_MAX).map((row) => (
                  <tr key={row}><th scope="row">{momentWords(timeOf(row), step, span)}</th>{lines.map((line, n) => <td key={line.metric}>{worded(values[n]?.[row] ?? null, format)}</td>)}</tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      ) : null}
    </section>
  );
}

/** The value at the chosen moment, or the newest there is. */
function lastOf(values: readonly (number | null)[], chosen: number | null): number | null {
  if (chosen !== null) return values[chosen] ?? null;
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== null && values[at] !== undefined) return values[at]!;
  return null;
}

function worded(value: number | null, format: (value: number) => string): string {
  return value === null ? text.chart.none : format(value);
}

function Grid({ width, span }: { width: number; span: Span }): JSX.Element {
  const offset = new Date(span.to).getTimezoneOffset();
  const times = ticks(span, width < 480 ? 4 : 8, offset);
  const placeAt = (time: number) => ((time - span.from) / (span.to - span.from)) * width;
  return (
    <g class="grid">
      {[0, 0.5, 1].map((part) => <line key={part} x1={0} x2={width} y1={HEIGHT - part * HEIGHT + (part === 1 ? 0.5 : -0.5)} y2={HEIGHT - part * HEIGHT + (part === 1 ? 0.5 : -0.5)} />)}
      {times.map((time) => {
        const x = placeAt(time);
        return (
          <g key={time}>
            <line x1={x} x2={x} y1={HEIGHT} y2={HEIGHT + 5} />
            {x > 16 && x < width - 16 ? <text x={x} y={HEIGHT + 19} text-anchor="middle">{tickWords(time, span)}</text> : null}
          </g>
        );
      })}
    </g>
  );
}
