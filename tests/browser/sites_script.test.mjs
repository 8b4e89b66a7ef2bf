// The script that sites include, in a page with the strictest policy, against a stand-in for the
// console that speaks the consent protocol.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { inBrowsers } from "./stand.mjs";
import { press, text } from "./sees.mjs";

const SUBSCRIPTION = {
  endpoint: "https://push.example.org/push/secret",
  expirationTime: null,
  keys: { p256dh: Buffer.alloc(65, 4).toString("base64url"), auth: Buffer.alloc(16, 5).toString("base64url") },
};

const CONSENT = `<!doctype html><meta charset="utf-8"><title>Consent</title>
<p id="asked">Nobody asked.</p><button id="approve">Approve</button> <button id="decline">Decline</button>
<script>
  let asking;
  const say = (message) => asking.source.postMessage(message, asking.origin);
  addEventListener("message", (event) => {
    if (event.source !== opener || asking) return;
    asking = event;
    document.getElementById("asked").textContent = event.origin + " asked " + JSON.stringify(event.data);
  });
  approve.onclick = () => (say({ belfry: "subscription", subscription: ${JSON.stringify(SUBSCRIPTION)} }), close());
  decline.onclick = () => (say({ belfry: "declined" }), close());
  opener.postMessage({ belfry: "ready" }, "*");
</script>`;

async function standIn() {
  const server = createServer((_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end(CONSENT));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close(), server };
}

/** The script's dialog; Firefox finds nothing by role inside a shadow tree. */
const QUESTION = {
  shown: (page) => page.waitForSelector(">>> dialog[open]", { visible: true }),
  says: (page, words) => page.waitForSelector(`::-p-text(${words})`, { visible: true }),
  gone: (page) => page.waitForSelector(">>> dialog[open]", { hidden: true }),
  type: (page, address) => page.locator(">>> dialog input").fill(address),
  go: (page) => page.locator(">>> dialog [type=submit]").click(),
};

inBrowsers("a user without a server is asked for it once", { server: false }, async (stand) => {
  const console = await standIn();
  const profile = await stand.profile();
  const page = await profile.page(stand.site.origin);
  try {
    await press(page, "button", "Subscribe");
    await QUESTION.shown(page);
    await QUESTION.type(page, "http://push.example.org");
    await QUESTION.go(page);
    await QUESTION.says(page, "must be an https address");
    await QUESTION.type(page, console.origin.replace("http://", ""));
    let consent = await profile.popup(page, () => QUESTION.go(page));
    await QUESTION.gone(page);
    await text(consent, `${stand.site.origin} asked`);
    const asked = await consent.$eval("#asked", (element) => element.textContent);
    const { applicationServerKey } = await (await fetch(`${stand.site.origin}/keys`)).json();
    assert.deepEqual(JSON.parse(asked.split(" asked ")[1]), { belfry: "subscribe", applicationServerKey, name: "Example site" });
    await press(consent, "button", "Approve");
    await text(page, "Subscribed.");
    assert.equal((await stand.site.subscriptions()).length, 1);

    consent = await profile.popup(page, () => press(page, "button", "Subscribe"));
    await text(consent, "asked");
    await press(consent, "button", "Decline");
    await text(page, "You declined");

    consent = await profile.popup(page, () => press(page, "button", "Subscribe"));
    await text(consent, "asked");
    await consent.close();
    await text(page, "You closed the window");

    await press(page, "button", "Use another server");
    await press(page, "button", "Subscribe");
    await QUESTION.shown(page);
    await page.keyboard.press("Escape");
    await text(page, "You closed the window");
    assert.deepEqual(profile.complaints(), []);
  } finally {
    console.stop();
  }
});
