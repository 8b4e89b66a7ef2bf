import assert from "node:assert/strict";
import { test } from "node:test";
import { area, ceiling, DAY, dragged, HOUR, indexAt, indexByKey, moved, path, rowsOf, SHORTEST_MS, SPANS, thinned, ticks, zoomed } from "../src/rules/chart.ts";
import { changes } from "../src/rules/changes.ts";
import { endOf, localInput, until } from "../src/rules/ends.ts";
import { brief, bytes, inUnit, milliseconds, parsed, rate, seconds, typed } from "../src/rules/numbers.ts";

const NOW = 1_800_000_000_000;

test("the scale ends at a round number above the largest value", () => {
  for (const [most, top] of [[0, 1], [0.07, 0.08], [1, 1], [9.1, 10], [42, 50], [1001, 1500], [9_999, 10_000]] as const)
    assert.ok(Math.abs(ceiling([[null, most], [0]]) - top) < 1e-9, `${most}`);
});

test("a line breaks where nothing was measured", () => {
  assert.equal(path([0, 1, null, 1], 1, 30, 10), "M0 10L10 0M30 0h0.01");
  assert.equal(path([null, null], 1, 30, 10), "");
  assert.equal(area([0, 1, null, 1], 1, 30, 10), "M0 10L0 10L10 0L10 10ZM30 10L30 0L30 10Z");
});

test("values without room are told by their mean, and a gap only where all of it is one", () => {
  assert.deepEqual(thinned([1, 3, null, 5, null, null, 7], 2), [2, 5, null, 7]);
  assert.deepEqual(thinned([1, null], 1), [1, null]);
});

test("a pointer means the nearest value, and never one outside", () => {
  for (const [x, at] of [[-5, 0], [0, 0], [14, 1], [16, 2], [30, 3], [99, 3]] as const) assert.equal(indexAt(x, 4, 30), at, `${x}`);
  assert.equal(indexAt(3, 1, 30), 0);
});

test("keys walk through the values", () => {
  for (const [key, to] of [["ArrowLeft", 4], ["ArrowRight", 6], ["Home", 0], ["End", 23], ["PageUp", 7], ["PageDown", 3], ["a", null]] as const)
    assert.equal(indexByKey(key, 5, 24), to, key);
  assert.equal(indexByKey("ArrowLeft", 0, 24), 0);
});

test("zooming keeps the place under it, and stays between the shortest span and the longest", () => {
  const span = { from: NOW - 4 * HOUR, to: NOW };
  assert.deepEqual(zoomed(span, 0.5, NOW, NOW, SPANS.month), { from: NOW - 2 * HOUR, to: NOW });
  assert.deepEqual(zoomed(span, 0.5, NOW - 4 * HOUR, NOW, SPANS.month), { from: NOW - 4 * HOUR, to: NOW - 2 * HOUR });
  assert.equal(zoomed(span, 0.0001, NOW, NOW, SPANS.month).from, NOW - SHORTEST_MS);
  assert.deepEqual(zoomed(span, 10_000, NOW - HOUR, NOW, SPANS.month), { from: NOW - SPANS.month, to: NOW });
});

test("going earlier or later ends at now and at what is kept", () => {
  const span = { from: NOW - 2 * HOUR, to: NOW };
  assert.deepEqual(moved(span, -1, NOW, SPANS.month), { from: NOW - 3 * HOUR, to: NOW - HOUR });
  assert.deepEqual(moved(span, 1, NOW, SPANS.month), span);
  const oldest = { from: NOW - SPANS.month, to: NOW - SPANS.month + DAY };
  assert.deepEqual(moved(oldest, -1, NOW, SPANS.month), oldest);
});

test("what is dragged over is shown, a slip of the hand is not", () => {
  const span = { from: NOW - DAY, to: NOW };
  assert.deepEqual(dragged(span, 75, 25, 100), { from: NOW - 0.75 * DAY, to: NOW - 0.25 * DAY });
  assert.equal(dragged(span, 50, 55, 100), null);
  const short = dragged({ from: NOW - HOUR, to: NOW }, 50, 59, 1000)!;
  assert.equal(Math.round(short.to - short.from), SHORTEST_MS);
});

