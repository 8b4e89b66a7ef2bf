/** A server that was taken over: each of its lies is noticed, nothing is uploaded for it, and nothing of it is shown. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { MemoryStore, sealAes128gcm, sealCryptoBox, type Belfry } from "../src/index.ts";
import { base64url, randomBytes, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { x25519Public } from "../src/crypto/box.ts";
import { DeviceKey, fingerprintOf } from "../src/crypto/device-key.ts";
import { sealKeyring, sealWrap, type KeyringContents } from "../src/keyring/format.ts";
import { linkKeys, sealLinkMessage, readLinkCode, type LinkRequestPayload } from "../src/keyring/link.ts";
import { readPhrase, sealRecoveryWrap } from "../src/keyring/recovery.ts";
import { key, titles, World } from "./world.ts";

let world: World;
let store: MemoryStore;
let belfry: Belfry;

beforeEach(async () => {
  world = new World();
  store = new MemoryStore();
  belfry = await world.ready("laptop", store);
});

afterEach(() => world.close());

async function nothingUploaded(work: () => Promise<unknown>): Promise<void> {
  const before = world.server.uploads().length;
  await work();
  assert.equal(world.server.uploads().length, before, "something was uploaded");
}

/** A keyring that the server made up, sealed with a key of its own. */
async function ownKeyring(epoch: number, generation: number): Promise<{ sealed: Bytes; keyringKey: Bytes; device: DeviceKey }> {
  const [keyringKey, device] = [randomBytes(32), await DeviceKey.make(false)];
  const listed = world.server.devices.map(({ device_id, public_key }) => ({ id: device_id, key: public_key, name: "x", kind: "browser" as const, changed: 1 }));
  const evil = { id: "evil", key: base64url(device.publicKey), name: "evil", kind: "browser" as const, changed: 1 };
  const contents: KeyringContents = { user: world.server.user, epoch, generation, devices: [...listed, evil], permissions: [], settings: {} };
  return { sealed: await sealKeyring(contents, keyringKey), keyringKey, device };
}

/** The server's keyring, put in the place of the user's. */
function serve(sealed: Bytes): void {
  world.server.keyring = { sealed, version: world.server.keyring!.version + 1 };
}

async function refused(alarm: string): Promise<void> {
  const before = belfry.keyring.info;
  await nothingUploaded(async () => {
    const told = belfry.next("keyring");
    await belfry.keyring.refresh();
    assert.equal((await told).alarm, alarm);
    await assert.rejects(belfry.keyring.setSetting("quietHours", { from: "22:00", to: "07:00" }), { code: "keyring-refused" });
    await assert.rejects(belfry.permissions.approve("https://late.example"), { code: "keyring-refused" });
  });
  assert.deepEqual(belfry.keyring.info, { ...before, alarm }, "the local copy stays");
  assert.deepEqual(world.server.permissions.filter(({ site }) => site === "https://late.example"), [], "nobody has its keys, so it is revoked");
}

test("a keyring that is rolled back is refused, and the local copy stays", async () => {
  const old = world.server.keyring!.sealed;
  await belfry.permissions.approve("https://news.example");
  serve(old);
  await refused("rolled-back");
  assert.equal((await belfry.permissions.list())[0]?.known, true);
});

test("a keyring that does not open is refused", async () => {
  serve(randomBytes(1 + 24 + 16 + 1024));
  await refused("does-not-open");
});

test("a keyring that is gone is refused", async () => {
  world.server.keyring = null;
  await refused("gone");
});

test("the server's own keyring key, sealed to every device, is refused", async () => {
  const evil = await ownKeyring(2, 99);
  for (const { device_id, public_key } of world.server.devices) {
    const payload = { user: world.server.user, epoch: 2, generation: 99, key: base64url(evil.keyringKey) };
    world.server.wraps.set(device_id, await sealWrap(payload, evil.device, key(public_key)));
  }
  serve(evil.sealed);
  await refused("does-not-open");
});

test("an alarm ends when the server serves the true keyring again", async () => {
  const truth = world.server.keyring!;
  world.server.keyring = null;
  await belfry.keyring.refresh();
  assert.equal(belfry.keyring.info?.alarm, "gone");
  world.server.keyring = truth;
  await belfry.keyring.refresh();
  assert.equal(belfry.keyring.info?.alarm, null);
});

