import assert from "node:assert/strict";
import { test } from "node:test";
import type { Item } from "../src/model.ts";
import { destination, picture } from "../src/rules/destination.ts";
import { groups, unseenCount } from "../src/rules/inbox.ts";
import { isQuiet, minutes } from "../src/rules/quiet.ts";
import { hashOf, linkCodeOf, routeOf, tokenOf } from "../src/rules/route.ts";
import { losses, type Surroundings } from "../src/rules/safety.ts";
import { daily } from "../src/rules/sparkline.ts";
import { askedPlaces, phraseOf } from "../src/rules/words.ts";

test("a link is https or it is none, and says where it leads if that is elsewhere", () => {
  const site = "https://news.example";
  assert.deepEqual(destination("https://news.example/a", site), { href: "https://news.example/a", elsewhere: null });
  assert.equal(destination("https://evil.example/a", site)?.elsewhere, "evil.example");
  assert.equal(destination("https://news.example:444/a", site)?.elsewhere, "news.example:444");
  assert.equal(destination("https://nеws.example/", site)?.elsewhere, "xn--nws-rdd.example");
  for (const url of [
    undefined, "", "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x",
    "http://news.example", "//news.example", "/a", "blob:https://news.example/1", "vbscript:x",
    "https://news.example@evil.example/", "https://user:pass@news.example/",
  ])
    assert.equal(destination(url, site), null, url);
});

test("a picture is in the message itself, and no program", () => {
  assert.ok(picture("data:image/png;base64,iVBORw0KGgo="));
  for (const icon of [
    undefined, "https://news.example/i.png", "data:image/svg+xml;base64,PHN2Zz4=", "data:text/html;base64,PHN2Zz4=",
    "data:image/png,x", "javascript:alert(1)", `data:image/png;base64,${"A".repeat(9000)}`,
  ])
    assert.equal(picture(icon), null, icon);
});

const item = (id: string, sent: number, more: Partial<Item> = {}): Item => ({
  id, seq: sent, permission: "p1", site: "https://news.example", name: "", sent, urgency: "normal", seen: false, dismissed: false,
  title: `Title ${id}`, body: "", actions: [], ...more,
});
const NONE: ReadonlySet<string> = new Set();

const inbox = { muted: NONE, kept: NONE, shelf: "inbox", unseenOnly: false, query: "" } as const;

test("the inbox is grouped by site, the newest first", () => {
  const items = [
    item("a", 1), item("b", 3, { site: "https://ci.example", permission: "p2" }), item("c", 2, { seen: true }),
    item("d", 4, { seen: true, dismissed: true }),
  ];
  const shown = groups({ ...inbox, items });
  assert.deepEqual(shown.map((g) => [g.site, g.unseen, g.items.map((i) => i.id)]), [
    ["https://ci.example", 1, ["b"]], ["https://news.example", 1, ["c", "a"]],
  ]);
  assert.deepEqual(groups({ ...inbox, items, shelf: "archive" }).flatMap((g) => g.items.map((i) => i.id)), ["d"]);
  assert.deepEqual(groups({ ...inbox, items, unseenOnly: true }).flatMap((g) => g.items.map((i) => i.id)), ["b", "a"]);
});

test("what a muted site sends waits in the archive and counts nowhere", () => {
  const items = [item("a", 1), item("b", 2, { permission: "muted" }), item("c", 3, { dismissed: true }), item("d", 4, { seen: true })];
  const muted = new Set(["muted"]);
  assert.equal(unseenCount(items, muted), 1);
  assert.deepEqual(groups({ ...inbox, items, muted }).flatMap((g) => g.items.map((i) => i.id)), ["d", "a"]);
  assert.deepEqual(groups({ ...inbox, items, muted, shelf: "archive" }).flatMap((g) => g.items.map((i) => i.id)), ["c", "b"]);
});

test("undo puts what was dismissed back into the inbox", () => {
  const items = [item("a", 1, { seen: true, dismissed: true })];
  assert.equal(groups({ ...inbox, items }).length, 0);
  assert.equal(groups({ ...inbox, items, kept: new Set(["a"]) }).length, 1);
});

