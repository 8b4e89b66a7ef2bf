import assert from "node:assert/strict";
import { test } from "node:test";
import { Line } from "../src/net/line.ts";
import { afterEnding, DialFailed, type DialOptions, type Ending, type Filter, type Wire } from "../src/net/wire.ts";

const lost: Ending = { why: "lost", code: null };

test("pauses grow from a second to a minute, with chance in all of it", () => {
  for (const [attempt, ceiling] of [[0, 1_000], [1, 2_000], [3, 8_000], [6, 60_000], [50, 60_000], [5_000, 60_000]] as const) {
    assert.deepEqual(afterEnding(lost, attempt, 1), { retryAfterMs: ceiling });
    assert.deepEqual(afterEnding(lost, attempt, 0), { retryAfterMs: 0 });
    assert.deepEqual(afterEnding(lost, attempt, 0.5), { retryAfterMs: ceiling / 2 });
  }
});

test("each reason for an end has its consequence", () => {
  const again = { retryAfterMs: 500 };
  for (const [why, code, expected] of [
    ["refused", 0x86, { stop: "removed" }],
    ["disconnected", 0x8e, { stop: "taken-over" }],
    ["refused", 0x88, again], ["refused", 0x89, again], ["refused", 0x97, again],
    ["disconnected", 0x8b, again], ["disconnected", 0x8d, again], ["disconnected", 0x93, again],
    // The device was removed, or an operator ended it: the next CONNACK says which.
    ["disconnected", 0x98, again],
    // The codes mean that only where they stand.
    ["disconnected", 0x86, again], ["refused", 0x8e, again],
    ["lost", null, again],
  ] as const) {
    assert.deepEqual(afterEnding({ why, code }, 0, 0.5), expected, `${why} ${code}`);
  }
});

interface Dialled {
  options: DialOptions;
  subscribed: Filter[];
  unsubscribed: string[];
  end(ending: Ending): void;
}

function setUp(answers: { sessionPresent?: boolean; fails?: Ending; refuses?: boolean }[], subscribed = false, leftover: string[] = []) {
  const dialled: Dialled[] = [];
  const told: string[] = [];
  const waiting: [string, () => void][] = [];
  const tell = (what: string): void => {
    told.push(what);
    for (const [awaited, resolve] of [...waiting]) if (awaited === what) resolve();
  };
  const line = new Line({
    random: () => 0,
    subscribed,
    leftover,
    device: { url: "ws://x", clientId: "d", username: "u", password: "p", onMessage: () => Promise.resolve() },
    filters: [{ filter: "n", qos: 1 }],
    dial: (options) => {
      const answer = answers.shift();
      if (answer === undefined) return new Promise(() => undefined);
      if (answer.fails !== undefined) return Promise.reject(new DialFailed(answer.fails));
      let end: (ending: Ending) => void = () => undefined;
      const one: Dialled = { options, subscribed: [], unsubscribed: [], end: (ending) => end(ending) };
      dialled.push(one);
      const wire: Wire = {
        sessionPresent: answer.sessionPresent === true,
        ended: new Promise((resolve) => (end = resolve)),
        subscribe: (filters) => {
          if (answer.refuses === true) return Promise.reject(new Error("refused"));
          one.subscribed.push(...filters);
          return Promise.resolve();
        },
        unsubscribe: (filters) => {
          one.unsubscribed.push(...filters);
          return Promise.resolve();
        },
        publish: () => Promise.resolve(),
        end: () => {
          end(lost);
          return Promise.resolve();
        },
      };
      return Promise.resolve(wire);
    },
    events: {
      onConnection: (connection) => tell(connection),
      onOpen: (resumed) => {
        tell(resumed ? "resumed" : "new");
        return Promise.resolve();
      },
      onStopped: (why) => tell(why),
      onSubscribed: () => {
        tell("subscribed");
        return Promise.resolve();
      },
    },
  });
  const heard = (what: string): Promise<void> => (told.includes(what) ? Promise.resolve() : new Promise((resolve) => waiting.push([what, resolve])));
  return { line, dialled, told, heard };
}

test("the first connection begins a session and subscribes; the next go on with it and do not", async () => {
  const { line, dialled, heard } = setUp([{}, { sessionPresent: true }]);
  line.start();
  await heard("new");
  assert.equal(dialled[0]?.options.clean, true);
  assert.deepEqual(dialled[0]?.subscribed, [{ filter: "n", qos: 1 }]);
  dialled[0]?.end(lost);
  await heard("resumed");
  assert.equal(dialled[1]?.options.clean, false);
  assert.deepEqual(dialled[1]?.subscribed, []);
  await line.stop();
});

test("a session that the server forgot is subscribed to again, and what was missed is read", async () => {
  const { line, dialled, heard } = setUp([{ sessionPresent: false }], true);
  line.start();
  await heard("new");
  assert.equal(dialled[0]?.options.clean, false);
  assert.deepEqual(dialled[0]?.subscribed, [{ filter: "n", qos: 1 }]);
  await line.stop();
});

test("a first connection that ended before its filters were in place does not count", async () => {
  const { line, dialled, heard, told } = setUp([{ refuses: true }, { sessionPresent: true }]);
  line.start();
  await heard("new");
  assert.deepEqual(dialled.map(({ options }) => options.clean), [true, true]);
  assert.equal(told.filter((what) => what === "subscribed").length, 1);
  await line.stop();
});

test("who was taken over does not connect again by itself, and does when asked", async () => {
  const { line, dialled, heard, told } = setUp([{}, { sessionPresent: true }]);
  line.start();
  await heard("online");
  dialled[0]?.end({ why: "disconnected", code: 0x8e });
  await heard("taken-over");
  assert.deepEqual([dialled.length, told.at(-2)], [1, "offline"]);
  line.start();
  await heard("resumed");
  await line.stop();
});

test("a removed device stops", async () => {
  const { line, heard, told } = setUp([{ fails: { why: "refused", code: 0x86 } }], true);
  line.start();
  await heard("removed");
  assert.deepEqual(told, ["connecting", "offline", "removed"]);
});

test("filters of the moment are held across connections, and leftovers of an earlier run are taken back", async () => {
  const { line, dialled, heard } = setUp([{ sessionPresent: true }, { sessionPresent: true }], true, ["old"]);
  line.start();
  await heard("resumed");
  await line.subscribe("link");
  await line.subscribe("link");
  await line.unsubscribe("link");
  assert.deepEqual(dialled[0]?.unsubscribed, ["old"], "one still asks for it");
  dialled[0]?.end(lost);
  while (dialled[1]?.subscribed.length !== 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(dialled[1].subscribed, [{ filter: "link", qos: 1, noLocal: true }]);
  await line.unsubscribe("link");
  assert.deepEqual(dialled[1].unsubscribed, ["link"]);
  await line.stop();
});

test("what is published while a connection is being made waits for it", async () => {
  const { line, dialled, heard } = setUp([{}]);
  line.start();
  await Promise.all([line.subscribe("link"), line.publish("t", "x")]);
  await heard("online");
  assert.equal(dialled[0]?.subscribed.some(({ filter }) => filter === "link"), true);
  await line.stop();
});

test("without a connection nothing is published", async () => {
  const { line } = setUp([]);
  await assert.rejects(line.publish("t", "x"), DialFailed);
});
