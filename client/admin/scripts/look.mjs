// npm run look [-- OUT [WORD]]: every page over made-up data, photographed narrow and wide, light and
// dark, and put before axe. Scenes with WORD in the name alone, if there is one. Serious findings,
// script errors, CSP violations and pages wider than the window make it fail.

import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { examiner } from "belfry-ui/scripts/examine.mjs";
import { serve } from "belfry-ui/scripts/server.mjs";
import { launch } from "puppeteer-core";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(tmpdir(), "belfry-admin-look");
const word = process.argv[3] ?? "";
const dist = join(out, "dist");
const SITE = encodeURIComponent("https://news.example");
const button = (name) => async (page) => {
  const found = await page.locator(`::-p-aria([name="${name}"][role="button"])`).waitHandle();
  // Out from behind the tabs of a narrow page.
  await found.evaluate((element) => element.scrollIntoView({ block: "center" }));
  await found.click();
};
const all = (...acts) => async (page) => { for (const act of acts) await act(page); };
const type = (where, what) => async (page) => { await page.waitForSelector(where); await page.type(where, what); };
const wait = (where) => (page) => page.waitForSelector(where);
const points = wait("dialog .points");
const charts = wait(".plot .stroke");

/** name, `?demo=`, address, what is done before the picture; and, of a dialog or toast, that only the window is photographed. */
const SCENES = [
  ...["full", "empty", "error", "loading", "viewer"].flatMap((demo) => [
    ...["overview", "sites", "users", "bans", "limits", "apns", "nodes", "audit", "tokens", "trace", "account"].map((page) => [`${page}-${demo}`, demo, `#/${page}`]),
  ]),
  ["menu", "full", "#/menu"], ["overview-offline", "offline", "#/overview"],
  ["overview-hover", "full", "#/overview", all(charts, async (page) => {
    const plot = await page.$(".plot");
    await plot.evaluate((element) => element.scrollIntoView({ block: "center" }));
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 40);
  }), "window"],
  ["overview-drag", "full", "#/overview", all(charts, async (page) => {
    const plot = await page.$(".plot");
    await plot.evaluate((element) => element.scrollIntoView({ block: "center" }));
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 60);
  }), "window"],
  ["overview-month", "full", "#/overview", all((page) => page.click("input[value=month]"), charts)],
  ["overview-table", "full", "#/overview", all(charts, (page) => page.click(".chart-table summary"))],
  ["site", "full", `#/sites/${SITE}`, charts], ["site-viewer", "viewer", `#/sites/${SITE}`, charts], ["site-gone", "empty", `#/sites/${SITE}`], ["site-error", "error", `#/sites/${SITE}`],
  ["site-blocked", "full", `#/sites/${encodeURIComponent("https://spam.example")}`, charts],
  ["site-block", "full", `#/sites/${SITE}`, all(button("Block news.example"), points), "window"],
  ["site-quota", "full", `#/sites/${SITE}`, button("Change"), "window"],
  ["site-quota-wrong", "full", `#/sites/${SITE}`, all(button("Change"), type("dialog .field:nth-of-type(2) input", "many"), button("Save"), wait(".fault")), "window"],
  ["site-key", "full", `#/sites/${SITE}`, all(button("Make an API key"), type("dialog input", "newsletter"), (page) => page.keyboard.press("Enter"), wait(".copy-box")), "window"],
  ["site-unproven", "full", `#/sites/${encodeURIComponent("https://shop.example")}`, all(button("Look for the proof"), wait(".fault"))],
  ["site-vapid", "full", `#/sites/${SITE}`, all(button("Register a VAPID key"), type("dialog input", "BNcRd"), button("Register"), wait("dialog .fault")), "window"],
  ["site-unregister", "full", `#/sites/${SITE}`, button("Remove registration"), "window"],
  ["site-key-end", "full", `#/sites/${SITE}`, button("End the API key newsletter"), "window"],
  ["sites-register", "full", "#/sites", all(button("Register a site"), type("dialog input", "news"), button("Register"), wait(".fault")), "window"],
  ["sites-search", "full", "#/sites", all(type("input[type=search]", "nothing like it"), wait(".empty"))],
  ["user", "full", "#/users/u3"], ["user-viewer", "viewer", "#/users/u3"], ["user-blocked", "full", "#/users/u4"], ["user-gone", "empty", "#/users/u9"], ["user-error", "error", "#/users/u3"],
  ["user-block", "full", "#/users/u3", all(button("Block linus"), points), "window"],
  ["user-role", "full", "#/users/u1", all(button("Change role"), (page) => page.select("dialog select", "none"), wait("dialog .notice")), "window"],
  ["user-role-last", "full", "#/users/u1", all(button("Change role"), (page) => page.select("dialog select", "none"), (page) => page.click("dialog button[type=submit]"), wait("dialog .fault")), "window"],
  ["user-reset", "full", "#/users/u3", button("Reset link"), "window"],
  ["user-reset-made", "full", "#/users/u3", all(button("Reset link"), button("Make the link"), wait(".copy-box")), "window"],
  ["user-reset-again", "again", "#/users/u3", all(button("Reset link"), button("Make the link"), wait("dialog input[type=password]")), "window"],
  ["user-disconnect", "full", "#/users/u3", button("Disconnect"), "window"],
  ["user-disconnected", "full", "#/users/u3", all(button("Disconnect"), (page) => page.click("dialog button[type=submit]"), wait(".toast")), "window"],
  ["users-create", "full", "#/users", all(button("Create a user"), type("dialog input[type=text]", "ada"), type("dialog input[type=password]", "long enough"), button("Create"), wait("dialog .fault")), "window"],
  ["users-invite", "full", "#/users", button("Invite link"), "window"],
  ["users-invited", "full", "#/users", all(button("Invite link"), button("Make the link"), wait(".copy-box")), "window"],
  ["bans-make", "full", "#/bans", button("Block…"), "window"],
  ["bans-make-address", "full", "#/bans", all(button("Block…"), (page) => page.select("dialog select", "address"), type("dialog input", "198.51.100.0/24"), button("See what follows"), points), "window"],
  ["bans-edit", "full", "#/bans", button("Edit the ban of mallory"), "window"],
  ["bans-lifted", "full", "#/bans", all(button("Lift the ban of mallory"), wait(".toast")), "window"],
  ["bans-import", "full", "#/bans", all(button("Import"), type("dialog textarea", "kind,value,reason,ends\nsite,https://a.example,,\nplanet,mars,,\n"), button("See what follows"), wait("dialog .notice")), "window"],
  ["bans-import-ready", "full", "#/bans", all(button("Import"), type("dialog textarea", "kind,value,reason,ends\nsite,https://a.example,,\n"), button("See what follows"), wait("dialog .notice")), "window"],
  ["limits-change", "full", "#/limits", all(button("Change: Of a proven site, per second"), type("dialog input", "x"), button("Save"), wait(".fault")), "window"],
  ["limits-remove", "full", "#/limits", all(button("Change: History after every device has it"), type("dialog input", "2d"), button("See what follows"), points), "window"],
  ["limits-saved", "full", "#/limits", all(button("Change: Of a permission, at once"), type("dialog input", "40"), button("Save"), wait(".toast")), "window"],
  ["apns-ready", "apns", "#/apns"],
  ["audit-open", "full", "#/audit", all(wait(".change summary"), (page) => page.click(".change summary"))],
  ["audit-verified", "full", "#/audit", all(button("Verify the chain"), wait(".hash"))], ["audit-tampered", "tampered", "#/audit", all(button("Verify the chain"), wait(".notice.bad"))],
  ["tokens-make", "full", "#/tokens", button("Make a token"), "window"],
  ["tokens-made", "full", "#/tokens", all(button("Make a token"), type("dialog input", "wall"), button("Make"), wait(".copy-box")), "window"],
  ["tokens-end", "full", "#/tokens", button("End the token nightly script"), "window"],
  ["trace-found", "full", "#/trace", all(type("main input", "https://push.example/message/abc"), button("Trace"), wait(".milestones"))],
  ["trace-unknown", "full", "#/trace", all(type("main input", "https://push.example/other"), button("Trace"), wait(".fault"))],
  ["account-password", "full", "#/account", all(button("Change password"), type("dialog input[type=password]", "wrong"), button("Change password"), wait("dialog .fault")), "window"],
  ["account-totp", "empty", "#/account", all(button("Set up"), wait(".qr")), "window"], ["account-totp-off", "full", "#/account", button("Turn off"), "window"],
  ["account-passkey", "full", "#/account", button("Add a passkey"), "window"], ["account-everywhere", "full", "#/account", button("Sign out everywhere"), "window"],
  ["signin", "signed-out", ""], ["signin-expired", "expired", ""],
  ["signin-wrong", "signed-out", "", all(type("input[name=username]", "eve"), button("Sign in"), wait(".fault"))],
  ["signin-code", "signed-out", "", all(type("input[name=username]", "ada"), button("Sign in"), wait("input[name=code]"), type("input[name=code]", "000000"), button("Go on"), wait(".fault"))],
  ["signin-passkey", "signed-out", "", all(type("input[name=username]", "ada"), button("Sign in"), wait("input[name=code]"), button("Use a passkey"))],
  ["setup", "signed-out", "#setup=abc"], ["setup-old", "signed-out", "#setup=old", all(type("input[name=username]", "ada"), button("Become the admin"), wait(".fault"))],
  ["broken", "broken", ""],
];
const SIZES = [["narrow", 360, 740], ["wide", 1440, 900]];
const THEMES = ["light", "dark"];

