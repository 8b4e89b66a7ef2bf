//! What goes through the server now, and what went through it before.

import { useSignal } from "@preact/signals";
import { Empty, PageHead } from "belfry-ui/parts.tsx";
import type { ComponentChildren, JSX } from "preact";
import type { Figures, Series } from "../model.ts";
import { Chart, type Line } from "../parts/chart.tsx";
import { Trouble } from "../parts/lists.tsx";
import { SpanBar, useSpan } from "../parts/span.tsx";
import { useRead } from "../read.ts";
import { brief, bytes, count, milliseconds, rate } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const METRICS = ["accepted", "delivered", "acknowledged", "refused.*", "devices", "mailbox_depth", "mailbox_bytes", "delivery_p50_ms", "delivery_p99_ms", "commit_batch"];
const REFUSALS_MAX = 4;

export function OverviewPage(): JSX.Element {
  const model = useModel();
  const words = text.overview;
  const figures = model.figures.value;
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <h2 class="hidden">{words.now}</h2>
      <Now figures={figures} />
      <History />
    </div>
  );
}

function Now({ figures }: { figures: Figures | null }): JSX.Element {
  const words = text.overview;
  const shown = (value: number | null | undefined, say: (value: number) => string) => (value === null || value === undefined ? words.none : say(value));
  const devices = figures ? figures.devices.reduce((sum, one) => sum + one.count, 0) : null;
  return (
    <>
      <dl class="tiles" aria-busy={figures === null || undefined}>
        <Tile name={words.accepted} value={shown(figures?.accepted, rate)} unit={words.perSecond} />
        <Tile name={words.delivered} value={shown(figures?.delivered, rate)} unit={words.perSecond} />
        <Tile name={words.acknowledged} value={shown(figures?.acknowledged, rate)} unit={words.perSecond} />
        <Tile name={words.refused} value={shown(figures?.refused, rate)} unit={words.perSecond} look={figures && figures.refused > 0 ? "warn" : ""} />
        <Tile name={words.devices} value={shown(devices, count)} />
        <Tile name={words.mailbox} value={shown(figures?.mailboxDepth, count)} unit={figures ? words.mailboxBytes(bytes(figures.mailboxBytes)) : ""} />
        <Tile name={words.latency} value={figures && figures.deliveryP50Ms !== null ? `${milliseconds(figures.deliveryP50Ms)} / ${shown(figures.deliveryP99Ms, milliseconds)}` : words.none} unit={words.latencyHint} />
        <Tile name={words.commit} value={shown(figures?.commitBatch, brief)} unit={figures && figures.commitP99Ms !== null ? words.commitHint(milliseconds(figures.commitP99Ms)) : ""} />
      </dl>
      {figures ? (
        <div class="pair">
          <Shares
            title={words.refusedTitle}
            none={words.refusedNone}
            shares={Object.entries(figures.refusedBy).filter(([, many]) => many > 0).sort((a, b) => b[1] - a[1]).map(([reason, many]) => [words.reasons[reason] ?? reason, many])}
          />
          <Shares
            title={words.devicesTitle}
            none={words.devicesNone}
            shares={figures.devices.filter((one) => one.count > 0).map((one) => [`${words.transports[one.transport] ?? one.transport}, MQTT ${one.version}`, one.count])}
          />
        </div>
      ) : null}
    </>
  );
}

function Tile({ name, value, unit, look = "" }: { name: string; value: string; unit?: string; look?: string }): JSX.Element {
  return (
    <div class={`card tile ${look}`}>
      <dt>{name}</dt>
      <dd><span class="figure">{value}</span>{unit ? <span class="hint">{unit}</span> : null}</dd>
    </div>
  );
}

