import assert from "node:assert/strict";
import { test } from "node:test";
import { belfryOf, type SubscribeOptions } from "../src/belfry.js";
import { FakePage, FakeWindow, SERVER, SUBSCRIPTION } from "./fake.js";

function asking(options: SubscribeOptions = { server: SERVER }) {
  const fake = new FakePage();
  const belfry = belfryOf(fake.page);
  const answer = belfry.subscribe(options);
  // A test that expects a refusal looks at it later than it comes.
  answer.catch(() => {});
  return { fake, belfry, answer };
}

const refusal = (code: string) => ({ name: "BelfryError", code });

test("the window is opened within the click, and asked once it is ready", async () => {
  const { fake, answer } = asking({ server: SERVER, applicationServerKey: "vapid", siteKey: "site", name: "News" });
  assert.deepEqual(
    fake.opened.map(({ url }) => url),
    [`${SERVER}/consent`],
  );
  assert.deepEqual(fake.window.heard, []);
  fake.hear({ belfry: "ready" });
  assert.deepEqual(fake.window.heard, [
    { message: { belfry: "subscribe", applicationServerKey: "vapid", siteKey: "site", name: "News" }, target: SERVER },
  ]);
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  assert.deepEqual(await answer, SUBSCRIPTION);
  assert.equal(fake.left, 0);
});

test("keys may be bytes, as for the browser's own push", () => {
  const key = new Uint8Array([251, 255, 1]);
  const { fake } = asking({ server: SERVER, applicationServerKey: key, siteKey: key.buffer });
  fake.hear({ belfry: "ready" });
  assert.deepEqual(fake.window.heard[0]?.message, { belfry: "subscribe", applicationServerKey: "-_8B", siteKey: "-_8B" });
});

test("a window that was reloaded is asked again", async () => {
  const { fake, answer } = asking();
  fake.hear({ belfry: "ready" });
  fake.hear({ belfry: "ready" });
  assert.equal(fake.window.heard.length, 2);
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  assert.deepEqual(await answer, SUBSCRIPTION);
});

test("what another window or another origin says is not heard", async () => {
  const { fake, answer } = asking();
  const forged = { belfry: "subscription", subscription: { ...SUBSCRIPTION, endpoint: "https://evil.example/push/a" } };
  fake.hear({ belfry: "ready" }, new FakeWindow());
  fake.hear({ belfry: "ready" }, fake.window, "https://evil.example");
  fake.hear({ belfry: "ready" }, fake.window, "null");
  assert.deepEqual(fake.window.heard, [], "nobody else learns what is asked");
  fake.hear(forged, new FakeWindow());
  fake.hear(forged, fake.window, "https://evil.example");
  fake.hear(forged, null);
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  assert.deepEqual(await answer, SUBSCRIPTION);
});

test("messages that are none of ours are passed over", async () => {
  const { fake, answer } = asking();
  for (const said of [null, undefined, 7, "ready", [], {}, { belfry: 1 }, { belfry: "other" }]) fake.hear(said);
  assert.deepEqual(fake.window.heard, []);
  fake.hear({ belfry: "declined" });
  await assert.rejects(answer, refusal("declined"));
});

test("an answer that is no subscription is an error", async () => {
  const broken = [
    undefined,
    null,
    "text",
    {},
    { ...SUBSCRIPTION, endpoint: "http://push.example.org/push/a" },
    { ...SUBSCRIPTION, endpoint: "javascript:alert(1)" },
    { ...SUBSCRIPTION, endpoint: 7 },
    { ...SUBSCRIPTION, keys: null },
    { ...SUBSCRIPTION, keys: { p256dh: "p" } },
    { ...SUBSCRIPTION, keys: { auth: "a" } },
  ];
  for (const subscription of broken) {
    const { fake, answer } = asking();
    fake.hear({ belfry: "subscription", subscription });
    await assert.rejects(answer, refusal("failed"), JSON.stringify(subscription));
    assert.equal(fake.left, 0);
  }
});

