/** A session with a server that does what it should. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { MemoryStore, type Belfry, type BelfryEvents } from "../src/index.ts";
import { base64url, utf8 } from "../src/crypto/bytes.ts";
import { openWrap } from "../src/keyring/format.ts";
import { titles, World } from "./world.ts";

let world: World;
let store: MemoryStore;
let belfry: Belfry;

beforeEach(async () => {
  world = new World();
  store = new MemoryStore();
  belfry = await world.ready("laptop", store);
});

afterEach(() => world.close());

const connection = (): NonNullable<ReturnType<typeof world.server.connections.get>> => {
  const { state } = belfry;
  assert.ok("deviceId" in state);
  return world.server.connections.get(state.deviceId)!;
};

async function online(device: Belfry): Promise<void> {
  if (device.connection !== "online") await device.next("connection", (is) => is === "online");
}

async function linked(name: string): Promise<Belfry> {
  const other = await world.signedIn(name);
  await world.link(belfry, other);
  return other;
}

test("the first device makes the keyring, a second one has to be linked", async () => {
  const tablet = await world.signedIn("tablet");
  assert.equal(tablet.state.name, "unlinked");
  await assert.rejects(tablet.permissions.approve("https://news.example"), { code: "wrong-state" });
  await world.link(belfry, tablet);
  assert.deepEqual(tablet.keyring.info?.devices.map(({ name, current }) => [name, current]), [["laptop", false], ["tablet", true]]);
  assert.deepEqual([...world.server.retained], [], "each takes its message away");
});

test("a code with a slip, or that nobody shows, is told apart", async () => {
  await assert.rejects(belfry.linking.read("XKQ2-7M4D"), { code: "bad-code" });
});

test("a code is forgotten with its program, and its request taken away", async () => {
  const tablet = await world.signedIn("tablet");
  const offer = await tablet.linking.offer();
  assert.equal(world.server.retained.size, 1);
  await tablet.close();
  await assert.rejects(offer.done, { code: "cancelled" });
  assert.equal(world.server.retained.size, 0);
});

test("nothing but sealed bytes is at rest, apart from names and ids", async () => {
  const subscription = await belfry.permissions.approve("https://news.example", { name: "My secret paper" });
  await world.send(subscription, "https://news.example", `{"title":"Very private"}`);
  assert.deepEqual(await titles(belfry), ["Very private"]);
  const replace = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? base64url(value) : value);
  const kept = JSON.stringify(await Promise.all((["device", "keyring", "messages", "dismissed", "replay", "outbox", "counts"] as const).map((table) => store.all(table))), replace);
  for (const text of ["Very private", "My secret paper", base64url(utf8("Very private")), subscription.keys.auth, subscription.endpoint]) assert.equal(kept.includes(text), false, text);
});

test("two devices that approve at the same time lose nothing", async () => {
  const tablet = await linked("tablet");
  await Promise.all([
    ...["a", "b", "c"].map((name) => belfry.permissions.approve(`https://${name}.example`)),
    ...["d", "e", "f"].map((name) => tablet.permissions.approve(`https://${name}.example`)),
  ]);
  for (const device of [belfry, tablet]) {
    await device.keyring.refresh();
    const listed = await device.permissions.list();
    assert.deepEqual(listed.map(({ site, known }) => [site, known]).sort(), ["a", "b", "c", "d", "e", "f"].map((name) => [`https://${name}.example`, true]));
  }
});

test("a change that another device was faster than is put again, on top of that one's", async () => {
  const tablet = await linked("tablet");
  let first = true;
  world.server.lie = ({ method, path }) => {
    if (!first || method !== "PUT" || path !== "/v1/keyring") return undefined;
    first = false;
    return Response.json({ type: "changed" }, { status: 412 });
  };
  await belfry.permissions.approve("https://a.example");
  assert.equal(first, false);
  await tablet.keyring.refresh();
  assert.deepEqual((await tablet.permissions.list()).map(({ site, known }) => [site, known]), [["https://a.example", true]]);
});

test("a device that is removed knows no later key, and every permission asks to be renewed", async () => {
  const [tablet, phone] = [await linked("tablet"), await linked("phone")];
  const words = await belfry.recovery.make();
  await belfry.permissions.approve("https://news.example", { name: "News" });
  await Promise.all([tablet.keyring.refresh(), phone.keyring.refresh()]);
  const lost = phone.state.name === "ready" ? phone.state.deviceId : "";
  const out = phone.next("signedOut");
  const wrap = world.server.wraps.get(lost);
  await belfry.devices.remove(lost);
  assert.equal((await out).reason, "removed");
  await tablet.keyring.refresh();
  assert.deepEqual([tablet.keyring.info?.epoch, tablet.keyring.info?.alarm, tablet.keyring.info?.recoveryStale], [2, null, true]);
  assert.deepEqual(tablet.keyring.info?.devices.map(({ name }) => name), ["laptop", "tablet"]);
  assert.deepEqual(world.server.wraps.get(lost), wrap, "of the new key it has none");

  const [permission] = await tablet.permissions.list();
  assert.equal(permission?.renew, true);
  const renewed = await tablet.permissions.renew(permission.id);
  assert.ok(renewed.keys.p256dh);
  await tablet.permissions.revoke(permission.id);
  assert.deepEqual((await tablet.permissions.list()).map(({ site, name, renew }) => [site, name, renew]), [["https://news.example", "News", false]]);

  // The phrase opens the new key too: its wrap was made again.
  const fresh = await world.signedIn("fresh");
  await fresh.recovery.use(words);
  assert.equal(fresh.keyring.info?.epoch, 2);
  await belfry.keyring.refresh();
  assert.equal(belfry.keyring.info?.devices.some(({ name }) => name === "fresh"), true);
});

test("a trusted device that the server has lost does not keep another from being removed", async () => {
  const [tablet, phone] = [await linked("tablet"), await linked("phone")];
  const ids = [tablet, phone].map(({ state }) => ("deviceId" in state ? state.deviceId : ""));
  world.server.devices = world.server.devices.filter(({ device_id }) => device_id !== ids[0]);
  await belfry.devices.remove(ids[1]!);
  assert.deepEqual([belfry.keyring.info?.epoch, belfry.keyring.info?.devices.map(({ name }) => name)], [2, ["laptop", "tablet"]]);
});

test("after a restore from a backup a device puts its copy back, and the others take it", async () => {
  const tablet = await linked("tablet");
  const backup = world.server.keyring!;
  await belfry.permissions.approve("https://news.example");
  await tablet.keyring.refresh();
  assert.equal(await belfry.keyring.repair(), false, "nothing is wrong");
  for (const restored of [backup, null]) {
    world.server.keyring = restored;
    await tablet.keyring.refresh();
    assert.equal(tablet.keyring.info?.alarm, restored === null ? "gone" : "rolled-back");
    assert.equal(await belfry.keyring.repair(), true);
    await tablet.keyring.refresh();
    assert.deepEqual([tablet.keyring.info?.alarm, belfry.keyring.info?.alarm], [null, null]);
    assert.equal((await tablet.permissions.list())[0]?.known, true);
  }
  world.server.keyring = { sealed: new Uint8Array(1065).fill(1), version: 99 };
  await assert.rejects(belfry.keyring.repair(), { code: "keyring-refused" });
});

test("this device itself is removed by signing out with forget, and nothing is left here", async () => {
  const tablet = await linked("tablet");
  const own = belfry.state.name === "ready" ? belfry.state.deviceId : "";
  await belfry.signOut({ forget: true });
  assert.deepEqual(belfry.state, { name: "signed-out", reason: null, username: null });
  for (const table of ["device", "keyring", "messages"] as const) assert.deepEqual(await store.all(table), []);
  assert.equal(world.server.devices.some(({ device_id }) => device_id === own), false);
  await tablet.keyring.refresh();
  assert.deepEqual([tablet.keyring.info?.epoch, tablet.keyring.info?.devices.map(({ name }) => name)], [2, ["tablet"]]);
});

test("signing out and in again goes on with the device", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  await belfry.signOut();
  assert.deepEqual([belfry.state.name, belfry.connection], ["signed-out", "offline"]);
  assert.deepEqual(await titles(belfry), []);
  await world.send(subscription, "https://news.example", `{"title":"Meanwhile"}`);
  const arrives = belfry.next("notification");
  await belfry.signIn({ username: "ada", password: world.server.password });
  assert.equal((await arrives).message.content.title, "Meanwhile");
  assert.equal(world.server.devices.length, 1);
});

test("a store of somebody else is not taken by the next who signs in", async () => {
  Object.assign(world.server, { user: "somebodyelse" });
  await assert.rejects(belfry.signIn({ username: "eve", password: world.server.password }), { code: "another-account" });
});

test("a sign-in that ended elsewhere signs out, and the device stays", async () => {
  world.server.tokens.clear();
  const out = belfry.next("signedOut");
  await assert.rejects(belfry.permissions.list());
  assert.equal((await out).reason, "expired");
  await belfry.signIn({ username: "ada", password: world.server.password });
  assert.deepEqual([belfry.state.name, world.server.devices.length], ["ready", 1]);
});

test("a sign-in that ended with the device says so, whatever hears of it first", async () => {
  world.server.tokens.clear();
  world.server.devices = [];
  const out = belfry.next("signedOut");
  await assert.rejects(belfry.permissions.list());
  assert.equal((await out).reason, "removed");
});

test("what is marked without a connection goes out with the next one", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  const id = await world.send(subscription, "https://news.example", `{"title":"One"}`);
  const tablet = await linked("tablet");
  await tablet.inbox.loadOlder();
  world.server.offline = true;
  connection().drop({ why: "lost", code: null });
  await belfry.inbox.dismiss([id]);
  assert.deepEqual(await titles(belfry), []);
  assert.deepEqual(await titles(tablet), ["One"]);
  const gone = tablet.next("dismissed");
  world.server.offline = false;
  belfry.reconnect();
  await belfry.inbox.settled();
  assert.deepEqual((await gone).ids, [id]);
  assert.deepEqual(await titles(tablet), []);
  assert.equal(world.server.log[0]?.seen, true);
  assert.deepEqual(await store.all("outbox"), []);
});

test("what was put away elsewhere before it came here is put away here too", async () => {
  const tablet = await linked("tablet");
  const subscription = await belfry.permissions.approve("https://news.example");
  await tablet.keyring.refresh();
  const own = `u/${world.server.user}/n/+`;
  world.server.sessions.get(tablet.state.name === "ready" ? tablet.state.deviceId : "")?.delete(own);
  const id = await world.send(subscription, "https://news.example", `{"title":"Gone"}`);
  await belfry.inbox.dismiss([id]);
  await belfry.inbox.settled();
  await tablet.inbox.loadOlder();
  assert.deepEqual(await titles(tablet), []);
  assert.deepEqual((await tablet.inbox.list({ dismissed: true })).map(({ content, seen }) => [content.title, seen]), [["Gone", true]]);
});

test("what was held back from this device and seen elsewhere is in its inbox, as seen", async () => {
  const tablet = await linked("tablet");
  const subscription = await belfry.permissions.approve("https://news.example");
  await tablet.keyring.refresh();
  world.server.sessions.get(tablet.state.name === "ready" ? tablet.state.deviceId : "")?.delete(`u/${world.server.user}/n/+`);
  const ids = [];
  for (const title of ["One", "Two"]) ids.push(await world.send(subscription, "https://news.example", JSON.stringify({ title })));
  assert.deepEqual(await titles(tablet), []);
  const taken = tablet.next("notification");
  await belfry.inbox.markSeen([ids[0]!]);
  assert.equal((await taken).live, false);
  assert.deepEqual((await tablet.inbox.list()).map(({ content, seen }) => [content.title, seen]), [["One", true]]);
});

test("a mark that was not sent is not lost when the program ends", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  const id = await world.send(subscription, "https://news.example", `{"title":"One"}`);
  world.server.offline = true;
  connection().drop({ why: "lost", code: null });
  await belfry.inbox.markSeen([id]);
  await belfry.close();
  world.server.offline = false;
  const again = await world.device("laptop", store);
  await again.inbox.settled();
  assert.equal(world.server.log[0]?.seen, true);
  assert.equal((await again.inbox.list())[0]?.seen, true);
});

test("what was seen elsewhere while this device was away is seen here after the reconnect", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  const id = await world.send(subscription, "https://news.example", `{"title":"One"}`);
  await world.send(subscription, "https://news.example", `{"title":"Two"}`);
  connection().drop({ why: "lost", code: null });
  world.server.log[0]!.seen = true;
  const seen = await belfry.next("seen");
  assert.deepEqual(seen.ids, [id]);
  assert.deepEqual((await belfry.inbox.list()).map(({ seen: is }) => is), [false, true]);
});

test("a notification is acknowledged only when it is stored", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  let fail = true;
  const write = store.write.bind(store);
  store.write = (changes) => (fail && changes.some((change) => change.table === "messages") ? Promise.reject(new Error("the disk is full")) : write(changes));
  await assert.rejects(world.send(subscription, "https://news.example", `{"title":"One"}`), /disk is full/);
  assert.deepEqual(await titles(belfry), []);
  fail = false;
  const item = world.server.log[0]!;
  await world.server.publish(`u/${world.server.user}/n/${item.permission}`, JSON.stringify(item));
  assert.deepEqual(await titles(belfry), ["One"]);
});

test("a notification that came before its keys is shown when they are there", async () => {
  const tablet = await linked("tablet");
  // The tablet hears nothing of the change, as with an event that is lost.
  const events = `u/${world.server.user}/events`;
  for (const filters of world.server.sessions.values()) filters.delete(events);
  const subscription = await belfry.permissions.approve("https://news.example");
  const shown = tablet.next("notification");
  await world.send(subscription, "https://news.example", `{"title":"Quick"}`);
  assert.equal((await shown).message.content.title, "Quick");
  assert.deepEqual(await tablet.inbox.unopened(), []);
});

test("a new session reads what came meanwhile, and the history goes on from there", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  for (let number = 1; number <= 7; number++) await world.send(subscription, "https://news.example", `{"title":"${number}"}`);
  const state = belfry.state;
  assert.ok("deviceId" in state);
  connection().drop({ why: "lost", code: null });
  world.server.sessions.delete(state.deviceId);
  world.server.offline = true;
  await world.send(subscription, "https://news.example", `{"title":"8"}`);
  const heard: BelfryEvents["notification"][] = [];
  belfry.on("notification", (one) => heard.push(one));
  const arrives = belfry.next("notification");
  world.server.offline = false;
  belfry.reconnect();
  await arrives;
  assert.deepEqual(heard.map(({ message, live }) => [message.content.title, live]), [["8", false]]);
  assert.equal((await belfry.inbox.list()).length, 8);
});

test("older pages are read until there is nothing older, newest first", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  for (let number = 1; number <= 5; number++) await world.send(subscription, "https://news.example", `{"title":"${number}"}`);
  await store.write([{ table: "messages", clear: true }, { table: "replay", clear: true }]);
  await belfry.close();
  const again = await world.device("laptop", store);
  await online(again);
  const first = await again.inbox.loadOlder(2);
  assert.deepEqual([first.messages.map(({ content }) => content.title), first.done], [["5", "4"], false]);
  assert.deepEqual((await again.inbox.loadOlder(2)).messages.map(({ content }) => content.title), ["3", "2"]);
  const last = await again.inbox.loadOlder(2);
  assert.deepEqual([last.messages.map(({ content }) => content.title), last.done], [["1"], true]);
  assert.deepEqual(await titles(again), ["5", "4", "3", "2", "1"]);
});

test("lists are cut, filtered and searched", async () => {
  const [news, shop] = [await belfry.permissions.approve("https://news.example", { name: "Paper" }), await belfry.permissions.approve("https://shop.example")];
  await world.send(news, "https://news.example", `{"title":"Rain","body":"All day in Zürich"}`);
  await world.send(shop, "https://shop.example", `{"title":"Umbrellas"}`);
  const seen = await world.send(news, "https://news.example", `{"title":"Sun"}`);
  await belfry.inbox.markSeen([seen]);
  const found = async (query: Parameters<Belfry["inbox"]["list"]>[0]): Promise<string[]> => (await belfry.inbox.list(query)).map(({ content }) => content.title);
  assert.deepEqual(await found({}), ["Sun", "Umbrellas", "Rain"]);
  assert.deepEqual(await found({ limit: 1 }), ["Sun"]);
  assert.deepEqual(await found({ before: seen, limit: 1 }), ["Umbrellas"]);
  assert.deepEqual(await found({ site: "https://news.example" }), ["Sun", "Rain"]);
  assert.deepEqual(await found({ unseenOnly: true }), ["Umbrellas", "Rain"]);
  assert.deepEqual(await found({ search: "zürich DAY" }), ["Rain"]);
  assert.deepEqual(await found({ search: "paper" }), ["Sun", "Rain"]);
  const stats = await belfry.inbox.stats(3);
  assert.equal(stats.unseen, 2);
  assert.deepEqual(stats.permissions[world.permission("https://news.example")], { unseen: 1, total: 2, perDay: stats.permissions[world.permission("https://news.example")]?.perDay });
});

test("a muted permission's messages say so", async () => {
  const subscription = await belfry.permissions.approve("https://news.example");
  await belfry.permissions.mute(world.permission("https://news.example"));
  const arrives = belfry.next("notification");
  await world.send(subscription, "https://news.example", `{"title":"Quietly"}`);
  assert.equal((await arrives).message.muted, true);
  await belfry.permissions.allow(world.permission("https://news.example"));
  assert.equal((await belfry.inbox.list())[0]?.muted, false);
});

test("receipts are the user's to allow and to stop", async () => {
  await belfry.permissions.approve("https://news.example");
  const id = world.permission("https://news.example");
  const allowed = async () => (await belfry.permissions.list()).map(({ receipts, state }) => [receipts, state]);
  assert.deepEqual(await allowed(), [[false, "allowed"]]);
  await belfry.permissions.setReceipts(id, true);
  assert.deepEqual(await allowed(), [[true, "allowed"]]);
  await belfry.permissions.setReceipts(id, false);
  assert.deepEqual(await allowed(), [[false, "allowed"]]);
});

test("a device may be left alone by what is not urgent enough", async () => {
  const device = async () => (await belfry.devices.list()).find(({ current }) => current);
  const { id = "", urgencyMin } = (await device()) ?? {};
  assert.equal(urgencyMin, "very-low");
  await belfry.devices.setUrgencyMin(id, "high");
  assert.equal((await device())?.urgencyMin, "high");
});

test("settings are shared, and unknown ones stay", async () => {
  const tablet = await linked("tablet");
  await belfry.keyring.setSetting("fromTheFuture", { x: [1] });
  await tablet.keyring.setSetting("quietHours", { from: "22:00", to: "07:00" });
  await belfry.keyring.refresh();
  assert.deepEqual(belfry.keyring.setting("quietHours"), { from: "22:00", to: "07:00" });
  assert.deepEqual(tablet.keyring.setting("fromTheFuture"), { x: [1] });
  assert.equal(tablet.keyring.setting("__proto__"), null);
});

test("presence is said once, and again with each connection", async () => {
  const said = (): string[] => connection().published.filter(({ topic }) => topic.endsWith("/presence")).map(({ payload }) => payload);
  belfry.setPresence("active");
  belfry.setPresence("active");
  belfry.setPresence("away");
  assert.deepEqual(said(), ["active", "away"]);
  const before = connection();
  const back = belfry.next("connection", (is) => is === "online");
  before.drop({ why: "lost", code: null });
  await back;
  assert.notEqual(connection(), before);
  assert.deepEqual(said(), ["away"]);
});

test("the keyring key is kept as a wrap to this device alone", async () => {
  const kept = (await store.get("keyring", "local")) as { wrap: Uint8Array<ArrayBuffer> };
  const { DeviceKey } = await import("../src/crypto/device-key.ts");
  const record = (await store.get("device", "self")) as { device: { key: ConstructorParameters<typeof DeviceKey>[0] } };
  assert.ok(record.device.key.secret instanceof CryptoKey);
  const opened = await openWrap(kept.wrap, new DeviceKey(record.device.key));
  assert.equal(typeof opened === "object" && opened.sender, base64url(record.device.key.publicKey));
  assert.equal(await openWrap(kept.wrap, await DeviceKey.make(false)), "does-not-open");
});