function Shares({ title, none, shares }: { title: string; none: string; shares: readonly (readonly [string, number])[] }): JSX.Element {
  const most = Math.max(1, ...shares.map(([, many]) => many));
  return (
    <section class="card padded">
      <h3>{title}</h3>
      {shares.length === 0 ? <p class="soft">{none}</p> : (
        <ul class="shares">
          {shares.map(([name, many]) => (
            <li key={name}>
              <span>{name}</span><b>{count(many)}</b>
              <svg class="bar" width="100%" height="6" aria-hidden="true"><rect class="rest" width="100%" height="6" rx="3" /><rect class="part" width={`${Math.max(1, (many / most) * 100)}%`} height="6" rx="3" /></svg>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** The reasons that occurred, the most frequent first. */
function refusalLines(series: Series | null): Line[] {
  const found = Object.entries(series?.values ?? {}).filter(([metric]) => metric.startsWith("refused."));
  const sum = (values: readonly (number | null)[]) => values.reduce<number>((all, value) => all + (value ?? 0), 0);
  return found
    .filter(([, values]) => sum(values) > 0)
    .sort((a, b) => sum(b[1]) - sum(a[1]))
    .slice(0, REFUSALS_MAX)
    .map(([metric], at) => ({ metric, name: text.overview.reasons[metric.slice("refused.".length)] ?? metric.slice("refused.".length), colour: (at + 1) as Line["colour"] }));
}

function History(): JSX.Element {
  const model = useModel();
  const choice = useSpan("hour");
  const at = useSignal<number | null>(null);
  const words = text.overview;
  const { span } = choice;
  const reading = useRead(() => model.reads.series(METRICS, span), [span.from, span.to]);
  const series = reading.value;
  const refusals = refusalLines(series);
  const common = { series, span, longest: choice.longest, at: at.value, onAt: (time: number | null) => { at.value = time; }, onSpan: choice.set };
  const nothing = series !== null && Object.values(series.values).every((values) => values.every((value) => !value));
  const charts: ComponentChildren = (
    <div class="charts">
      <Chart {...common} title={words.charts.traffic} unit={words.units.perSecond} format={rate} lines={[{ metric: "accepted", name: words.accepted, colour: 1 }, { metric: "delivered", name: words.delivered, colour: 2 }, { metric: "acknowledged", name: words.acknowledged, colour: 3 }]} />
      <Chart {...common} title={words.charts.refused} unit={words.units.perSecond} format={rate} lines={refusals.length > 0 ? refusals : [{ metric: "refused.none", name: words.refused, colour: 1 }]} />
      <Chart {...common} title={words.charts.latency} unit={words.units.time} format={milliseconds} lines={[{ metric: "delivery_p50_ms", name: words.p50, colour: 1 }, { metric: "delivery_p99_ms", name: words.p99, colour: 2 }]} />
      <Chart {...common} title={words.charts.devices} unit={words.units.none} format={brief} lines={[{ metric: "devices", name: words.devices, colour: 1 }]} />
      <Chart {...common} title={words.charts.mailbox} unit={words.units.none} format={brief} lines={[{ metric: "mailbox_depth", name: words.mailbox, colour: 1 }]} />
      <Chart {...common} title={words.charts.bytes} unit={words.units.bytes} format={bytes} lines={[{ metric: "mailbox_bytes", name: words.charts.bytes, colour: 1 }]} />
      <Chart {...common} title={words.charts.batch} unit={words.units.none} format={brief} lines={[{ metric: "commit_batch", name: words.commit, colour: 1 }]} />
    </div>
  );
  return (
    <section class="page" aria-labelledby="history">
      <div class="page-head">
        <div><h2 id="history">{words.history}</h2><p class="soft small wide-only">{text.chart.hint}</p></div>
        <SpanBar choice={choice} />
      </div>
      {reading.fault ? <Trouble fault={reading.fault} again={reading.again} busy={reading.busy} /> : null}
      {nothing ? <Empty icon="chart" title={choice.following && choice.name === "month" ? words.emptyTitle : text.chart.nothing}>{words.emptyBody}</Empty> : reading.fault && series === null ? null : charts}
    </section>
  );
}
