//! Which part of time the charts of a page show: one of three, or what was drawn or stepped to.

import { Button, Segments } from "belfry-ui/controls.tsx";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Span } from "../model.ts";
import { moved, SHORTEST_MS, SPANS, zoomed, type SpanName } from "../rules/chart.ts";
import { text } from "../text.ts";

export interface SpanChoice {
  readonly span: Span;
  readonly name: SpanName;
  readonly longest: number;
  /** The whole span up to now, which moves on by itself. */
  readonly following: boolean;
  choose(name: SpanName): void;
  set(span: Span): void;
}

/** How often a span that ends now is read again, as its buckets fill. */
const FOLLOW_MS: Record<SpanName, number> = { hour: 10_000, day: 60_000, month: 600_000 };

export function useSpan(first: SpanName): SpanChoice {
  const name = useSignal<SpanName>(first);
  const now = useSignal(Date.now());
  const drawn = useSignal<Span | null>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") now.value = Date.now();
    }, FOLLOW_MS[name.value]);
    return () => clearInterval(timer);
  }, [name.value]);
  return {
    span: drawn.value ?? { from: now.value - SPANS[name.value], to: now.value },
    name: name.value,
    longest: SPANS.month,
    following: drawn.value === null,
    choose(chosen) {
      name.value = chosen;
      now.value = Date.now();
      drawn.value = null;
    },
    set: (span) => (drawn.value = span),
  };
}

export function SpanBar({ choice }: { choice: SpanChoice }): JSX.Element {
  const words = text.chart;
  const { span, longest } = choice;
  const middle = (span.from + span.to) / 2;
  const length = span.to - span.from;
  const now = Date.now();
  return (
    <div class="span-bar" role="group" aria-label={words.span}>
      <Segments label={words.span} value={choice.following ? choice.name : ("" as SpanName)} options={[["hour", words.hour], ["day", words.day], ["month", words.month]]} onChange={choice.choose} />
      <div class="buttons">
        <Button look="slim" aria-label={words.earlier} title={words.earlier} aria-disabled={span.from <= now - longest + 1000} onClick={() => choice.set(moved(span, -1, now, longest))}>‹</Button>
        <Button look="slim" aria-label={words.later} title={words.later} aria-disabled={choice.following || span.to >= now - 1000} onClick={() => choice.set(moved(span, 1, now, longest))}>›</Button>
        <Button look="slim" aria-label={words.closer} title={words.closer} aria-disabled={length <= SHORTEST_MS} onClick={() => choice.set(zoomed(span, 0.5, choice.following ? span.to : middle, now, longest))}>+</Button>
        <Button look="slim" aria-label={words.further} title={words.further} aria-disabled={length >= longest} onClick={() => choice.set(zoomed(span, 2, middle, now, longest))}>−</Button>
        {choice.following ? null : <Button look="quiet slim" onClick={() => choice.choose(choice.name)}>{words.whole}</Button>}
      </div>
    </div>
  );
}
