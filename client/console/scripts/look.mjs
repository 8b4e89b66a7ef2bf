// npm run look [-- OUT [WORD]]: every page over made-up data, photographed narrow and wide, light and
// dark, and put before axe. Scenes with WORD in the name alone, if there is one. Serious findings,
// script errors, CSP violations and pages wider than the window make it fail.

import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { examiner } from "belfry-ui/scripts/examine.mjs";
import { serve } from "belfry-ui/scripts/server.mjs";
import { launch } from "puppeteer-core";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(tmpdir(), "belfry-console-look");
const word = process.argv[3] ?? "";
const dist = join(out, "dist");
const button = (name) => async (page) => {
  const found = await page.locator(`::-p-aria([name="${name}"][role="button"])`).waitHandle();
  // Out from behind the tabs of a narrow page.
  await found.evaluate((element) => element.scrollIntoView({ block: "center" }));
  await found.click();
};

/** name, `?demo=`, address, and what is done before the picture. */
const SCENES = [
  ["inbox-full", "full", "#/inbox"], ["inbox-empty", "empty", "#/inbox"], ["inbox-error", "error", "#/inbox"], ["inbox-loading", "loading", "#/inbox"],
  ["inbox-offline", "offline", "#/inbox"], ["inbox-hostile", "hostile", "#/inbox"], ["inbox-alarm", "alarm", "#/inbox"],
  ["inbox-dismissed", "full", "#/inbox", button("Dismiss “Build failed on main”")],
  ["inbox-search", "full", "#/inbox", (page) => page.type("input[type=search]", "nothing like it")],
  ["inbox-archive", "full", "#/inbox", (page) => page.click("input[value=archive]")],
  ["sites-full", "full", "#/sites"], ["sites-empty", "empty", "#/sites"], ["sites-error", "error", "#/sites"], ["sites-loading", "loading", "#/sites"], ["sites-alarm", "alarm", "#/sites"],
  ["sites-approve", "full", "#/sites/approve"],
  ["sites-approve-wrong", "full", "#/sites/approve", async (page) => { await page.type("dialog input", "news"); await button("Approve")(page); }],
  ["sites-approved", "full", "#/sites/approve", async (page) => { await page.type("dialog input", "news.example"); await button("Approve")(page); await page.waitForSelector(".copy-box"); }],
  ["sites-edit", "full", "#/sites", button("Edit ci.example")],
  ["sites-revoke", "full", "#/sites", button("Revoke ci.example")],
  ["devices-full", "full", "#/devices"], ["devices-empty", "empty", "#/devices"], ["devices-alarm", "alarm", "#/devices"],
  ["devices-link", "full", "#/devices/link"],
  ["devices-link-wrong", "full", "#/devices/link", async (page) => { await page.type("dialog input", "XKQ2"); await button("Find the device")(page); await page.waitForSelector(".fault"); }],
  ["devices-link-confirm", "full", "#/devices/link", async (page) => { await page.type("dialog input", "XKQ2-7M4D-RT5A-3WNE-6TBY-HJ2C-LP7V-QX4D"); await button("Find the device")(page); await page.waitForSelector(".preview"); }],
  ["devices-edit", "full", "#/devices", button("Edit nightly script")],
  ["devices-remove", "full", "#/devices", button("Remove nightly script")],
  ["keys-full", "full", "#/keys"], ["keys-empty", "empty", "#/keys"], ["keys-alarm", "alarm", "#/keys"],
  ["keys-phrase", "full", "#/keys/phrase", async (page) => { await button("Replace the recovery phrase")(page); await page.waitForSelector(".phrase"); }],
  ["keys-check", "full", "#/keys/phrase", async (page) => { await button("Replace the recovery phrase")(page); await page.waitForSelector(".phrase"); await button("I wrote them down")(page); await button("Confirm")(page); }],
  ["settings-full", "full", "#/settings"], ["settings-empty", "empty", "#/settings"], ["settings-erase", "full", "#/settings", button("Erase account")],
  ["settings-password", "full", "#/settings", button("Change password")], ["settings-out", "full", "#/settings", button("Sign out")],
  ["welcome-1", "empty", "#/welcome"], ["welcome-2", "empty", "#/welcome", button("Begin")],
  ["welcome-4", "empty", "#/welcome", async (page) => { await button("Begin")(page); await next(page); await next(page); await button("Send a test notification")(page); await page.waitForFunction(() => document.body.textContent.includes("arrived after")); }],
  ["signin", "signed-out", ""], ["signin-expired", "expired", ""],
  ["signin-wrong", "signed-out", "", async (page) => { await page.type("input[name=username]", "ada"); await page.type("input[name=password]", "wrong"); await button("Sign in")(page); await page.waitForSelector(".fault"); }],
  ["signin-another", "signed-out", "", async (page) => { await page.type("input[name=username]", "eve"); await button("Sign in")(page); await page.waitForSelector(".notice"); }],
  ["invited", "signed-out", "#invite=abc"], ["reset", "signed-out", "#reset=abc"],
  ["reset-old", "signed-out", "#reset=old", async (page) => { await page.type("input[name=password]", "long enough"); await button("Set the password")(page); await page.waitForSelector(".fault"); }],
  ["signup", "signed-out", "", button("Create an account")],
  ["insecure", "signed-out", ""], ["again", "again", "#/devices", async (page) => { await button("Remove nightly script")(page); await button("Remove")(page); await page.waitForSelector("dialog input[type=password]"); }],
  ["no-device", "no-device", ""], ["link-code", "unlinked", ""], ["link-phrase", "unlinked", "", (page) => page.click("input[value=phrase]")],
];
async function next(page) {
  await page.locator("::-p-xpath(//button[.='Later' or .='Next'])").click();
}
const SIZES = [["narrow", 360, 740], ["wide", 1440, 900]];
const THEMES = ["light", "dark"];

