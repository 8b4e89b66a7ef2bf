import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../src/net/api.ts";
import { Http, type Fetch } from "../src/net/http.ts";

function api(answer: (url: string, init: RequestInit) => Response | Promise<Response>): Api {
  const fetch: Fetch = async (url, init) => answer(url, init);
  const made = new Api(new Http("https://belfry.example", fetch));
  made.token = "secret";
  return made;
}

const problem = (status: number, type: string): Response =>
  new Response(JSON.stringify({ type: `https://belfry.dev/problems/${type}`, title: "T", status, detail: "what would be right", field: "name" }), { status });

test("a problem is an error with the server's words", async () => {
  await assert.rejects(api(() => problem(409, "too-many-devices")).devices(), (error: { code: string; message: string; problem: { status: number; field: string } }) => {
    assert.deepEqual([error.code, error.message, error.problem.status, error.problem.field], ["refused", "what would be right", 409, "name"]);
    return true;
  });
  await assert.rejects(api(() => problem(401, "sign-in-again")).removeDevice("d", null), { code: "sign-in-again" });
  await assert.rejects(api(() => problem(401, "x")).signIn({ username: "a", password: "b" }, null), { code: "wrong-credentials" });
  await assert.rejects(api(() => problem(403, "x")).changePassword("a", "b", null), { code: "wrong-credentials" });
  await assert.rejects(api(() => new Response("<h1>Bad gateway</h1>", { status: 502 })).devices(), { code: "refused", message: "the server answered 502" });
});

test("a reset link sets a password without a sign-in", async () => {
  const asked: [string, RequestInit][] = [];
  await api((url, init) => (asked.push([url, init]), new Response(null, { status: 204 }))).resetPassword({ token: "t", password: "a long one" });
  const [url, init] = asked[0]!;
  assert.equal(url, "https://belfry.example/v1/resets");
  assert.equal(new TextDecoder().decode(init.body as Uint8Array), '{"token":"t","password":"a long one"}');
  assert.equal((init.headers as Record<string, string>)["Authorization"], undefined);
});

test("only a sign-in that is no good any more is told as such", async () => {
  for (const [type, expected] of [["unauthorized", 1], ["sign-in-again", 0]] as const) {
    const one = api(() => problem(401, type));
    let told = 0;
    one.onUnauthorized = () => told++;
    await assert.rejects(one.devices());
    assert.equal(told, expected, type);
  }
});

test("no answer, no JSON and odd JSON are the network's fault", async () => {
  await assert.rejects(api(() => Promise.reject(new TypeError("fetch failed"))).devices(), { code: "network" });
  await assert.rejects(api(() => new Response("hello")).devices(), { code: "network" });
  for (const odd of [null, 3, [], {}, { items: 3 }, { items: [{}] }, { items: [null] }, { items: [{ device_id: "../x", name: "", kind: "", public_key: "" }] }]) {
    await assert.rejects(api(() => Response.json(odd)).devices(), { code: "network" }, JSON.stringify(odd));
  }
  await assert.rejects(api(() => new Response(new Uint8Array(10))).keyring(), { code: "network" }, "a keyring without an ETag");
});

test("an answer that is too long is not read to its end", async () => {
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent++;
      controller.enqueue(new Uint8Array(64 * 1024));
    },
  });
  await assert.rejects(api(() => new Response(endless)).keyring(), { code: "network", message: "the answer is too long" });
  assert.ok(sent < 40, `${sent} parts were read`);
});

test("a server that always says there is more is not followed for ever", async () => {
  let pages = 0;
  await api(() => {
    pages++;
    return Response.json({ items: [], next: "more" });
  }).permissions();
  assert.equal(pages, 100);
});

test("the token goes into Authorization and nowhere else, and nothing is sent along or followed", async () => {
  const asked: [string, RequestInit][] = [];
  const one = api((url, init) => {
    asked.push([url, init]);
    return Response.json({ items: [], next: null });
  });
  await one.permissions();
  const [url, init] = asked[0]!;
  assert.equal(url.includes("secret"), false);
  assert.equal(new Headers(init.headers).get("Authorization"), "Bearer secret");
  assert.deepEqual([init.credentials, init.redirect, init.referrerPolicy, init.cache], ["omit", "error", "no-referrer", "no-store"]);
});
