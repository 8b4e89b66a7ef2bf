/** What watches a page, with a page that the test makes; and the tabs' presences together. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { watchPresence, type Belfry, type Presence, type QuietHours } from "../src/index.ts";
import { PRESENCE_STALE_MS, TabPresences } from "../src/session/presences.ts";

const noon = new Date(2026, 10, 25, 12, 0).getTime();
const page = { visibilityState: "visible", focused: true };
let said: Presence[];
let quietHours: QuietHours | null;
let keyringChanged: () => void;
let stop: () => void;

function fire(target: "window" | "document", name: string): void {
  (globalThis as unknown as Record<string, EventTarget>)[target]!.dispatchEvent(new Event(name));
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"], now: noon });
  const document = Object.assign(new EventTarget(), { hasFocus: () => page.focused });
  Object.defineProperty(document, "visibilityState", { get: () => page.visibilityState });
  Object.assign(page, { visibilityState: "visible", focused: true });
  Object.assign(globalThis, { window: new EventTarget(), document });
  said = [];
  quietHours = null;
  const belfry = {
    keyring: { setting: () => quietHours },
    setPresence: (presence: Presence) => said.push(presence),
    on: (_: string, listener: () => void) => {
      keyringChanged = listener;
      return () => undefined;
    },
  };
  stop = watchPresence(belfry as unknown as Belfry);
});

afterEach(() => {
  stop();
  mock.timers.reset();
  delete (globalThis as Record<string, unknown>)["window"];
  delete (globalThis as Record<string, unknown>)["document"];
});

test("a page says so when it is hidden, shown, left and come back to", () => {
  page.visibilityState = "hidden";
  fire("document", "visibilitychange");
  page.visibilityState = "visible";
  fire("document", "visibilitychange");
  page.focused = false;
  fire("window", "blur");
  page.focused = true;
  fire("window", "focus");
  assert.deepEqual(said, ["active", "away", "active", "away", "active"]);
});

test("a page that is frozen or on its way out is away, until it is back", () => {
  for (const [out, back] of [["freeze", "resume"]] as const) {
    fire("document", out);
    fire("document", back);
  }
  fire("window", "pagehide");
  fire("window", "pageshow");
  assert.deepEqual(said, ["active", "away", "active", "away", "active"]);
});

test("without input it is away after two minutes, and active with the next key", () => {
  mock.timers.tick(119_000);
  assert.equal(said.includes("away"), false);
  mock.timers.tick(31_000);
  assert.equal(said.at(-1), "away");
  fire("window", "keydown");
  assert.equal(said.at(-1), "active");
});

test("a page in use says so every half a minute, not with each move of the pointer", () => {
  for (let moves = 0; moves < 600; moves++) {
    mock.timers.tick(100);
    fire("window", "pointermove");
  }
  assert.deepEqual([...new Set(said)], ["active"]);
  assert.ok(said.length >= 2 && said.length <= 4, `said ${said.length} times in a minute`);
});

test("quiet hours that another device sets hold at once", () => {
  quietHours = { from: "11:00", to: "13:00" };
  keyringChanged();
  assert.deepEqual(said, ["active", "away"]);
});

test("after it was stopped it says nothing", () => {
  stop();
  page.visibilityState = "hidden";
  fire("document", "visibilitychange");
  fire("window", "blur");
  mock.timers.tick(600_000);
  assert.deepEqual(said, ["active"]);
});

test("a tab that died without a word ceases to count, this one does not", () => {
  const told: Presence[] = [];
  const presences = new TabPresences("own", Date.now, (presence) => told.push(presence));
  presences.heard("other", "active");
  mock.timers.tick(PRESENCE_STALE_MS);
  assert.deepEqual([presences.presence, told], ["active", ["active"]]);
  mock.timers.tick(2);
  assert.deepEqual([presences.presence, told], ["away", ["active", "away"]]);
  presences.heard("own", "active");
  mock.timers.tick(PRESENCE_STALE_MS * 3);
  assert.deepEqual([presences.presence, told], ["active", ["active", "away", "active"]]);
  presences.close();
});

test("what one tab says while another is active changes nothing, and the last that closes leaves nobody", () => {
  const told: Presence[] = [];
  const presences = new TabPresences("own", Date.now, (presence) => told.push(presence));
  assert.equal(presences.presence, null);
  presences.heard("own", "active");
  presences.heard("other", "away");
  presences.heard("other", "active");
  presences.heard("own", "away");
  presences.heard("own", null);
  assert.deepEqual(told, ["active"]);
  presences.heard("other", null);
  assert.deepEqual([presences.presence, told], [null, ["active", "away"]]);
  presences.close();
});
