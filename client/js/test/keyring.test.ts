/** What the shared vectors have no place for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, randomBytes, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { secretbox } from "../src/crypto/box.ts";
import { deflate, inflate } from "../src/crypto/deflate.ts";
import { pad, unpad } from "../src/crypto/padding.ts";
import { openKeyring, sealKeyring, SEALED_BYTES_MAX, type KeyringContents } from "../src/keyring/format.ts";
import { canonicalJson, changedAt, later } from "../src/keyring/merge.ts";

const key = randomBytes(32);
const empty: KeyringContents = { user: "u", epoch: 1, generation: 1, devices: [], permissions: [], settings: {} };

function seal(compressed: Bytes): Bytes {
  const nonce = randomBytes(24);
  return concat(Uint8Array.of(1), nonce, secretbox(key, nonce, pad(compressed, 1024)));
}

test("a keyring that inflates to more than 4 MiB is refused", async () => {
  const padded = (bytes: number): Promise<Bytes> => deflate(utf8(JSON.stringify({ ...empty, x: "a".repeat(bytes) })));
  const length = JSON.stringify({ ...empty, x: "" }).length;
  assert.equal(typeof (await openKeyring(seal(await padded(4 * 1024 * 1024 - length)), key)), "object");
  assert.equal(await openKeyring(seal(await padded(4 * 1024 * 1024 - length + 1)), key), "malformed");
});

test("what is not whole DEFLATE is refused", async () => {
  const whole = await deflate(utf8(JSON.stringify(empty)));
  assert.deepEqual(await openKeyring(seal(whole), key), empty);
  for (const broken of [whole.slice(0, -1), new Uint8Array(), utf8("not deflate")]) {
    assert.equal(await openKeyring(seal(broken), key), "malformed");
  }
  assert.equal(await inflate(new Uint8Array(), 10), null);
});

test("a keyring of a thousand permissions fits, and what does not fit is not put", async () => {
  const fresh = (bytes: number): string => Buffer.from(randomBytes(bytes)).toString("base64url");
  const permission = (number: number) => ({
    id: Buffer.from(randomBytes(16)).toString("hex").slice(0, 26), site: `https://site-${number}.example`, endpoint: `https://push.example.org/push/${fresh(24)}`,
    p256: fresh(32), auth: fresh(16), x25519: fresh(32), siteKey: fresh(32), name: `Site number ${number}`, changed: 1_795_600_000_000 + number * 7_919,
  });
  const thousand = { ...empty, permissions: Array.from({ length: 1_000 }, (_, number) => permission(number)) };
  assert.deepEqual(await openKeyring(await sealKeyring(thousand, key), key), thousand);
  const noise = { ...empty, x: Buffer.from(randomBytes(60_000)).toString("hex") + Buffer.from(randomBytes(60_000)).toString("hex") + Buffer.from(randomBytes(60_000)).toString("hex") + Buffer.from(randomBytes(60_000)).toString("hex") + Buffer.from(randomBytes(60_000)).toString("hex") };
  await assert.rejects(sealKeyring(noise, key), RangeError);
  assert.equal(await openKeyring(new Uint8Array(SEALED_BYTES_MAX + 1), key), "too-large");
});

test("padding has one form", () => {
  for (const length of [0, 1, 127, 128, 129]) assert.equal(unpad(pad(new Uint8Array(length).fill(7), 128), 128)?.length, length);
  assert.equal(pad(new Uint8Array(128), 128).length, 256);
  for (const wrong of [new Uint8Array(128), new Uint8Array(), concat(Uint8Array.of(0x80), new Uint8Array(255)), Uint8Array.of(0x80)]) assert.equal(unpad(wrong, 128), null);
});

test("keys are sorted by the bytes of their UTF-8, not by code units", () => {
  assert.equal(canonicalJson({ "😀": 1, "\ufffd": 2, b: [{ d: null, c: "\u001f\"" }] }), `{"b":[{"c":"\\u001f\\"","d":null}],"\ufffd":2,"😀":1}`);
});

test("of two changes at the same time the one that is gone stays, whatever its JSON", () => {
  const gone = { id: "x", removed: true as const, changed: 5 };
  const there = { id: "x", site: "https://z.example", changed: 5 };
  assert.ok(canonicalJson(there) > canonicalJson(gone));
  assert.equal(later<typeof gone | typeof there>(gone, there as never), gone);
  assert.equal(later<typeof gone | typeof there>(there as never, gone), gone);
});

test("a change is later than what it changes, whatever the clock says", () => {
  assert.deepEqual([changedAt(10, undefined), changedAt(10, 5), changedAt(10, 10), changedAt(10, 99)], [10, 10, 11, 100]);
});
