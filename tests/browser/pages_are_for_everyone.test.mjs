// The pages for people who do not see them, or use no pointer: axe finds nothing serious on any of them,
// narrow or wide, light or dark, and what matters can be done by keyboard alone.
import assert from "node:assert/strict";
import { Console, PASSWORD, subscribe } from "./console.mjs";
import { examine } from "./examine.mjs";
import { gone, press, see, text, until } from "./sees.mjs";
import { PLAIN_HOST } from "./browsers.mjs";
import { inBrowsers } from "./stand.mjs";

// Firefox renders the same document and takes no order for a theme; axe reads the document.
inBrowsers("axe finds nothing serious on any page", { only: "chromium" }, async (stand) => {
  const faults = [];
  const profile = await stand.profile();
  const a = await Console.open(profile, stand.server);
  const examined = async (what, page = a.page) => faults.push(...(await examine(page, what)));

  await see(a.page, "heading", "Sign in");
  await examined("sign in");
  await press(a.page, "button", "Create an account");
  await see(a.page, "heading", "Create your account");
  await examined("sign up");
  await press(a.page, "button", "I have an account");
  await a.signUp();
  await examined("empty inbox");
  await a.go("Sites");
  await examined("no sites");

  const site = stand.site.origin;
  const page = await profile.page(site);
  await examined("example site", page);
  const consent = await profile.popup(page, () => press(page, "button", "Subscribe"));
  await see(consent, "button", "Approve");
  await examined("consent", consent);
  await press(consent, "button", "Approve");
  await text(page, "Subscribed.");
  await page.close();
  await a.page.bringToFront();

  await a.go("Inbox");
  await stand.site.send({ title: "With everything", body: "Long ".repeat(80), url: "https://elsewhere.example/a", actions: [{ title: "Log", url: `${site}/log` }] }, { urgency: "high" });
  await stand.site.send({ title: "Short" });
  await a.sees("Short");
  await examined("inbox");
  for (const name of ["Sites", "Devices", "Keys", "Settings"]) {
    await a.go(name);
    await examined(name);
  }
  for (const [where, button, heading, next] of [
    ["Devices", "Link a device", "Link a device"],
    ["Sites", "Approve a site", "Approve a site"],
    ["Sites", `Revoke ${site}`, `Revoke ${site}?`],
    ["Keys", "Make a recovery phrase", "Make a recovery phrase", "Write these twelve words down"],
    ["Settings", "Erase account", "Erase your account?"],
  ]) {
    await a.go(where);
    await press(a.page, "button", button);
    await see(a.page, "heading", heading);
    await examined(heading);
    if (next) {
      await a.page.locator("dialog .primary").click();
      await see(a.page, "heading", next);
      await examined(next);
    }
    await a.page.goto(stand.server.origin);
    await a.isConnected();
  }
  await a.page.goto(`${stand.server.origin}/#/welcome`);
  await see(a.page, "heading", "Welcome to Belfry");
  await examined("guide");

  const insecure = await profile.page(stand.server.origin.replace("127.0.0.1", PLAIN_HOST));
  await see(insecure, "heading", "This address is not secure");
  await examined("insecure", insecure);

  const second = await stand.profile("second");
  const b = await Console.open(second, stand.server);
  await b.signIn();
  await b.linkCode();
  await examined("not linked", b.page);
  assert.deepEqual(faults, []);
});

/** Tab until it has the focus. Everything that has it on the way must show that it does. */
async function tabTo(page, name) {
  const passed = [];
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
      const style = getComputedStyle(element);
      const shows = (one) => one && ((one.outlineStyle !== "none" && one.outlineWidth !== "0px") || one.boxShadow !== "none");
      return { label: label.trim(), lost: element === document.body, shown: shows(style) || shows(getComputedStyle(element.parentElement ?? element)) };
    });
    if (!focus.lost) assert.ok(focus.shown, `nobody sees that “${focus.label}” has the focus`);
    if (focus.label === name) return;
    passed.push(focus.label);
  }
  assert.fail(`Tab never came to “${name}”, but to ${passed.join(" · ")}`);
}

inBrowsers("an account is made and a notification dismissed by keyboard alone", { site: false }, async (stand) => {
  const profile = await stand.profile();
  await profile.allowNotifications(stand.server.origin);
  const { page } = await Console.open(profile, stand.server);
  const keyboard = page.keyboard;
  await see(page, "heading", "Sign in");
  await tabTo(page, "Create an account");
  await keyboard.press("Enter");
  await see(page, "heading", "Create your account");
  await tabTo(page, "User name");
  await keyboard.type("ada");
  await tabTo(page, "Password");
  await keyboard.type(PASSWORD);
  await keyboard.press("Enter");

  await see(page, "heading", "Welcome to Belfry");
  await tabTo(page, "Begin");
  await keyboard.press("Enter");
  await see(page, "button", "Next");
  await tabTo(page, "Next");
  await keyboard.press("Enter");
  await see(page, "button", "Later");
  await tabTo(page, "Later");
  await keyboard.press("Enter");
  await see(page, "button", "Send a test notification");
  await tabTo(page, "Send a test notification");
  await keyboard.press("Enter");
  await text(page, "It arrived after");
  await tabTo(page, "Go to the inbox");
  await keyboard.press("Enter");

  await see(page, "button", "Dismiss “It works”");
  await tabTo(page, "Dismiss “It works”");
  await keyboard.press("Enter");
  await gone(page, "button", "Dismiss “It works”");
  await until("the focus is somewhere", () => page.evaluate(() => document.activeElement !== document.body));
});
