import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DeviceKey } from "../src/crypto/device-key.ts";
import { randomBytes } from "../src/crypto/bytes.ts";
import { IndexedDbStore, MemoryStore, type Store } from "../src/index.ts";
import { FileStore } from "../src/node.ts";

const directory = mkdtempSync(join(tmpdir(), "belfry-store-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
let number = 0;

const memory = new MemoryStore();
const kinds: [string, () => () => Promise<Store>][] = [
  ["memory", () => () => Promise.resolve(memory)],
  ["IndexedDB", () => {
    const name = `store ${++number}`;
    return () => IndexedDbStore.open(name);
  }],
  ["a file", () => {
    const path = join(directory, `${++number}.json`);
    return () => Promise.resolve(new FileStore(path));
  }],
];

for (const [name, make] of kinds) {
  test(`${name} keeps records, changes them together, and has them when it opens again`, async () => {
    const open = make();
    const store = await open();
    const value = { bytes: Uint8Array.of(1, 2), text: "ü", list: [1, null, { bytes: new Uint8Array() }] };
    await store.write([{ table: "messages", put: "a", value }, { table: "messages", put: "b", value: 2 }, { table: "replay", put: "a", value: 3 }]);
    await store.write([{ table: "messages", remove: "b" }, { table: "replay", clear: true }, { table: "outbox", put: "x", value: true }]);
    value.list.length = 0;
    store.close();
    const again = await open();
    assert.deepEqual(await again.get("messages", "a"), { bytes: Uint8Array.of(1, 2), text: "ü", list: [1, null, { bytes: new Uint8Array() }] });
    assert.equal(await again.get("messages", "b"), undefined);
    assert.deepEqual(await again.all("replay"), []);
    assert.deepEqual(await again.all("outbox"), [{ key: "x", value: true }]);
    again.close();
  });

  test(`${name} keeps all of a change or none`, async () => {
    const store = await make()();
    await store.write([{ table: "counts", put: "n", value: 1 }]);
    await assert.rejects(async () => store.write([{ table: "counts", put: "n", value: 2 }, { table: "counts", put: "f", value: () => undefined }]));
    assert.equal(await store.get("counts", "n"), 1);
    store.close();
  });
}

test("a file is for its owner alone, and has no half of a change", async () => {
  const path = join(directory, "owner.json");
  const store = new FileStore(path);
  await Promise.all([1, 2, 3].map((value) => store.write([{ table: "counts", put: `n${value}`, value }])));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), { counts: [["n1", 1], ["n2", 2], ["n3", 3]] });
});

test("a device key does not leave the platform where it can be kept so", async () => {
  const key = await DeviceKey.make(true);
  assert.ok(key.kept.secret instanceof CryptoKey);
  assert.equal(key.kept.secret.extractable, false);
  const other = DeviceKey.fromSecret(randomBytes(32));
  assert.deepEqual(await key.agree(other.publicKey), await other.agree(key.publicKey));
  await memory.write([{ table: "device", put: "key", value: key.kept }]);
  const kept = new DeviceKey((await memory.get("device", "key")) as typeof key.kept);
  assert.deepEqual(await kept.agree(other.publicKey), await other.agree(key.publicKey));
  for (const one of [key, other]) {
    assert.equal(await one.agree(new Uint8Array(32)), null, "a key of low order");
    assert.equal(await one.agree(new Uint8Array(31)), null);
  }
});