test("a device of the server's making in its list is not trusted, and gets no wrap", async () => {
  const evil = await DeviceKey.make(false);
  world.server.devices.push({ device_id: "evil", name: "phone", kind: "ios", public_key: base64url(evil.publicKey), created: new Date().toISOString(), urgency_min: "very-low", password: "x" });
  const listed = (await belfry.devices.list()).find(({ id }) => id === "evil");
  assert.deepEqual([listed?.trusted, listed?.fingerprint], [false, null]);
  const other = await world.signedIn("tablet");
  await world.link(belfry, other);
  assert.equal(other.state.name, "ready");
  await belfry.devices.remove(other.state.deviceId);
  assert.equal(world.server.wraps.has("evil"), false);
});

test("a device key that is swapped in the server's list is noticed, and linking takes the true one", async () => {
  const phone = await world.signedIn("phone");
  const evil = await DeviceKey.make(false);
  const listed = world.server.devices.find(({ name }) => name === "phone")!;
  listed.public_key = base64url(evil.publicKey);
  await world.link(belfry, phone);
  assert.equal(phone.state.name, "ready", "the wrap is to its true key");
  const seen = (await belfry.devices.list()).find(({ name }) => name === "phone");
  assert.deepEqual([seen?.keyMismatch, seen?.trusted, seen?.fingerprint], [true, false, phone.keyring.fingerprint()]);
});

test("a server that lists this device with another key does not make it forget what it has", async () => {
  await belfry.signOut();
  world.server.devices[0]!.public_key = base64url((await DeviceKey.make(false)).publicKey);
  await assert.rejects(belfry.signIn({ username: "ada", password: world.server.password }), { code: "server-lied" });
  assert.equal(belfry.state.name, "signed-out");
  world.server.devices[0]!.public_key = base64url(((await store.get("device", "self")) as { device: { key: { publicKey: Uint8Array } } }).device.key.publicKey);
  await belfry.signIn({ username: "ada", password: world.server.password });
  assert.equal(belfry.state.name, "ready");
});

test("a request of the server's in the place of the new device's is noticed", async () => {
  const phone = await world.signedIn("phone");
  const offer = await phone.linking.offer();
  const [topic] = [...world.server.retained.keys()];
  const evil = await DeviceKey.make(false);
  const request: LinkRequestPayload = { user: world.server.user, device: "evil", key: base64url(evil.publicKey), name: "phone", kind: "browser" };
  // It does not know the secret, and tries one of its own.
  world.server.retained.set(topic!, sealLinkMessage(request, randomBytes(32)));
  await nothingUploaded(() => assert.rejects(belfry.linking.read(offer.code), { code: "server-lied" }));
  offer.cancel();
  await assert.rejects(offer.done, { code: "cancelled" });
});

test("a code is 128 random bits that the server never sees", async () => {
  const phone = await world.signedIn("phone");
  const [one, two] = [await phone.linking.offer(), await phone.linking.offer()];
  const secrets = [one, two].map(({ code }) => readLinkCode(code)!);
  assert.notDeepEqual(secrets[0], secrets[1]);
  for (const secret of secrets) {
    assert.equal(secret.length, 16);
    const seen = JSON.stringify([...world.server.retained]) + JSON.stringify(world.server.requests);
    for (const text of [base64url(secret), one.code, two.code]) assert.equal(seen.includes(text), false);
  }
  // A key that hashes alike is of no use: without the secret nothing can be sealed for the place.
  assert.equal([...world.server.retained.keys()].every((topic) => secrets.some((secret) => topic.includes(linkKeys(secret).place))), true);
  one.cancel();
  two.cancel();
});

test("an answer of the server's is noticed, and the device stays unlinked", async () => {
  const phone = await world.signedIn("phone");
  const offer = await phone.linking.offer();
  const topic = [...world.server.retained.keys()][0]!.replace("/request", "/answer");
  const evil = await ownKeyring(1, 1);
  const own = world.server.devices.find(({ name }) => name === "phone")!;
  world.server.wraps.set(own.device_id, await sealWrap({ user: world.server.user, epoch: 1, generation: 1, key: base64url(evil.keyringKey) }, evil.device, key(own.public_key)));
  serve(evil.sealed);
  const answer = { user: world.server.user, device: "evil", key: base64url(evil.device.publicKey), for: own.public_key, epoch: 1, generation: 1 };
  await world.server.publish(topic, sealLinkMessage(answer, randomBytes(32)));
  await assert.rejects(offer.done, { code: "server-lied" });
  assert.deepEqual([phone.state.name, phone.keyring.info], ["unlinked", null]);
});

