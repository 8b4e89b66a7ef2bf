// The away rule, with two browsers of one user: what is seen on the one in use does not ring on the other.
import assert from "node:assert/strict";
import { Console, PASSWORD, subscribe } from "./console.mjs";
import { see, until } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";

/** Longer than the two seconds that it takes to see something, short enough to wait for. */
const GRACE_S = 6;

/** Keeps what the page shows as system notifications, beside showing them. */
function recordShown() {
  window.shown = [];
  const Real = window.Notification;
  window.Notification = class extends Real {
    constructor(title, options) {
      super(title, options);
      window.shown.push(`${title} ${options?.body ?? ""}`);
    }
  };
  if (window.ServiceWorkerRegistration) {
    const show = ServiceWorkerRegistration.prototype.showNotification;
    ServiceWorkerRegistration.prototype.showNotification = function (title, options) {
      window.shown.push(`${title} ${options?.body ?? ""}`);
      return show.call(this, title, options);
    };
  }
}

inBrowsers("an away browser stays quiet about what was seen elsewhere", { settings: { AWAY_GRACE: `${GRACE_S}s` } }, async (stand) => {
  const { server, site } = stand;
  const first = await stand.profile("in use");
  const a = await Console.open(first, server);
  await a.signUp();
  const sitePage = await subscribe(stand, first);
  await sitePage.close();
  await a.page.bringToFront();

  const second = await stand.profile("away");
  await second.allowNotifications(server.origin);
  const b = await Console.open(second, server, { before: recordShown });
  await b.signIn();
  await see(b.page, "heading", "Link this browser");
  await a.linkDevice(await b.linkCode());
  await b.isConnected();
  const shown = () => b.page.evaluate(() => window.shown);

  await second.hide(b.page);
  const presences = await devices(server);
  await until("one device is active and one away", async () => (await presences()).join() === "active,away");

  await a.go("Inbox");
  await site.send({ title: "Seen here" });
  await a.sees("Seen here");
  await a.looksAt("Seen here");

  // Nobody sees this one: its grace began later, so when it is over, the first one's is too.
  await a.go("Sites");
  await site.send({ title: "Not seen" });
  await until("the other browser shows what nobody saw", async () => (await shown()).some((one) => one.includes("Not seen")));
  assert.deepEqual((await shown()).filter((one) => one.includes("Seen here")), [], "what was seen did not ring");

  const before = performance.now();
  await site.send({ title: "At once" }, { urgency: "high" });
  await until("what is urgent is shown at once", async () => (await shown()).some((one) => one.includes("At once")));
  assert.ok(performance.now() - before < GRACE_S * 1000, "without the grace");
});

/** Asks the server how present each device is, in alphabetical order. */
async function devices(server) {
  const call = async (path, init = {}) => (await fetch(server.origin + path, init)).json();
  const { access_token } = await call("/v1/sessions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: "ada", password: PASSWORD }),
  });
  return async () => {
    const { items } = await call("/v1/devices", { headers: { Authorization: `Bearer ${access_token}` } });
    return items.map(({ presence }) => presence).sort();
  };
}
