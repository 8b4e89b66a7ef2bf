import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "belfry-ui/failure.ts";
import { Http, query } from "../src/live/http.ts";
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

/** Answers each request with the next of these, and keeps what was asked. */
function answering(...answers: (Response | Error)[]): { asked: { url: string; init: RequestInit }[] } {
  const asked: { url: string; init: RequestInit }[] = [];
  globalThis.fetch = (url, init) => {
    asked.push({ url: String(url), init: init! });
    const next = answers.shift()!;
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  return { asked };
}
const problem = (status: number, said: object) => new Response(JSON.stringify(said), { status, headers: { "Content-Type": "application/problem+json" } });

test("a request carries the header that no other origin can send, and JSON where it has a body", async () => {
  const { asked } = answering(new Response('{"last_used":null}'), new Response(null, { status: 204 }));
  const http = new Http(() => true);
  assert.deepEqual(await http.json("GET", "/sites"), { lastUsed: null });
  assert.equal(await http.json("PUT", "/limits", { "limits.site_per_second": 1 }), undefined);
  assert.deepEqual(asked.map(({ url, init }) => [url, init.method, init.body, init.credentials]), [["/admin/v1/sites", "GET", null, "same-origin"], ["/admin/v1/limits", "PUT", '{"limits.site_per_second":1}', "same-origin"]]);
  for (const { init } of asked) assert.equal((init.headers as Record<string, string>)["X-Belfry-Admin"], "1");
});

test("what a page reads that nobody is at does not count as use, and an act always does", async () => {
  const { asked } = answering(new Response("{}"), new Response(null, { status: 204 }));
  const http = new Http(() => false);
  await http.json("GET", "/series");
  await http.json("DELETE", "/sessions/1");
  assert.deepEqual(asked.map(({ init }) => (init.headers as Record<string, string>)["X-Belfry-Admin"]), [undefined, "1"]);
});

test("a problem is told as a sentence, with the field that is at fault", async () => {
  answering(problem(422, { type: "https://belfry.example/problems/invalid", detail: "this name is taken", field: "username" }));
  await assert.rejects(new Http(() => true).json("POST", "/users", {}), (error: Failure) => error.kind === "refused" && error.message === "This name is taken." && error.field === "username");
  answering(problem(404, { type: "https://belfry.example/problems/not-found", detail: "no such user" }));
  await assert.rejects(new Http(() => true).json("GET", "/users/u9"), (error: Failure) => error.kind === "missing");
});

test("a session that ended is told to the page, and a wrong password is not such an end", async () => {
  const http = new Http(() => true);
  const told: (string | null)[] = [];
  http.onSignedOut = ({ ended }) => told.push(ended);
  answering(
    problem(401, { type: "x/signed-out", detail: "sign in", ended: "role" }),
    problem(401, { type: "x/wrong-credentials", detail: "no" }),
    problem(401, { type: "x/sign-in-again", detail: "again" }),
  );
  const kinds: string[] = [];
  for (let at = 0; at < 3; at += 1) await http.json("GET", "/users").catch((error: Failure) => kinds.push(error.kind));
  assert.deepEqual(kinds, ["signed-out", "refused", "again"]);
  assert.deepEqual(told, ["role"]);
});

test("a server that is not there, or a proxy's page in its place, is a failure in words", async () => {
  answering(new TypeError("fetch failed"), new Response("<h1>502</h1>", { status: 502 }), new Response("<p>hello</p>"));
  const http = new Http(() => true);
  const failures: Failure[] = [];
  for (let at = 0; at < 3; at += 1) await http.json("GET", "/users").catch((error: Failure) => failures.push(error));
  assert.deepEqual(failures.map((failure) => failure.kind), ["offline", "offline", "other"]);
  for (const failure of failures) assert.ok(failure.message.length > 10);
});