test("times under a chart are whole ones, in the local day", () => {
  assert.deepEqual(ticks({ from: 10 * HOUR + 1, to: 13 * HOUR }, 4, 0), [11, 12, 13].map((hour) => hour * HOUR));
  assert.deepEqual(ticks({ from: 0, to: 3 * DAY }, 4, -60), [DAY - HOUR, 2 * DAY - HOUR, 3 * DAY - HOUR]);
});

test("the table has so many rows that it can be read, the newest first", () => {
  assert.deepEqual(rowsOf(3, 24), [2, 1, 0]);
  assert.deepEqual(rowsOf(100, 4), [99, 74, 49, 24]);
  assert.deepEqual(rowsOf(0, 4), []);
});

test("numbers are said as people say them", () => {
  assert.equal(rate(0.123), "0.12");
  assert.equal(rate(42.55), "42.6");
  assert.equal(rate(1234.5), "1,235");
  assert.equal(brief(12_345), "12.3K");
  assert.equal(bytes(4 * 1024 * 1024), "4 MiB");
  assert.equal(bytes(900), "900 B");
  assert.equal(milliseconds(4.56), "4.6 ms");
  assert.equal(milliseconds(48.2), "48 ms");
  assert.equal(milliseconds(1234), "1.23 s");
  assert.equal(seconds(604_800), "7 days");
  assert.equal(seconds(5400), "90 minutes");
  assert.equal(seconds(0), "never");
  assert.equal(inUnit(1, "seconds"), "1 second");
});

test("what is typed is read, and written as it was typed", () => {
  for (const [words, unit, value] of [
    ["600", "count", 600], ["5_000_000", "count", 5_000_000], ["5,000,000", "count", 5_000_000], [" 7d ", "seconds", 604_800], ["12 hours", "seconds", 43_200], ["90", "seconds", 90],
    ["4MiB", "bytes", 4_194_304], ["4 mib", "bytes", 4_194_304], ["1.5k", "bytes", 1536], ["0", "count", 0],
    ["", "count", null], ["-1", "count", null], ["1.5", "count", null], ["7d", "count", null], ["4MB", "bytes", null], ["many", "count", null], ["1e9", "count", null], ["99999999999999999999", "count", null],
  ] as const)
    assert.equal(parsed(words, unit), value, words);
  for (const [value, unit] of [[604_800, "seconds"], [4_194_304, "bytes"], [0, "seconds"], [601, "count"]] as const) assert.equal(parsed(typed(value, unit), unit), value);
  assert.equal(typed(604_800, "seconds"), "7d");
});

test("an end is a span from now, a date to come, or never", () => {
  assert.equal(endOf("day", "", NOW), NOW + DAY);
  assert.equal(endOf("never", "", NOW), null);
  assert.equal(endOf("date", localInput(NOW + DAY), NOW), Math.floor((NOW + DAY) / 60_000) * 60_000);
  assert.equal(endOf("date", localInput(NOW - DAY), NOW), undefined);
  assert.equal(endOf("date", "soon", NOW), undefined);
  assert.equal(until(NOW + 30 * 60_000, NOW), "in 30 minutes");
  assert.equal(until(NOW + 21 * DAY, NOW), "in 21 days");
  assert.equal(until(NOW - 1, NOW), "ended");
});

test("a change is what differs, and what is neither text nor number is shown as it is", () => {
  assert.deepEqual(changes({ role: "none", same: 1 }, { role: "viewer", same: 1 }), [{ name: "role", before: "none", after: "viewer" }]);
  assert.deepEqual(changes(null, { ends: null, kinds: ["a"] }), [{ name: "kinds", before: null, after: '["a"]' }]);
  assert.deepEqual(changes(null, null), []);
  assert.deepEqual(changes({ toString: "a" }, {}), [{ name: "toString", before: "a", after: null }]);
  assert.deepEqual(changes(JSON.parse('{"__proto__":1}'), null), [{ name: "__proto__", before: "1", after: null }]);
});