test("search takes all words, in any case and with or without accents", () => {
  const items = [item("a", 1, { title: "Café opens", body: "At noon" }), item("b", 2, { title: "Opens" })];
  const found = (query: string) => groups({ ...inbox, items, query }).flatMap((g) => g.items.map((i) => i.id));
  assert.deepEqual(found("CAFE noon"), ["a"]);
  assert.deepEqual(found("opens"), ["b", "a"]);
  assert.deepEqual(found("news.example opens"), ["b", "a"]);
  assert.deepEqual(found("tea"), []);
});

test("quiet hours may go over midnight", () => {
  const at = (time: string) => new Date(2026, 10, 25, Number(time.slice(0, 2)), Number(time.slice(3)));
  const night = { from: "22:00", to: "07:00" };
  for (const [time, quiet] of [["21:59", false], ["22:00", true], ["03:00", true], ["06:59", true], ["07:00", false]] as const)
    assert.equal(isQuiet(night, at(time)), quiet, time);
  assert.equal(isQuiet({ from: "12:00", to: "13:00" }, at("12:30")), true);
  assert.equal(isQuiet({ from: "12:00", to: "13:00" }, at("13:00")), false);
  assert.equal(isQuiet({ from: "12:00", to: "12:00" }, at("12:00")), false);
  assert.equal(isQuiet(null, at("12:00")), false);
  assert.equal(minutes("24:00"), null);
  assert.equal(minutes("9:00"), null);
});

test("an address is a page, and what is none is the inbox", () => {
  assert.deepEqual(routeOf("#/sites/abc"), { page: "sites", part: "abc" });
  assert.deepEqual(routeOf(hashOf("sites", "a/b c")), { page: "sites", part: "a/b c" });
  for (const hash of ["", "#", "#/", "#/nothing", "#/__proto__", "#link=ABC"])
    assert.deepEqual(routeOf(hash), { page: "inbox", part: null }, hash);
  assert.deepEqual(routeOf("#/keys/%E0%A4%A"), { page: "keys", part: "%E0%A4%A" });
});

test("an admin's token comes in the fragment, and is of one kind", () => {
  assert.deepEqual(tokenOf("#invite=a-B_9"), { kind: "invite", token: "a-B_9" });
  assert.deepEqual(tokenOf("#reset=x"), { kind: "reset", token: "x" });
  for (const hash of ["#setup=x", "#/reset", "#reset=", "#link=x"]) assert.equal(tokenOf(hash), null, hash);
});

test("a link code comes in the fragment", () => {
  assert.equal(linkCodeOf("#link=XKQ2-7M4D"), "XKQ2-7M4D");
  assert.equal(linkCodeOf("#link="), null);
  assert.equal(linkCodeOf("#/inbox"), null);
});

test("nothing is lost where the page is secure", () => {
  const at: Surroundings = { secure: true, subtle: true, serviceWorker: true, notifications: true, hostname: "localhost", port: "" };
  assert.deepEqual(losses(at), []);
  const lost = losses({ ...at, secure: false, subtle: false, serviceWorker: false });
  assert.deepEqual(lost, ["eavesdropping", "keys-exportable", "notifications", "offline", "install"]);
});

test("a site's notifications are counted by day, the oldest first", () => {
  const now = 1_800_000_000_000;
  const day = 86_400_000;
  assert.deepEqual(daily([now, now - 1, now - day - 1, now - 40 * day, now + 5 * day], now, 3), [0, 1, 2]);
});

test("a phrase is read from paper, with numbers and commas", () => {
  assert.equal(phraseOf(" 1. Abandon, 2) ability\n3 able "), "abandon ability able");
});

test("the words that are asked for are three different ones", () => {
  let at = 0;
  const numbers = [5, 5, 2, 11];
  assert.deepEqual(askedPlaces(() => numbers[at++]!), [2, 5, 11]);
});
