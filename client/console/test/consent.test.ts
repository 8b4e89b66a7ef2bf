import assert from "node:assert/strict";
import { test } from "node:test";
import { attend, DWELL_MS, mayApprove, wait, type Dwell } from "../src/rules/dwell.ts";
import { canAnswer, hear, refusesOrigin, type Opener } from "../src/rules/opener.ts";

const WAITING: Opener = { is: "waiting" };
const SUBSCRIBE = { belfry: "subscribe" };
const POINT = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)]).toString("base64url");
const KEY = Buffer.alloc(32, 7).toString("base64url");

const from = (origin: string, data: unknown, fromOpener = true) => ({ fromOpener, origin, data });

test("the first request of the opener fixes who asks, for good", () => {
  const asked = hear(WAITING, from("https://news.example", { ...SUBSCRIBE, name: "News" }));
  assert.deepEqual(asked, {
    is: "asked",
    request: { origin: "https://news.example", applicationServerKey: null, siteKey: null, name: "News" },
  });
  assert.equal(hear(asked, from("https://evil.example", SUBSCRIBE)), asked);
  assert.equal(hear(asked, from("https://news.example", { ...SUBSCRIBE, name: "Your bank" })), asked);
});

test("whoever is not the opener is not heard", () => {
  assert.equal(hear(WAITING, from("https://evil.example", SUBSCRIBE, false)), WAITING);
});

test("what is no request changes nothing and leaves the place to the one that comes", () => {
  for (const data of [null, undefined, 1, "subscribe", [], {}, { belfry: "ready" }, { belfry: ["subscribe"] }])
    assert.equal(hear(WAITING, from("https://news.example", data)), WAITING);
});

test("an origin that is null or not https is refused, save on this machine", () => {
  const check = (origin: string, why: string | null) => assert.equal(refusesOrigin(origin), why, origin);
  check("https://news.example", null);
  check("https://news.example:8443", null);
  check("http://localhost:3000", null);
  check("http://127.0.0.1", null);
  check("http://[::1]:3000", null);
  check("null", "origin-null");
  check("", "origin-null");
  check("https://news.example/", "origin-null");
  check("https://news.example/path", "origin-null");
  check("http://news.example", "origin-insecure");
  check("http://localhost.evil.example", "origin-insecure");
  check("http://127.0.0.2", "origin-insecure");
  check("file://", "origin-null");
  check("chrome-extension://abcdef", "origin-null");
});

test("a refusal is final too", () => {
  const refused = hear(WAITING, from("http://news.example", SUBSCRIBE));
  assert.deepEqual(refused, { is: "refused", why: "origin-insecure", origin: "http://news.example" });
  assert.equal(hear(refused, from("https://news.example", SUBSCRIBE)), refused);
});

test("an answer goes to an origin that can be named, or to nobody", () => {
  assert.equal(canAnswer(WAITING), null);
  assert.equal(canAnswer(hear(WAITING, from("null", SUBSCRIBE))), null);
  assert.equal(canAnswer(hear(WAITING, from("http://news.example", SUBSCRIBE))), "http://news.example");
  assert.equal(canAnswer(hear(WAITING, from("https://news.example", SUBSCRIBE))), "https://news.example");
});

test("keys must be keys", () => {
  const keys = (more: object) => hear(WAITING, from("https://news.example", { ...SUBSCRIBE, ...more })).is;
  assert.equal(keys({ applicationServerKey: POINT, siteKey: KEY }), "asked");
  assert.equal(keys({ applicationServerKey: null, siteKey: undefined }), "asked");
  assert.equal(keys({ applicationServerKey: KEY }), "refused");
  assert.equal(keys({ applicationServerKey: Buffer.alloc(65, 7).toString("base64url") }), "refused");
  assert.equal(keys({ siteKey: POINT }), "refused");
  assert.equal(keys({ siteKey: "<script>" }), "refused");
  assert.equal(keys({ siteKey: 5 }), "refused");
  assert.equal(keys({ name: { toString: () => "x" } }), "refused");
});

test("padding and the other base64 alphabet are taken, and passed on without", () => {
  const bytes = Buffer.alloc(32, 0xfb);
  const asked = hear(WAITING, from("https://news.example", { ...SUBSCRIBE, siteKey: bytes.toString("base64") }));
  assert.equal(asked.is === "asked" && asked.request.siteKey, bytes.toString("base64url"));
});

test("a very long name is cut, an empty one is none", () => {
  const name = (text: string) => {
    const asked = hear(WAITING, from("https://news.example", { ...SUBSCRIBE, name: text }));
    return asked.is === "asked" ? asked.request.name : undefined;
  };
  assert.equal(name("x".repeat(1000))?.length, 64);
  assert.equal(name("   "), null);
});

test("approve works after a second of sight and focus without a break", () => {
  const both = { visible: true, focused: true };
  let dwell: Dwell = { since: null };
  assert.equal(mayApprove(dwell, 5000), false);
  assert.equal(wait(dwell, 5000), null);
  dwell = attend(dwell, both, 5000);
  assert.equal(wait(dwell, 5400), 600);
  assert.equal(mayApprove(dwell, 5000 + DWELL_MS - 1), false);
  assert.equal(mayApprove(attend(dwell, both, 5900), 5000 + DWELL_MS), true);
});

test("losing focus or sight begins the second anew", () => {
  const both = { visible: true, focused: true };
  for (const lost of [{ visible: true, focused: false }, { visible: false, focused: true }]) {
    let dwell = attend({ since: null }, both, 0);
    dwell = attend(dwell, lost, 900);
    assert.equal(mayApprove(dwell, 1000), false);
    dwell = attend(dwell, both, 950);
    assert.equal(mayApprove(dwell, 1900), false);
    assert.equal(mayApprove(dwell, 1950), true);
  }
});