test("a keyring that is older than the answer at linking is noticed", async () => {
  const phone = await world.signedIn("phone");
  const old = world.server.keyring!;
  const offer = await phone.linking.offer();
  const request = await belfry.linking.read(offer.code);
  world.server.lie = ({ method, path }) => (method === "GET" && path === "/v1/keyring" && world.server.keyring!.version > old.version ? new Response(old.sealed, { headers: { ETag: `"${old.version}"` } }) : undefined);
  await request.confirm();
  await assert.rejects(offer.done, { code: "server-lied" });
  assert.equal(phone.state.name, "unlinked");
});

test("a new device that is given the id of a trusted one is not let in", async () => {
  const phone = await world.signedIn("phone");
  const laptop = world.server.devices.find(({ name }) => name === "laptop")!;
  const offer = await phone.linking.offer();
  const [topic] = [...world.server.retained.keys()];
  const keys = linkKeys(readLinkCode(offer.code)!);
  const request: LinkRequestPayload = { user: world.server.user, device: laptop.device_id, key: base64url((await DeviceKey.make(false)).publicKey), name: "phone", kind: "browser" };
  world.server.retained.set(topic!, sealLinkMessage(request, keys.request));
  await nothingUploaded(() => assert.rejects(belfry.linking.read(offer.code), { code: "server-lied" }));
  offer.cancel();
});

test("an id that is taken between the question and the answer is not let in either", async () => {
  const phone = await world.signedIn("phone");
  const id = phone.state.name === "unlinked" ? phone.state.deviceId : "";
  const offer = await phone.linking.offer();
  const request = await belfry.linking.read(offer.code);
  // The server gives the next device the same id, and that one is linked first.
  world.server.lie = ({ method, path, json }) => {
    if (method !== "POST" || path !== "/v1/devices") return undefined;
    world.server.devices = world.server.devices.filter(({ device_id }) => device_id !== id);
    world.server.devices.push({ device_id: id, name: "tablet", kind: "browser", public_key: String(json["public_key"]), created: new Date().toISOString(), urgency_min: "very-low", password: "tablet's" });
    return Response.json({ device_id: id, mqtt: { password: "tablet's" } }, { status: 201 });
  };
  const tablet = await world.signedIn("tablet");
  await world.link(belfry, tablet);
  const wrap = world.server.wraps.get(id);
  await nothingUploaded(() => assert.rejects(request.confirm(), { code: "server-lied" }));
  assert.deepEqual(world.server.wraps.get(id), wrap);
  offer.cancel();
});

test("a wrap for the phrase that the server made is noticed, and so is an old keyring", async () => {
  const words = await belfry.recovery.make();
  const old = world.server.keyring!;
  await belfry.permissions.approve("https://news.example");
  const truth = { keyring: world.server.keyring!, wrap: world.server.wraps.get("recovery")! };
  const phone = await world.signedIn("phone");

  const evil = await ownKeyring(1, 9);
  const publicKey = readPhrase(words)!.key.publicKey;
  world.server.wraps.set("recovery", await sealRecoveryWrap({ user: world.server.user, epoch: 1, generation: 9, key: base64url(evil.keyringKey) }, evil.device, publicKey, randomBytes(32)));
  serve(evil.sealed);
  await nothingUploaded(() => assert.rejects(phone.recovery.use(words), { code: "server-lied" }));

  world.server.wraps.set("recovery", truth.wrap);
  world.server.keyring = { sealed: randomBytes(1065), version: 77 };
  await nothingUploaded(() => assert.rejects(phone.recovery.use(words), { code: "server-lied" }));
  await nothingUploaded(() => assert.rejects(phone.recovery.use("abandon ".repeat(11) + "about"), { code: "bad-phrase" }));
  await nothingUploaded(() => assert.rejects(phone.recovery.use("twelve words that are none"), { code: "bad-phrase" }));
  assert.equal(phone.state.name, "unlinked");

  world.server.keyring = truth.keyring;
  await phone.recovery.use(words);
  assert.equal((await phone.permissions.list())[0]?.known, true);
  serve(old.sealed);
  await phone.keyring.refresh();
  assert.equal(phone.keyring.info?.alarm, "rolled-back");
});

