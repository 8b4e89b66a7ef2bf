import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { openAes128gcm, sealAes128gcm } from "../src/body/aes128gcm.ts";
import { readContent } from "../src/body/content.ts";
import { BOX_TEXT_BYTES_MAX, openCryptoBox, sealCryptoBox } from "../src/body/crypto-box.ts";
import { openEnvelope, readEnvelope, type Envelope } from "../src/body/envelope.ts";
import { Recent } from "../src/body/recent.ts";
import { base64url, fromBase64url, fromUtf8, randomBytes, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { x25519Public } from "../src/crypto/box.ts";
import { makeP256, p256Public } from "../src/crypto/p256.ts";

const page = readFileSync(new URL("../../../docs/encryption.md", import.meta.url), "utf8");
const examples = [...page.matchAll(/```json\n(\{\n {2}"encoding"[^`]*)```/g)].map((match) => JSON.parse(match[1]!) as Record<string, string>);
const bytes = (text: string | undefined): Bytes => fromBase64url(text) ?? assert.fail(`not base64url: ${text}`);

test("the example of aes128gcm in the documentation opens", async () => {
  const example = examples.find(({ encoding }) => encoding === "aes128gcm")!;
  const text = await openAes128gcm(bytes(example["body"]), { p256: bytes(example["p256"]), auth: bytes(example["auth"]) });
  assert.equal(fromUtf8(text!), example["text"]);
});

test("the example of crypto-box in the documentation opens, and is made again to the byte", () => {
  const example = examples.find(({ encoding }) => encoding === "crypto-box")!;
  const body = bytes(example["body"]);
  assert.equal(fromUtf8(openCryptoBox(body, bytes(example["siteKey"]), bytes(example["x25519"]))!), example["text"]);
  assert.equal(base64url(x25519Public(bytes(example["x25519"]))), example["x25519Public"]);
  const again = sealCryptoBox(utf8(example["text"]!), bytes(example["x25519Public"]), bytes(example["siteSecret"]), body.slice(0, 24));
  assert.equal(base64url(again), example["body"]);
});

test("aes128gcm opens what it sealed, and nothing that was altered, cut or meant for others", async () => {
  const [p256, auth] = [makeP256(), randomBytes(16)];
  const body = await sealAes128gcm(utf8("hello"), p256Public(p256), auth);
  assert.equal(fromUtf8((await openAes128gcm(body, { p256, auth }))!), "hello");
  for (const index of [0, 16, 20, 21, 30, 86, body.length - 1]) {
    const altered = body.slice();
    altered[index]! ^= 1;
    // The record size is only a bound: one that is still large enough says the same.
    if (index !== 16) assert.equal(await openAes128gcm(altered, { p256, auth }), null, `byte ${index}`);
  }
  assert.equal(await openAes128gcm(body.slice(0, -1), { p256, auth }), null);
  assert.equal(await openAes128gcm(body, { p256: makeP256(), auth }), null);
  assert.equal(await openAes128gcm(body, { p256, auth: randomBytes(16) }), null);
});

test("crypto-box takes the longest text that fits, and no longer one", () => {
  const [site, permission] = [randomBytes(32), randomBytes(32)];
  const body = sealCryptoBox(new Uint8Array(BOX_TEXT_BYTES_MAX), x25519Public(permission), site);
  assert.ok(body.length <= 4096);
  assert.equal(openCryptoBox(body, x25519Public(site), permission)!.length, BOX_TEXT_BYTES_MAX);
  assert.throws(() => sealCryptoBox(new Uint8Array(BOX_TEXT_BYTES_MAX + 1), x25519Public(permission), site), RangeError);
  assert.equal(openCryptoBox(body, x25519Public(randomBytes(32)), permission), null, "another sender");
  assert.throws(() => sealCryptoBox(utf8("x"), new Uint8Array(32), site), RangeError, "a key of low order");
});

function checkContent(text: string, expected: object): void {
  const none = { plain: false, body: null, icon: null, url: null, tag: null, actions: [], data: null };
  assert.deepEqual(readContent(utf8(text)), { ...none, ...expected }, text);
}

test("a whole notification is read", () => {
  checkContent(
    `{"title":"T","body":"B","icon":"data:image/png;base64,AA==","url":"https://a.example/x","tag":"t","actions":[{"title":"Go","action":"go","url":"https://b.example"}],"data":{"n":1},"more":2}`,
    { title: "T", body: "B", icon: "data:image/png;base64,AA==", url: "https://a.example/x", tag: "t", actions: [{ title: "Go", action: "go", url: "https://b.example/" }], data: { n: 1 } },
  );
});

test("what must not be fetched or opened is left out", () => {
  const action = (title: string) => ({ title, action: null, url: null });
  checkContent(
    `{"title":"T","icon":"https://a.example/i.png","url":"http://a.example","actions":[{"title":"a","url":"javascript:alert(1)"},{"url":"https://a.example"},7,{"title":"b"},{"title":"c"},{"title":"d"},{"title":"e"}]}`,
    { title: "T", actions: ["a", "b", "c", "d"].map(action) },
  );
  checkContent(`{"title":"T","icon":"data:text/html,x","url":"file:///etc/passwd","body":3,"tag":[],"data":null,"actions":{}}`, { title: "T" });
  checkContent(`{"title":"T","url":" javascript:alert(1)"}`, { title: "T" });
  checkContent(`{"title":"T","icon":"DATA:image/png,x"}`, { title: "T", icon: "DATA:image/png,x" });
});

test("other text is shown as it is", () => {
  for (const text of ["When I grow up", `{"body":"no title"}`, `{"title":5}`, "[1]", ""]) checkContent(text, { plain: true, title: text });
  assert.equal(readContent(Uint8Array.of(0x61, 0xff)).title, "a\u{fffd}");
});

const payload = {
  id: "n1", permission: "p1", site: "https://news.example", seq: 4, sent: "2026-11-24T12:00:00.000Z", expires: "2026-11-25T12:00:00.000Z",
  urgency: "normal", encoding: "aes128gcm", body: "",
};

test("an envelope with a field missing or of the wrong kind is none", () => {
  assert.ok(readEnvelope(payload));
  assert.equal(readEnvelope({ ...payload, seq: undefined })?.seq, null);
  for (const wrong of [{ id: "a/b" }, { id: 5 }, { permission: "x".repeat(65) }, { sent: "yesterday" }, { urgency: "now" }, { encoding: "aesgcm" }, { body: null }, { site: 1 }]) {
    assert.equal(readEnvelope({ ...payload, ...wrong }), null, JSON.stringify(wrong));
  }
  for (const none of [null, 3, "x", []]) assert.equal(readEnvelope(none), null);
});

test("an envelope opens only under its own permission, site and pinned key", async () => {
  const [p256, auth, x25519, site] = [makeP256(), randomBytes(16), randomBytes(32), randomBytes(32)];
  const kept = { id: "p1", changed: 1, site: "https://news.example", endpoint: "e", p256: base64url(p256), auth: base64url(auth), x25519: base64url(x25519) };
  const pinned = { ...kept, siteKey: base64url(x25519Public(site)) };
  const aes = { ...readEnvelope(payload)!, body: base64url(await sealAes128gcm(utf8("hi"), p256Public(p256), auth)) };
  const box: Envelope = { ...aes, encoding: "crypto-box", body: base64url(sealCryptoBox(utf8("hi"), x25519Public(x25519), site)) };
  const opened = await openEnvelope(aes, kept);
  assert.ok("content" in opened && opened.content.title === "hi" && fromBase64url(opened.nonce)!.length === 16);
  assert.ok("content" in (await openEnvelope(box, pinned)));
  assert.deepEqual(await openEnvelope(aes, undefined), { refused: "unknown-permission" });
  assert.deepEqual(await openEnvelope(aes, { ...kept, removed: true }), { refused: "unknown-permission" });
  assert.deepEqual(await openEnvelope({ ...aes, site: "https://bank.example" }, kept), { refused: "another-site" });
  assert.deepEqual(await openEnvelope(aes, pinned), { refused: "downgraded" });
  assert.deepEqual(await openEnvelope(aes, { ...kept, siteKey: "" }), { refused: "downgraded" });
  assert.deepEqual(await openEnvelope(box, kept), { refused: "does-not-open" });
  assert.deepEqual(await openEnvelope({ ...aes, body: "%" }, kept), { refused: "does-not-open" });
});

test("a nonce is known under its own notification alone, and the oldest is forgotten", () => {
  const recent = new Recent([], 2);
  assert.equal(recent.repeats("p", "n", "1"), false);
  recent.remember("p", "n", "1");
  assert.equal(recent.repeats("p", "n", "1"), false, "the same notification again");
  assert.equal(recent.repeats("p", "n", "2"), true);
  assert.equal(recent.repeats("q", "n", "2"), false);
  const kept = [recent.remember("p", "m", "3").kept, recent.remember("p", "o", "4")];
  assert.deepEqual((kept[1] as { forgotten: unknown[] }).forgotten, [{ permission: "p", nonce: "n", id: "1", order: 1 }]);
  assert.equal(new Recent([kept[0] as never], 2).repeats("p", "m", "9"), true, "what was kept is known again");
});
