//! Made-up figures: a day with its night, a flood in it, and a gap where the server was down.

import type { Figures, Series, Span } from "../model.ts";
import { DAY, HOUR, MINUTE, start } from "./data.ts";

const STEPS = [10_000, 5 * MINUTE, HOUR];
const POINTS_MAX = 400;

/** How busy it is at a time, from 0 to 1. */
function busy(at: number): number {
  const hour = (at % DAY) / HOUR;
  return 0.25 + 0.75 * Math.max(0, Math.sin(((hour - 6) / 24) * 2 * Math.PI)) ** 1.5;
}

/** From 0 to 1, always the same for the same number. */
function noiseOf(seed: number): number {
  const turned = Math.sin(seed * 12.9898) * 43_758.5453;
  return turned - Math.floor(turned);
}

/** What the pages ask for with a star: each reason that occurred. */
const REASONS = ["refused.rate-limited", "refused.blocked", "refused.revoked", "refused.vapid"];

export function seriesOf(metrics: readonly string[], span: Span, quiet: boolean): Series {
  const stepMs = STEPS.find((step) => (span.to - span.from) / step <= POINTS_MAX) ?? HOUR;
  const from = Math.floor(span.from / stepMs) * stepMs;
  const length = Math.max(1, Math.floor((span.to - from) / stepMs));
  const asked = metrics.flatMap((metric) => (metric === "refused.*" ? (quiet ? [] : REASONS) : [metric]));
  return { from, stepMs, values: Object.fromEntries(asked.map((metric) => [metric, Array.from({ length }, (_, at) => (quiet ? null : valueAt(metric, from + at * stepMs, stepMs)))])) };
}

function valueAt(metric: string, at: number, step: number): number | null {
  const noise = noiseOf(Math.floor(at / step) + metric.length * 7919);
  const down = start - 38 * MINUTE;
  if (at > down && at < down + 3 * MINUTE) return null;
  const flood = Math.max(0, 1 - Math.abs(at - (start - 17 * MINUTE)) / (6 * MINUTE));
  const load = busy(at) * (0.8 + 0.4 * noise);
  switch (metric) {
    case "accepted": return 42 * load;
    case "delivered": return 39 * load;
    case "acknowledged": return 51 * load;
    case "refused": return 1.2 * noise + 30 * flood;
    case "refused.rate-limited": return 0.4 * noise + 26 * flood;
    case "refused.blocked": return 3.1 * load * (0.6 + flood);
    case "refused.revoked": return 0.6 * noise;
    case "refused.vapid": return noise > 0.97 ? 0.5 : 0;
    case "devices": return Math.round(700 + 620 * busy(at) + 12 * noise);
    case "mailbox_depth": return Math.round(5200 + 900 * Math.sin(at / (5 * HOUR)) + 60 * noise);
    case "mailbox_bytes": return Math.round((5200 + 900 * Math.sin(at / (5 * HOUR))) * 1180);
    case "delivery_p50_ms": return 4 + 2 * noise + 3 * flood;
    case "delivery_p99_ms": return 31 + 26 * noise + 60 * flood;
    case "commit_batch": return 1 + 5 * load + 22 * flood;
    default: return null;
  }
}

export function figuresAt(at: number, quiet: boolean): Figures {
  if (quiet) return { at, accepted: 0, delivered: 0, acknowledged: 0, refused: 0, refusedBy: {}, devices: [], mailboxDepth: 0, mailboxBytes: 0, deliveryP50Ms: null, deliveryP99Ms: null, commitBatch: null, commitP99Ms: null };
  const turn = Math.sin((at - start) / 7000);
  return {
    at, accepted: 38.4 + 6 * turn, delivered: 36.1 + 5 * turn, acknowledged: 47.7 + 8 * turn, refused: 3.2 + turn,
    refusedBy: { "rate-limited": 141, blocked: 38, revoked: 12, vapid: 1 },
    devices: [{ transport: "websocket", version: "5.0", count: 911 }, { transport: "tls", version: "5.0", count: 240 }, { transport: "tls", version: "3.1.1", count: 53 }],
    mailboxDepth: 5211, mailboxBytes: 6_149_000, deliveryP50Ms: 4.6, deliveryP99Ms: 48, commitBatch: 3.4, commitP99Ms: 6.2,
  };
}
