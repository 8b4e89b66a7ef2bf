// A site that was approved, or who stole its subscription, tries to run script or to make the browser
// fetch something through each field of a notification.
import assert from "node:assert/strict";
import { Console, subscribe } from "./console.mjs";
import { see, text } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";
import { Strangers } from "./strangers.mjs";

const MARK = "window.hurt = true; alert(1)";

/** Told by the page itself, so that no violation is missed. */
function watchViolations() {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    window.violations.push(`${violatedDirective} ${blockedURI}`),
  );
}

/** One that tries each field; `n` tells them apart. */
function hostile(n, strangers, text) {
  const fetched = `${strangers.origin()}/fetched-${n}`;
  return {
    title: `${n} ${text}`,
    body: text,
    icon: [fetched, `javascript:${MARK}`, `data:text/html,<script>${MARK}</script>`, `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" onload="${MARK}"><image href="${fetched}"/></svg>`][n % 4],
    url: [`javascript:${MARK}`, `data:text/html,<script>${MARK}</script>`, `JaVaScRiPt://x/%0a${MARK}`, `http://127.0.0.1:1/`][n % 4],
    tag: text,
    actions: [
      { title: text, action: text, url: `javascript:${MARK}` },
      { title: `Fetch ${n}`, action: "b", url: fetched },
    ],
    data: { html: text },
  };
}

const TEXTS = (strangers) => [
  `<script>${MARK}</script>`,
  `<img src="${strangers.origin()}/fetched-img" onerror="${MARK}">`,
  `"><svg onload="${MARK}"><a href="javascript:${MARK}">x</a>`,
  `<iframe srcdoc="<script>parent.hurt = true</script>"></iframe><link rel=stylesheet href=${strangers.origin()}/fetched-css>`,
];

inBrowsers("nothing in a notification runs or is fetched", {}, async (stand) => {
  const strangers = await Strangers.start();
  try {
    const profile = await stand.profile();
    const console = await Console.open(profile, stand.server, { before: watchViolations });
    await console.signUp();
    const sitePage = await subscribe(stand, profile);
    await sitePage.close();
    await console.page.bringToFront();
    const requests = [];
    console.page.on("request", (request) => requests.push(request.url()));

    const texts = TEXTS(strangers);
    for (const [n, words] of texts.entries()) {
      assert.equal((await stand.site.send(hostile(n, strangers, words))).status, 201);
    }
    await stand.site.send({ title: "The last one" });
    await console.sees("The last one");
    for (const [n, words] of texts.entries()) await text(console.page, `${n} ${words.slice(0, 20)}`);

    const found = await console.page.evaluate(() => ({
      hurt: window.hurt,
      violations: window.violations,
      links: [...document.querySelectorAll("[href], [src], [action], [formaction], [srcdoc]")].flatMap((element) =>
        ["href", "src", "action", "formaction", "srcdoc"].map((name) => element.getAttribute(name)).filter(Boolean),
      ),
      planted: document.querySelectorAll("main script, main iframe, main link, main [onerror], main [onload], main img:not([src^='data:image/'])").length,
    }));
    assert.equal(found.hurt, undefined);
    assert.deepEqual(found.violations, []);
    assert.equal(found.planted, 0);
    const bad = found.links.filter((link) => !/^(#|\/|\.\/|https:|data:image\/(png|jpeg|gif|webp|avif);)/.test(link) && new URL(link, stand.server.origin).origin !== stand.server.origin);
    assert.deepEqual(bad, []);
    assert.deepEqual(profile.dialogs(), []);
    assert.deepEqual(profile.complaints(), []);
    assert.deepEqual(requests.filter((url) => new URL(url).origin !== stand.server.origin && !url.startsWith("data:")), []);
    assert.deepEqual(strangers.fetched, []);
  } finally {
    strangers.stop();
  }
});
