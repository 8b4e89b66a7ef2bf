// What a page may try to be approved as another, or without the user noticing.
import assert from "node:assert/strict";
import { Console } from "./console.mjs";
import { PLAIN_HOST } from "./browsers.mjs";
import { press, see, text, until } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";
import { Strangers } from "./strangers.mjs";

/** A second, less what a busy machine takes to draw what the window knows already. */
const DWELL_MS = 900;

const ASKS = { belfry: "subscribe", name: "Your bank" };

const CASES = new Map();

/** A case is given a page of a stranger, and what opens the consent window from there. */
function withStranger(title, run) {
  CASES.set(title, run);
}

const ask = (page, message = ASKS) => page.evaluate((message) => window.consent.postMessage(message, "*"), message);
const heard = (page) => page.evaluate(() => window.heard);
const ready = (page) => until("the window is ready", async () => (await heard(page)).some(({ data }) => data.belfry === "ready"));

withStranger("the window names who asks, whatever is claimed", async ({ strangers, profile, open, stand }) => {
  const page = await profile.page(strangers.origin());
  const consent = await open(page, "?origin=https://bank.example&site=https://bank.example&name=Bank#https://bank.example");
  await ready(page);
  await text(consent, "Waiting for the site");
  await ask(page, { ...ASKS, origin: "https://bank.example", site: "https://bank.example" });
  await text(consent, strangers.origin());
  const shown = await consent.evaluate(() => document.body.innerText);
  assert.ok(!shown.includes("bank.example"), shown);
  assert.match(shown, /It calls itself “Your bank”/);

  // The first one that asked stays who asks.
  await ask(page, { belfry: "subscribe", name: "Another name" });
  const deniedButton = await see(consent, "button", "Decline");
  assert.ok(!(await consent.evaluate(() => document.body.innerText)).includes("Another name"));
  await deniedButton.click();
  await until("the page is told", async () => (await heard(page)).some(({ data }) => data.belfry === "declined"));
  for (const { origin } of await heard(page)) assert.equal(origin, stand.server.origin);
});

withStranger("a window that did not open it asks in vain", async ({ strangers, profile, open }) => {
  const page = await profile.page(strangers.origin());
  const consent = await open(page);
  await ready(page);
  // A frame of the same page, which has the window in hand and is not its opener.
  await page.evaluate(
    (address, message) =>
      new Promise((resolve) => {
        const frame = document.createElement("iframe");
        frame.onload = () => {
          frame.contentWindow.eval("(target, message) => target.postMessage(message, '*')")(window.consent, message);
          resolve();
        };
        frame.src = address;
        document.body.append(frame);
      }),
    strangers.origin(),
    { belfry: "subscribe", name: "From the frame" },
  );
  await ask(page, { belfry: "subscribe", name: "From the opener" });
  await text(consent, "From the opener");
  assert.ok(!(await consent.evaluate(() => document.body.innerText)).includes("From the frame"));
});

withStranger("pages without a secure origin are refused", async ({ strangers, profile, open }) => {
  const plain = await profile.page(strangers.origin(PLAIN_HOST));
  let consent = await open(plain);
  await ready(plain);
  await ask(plain);
  await see(consent, "heading", "This page may not ask");
  await text(consent, "Only pages that came over https may ask");
  assert.equal(await consent.$("::-p-aria([name=\"Approve\"][role=\"button\"])"), null);
  await until("the page is told", async () => (await heard(plain)).some(({ data }) => data.belfry === "error"));

  // A document of a data: address has no origin that anybody could name.
  const nowhere = await profile.page();
  const source = await (await fetch(strangers.origin())).text();
  await nowhere.goto(`data:text/html;charset=utf-8,${encodeURIComponent(source)}`);
  consent = await open(nowhere);
  await ready(nowhere);
  await ask(nowhere);
  await see(consent, "heading", "This page may not ask");
  assert.equal(await consent.$("::-p-aria([name=\"Approve\"][role=\"button\"])"), null);
  assert.deepEqual((await heard(nowhere)).map(({ data }) => data), [{ belfry: "ready" }], "and it is told nothing");
});

