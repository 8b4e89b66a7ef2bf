/** On an insecure origin there is no WebCrypto beside its random numbers: everything works, with slower keys that scripts can read. */
import assert from "node:assert/strict";
import { test } from "node:test";

Object.defineProperty(globalThis.crypto, "subtle", { value: undefined });
const { World, titles } = await import("./world.ts");
const { MemoryStore } = await import("../src/index.ts");

test("a device without WebCrypto is made, linked, and reads what comes", async (context) => {
  const world = new World();
  context.after(() => world.close());
  const store = new MemoryStore();
  const belfry = await world.ready("laptop", store);
  const { device } = (await store.get("device", "self")) as { device: { key: { secret: unknown } } };
  assert.ok(device.key.secret instanceof Uint8Array);
  const tablet = await world.signedIn("tablet");
  await world.link(belfry, tablet);
  const subscription = await tablet.permissions.approve("https://news.example");
  await belfry.keyring.refresh();
  await world.send(subscription, "https://news.example", `{"title":"In the clear air"}`);
  assert.deepEqual(await titles(belfry), ["In the clear air"]);
  assert.deepEqual(await titles(tablet), ["In the clear air"]);
});