test("foreign keys in the answer to an approval do not reach the site", async () => {
  const foreign = { p256dh: "BAAA", auth: "AAAA", x25519: "AAAA" };
  world.server.lie = ({ method, path, json }) => {
    if (method !== "POST" || path !== "/v1/permissions") return undefined;
    return Response.json({ permission_id: "p1", site: json["site"], state: "allowed", endpoint: "https://push.example/push/x", expirationTime: null, keys: foreign, siteKey: "AAAA" }, { status: 201 });
  };
  const subscription = await belfry.permissions.approve("https://news.example");
  assert.deepEqual(Object.keys(subscription), ["endpoint", "expirationTime", "keys"]);
  for (const [name, value] of Object.entries(subscription.keys)) assert.notEqual(value, foreign[name as keyof typeof foreign]);
  assert.deepEqual(Object.keys(subscription.keys), ["p256dh", "auth", "x25519"]);
});

test("an approval that is answered for another site, or with an odd endpoint, is refused", async () => {
  const answers: Record<string, unknown>[] = [{ site: "https://bank.example" }, { endpoint: "http://push.example/push/x" }, { endpoint: "javascript:alert(1)" }];
  for (const answer of answers) {
    world.server.lie = ({ method, path, json }) => {
      if (method !== "POST" || path !== "/v1/permissions") return undefined;
      return Response.json({ permission_id: "p1", site: json["site"], endpoint: "https://push.example/push/x", ...answer }, { status: 201 });
    };
    await nothingUploaded(() => assert.rejects(belfry.permissions.approve("https://news.example"), { code: "server-lied" }));
  }
  assert.deepEqual(world.server.requests.filter(({ method }) => method === "DELETE").map(({ path }) => path), answers.map(() => "/v1/permissions/p1"));
});

test("an approval that is answered with the id of another permission does not take its keys away", async () => {
  const bank = await belfry.permissions.approve("https://bank.example");
  const taken = world.permission("https://bank.example");
  world.server.lie = ({ method, path, json }) => {
    if (method !== "POST" || path !== "/v1/permissions") return undefined;
    return Response.json({ permission_id: taken, site: json["site"], endpoint: "https://push.example/push/x" }, { status: 201 });
  };
  await nothingUploaded(() => assert.rejects(belfry.permissions.approve("https://evil.example"), { code: "server-lied" }));
  await world.send(bank, "https://bank.example", `{"title":"Balance"}`);
  assert.deepEqual(await titles(belfry), ["Balance"]);
});

async function notShown(reason: string, lie: () => Promise<unknown>): Promise<void> {
  const before = await titles(belfry);
  const told = belfry.next("unopened");
  await lie();
  assert.equal((await told).reason, reason);
  assert.deepEqual(await titles(belfry), before);
  assert.deepEqual(await belfry.inbox.unopened(), [{ reason, count: 1 }]);
}

test("an old ciphertext under a new id is not shown", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  const id = await world.send(subscription, "https://news.example", `{"title":"Sale"}`);
  const item = world.server.log.find((one) => one.id === id)!;
  await notShown("replayed", () => world.server.notify({ permission: item.permission, site: "https://news.example", encoding: "aes128gcm", body: key(item["body"] as string) }));
  // The same one again is what a server does that does not know whether it was acknowledged.
  await belfry.inbox.markSeen([id]);
  let again = 0;
  belfry.on("notification", () => again++);
  await world.server.publish(`u/${world.server.user}/n/${item.permission}`, JSON.stringify(item));
  assert.deepEqual((await belfry.inbox.list()).map(({ content, seen }) => [content.title, seen]), [["Sale", true]]);
  assert.equal(again, 0);
});

test("what was used is remembered when the device opens again", async () => {
  const kept = new MemoryStore();
  const phone = await world.signedIn("phone", kept);
  await world.link(belfry, phone);
  const subscription = await belfry.permissions.approve("https://news.example");
  await phone.keyring.refresh();
  const id = await world.send(subscription, "https://news.example", `{"title":"Sale"}`);
  const item = world.server.log.find((one) => one.id === id)!;
  assert.deepEqual(await titles(phone), ["Sale"]);
  await phone.close();
  const again = await world.device("phone", kept);
  await again.next("connection", (connection) => connection === "online");
  const told = again.next("unopened");
  await world.server.notify({ permission: item.permission, site: "https://news.example", encoding: "aes128gcm", body: key(item["body"] as string) });
  assert.equal((await told).reason, "replayed");
  assert.deepEqual(await titles(again), ["Sale"]);
});

test("a pinned permission takes no aes128gcm, although whoever sealed it knows the subscription", async () => {
  const site = randomBytes(32);
  const subscription = await belfry.permissions.approve("https://bank.example", { siteKey: base64url(x25519Public(site)) });
  const permission = world.permission("https://bank.example");
  const forged = await sealAes128gcm(utf8(`{"title":"Pay"}`), key(subscription.keys.p256dh), key(subscription.keys.auth));
  await notShown("downgraded", () => world.server.notify({ permission, site: "https://bank.example", encoding: "aes128gcm", body: forged }));
  await world.server.notify({ permission, site: "https://bank.example", encoding: "crypto-box", body: sealCryptoBox(utf8(`{"title":"Paid"}`), key(subscription.keys.x25519), site) });
  assert.deepEqual(await titles(belfry), ["Paid"]);
});

