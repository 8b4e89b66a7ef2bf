import assert from "node:assert/strict";
import { test } from "node:test";
import { isQuiet, presenceOf, type PresenceInput } from "../src/presence.ts";

const noon = Date.UTC(2026, 10, 25, 12, 0);
const minute = 60_000;
const there: PresenceInput = { visible: true, focused: true, frozen: false, lastInput: noon - minute, idle: null, quietHours: null, now: noon, utcOffset: 0 };
const night = { from: "22:00", to: "07:00" };

const rows: [string, Partial<PresenceInput>, "active" | "away"][] = [
  ["visible, focused, used a minute ago", {}, "active"],
  ["hidden", { visible: false }, "away"],
  ["another window has the focus", { focused: false }, "away"],
  ["frozen, or on its way out", { frozen: true }, "away"],
  ["not used for two minutes less a moment", { lastInput: noon - 2 * minute + 1 }, "active"],
  ["not used for two minutes", { lastInput: noon - 2 * minute }, "away"],
  ["in view, and the user is at another window of the machine", { focused: false, lastInput: 0, idle: { user: "active", screen: "unlocked" } }, "active"],
  ["the machine is idle", { idle: { user: "idle", screen: "unlocked" } }, "away"],
  ["the screen is locked", { idle: { user: "active", screen: "locked" } }, "away"],
  ["hidden, and the user is at another window of the machine", { visible: false, idle: { user: "active", screen: "unlocked" } }, "away"],
  ["frozen, whatever the detector says", { frozen: true, idle: { user: "active", screen: "unlocked" } }, "away"],
  ["outside the quiet hours", { quietHours: night }, "active"],
  ["in the quiet hours", { quietHours: { from: "11:00", to: "13:00" } }, "away"],
  ["in the quiet hours of where the user is", { quietHours: night, utcOffset: 11 * 60 }, "away"],
  ["in the quiet hours, whatever the detector says", { quietHours: { from: "11:00", to: "13:00" }, idle: { user: "active", screen: "unlocked" } }, "away"],
];

for (const [name, change, expected] of rows) {
  test(`presence: ${name}: ${expected}`, () => {
    assert.equal(presenceOf({ ...there, ...change }), expected);
  });
}

test("quiet hours begin and end to the minute, over midnight and in every zone", () => {
  const at = (hour: number, min: number): number => Date.UTC(2026, 10, 25, hour, min);
  for (const [quietHours, hour, min, offset, expected] of [
    [night, 21, 59, 0, false], [night, 22, 0, 0, true], [night, 23, 59, 0, true], [night, 0, 0, 0, true], [night, 6, 59, 0, true], [night, 7, 0, 0, false],
    [{ from: "12:00", to: "13:30" }, 11, 59, 0, false], [{ from: "12:00", to: "13:30" }, 12, 0, 0, true], [{ from: "12:00", to: "13:30" }, 13, 30, 0, false],
    [night, 20, 30, 90, true], [night, 23, 0, -120, false], [{ from: "12:00", to: "12:00" }, 12, 0, 0, false],
    [{ from: "25:00", to: "07:00" }, 1, 0, 0, false], [{ from: "", to: "" }, 1, 0, 0, false], [null, 1, 0, 0, false],
    [{ from: "9:00", to: "17:00" }, 12, 0, 0, true],
  ] as const) {
    assert.equal(isQuiet(quietHours, at(hour, min), offset), expected, `${JSON.stringify(quietHours)} ${hour}:${min} ${offset}`);
  }
  // What another device put there may be anything.
  assert.equal(isQuiet({ from: 5, to: [] } as never, noon, 0), false);
});