execFileSync(process.execPath, [join(here, "../build.mjs"), "--demo", dist], { stdio: "inherit" });
await mkdir(out, { recursive: true });
const server = await serve({ dist, upstream: null, port: 0 });
const address = `http://localhost:${server.address().port}`;
const asker = createServer((_, res) => res.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>A site</title><button>Ask</button>"));
await new Promise((resolve) => asker.listen(0, "127.0.0.1", resolve));
const browser = await launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP belfry.test 127.0.0.1"] });
const { faults, examine, watch } = examiner(out);

try {
  for (const [sizeName, width, height] of SIZES) {
    for (const theme of THEMES) {
      for (const [scene, demo, hash, act] of SCENES) {
        const name = `${scene}-${sizeName}-${theme}`;
        if (!name.includes(word)) continue;
        const context = await browser.createBrowserContext();
        const page = await context.newPage();
        watch(page, name);
        await page.setBypassCSP(false);
        await page.setViewport({ width, height });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
        await page.evaluateOnNewDocument(() => localStorage.setItem("belfry.preferences", JSON.stringify({ welcomed: true })));
        await page.goto(`${scene === "insecure" ? address.replace("localhost", "belfry.test") : address}/?demo=${demo}${hash}`);
        await page.waitForSelector("h1");
        try {
          await act?.(page);
        } catch (error) {
          faults.push(`${name}: ${error.message}`);
        }
        await examine(page, name, !scene.match(/approve|revoke|link-|erase|phrase|check|remove|dismissed|password|out|again/) || scene.startsWith("link"));
        await context.close();
      }
      for (const [scene, demo, message] of [
        ["consent-asks", "full", { belfry: "subscribe", name: "Your Bank", siteKey: "V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE" }], ["consent-waiting", "full", null],
        ["consent-malformed", "full", { belfry: "subscribe", siteKey: "x" }], ["consent-signed-out", "signed-out", { belfry: "subscribe" }], ["consent-unlinked", "unlinked", { belfry: "subscribe" }],
      ]) {
        const name = `${scene}-${sizeName}-${theme}`;
        if (!name.includes(word)) continue;
        const context = await browser.createBrowserContext();
        const page = await context.newPage();
        await page.goto(`http://localhost:${asker.address().port}/`);
        const opened = new Promise((resolve) => page.once("popup", resolve));
        await page.evaluate((url, ask) => {
          const popup = open(url, "belfry", "popup");
          addEventListener("message", (event) => { if (event.data.belfry === "ready" && ask) popup.postMessage(ask, "*"); });
        }, `${address}/consent?demo=${demo}`, message);
        const popup = await opened;
        watch(popup, name);
        await popup.setViewport({ width: sizeName === "wide" ? 520 : width, height });
        await popup.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
        await popup.bringToFront();
        await popup.waitForSelector("h1");
        await new Promise((resolve) => setTimeout(resolve, 1300));
        await examine(popup, name);
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
  server.close();
  asker.close();
}
console.log(faults.length ? faults.join("\n") : "nothing serious");
process.exitCode = faults.length ? 1 : 0;
