/** The SDK against the real server: the whole way from approval to the screen of a second device. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Belfry, MemoryStore, sealAes128gcm, sealCryptoBox, type BelfryEvents, type Message, type State, type SubscriptionJson } from "../src/index.ts";
import { fromBase64url, randomBytes, base64url, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { x25519Public } from "../src/crypto/box.ts";
import { command, startServer, type RealServer } from "./real-server.ts";

let server: RealServer;
const open: Belfry[] = [];

before(async () => {
  server = await startServer();
});

after(async () => {
  await Promise.all(open.map((belfry) => belfry.close()));
  await server.stop();
});

const PASSWORD = "correct horse battery staple";

async function device(name: string, store = new MemoryStore()): Promise<Belfry> {
  const belfry = await Belfry.open({ server: server.url, store, deviceName: name, deviceKind: "browser" });
  open.push(belfry);
  return belfry;
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

function until<Name extends keyof BelfryEvents>(belfry: Belfry, name: Name, holds: (detail: BelfryEvents[Name]) => boolean = () => true): Promise<BelfryEvents[Name]> {
  return belfry.next(name, holds);
}

async function online(belfry: Belfry): Promise<void> {
  if (belfry.connection !== "online") await until(belfry, "connection", (connection) => connection === "online");
}

async function signedUp(username: string): Promise<Belfry> {
  const belfry = await device("first");
  await belfry.signUp({ username, password: PASSWORD });
  await online(belfry);
  return belfry;
}

const key = (text: string): Bytes => fromBase64url(text) ?? assert.fail("no key");

async function post(subscription: SubscriptionJson, body: Bytes, encoding = "aes128gcm", ttl = 3600): Promise<Response> {
  return fetch(subscription.endpoint, { method: "POST", body, headers: { TTL: String(ttl), "Content-Encoding": encoding, Urgency: "high" } });
}

async function send(subscription: SubscriptionJson, title: string): Promise<void> {
  const { p256dh, auth } = subscription.keys;
  const answer = await post(subscription, await sealAes128gcm(utf8(JSON.stringify({ title })), key(p256dh), key(auth)));
  assert.equal(answer.status, 201, await answer.text());
}

const titled = (title: string) => ({ message }: { message: Message }): boolean => message.content.title === title;

test("a site is approved and its notification arrives, decrypted, at once", async () => {
  const belfry = await signedUp("ada");
  assert.equal(belfry.state.name, "ready");
  const subscription = await belfry.permissions.approve("https://news.example", { name: "News" });
  assert.match(subscription.endpoint, /^http:\/\/127\.0\.0\.1:\d+\/push\//);
  const arrives = until(belfry, "notification");
  await send(subscription, "Hello");
  const { message, live } = await arrives;
  assert.deepEqual([message.content.title, message.site, message.name, message.seen, live], ["Hello", "https://news.example", "News", false, true]);
  assert.deepEqual((await belfry.inbox.list()).map(({ content }) => content.title), ["Hello"]);
  const [permission] = await belfry.permissions.list();
  assert.deepEqual([permission?.known, permission?.accepted, permission?.siteMismatch], [true, 1, false]);
});

test("a pinned site's crypto-box opens", async () => {
  const belfry = await signedUp("pinned");
  const site = randomBytes(32);
  const subscription = await belfry.permissions.approve("https://bank.example", { siteKey: base64url(x25519Public(site)) });
  const arrives = until(belfry, "notification");
  const answer = await post(subscription, sealCryptoBox(utf8(`{"title":"Boxed"}`), key(subscription.keys.x25519), site), "crypto-box");
  assert.equal(answer.status, 201);
  assert.equal((await arrives).message.content.title, "Boxed");
});

test("a second device is linked by code, reads old and new, and what one has seen the other has seen", async () => {
  const first = await signedUp("grace");
  const subscription = await first.permissions.approve("https://ci.example");
  const old = until(first, "notification");
  await send(subscription, "Old");
  await old;

  const second = await device("second");
  await second.signIn({ username: "grace", password: PASSWORD });
  assert.equal(second.state.name, "unlinked");
  await online(second);
  const reads = until(second, "notification", titled("Old"));
  const offer = await second.linking.offer();
  const request = await first.linking.read(offer.qr);
  assert.deepEqual([request.name, request.fingerprint], ["second", second.keyring.fingerprint()]);
  await request.confirm();
  await offer.done;
  assert.equal((second.state as State).name, "ready");
  assert.equal((await reads).message.site, "https://ci.example");
  assert.deepEqual((await first.devices.list()).map(({ name, trusted, keyMismatch }) => [name, trusted, keyMismatch]), [["first", true, false], ["second", true, false]]);

  const [onFirst, onSecond] = [until(first, "notification", titled("New")), until(second, "notification", titled("New"))];
  await send(subscription, "New");
  const { message } = await onFirst;
  await onSecond;
  const gone = until(second, "dismissed");
  await first.inbox.dismiss([message.id]);
  assert.deepEqual((await gone).ids, [message.id]);
  await first.inbox.settled();
  assert.deepEqual((await second.inbox.list()).map(({ content }) => content.title), ["Old"]);
});

test("a revoked site is told so, and its notifications are gone", async () => {
  const belfry = await signedUp("joan");
  const subscription = await belfry.permissions.approve("https://spam.example");
  const arrives = until(belfry, "notification");
  await send(subscription, "Buy");
  const { message } = await arrives;
  await belfry.permissions.revoke(message.permission);
  const { p256dh, auth } = subscription.keys;
  assert.equal((await post(subscription, await sealAes128gcm(utf8("x"), key(p256dh), key(auth)))).status, 410);
  assert.deepEqual(await belfry.inbox.list(), []);
  assert.deepEqual(await belfry.permissions.list(), []);
});

test("what comes while a device is closed is there when it opens again, in order", async () => {
  const store = new MemoryStore();
  const before = await device("laptop", store);
  await before.signUp({ username: "edsger", password: PASSWORD });
  await online(before);
  const subscription = await before.permissions.approve("https://news.example");
  await before.close();
  for (const title of ["one", "two", "three"]) await send(subscription, title);
  const after = await device("laptop", store);
  const titles: string[] = [];
  const all = until(after, "notification", ({ message }) => titles.push(message.content.title) === 3);
  assert.equal(after.state.name, "ready");
  await all;
  assert.deepEqual(titles, ["one", "two", "three"]);
});

test("a device that is removed is signed out", async () => {
  const first = await signedUp("barbara");
  const second = await device("second");
  await second.signIn({ username: "barbara", password: PASSWORD });
  await online(second);
  const out = until(second, "signedOut");
  assert.equal(second.state.name, "unlinked");
  await first.devices.remove(second.state.deviceId);
  assert.equal((await out).reason, "removed");
  assert.deepEqual(second.state, { name: "signed-out", reason: "removed", username: "barbara" });
});

test("a device that has the phrase reads the history", async () => {
  const first = await signedUp("alan");
  const subscription = await first.permissions.approve("https://log.example");
  for (let number = 1; number <= 5; number++) {
    const arrives = until(first, "notification", titled(`line ${number}`));
    await send(subscription, `line ${number}`);
    await arrives;
  }
  const words = await first.recovery.make();
  const second = await device("second");
  await second.signIn({ username: "alan", password: PASSWORD });
  await second.recovery.use(words);
  assert.equal((await second.inbox.list()).length, 5);
});

test("a removed device's keys are replaced, and who is left goes on reading", async () => {
  const first = await signedUp("hedy");
  const [second, third] = [await device("second"), await device("third")];
  for (const other of [second, third]) {
    await other.signIn({ username: "hedy", password: PASSWORD });
    await online(other);
    const offer = await other.linking.offer();
    await (await first.linking.read(offer.code)).confirm();
    await offer.done;
  }
  await first.permissions.approve("https://news.example");
  const rotated = until(second, "keyring", ({ epoch }) => epoch === 2);
  assert.equal(third.state.name, "ready");
  await first.devices.remove(third.state.deviceId);
  assert.equal((await rotated).alarm, null);
  const [permission] = await second.permissions.list();
  assert.equal(permission?.renew, true);
  const subscription = await second.permissions.renew(permission.id);
  await second.permissions.revoke(permission.id);
  await first.keyring.refresh();
  const arrives = until(first, "notification");
  await send(subscription, "Renewed");
  assert.equal((await arrives).message.content.title, "Renewed");
});

test("the belfry command is linked from here, and links a device of here", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "belfry-js-command-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const signIn = { BELFRY_SERVER: server.url, BELFRY_PASSWORD: PASSWORD };
  const first = await signedUp("radia");
  await first.permissions.approve("https://here.example", { name: "Grüße" });
  await command(folder, ["login", "--username", "radia", "--device-name", "terminal"], undefined, signIn);
  const code = deferred<string>();
  const linking = command(folder, ["keys", "link"], (line) => {
    const found = /([A-Z2-7]{4}-){7}[A-Z2-7]{4}/.exec(line);
    if (found !== null) code.resolve(found[0]);
  });
  const request = await first.linking.read(await code.promise);
  assert.equal(request.name, "terminal");
  await request.confirm();
  await linking;

  const approved = await command(folder, ["approve", "https://there.example"]);
  const theirs = JSON.parse(approved.written) as SubscriptionJson;
  await first.keyring.refresh();
  assert.deepEqual((await first.permissions.list()).map(({ site, known }) => [site, known]).sort(), [["https://here.example", true], ["https://there.example", true]], approved.noted);
  const arrives = until(first, "notification");
  await send(theirs, "From there");
  assert.equal((await arrives).message.site, "https://there.example");

  const second = await device("second");
  await second.signIn({ username: "radia", password: PASSWORD });
  await online(second);
  const offer = await second.linking.offer();
  await command(folder, ["keys", "accept", "--yes", offer.code]);
  await offer.done;
  assert.equal((await second.permissions.list()).every(({ known }) => known), true);

  const { phrase } = JSON.parse((await command(folder, ["keys", "recovery", "--yes"])).written) as { phrase: string };
  const third = await device("third");
  await third.signIn({ username: "radia", password: PASSWORD });
  await third.recovery.use(phrase);
  assert.deepEqual((await third.permissions.list()).map(({ name }) => name).sort(), ["Grüße", null]);
});

test("the password and the away grace are changed", async () => {
  const belfry = await signedUp("mary");
  assert.equal((await belfry.me()).username, "mary");
  await belfry.setAwayGrace(90);
  assert.equal((await belfry.me()).awayGrace, 90);
  await belfry.setAwayGrace(null);
  assert.equal((await belfry.me()).awayGrace, 30, "the server's");
  await assert.rejects(belfry.changePassword("not the old one", "a new long password 1"), { code: "wrong-credentials" });
  await belfry.changePassword(PASSWORD, "a new long password 1");
  await belfry.confirmPassword("a new long password 1");
  assert.equal((await belfry.permissions.list()).length, 0);
});

test("the account is erased", async () => {
  const belfry = await signedUp("temp");
  await belfry.eraseAccount();
  assert.equal(belfry.state.name, "signed-out");
  await assert.rejects(belfry.signIn({ username: "temp", password: PASSWORD }), { code: "wrong-credentials" });
});