execFileSync(process.execPath, [join(here, "../build.mjs"), "--demo", dist], { stdio: "inherit" });
await mkdir(out, { recursive: true });
const server = await serve({ dist, upstream: null, port: 0, base: "/admin", pages: { "/admin": "/index.html" } });
const address = `http://localhost:${server.address().port}/admin`;
const browser = await launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const { faults, examine, watch } = examiner(out);

try {
  for (const [sizeName, width, height] of SIZES) {
    for (const theme of THEMES) {
      for (const [scene, demo, hash, act, only] of SCENES) {
        const name = `${scene}-${sizeName}-${theme}`;
        if (!name.includes(word)) continue;
        const context = await browser.createBrowserContext();
        const page = await context.newPage();
        page.setDefaultTimeout(8000);
        watch(page, name);
        await page.setBypassCSP(false);
        await page.setViewport({ width, height });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
        await page.goto(`${address}?demo=${demo}${hash}`);
        await page.waitForSelector("h1");
        await page.waitForFunction((loading) => loading || !document.querySelector(".skeleton"), {}, demo === "loading");
        try {
          await act?.(page);
        } catch (error) {
          faults.push(`${name}: ${error.message}`);
        }
        await examine(page, name, only !== "window");
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
  server.close();
}
console.log(faults.length ? faults.join("\n") : "nothing serious");
process.exitCode = faults.length ? 1 : 0;
