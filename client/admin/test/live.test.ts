import assert from "node:assert/strict";
import { test } from "node:test";
import { query } from "../src/live/http.ts";
import { decoded } from "../src/live/passkeys.ts";
import { fromJson, timeWords } from "../src/live/shape.ts";

test("names and times of the API become those of the pages", () => {
  assert.deepEqual(
    fromJson({ items: [{ user_id: "u1", last_seen: "2026-11-25T12:00:00Z", created: null, delivery_p50_ms: 4.5, ban: { ends: "2026-11-26T00:00:00Z" } }], next: null }),
    { items: [{ userId: "u1", lastSeen: Date.UTC(2026, 10, 25, 12), created: null, deliveryP50Ms: 4.5, ban: { ends: Date.UTC(2026, 10, 26) } }], next: null },
  );
  assert.deepEqual(fromJson({ ends: "soon" }), { ends: null });
  assert.equal(timeWords(Date.UTC(2026, 10, 25, 12) + 7), "2026-11-25T12:00:00Z");
});

test("what an act changed, reasons and metrics keep their own names", () => {
  const values = { mailbox_depth: [1, null], from: "2026-11-25T12:00:00Z" };
  assert.deepEqual(fromJson({ values, before: { last_seen: "2026-11-25T12:00:00Z" }, refused_by: { rate_limited: 1 } }), { values, before: { last_seen: "2026-11-25T12:00:00Z" }, refusedBy: { rate_limited: 1 } });
});

test("a question leaves out what is not asked", () => {
  assert.equal(query({ search: "a b&c", sort: "-accepted", cursor: null, kind: "", ended: false, limit: 50 }), "?search=a+b%26c&sort=-accepted&limit=50");
  assert.equal(query({}), "");
});

test("options of a passkey have bytes where the browser wants them, wrapped or not", () => {
  const options = { challenge: "AQID", rpId: "push.example", user: { id: "_w", name: "ada" }, allowCredentials: [{ id: "BA==", type: "public-key" }] };
  const expected = { challenge: Uint8Array.of(1, 2, 3), rpId: "push.example", user: { id: Uint8Array.of(255), name: "ada" }, allowCredentials: [{ id: Uint8Array.of(4), type: "public-key" }] };
  assert.deepEqual(decoded(options), expected);
  assert.deepEqual(decoded({ publicKey: options }), expected);
  assert.throws(() => decoded({ challenge: "!" }));
});
