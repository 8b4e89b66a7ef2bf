// Ways into the dashboard, and the links by which others get into the console.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import * as OTPAuth from "otpauth";
import { Console, PASSWORD } from "./console.mjs";
import { Dashboard } from "./dashboard.mjs";
import { examine } from "./examine.mjs";
import { Person } from "./people.mjs";
import { gone, press, see, text, type } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";

const IN = { only: "chromium", site: false };

inBrowsers("a passkey signs an admin in without a password", { ...IN, settings: await named() }, async (stand) => {
  const { server } = stand;
  server.origin = server.origin.replace("127.0.0.1", "localhost");
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const { page } = dashboard;
  const devtools = await page.createCDPSession();
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });

  await dashboard.go("account", "Your account");
  await press(page, "button", "Add a passkey");
  await type(page, "Name", "laptop");
  await page.locator("dialog button[type=submit]").click();
  await text(page, "The passkey was added");
  await see(page, "button", "Remove the passkey laptop");
  await press(page, "button", "Sign out");
  await press(page, "button", "Sign in with a passkey");
  await see(page, "heading", "Your account");

  // With the password alone, the other half is asked.
  await press(page, "button", "Sign out");
  await dashboard.signIn("grace");
  await see(page, "heading", "One more step");
  await press(page, "button", "Use a passkey");
  await see(page, "heading", "Your account");
  assert.deepEqual(profile.complaints(), []);
});

inBrowsers("a code of an authenticator app is asked, and only a right one lets in", IN, async (stand) => {
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, stand.server);
  const { page } = dashboard;
  await dashboard.go("account", "Your account");
  await press(page, "button", "Set up");
  const key = await page.waitForSelector("dialog .copy-box");
  const app = new OTPAuth.TOTP({ secret: (await key.evaluate((box) => box.innerText)).replaceAll(/\s/g, "") });
  await type(page, "Code from the app", app.generate());
  await press(page, "button", "Turn on");
  await text(page, "From now on a code is asked when you sign in");

  await press(page, "button", "Sign out");
  await dashboard.signIn("grace");
  await type(page, "Code", "000000");
  await press(page, "button", "Go on");
  await page.waitForSelector(".fault");
  // The code that turned it on was used; the next one is not yet.
  await type(page, "Code", app.generate({ timestamp: Date.now() + 30_000 }));
  await press(page, "button", "Go on");
  await see(page, "heading", "Your account");
  assert.deepEqual(profile.complaints(), []);
});

inBrowsers("an invite makes an account, a reset link a new password, each once", { ...IN, settings: { ACCOUNTS__REGISTRATION: "invite" } }, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const { page } = dashboard;
  await dashboard.go("users", "Users");
  await press(page, "button", "Invite link");
  await press(page, "button", "Make the link");
  const invite = await shownOnce(page);

  const guest = await stand.profile("guest");
  const console = await Console.open(guest, server, { path: pathOf(invite) });
  await type(console.page, "User name", "ada");
  await type(console.page, "Password", PASSWORD);
  await press(console.page, "button", "Create account");
  await see(console.page, "heading", "Welcome to Belfry");
  const again = await fetch(`${server.origin}/v1/accounts`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: "eve", password: PASSWORD, invite: new URL(invite).hash.replace("#invite=", "") }),
  });
  assert.equal(again.status, 403);

  // Nobody tells the dashboard of what users do by themselves.
  await page.reload();
  await page.locator("::-p-aria([name=\"ada\"][role=\"link\"])").click();
  await press(page, "button", "Reset link");
  await text(page, "Keys are not recovered");
  await press(page, "button", "Make the link");
  const reset = await shownOnce(page);

  const other = await stand.profile("other");
  const fresh = await Console.open(other, server, { path: pathOf(reset) });
  await type(fresh.page, "New password", "a wholly different password");
  await fresh.page.locator("button[type=submit]").click();
  await see(fresh.page, "heading", "Sign in");
  await fresh.signIn("ada", "a wholly different password");
  await see(fresh.page, "heading", "Link this browser");
  assert.deepEqual([...profile.complaints(), ...guest.complaints(), ...other.complaints()], []);
});

inBrowsers("signing out everywhere ends each session of the dashboard", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const elsewhere = await stand.profile("elsewhere");
  const second = await Dashboard.open(elsewhere, server);
  await second.signIn("grace", "not the password");
  await second.page.waitForSelector(".fault");
  await second.signIn("grace");
  await see(second.page, "heading", "Overview");

  await dashboard.go("account", "Your account");
  await press(dashboard.page, "button", "Sign out everywhere");
  await dashboard.page.locator("dialog button[type=submit]").click();
  await see(dashboard.page, "heading", "Sign in");
  // The other one notices by itself.
  await see(second.page, "heading", "Sign in");
  assert.equal((await second.asks("GET", "/sites")).status, 401);
  assert.deepEqual([...profile.complaints(), ...elsewhere.complaints()], []);
});

inBrowsers("axe finds nothing serious on any page of the dashboard", IN, async (stand) => {
  const { server } = stand;
  const faults = [];
  const profile = await stand.profile();
  const gate = await Dashboard.open(profile, server);
  await see(gate.page, "heading", "Sign in");
  faults.push(...(await examine(gate.page, "sign in")));
  const dashboard = await Dashboard.setUp(profile, server);
  const ada = await Person.make(server, "ada");
  await ada.approves("https://news.example");
  for (const [where, heading] of [
    ["overview", "Overview"], ["sites", "Sites"], ["sites/https%3A%2F%2Fnews.example", "news.example"], ["users", "Users"], [`users/${ada.id}`, "ada"], ["bans", "Bans"],
    ["limits", "Limits and retention"], ["apns", "APNs"], ["nodes", "Nodes"], ["audit", "Audit"], ["tokens", "Tokens"], ["trace", "Trace a message"], ["account", "Your account"],
  ]) {
    await dashboard.go(where, heading);
    await gone(dashboard.page, "status", "Loading…");
    faults.push(...(await examine(dashboard.page, where)));
  }
  assert.deepEqual(faults, []);
  assert.deepEqual(profile.complaints(), []);
});

/** A server that says its name: a passkey belongs to a name, never to a number. */
async function named() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return { HTTP__LISTEN: `127.0.0.1:${port}`, PUBLIC_URL: `http://localhost:${port}` };
}

async function shownOnce(page) {
  const box = await page.waitForSelector("dialog .copy-box");
  const secret = (await box.evaluate((one) => one.innerText)).trim();
  await press(page, "button", "Done");
  return secret;
}

function pathOf(link) {
  const { pathname, hash } = new URL(link);
  return pathname + hash;
}