test("each way that it can fail has a code", async (t) => {
  await t.test("a blocked window", async () => {
    const fake = new FakePage();
    fake.blocks = true;
    await assert.rejects(belfryOf(fake.page).subscribe({ server: SERVER }), refusal("blocked"));
    assert.equal(fake.left, 0);
  });

  await t.test("a server that is not https", async () => {
    const fake = new FakePage();
    await assert.rejects(belfryOf(fake.page).subscribe({ server: "http://push.example.org" }), refusal("server"));
    assert.equal(fake.opened.length, 0);
  });

  await t.test("the user declines", async () => {
    const { fake, answer } = asking();
    fake.hear({ belfry: "declined" });
    await assert.rejects(answer, refusal("declined"));
    assert.equal(fake.left, 0);
  });

  await t.test("the console cannot", async () => {
    const { fake, answer } = asking();
    fake.hear({ belfry: "error", reason: "This origin is not https" });
    await assert.rejects(answer, { code: "failed", message: "This origin is not https" });
  });

  await t.test("the user closes the window", async () => {
    const { fake, answer } = asking();
    fake.window.closed = true;
    fake.pass(2000);
    await assert.rejects(answer, refusal("closed"));
    assert.equal(fake.left, 0);
  });

  await t.test("nobody answers", async () => {
    const { fake, answer } = asking({ server: SERVER, timeout: 5000 });
    fake.pass(5000);
    await assert.rejects(answer, refusal("timeout"));
    assert.equal(fake.window.closed, true, "an approval that nobody hears is no longer possible");
    assert.equal(fake.left, 0);
  });
});

test("an answer that is on its way when the window closes is heard", async () => {
  const { fake, answer } = asking();
  fake.window.closed = true;
  fake.pass(400);
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  assert.deepEqual(await answer, SUBSCRIPTION);
});

test("a page that goes away takes the window along", () => {
  const { fake } = asking();
  fake.dispatch("pagehide");
  assert.equal(fake.window.closed, true);
});

test("one question at a time", async () => {
  const { fake, belfry, answer } = asking();
  await assert.rejects(belfry.subscribe({ server: SERVER }), refusal("busy"));
  assert.equal(fake.opened.length, 1);
  assert.equal(fake.window.focused, 1);
  fake.hear({ belfry: "declined" });
  await assert.rejects(answer, refusal("declined"));
  const again = belfry.subscribe({ server: SERVER });
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  assert.deepEqual(await again, SUBSCRIPTION);
});

test("a server that was remembered is used within the click, until it answers no more or is forgotten", async () => {
  const fake = new FakePage();
  const belfry = belfryOf(fake.page);
  fake.kept.set("belfry.server", SERVER);

  const first = belfry.subscribe();
  assert.equal(fake.opened[0]?.url, `${SERVER}/consent`);
  fake.hear({ belfry: "ready" });
  fake.hear({ belfry: "declined" });
  await assert.rejects(first, refusal("declined"));
  assert.equal(fake.kept.get("belfry.server"), SERVER, "it answered");

  const second = belfry.subscribe();
  fake.window.closed = true;
  fake.pass(2000);
  await assert.rejects(second, refusal("closed"));
  assert.equal(fake.kept.size, 0, "no server was there");

  fake.kept.set("belfry.server", SERVER);
  belfry.forgetServer();
  assert.equal(fake.kept.size, 0);
});

test("a server that the site names is neither remembered nor taken for the user's", async () => {
  const fake = new FakePage();
  fake.kept.set("belfry.server", "https://mine.example");
  const answer = belfryOf(fake.page).subscribe({ server: SERVER });
  assert.equal(fake.opened[0]?.url, `${SERVER}/consent`);
  fake.hear({ belfry: "ready" });
  fake.hear({ belfry: "subscription", subscription: SUBSCRIPTION });
  await answer;
  assert.equal(fake.kept.get("belfry.server"), "https://mine.example");
});