withStranger("nothing is approved before it was looked at for a second", async ({ strangers, profile, open }) => {
  const page = await profile.page(strangers.origin());
  const consent = await open(page);
  await ready(page);
  // A page that asks late, when the click that it waits for is about to come, gains nothing.
  await consent.waitForFunction(() => performance.now() > 1500);
  const asked = watchApprove(consent);
  await ask(page);
  const { after, clicked } = await asked;
  assert.equal(clicked, true, "it was clicked as soon as it was there");
  assert.ok(after >= DWELL_MS, `it worked after ${after} ms`);

  // Out of sight and back: the second begins anew.
  await profile.hide(consent);
  await consent.waitForFunction(() => !document.hasFocus());
  const back = watchApprove(consent);
  await profile.show(consent);
  const again = await back;
  assert.ok(again.after >= DWELL_MS, `it worked again after ${again.after} ms`);
  assert.deepEqual((await heard(page)).map(({ data }) => data.belfry), ["ready"], "the early clicks approved nothing");
  await press(consent, "button", "Approve");
  await until("the page has the subscription", async () => (await heard(page)).some(({ data }) => data.belfry === "subscription"));
});

/** Clicks Approve whenever it can be seen and does not work yet; how long after that moment it works. */
function watchApprove(consent) {
  return consent.evaluate(
    () =>
      new Promise((resolve) => {
        let since;
        let clicked = false;
        const look = () => {
          const button = [...document.querySelectorAll("button")].find((one) => one.textContent.trim() === "Approve");
          if (!button || !document.hasFocus() || document.visibilityState !== "visible") return;
          since ??= performance.now();
          if (button.disabled || button.getAttribute("aria-disabled") === "true") {
            button.click();
            clicked = true;
          } else {
            clearInterval(looking);
            resolve({ after: performance.now() - since, clicked });
          }
        };
        const looking = setInterval(look, 5);
        addEventListener("focus", look);
        look();
      }),
  );
}

withStranger("no page can put a frame around the console", async ({ stand, strangers, profile }) => {
  for (const path of ["/", "/consent"]) {
    const page = await profile.page(`${strangers.origin()}/frames?of=${encodeURIComponent(stand.server.origin + path)}`);
    const frame = await (await page.waitForSelector("iframe")).contentFrame();
    // What the browser shows in its place has none of the console in it, and no script of ours runs there.
    await until("the frame is refused", async () => (await profile.complaints()).some((one) => /frame-ancestors|X-Frame-Options/i.test(one)));
    assert.equal(await frame.$("main, #app, button"), null);
    await page.close();
  }
});

// In one browser, signed in once: what follows does not depend on what was.
inBrowsers("consent is given to who asks", { site: false }, async (stand) => {
  const strangers = await Strangers.start();
  try {
    const profile = await stand.profile();
    await (await Console.open(profile, stand.server)).signUp();
    const open = async (page, query = "") => {
      await page.evaluate((address) => (window.address = address), `${stand.server.origin}/consent${query}`);
      return profile.popup(page, () => press(page, "button", "Open"));
    };
    for (const [title, run] of CASES) {
      await stand.step(title, () => run({ stand, strangers, profile, open }));
    }
  } finally {
    strangers.stop();
  }
});

inBrowsers("who is not signed in does that in another tab, and the window goes on by itself", {}, async (stand) => {
  const profile = await stand.profile();
  const page = await profile.page(stand.site.origin);
  const consent = await profile.popup(page, () => press(page, "button", "Subscribe"));
  await see(consent, "heading", "Sign in first");
  assert.equal(await consent.$("input"), null, "nothing can be typed there");
  const tab = await profile.tab(() => press(consent, "link", "Open the console"));
  await new Console(profile, tab, stand.server).signUp();
  await profile.show(consent);
  await see(consent, "button", "Approve");
  await press(consent, "button", "Approve");
  await text(page, "Subscribed.");
  assert.deepEqual(profile.complaints(), []);
});
