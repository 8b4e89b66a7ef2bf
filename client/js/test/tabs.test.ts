/** Several tabs of one browser profile: one device, one connection. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Belfry, MemoryStore } from "../src/index.ts";
import type { Channel, TabPlatform } from "../src/session/tabs.ts";
import { titles, World } from "./world.ts";

/** Web Locks and BroadcastChannels of one profile. */
class Profile {
  readonly #channels = new Map<string, Set<Channel>>();
  readonly #held = new Map<string, Promise<unknown>>();

  platform(): TabPlatform {
    return {
      locks: {
        request: (name, { signal }, holding) => {
          const before = this.#held.get(name) ?? Promise.resolve();
          const mine = before.then(() => {
            signal?.throwIfAborted();
            return holding();
          });
          this.#held.set(name, mine.catch(() => undefined));
          return mine;
        },
      },
      channel: (name) => {
        const all = this.#channels.get(name) ?? new Set();
        this.#channels.set(name, all);
        const channel: Channel = {
          onmessage: null,
          postMessage: (message) => {
            const data: unknown = structuredClone(message);
            for (const other of all) if (other !== channel) setImmediate(() => other.onmessage?.({ data }));
          },
          close: () => {
            all.delete(channel);
          },
        };
        all.add(channel);
        return channel;
      },
    };
  }
}

let world: World;
let profile: Profile;
let store: MemoryStore;
let one: Belfry;
let two: Belfry;

async function tab(): Promise<Belfry> {
  const belfry = await Belfry.open({
    server: "https://belfry.example", store, deviceName: "browser", deviceKind: "browser",
    platform: { fetch: world.server.fetch, dial: world.server.dial, tabs: profile.platform(), now: () => world.now++, random: () => 0 },
  });
  world.open.push(belfry);
  return belfry;
}

const connections = (): number => world.server.dialled.length;

beforeEach(async () => {
  world = new World();
  profile = new Profile();
  store = new MemoryStore();
  one = await tab();
  two = await tab();
  const follows = two.next("connection", (connection) => connection === "online");
  await one.signIn({ username: "ada", password: world.server.password });
  await follows;
});

afterEach(() => world.close());

test("one tab leads and holds the connection; the other is signed in with it", () => {
  assert.deepEqual([one.leading, two.leading, connections()], [true, false, 1]);
  assert.deepEqual([one.state.name, two.state.name], ["ready", "ready"]);
});

test("a tab that opens later knows how the connection is", async () => {
  const three = await tab();
  if (three.connection !== "online") await three.next("connection", (connection) => connection === "online");
  assert.deepEqual([three.leading, three.connection, connections()], [false, "online", 1]);
});

test("what one tab does the other knows: approvals, notifications, what was seen", async () => {
  const changed = two.next("keyring");
  const subscription = await one.permissions.approve("https://news.example");
  await changed;
  const shown = two.next("notification");
  const id = await world.send(subscription, "https://news.example", `{"title":"Both"}`);
  assert.equal((await shown).message.content.title, "Both");
  assert.deepEqual([await titles(one), await titles(two)], [["Both"], ["Both"]]);

  const gone = one.next("dismissed");
  await two.inbox.dismiss([id]);
  assert.deepEqual((await gone).ids, [id]);
  await two.inbox.settled();
  assert.equal(world.server.log[0]?.seen, true, "the leading tab sent it");
  assert.deepEqual(await titles(one), []);
});

test("a tab that does not lead can approve, and the leading one opens what comes", async () => {
  const changed = one.next("keyring");
  const subscription = await two.permissions.approve("https://news.example");
  await changed;
  await world.send(subscription, "https://news.example", `{"title":"There"}`);
  assert.deepEqual(await titles(one), ["There"]);
});

test("when the leading tab closes the next one takes the connection over, with its session", async () => {
  const subscription = await one.permissions.approve("https://news.example");
  await world.send(subscription, "https://news.example", `{"title":"Before"}`);
  await one.close();
  await two.next("connection", (connection) => connection === "online");
  assert.deepEqual([two.leading, connections()], [true, 2]);
  assert.equal(world.server.dialled[1]?.clean, false);
  await world.send(subscription, "https://news.example", `{"title":"After"}`);
  assert.deepEqual(await titles(two), ["After", "Before"]);
});

test("a device is linked from a tab that does not lead", async () => {
  const phone = await world.signedIn("phone");
  const offer = await phone.linking.offer();
  await (await two.linking.read(offer.code)).confirm();
  await offer.done;
  assert.equal(phone.state.name, "ready");
});

test("older messages are read by the leading tab for the other", async () => {
  const subscription = await one.permissions.approve("https://news.example");
  await world.send(subscription, "https://news.example", `{"title":"Old"}`);
  const { messages, done } = await two.inbox.loadOlder();
  assert.deepEqual([messages, done], [[], true]);
  assert.deepEqual(await titles(two), ["Old"]);
});

test("the device is active while one of its tabs is", async () => {
  const said = (): string[] => [...world.server.connections.values()].flatMap(({ published }) => published.filter(({ topic }) => topic.endsWith("/presence")).map(({ payload }) => payload));
  const heard = async (count: number): Promise<void> => {
    while (said().length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  one.setPresence("away");
  await heard(1);
  two.setPresence("active");
  await heard(2);
  one.setPresence("active");
  one.setPresence("away");
  two.setPresence("away");
  await heard(3);
  assert.deepEqual(said(), ["away", "active", "away"]);
  two.setPresence("active");
  await heard(4);
  await two.close();
  await heard(5);
  assert.equal(said().at(-1), "away");
  assert.equal(connections(), 1, "a tab that closes takes no connection with it");
});

test("signing out in one tab signs the other out, and in again", async () => {
  const out = one.next("state", ({ name }) => name === "signed-out");
  await two.signOut();
  await out;
  assert.equal(world.server.connections.size, 0);
  const back = one.next("state", ({ name }) => name === "ready");
  await two.signIn({ username: "ada", password: world.server.password });
  await back;
  assert.equal(world.server.devices.length, 1);
});
