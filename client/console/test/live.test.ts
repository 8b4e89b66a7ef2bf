import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device, KeyringInfo, Message, Permission } from "@belfry/client";
import { deviceName } from "../src/live/device-name.ts";
import { alarmsOf, itemOf, siteOf } from "../src/live/views.ts";

const keyring: KeyringInfo = { epoch: 1, generation: 1, recovery: false, recoveryStale: false, alarm: null, devices: [] };
const permission: Permission = {
  id: "p1", site: "https://news.example", name: null, state: "allowed", created: 1, accepted: 3, lastUsed: 2, receipts: false, known: true, siteMismatch: false, renew: false, siteKey: null,
};
const device: Device = {
  id: "d1", name: "Pocket", kind: "android", created: 1, online: true, presence: "away", lastSeen: 1, urgencyMin: "very-low", current: false, trusted: true, keyMismatch: false, fingerprint: "x",
};

test("whatever the server was caught at is an alarm", () => {
  assert.deepEqual(alarmsOf(keyring, [device], [permission], []), []);
  assert.deepEqual(alarmsOf({ ...keyring, alarm: "rolled-back" }, [], [], []), [{ kind: "keyring-rolled-back", about: null, count: 1 }]);
  assert.deepEqual(alarmsOf(null, [{ ...device, keyMismatch: true }], [{ ...permission, siteMismatch: true }], []), [
    { kind: "device-key", about: "Pocket", count: 1 }, { kind: "site-mismatch", about: "https://news.example", count: 1 },
  ]);
});

test("what somebody did on purpose is an alarm, an accident is only counted", () => {
  const unopened = [{ reason: "downgraded", count: 2 }, { reason: "does-not-open", count: 5 }, { reason: "replayed", count: 1 }, { reason: "another-site", count: 0 }] as const;
  assert.deepEqual(alarmsOf(keyring, [], [], unopened).map(({ kind, count }) => [kind, count]), [["downgraded", 2], ["replayed", 1]]);
});

test("a permission's counts come from the local mailbox, and a strange id finds nothing there", () => {
  const stats = { permissions: { p1: { unseen: 2, perDay: [0, 1] } } };
  assert.deepEqual(siteOf(permission, stats, 2).perDay, [0, 1]);
  assert.deepEqual(siteOf({ ...permission, id: "__proto__" }, stats, 2).perDay, [0, 0]);
});

test("a message keeps its site from the keyring, and its empty fields are absent", () => {
  const message: Message = {
    id: "m", permission: "p1", site: "https://news.example", name: null, seq: 1, sent: 5, expires: 9, urgency: "normal", topic: null, seen: false, dismissed: false, muted: false,
    content: { plain: false, title: "T", body: null, icon: null, url: null, tag: null, actions: [{ title: "A", action: null, url: null }], data: null },
  };
  const item = itemOf(message);
  assert.equal(item.site, "https://news.example");
  assert.equal(item.url, undefined);
  assert.equal(item.body, "");
  assert.deepEqual(item.actions, [{ title: "A", url: undefined }]);
});

test("a browser has a name that its user knows it by", () => {
  const check = (agent: string, name: string) => assert.equal(deviceName(agent), name);
  check("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux");
  check("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0", "Edge on Windows");
  check("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome on Android");
  check("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", "Safari on iPhone");
  check("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "Safari on Mac");
  check("curl/8", "Browser");
});