test("a permission that is renewed keeps the pinned key", async () => {
  const site = randomBytes(32);
  await belfry.permissions.approve("https://bank.example", { siteKey: base64url(x25519Public(site)), name: "Bank" });
  const old = world.permission("https://bank.example");
  const renewed = await belfry.permissions.renew(old);
  await belfry.permissions.revoke(old);
  const [permission] = await belfry.permissions.list();
  assert.deepEqual([permission?.siteKey, permission?.name], [base64url(x25519Public(site)), "Bank"]);
  const forged = await sealAes128gcm(utf8(`{"title":"Pay"}`), key(renewed.keys.p256dh), key(renewed.keys.auth));
  await notShown("downgraded", () => world.server.notify({ permission: world.permission("https://bank.example"), site: "https://bank.example", encoding: "aes128gcm", body: forged }));
});

test("a device of another account is not let in, although it knows the code", async () => {
  const phone = await world.signedIn("phone");
  const offer = await phone.linking.offer();
  const [topic] = [...world.server.retained.keys()];
  const request: LinkRequestPayload = { user: "somebodyelse", device: "theirs", key: base64url((await DeviceKey.make(false)).publicKey), name: "phone", kind: "browser" };
  world.server.retained.set(topic!, sealLinkMessage(request, linkKeys(readLinkCode(offer.code)!).request));
  await nothingUploaded(() => assert.rejects(belfry.linking.read(offer.code), { code: "server-lied" }));
  offer.cancel();
});

test("crypto-box that another than the pinned site made is not shown", async () => {
  const subscription = await belfry.permissions.approve("https://bank.example", { siteKey: base64url(x25519Public(randomBytes(32))) });
  const body = sealCryptoBox(utf8(`{"title":"Pay"}`), key(subscription.keys.x25519), randomBytes(32));
  await notShown("does-not-open", () => world.server.notify({ permission: world.permission("https://bank.example"), site: "https://bank.example", encoding: "crypto-box", body }));
});

test("an envelope with another site's name is not shown", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  await notShown("another-site", () => world.send(subscription, "https://news.example", `{"title":"Your bank"}`, { site: "https://bank.example" }));
});

test("one site's message under another's permission is not shown", async () => {
  const news = await belfry.permissions.approve("https://news.example");
  await belfry.permissions.approve("https://bank.example");
  const lie = { permission: world.permission("https://bank.example"), site: "https://bank.example" };
  await notShown("does-not-open", () => world.send(news, "https://news.example", `{"title":"Your bank"}`, lie));
});

test("a message of no permission that the keyring has is not shown, and many of them push nothing out", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  await world.send(subscription, "https://news.example", `{"title":"True"}`);
  const told = belfry.next("unopened");
  const send = (permission: string): Promise<string> => world.server.notify({ permission, site: "https://bank.example", encoding: "aes128gcm", body: randomBytes(200) });
  await send("nobody");
  assert.equal((await told).reason, "unknown-permission");
  for (let number = 0; number < 110; number++) await send(`p${number}`);
  assert.deepEqual(await titles(belfry), ["True"]);
  assert.deepEqual(await belfry.inbox.unopened(), [{ reason: "unknown-permission", count: 111 }]);
  assert.equal((await store.all("messages")).length, 101, "as many as may wait for their keys, and the true one");
});

test("what is no notification is not shown", async () => {
  await notShown("malformed", () => world.server.publish(`u/${world.server.user}/n/x`, `{"title":"in the clear"}`));
});

test("the site that the server's list names is shown as what it is: not the keyring's", async () => {
  await belfry.permissions.approve("https://news.example");
  world.server.permissions[0]!.site = "https://bank.example";
  const [permission] = await belfry.permissions.list();
  assert.deepEqual([permission?.site, permission?.siteMismatch], ["https://news.example", true]);
});

test("fingerprints are of the keyring's keys", () => {
  const own = world.server.devices[0]!;
  assert.equal(belfry.keyring.fingerprint(), fingerprintOf(own.public_key));
  assert.equal(belfry.keyring.info?.devices[0]?.fingerprint, belfry.keyring.fingerprint());
});
