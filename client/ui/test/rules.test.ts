import assert from "node:assert/strict";
import { test } from "node:test";
import { fragmentOf, routesOf } from "../src/route.ts";
import { manyLines, oneLine } from "../src/rules/hostile.ts";
import { points } from "../src/rules/line.ts";
import { siteLabel, typedSite } from "../src/rules/site.ts";
import { ago, duration } from "../src/rules/times.ts";

test("a typed site becomes its origin", () => {
  assert.equal(typedSite("news.example"), "https://news.example");
  assert.equal(typedSite(" https://News.Example/path?x "), "https://news.example");
  assert.equal(typedSite("http://localhost:3000/x"), "http://localhost:3000");
  for (const text of ["", "news", "http://news.example", "javascript:alert(1)", "ftp://a.example", "https://a@b.example", "https://"])
    assert.equal(typedSite(text), null, text);
  assert.equal(siteLabel("https://news.example"), "news.example");
  assert.equal(siteLabel("http://localhost:3000"), "http://localhost:3000");
});

test("hostile text loses what reaches past its field", () => {
  assert.equal(oneLine("a\u202egnp.exe"), "agnp.exe");
  assert.equal(oneLine("a\u2066b\u2069\u200f\ufeff\u0000c"), "abc");
  assert.equal(oneLine("one\ntwo\u2028three"), "one two three");
  assert.equal(oneLine("<b>&amp;"), "<b>&amp;");
  assert.equal(oneLine("\ud800x"), "\ufffdx");
  assert.equal(manyLines("a\r\nb\n\n\n\n\nc"), "a\nb\n\nc");
  assert.equal(oneLine(`Z${"\u0321".repeat(500)}algo`), `Z${"\u0321".repeat(4)}algo`);
  assert.equal(oneLine("👩‍💻 می‌خواهم"), "👩‍💻 می‌خواهم");
});

test("very long text is cut", () => {
  assert.equal(Array.from(oneLine("😀".repeat(100_000))).length, 200);
  assert.equal(manyLines("x".repeat(100_000)).length, 4000);
  assert.ok(oneLine("x".repeat(100_000)).endsWith("…"));
});

test("times are said as people say them", () => {
  const now = Date.UTC(2026, 10, 25, 12);
  assert.equal(ago(now - 10_000, now), "just now");
  assert.equal(ago(now + 10_000, now), "just now");
  assert.equal(ago(now - 5 * 60_000, now), "5 min. ago");
  assert.equal(ago(now - 3 * 3_600_000, now), "3 hr. ago");
  assert.equal(ago(now - 86_400_000, now), "yesterday");
  assert.equal(duration(30), "30 seconds");
  assert.equal(duration(120), "2 minutes");
  assert.equal(duration(3600), "1 hour");
});

test("the line of a chart fills its box", () => {
  assert.equal(points([0, 1, 2], 20, 10), "0,10 10,5 20,0");
  assert.equal(points([0, 0], 20, 10), "0,10 20,10");
});

test("an address is a page and perhaps one thing of it", () => {
  const { routeOf, hashOf } = routesOf(["home", "sites"], "home");
  assert.deepEqual(routeOf(hashOf("sites", "https://a.example:1/#x")), { page: "sites", part: "https://a.example:1/#x" });
  assert.deepEqual(routeOf("#/toString/x"), { page: "home", part: null });
});

test("what a fragment carries is read by its name alone", () => {
  assert.equal(fragmentOf("#setup=abc_-", "setup"), "abc_-");
  assert.equal(fragmentOf("#SETUP=a=b", "setup"), "a=b");
  for (const hash of ["", "#", "#setup", "#setup=", "#/setup=a", "#reset=a"]) assert.equal(fragmentOf(hash, "setup"), null, hash);
});
