// What a user does in the console, by the names that stand there.
import assert from "node:assert/strict";
import { gone, press, see, text, type } from "./sees.mjs";

export const PASSWORD = "correct horse battery staple";

export class Console {
  constructor(profile, page, server) {
    this.profile = profile;
    this.page = page;
    this.server = server;
  }

  /** `before` runs in the page ahead of its own scripts. */
  static async open(profile, server, { before, path = "/" } = {}) {
    const page = await profile.page();
    if (before) await page.evaluateOnNewDocument(before);
    await page.goto(server.origin + path);
    return new Console(profile, page, server);
  }

  async signUp(username = "ada", password = PASSWORD) {
    await press(this.page, "button", "Create an account");
    await type(this.page, "User name", username);
    await type(this.page, "Password", password);
    await press(this.page, "button", "Create account");
    await see(this.page, "heading", "Welcome to Belfry");
    await press(this.page, "button", "Skip the guide");
    await this.isConnected();
  }

  async signIn(username = "ada", password = PASSWORD) {
    await type(this.page, "User name", username);
    await type(this.page, "Password", password);
    await press(this.page, "button", "Sign in");
  }

  async isConnected() {
    await see(this.page, "heading", "Inbox");
    await text(this.page, "Connected");
  }

  async go(name) {
    // By its address: the link's name also says how much is unseen there.
    await this.page.locator(`nav a[href="#/${name.toLowerCase()}"]`).click();
    await see(this.page, "heading", name);
  }

  /** The code that an unlinked browser shows. */
  async linkCode() {
    const code = await this.page.waitForSelector("[data-code]", { visible: true });
    return code.evaluate((element) => element.dataset.code);
  }

  async linkDevice(code) {
    await this.go("Devices");
    await press(this.page, "button", "Link a device");
    await type(this.page, "Code from the new device", code);
    await press(this.page, "button", "Find the device");
    await see(this.page, "heading", "Let this device in?");
    await press(this.page, "button", "Let it in");
    await gone(this.page, "heading", "Let this device in?");
  }

  /** Waits until the inbox holds these and no others, from the top: what comes together is shown one by one. */
  async shows(...titles) {
    const shown = () => [...document.querySelectorAll("button[aria-label^='Dismiss “']")].map((one) => /“(.*)”/.exec(one.getAttribute("aria-label"))[1]);
    const stand = `JSON.stringify((${shown})()) === ${JSON.stringify(JSON.stringify(titles))}`;
    await this.page.waitForFunction(stand, { polling: 50 }).catch(async (error) => {
      assert.deepEqual(await this.page.evaluate(shown), titles, "the inbox");
      throw error;
    });
  }

  async sees(title) {
    await see(this.page, "button", `Dismiss “${title}”`);
  }

  /** It was on screen long enough to count as seen. */
  async looksAt(title) {
    await see(this.page, "heading", title);
  }

  async seesNoMore(title) {
    await gone(this.page, "button", `Dismiss “${title}”`);
  }

  async dismiss(title) {
    await press(this.page, "button", `Dismiss “${title}”`);
  }

  async revoke(site) {
    await this.go("Sites");
    await press(this.page, "button", `Revoke ${site}`);
    await see(this.page, "heading", `Revoke ${site}?`);
    await press(this.page, "button", "Revoke");
    await gone(this.page, "heading", `Revoke ${site}?`);
  }
}

/** Subscribes on the example site's page and approves in the window that it opens. */
export async function subscribe(stand, profile, { answer = "Approve", sealed = false } = {}) {
  const page = await profile.page(stand.site.origin);
  if (sealed) await page.locator("#sealed").click();
  const consent = await profile.popup(page, () => press(page, "button", "Subscribe"));
  await press(consent, "button", answer);
  await text(page, answer === "Approve" ? "Subscribed." : "You declined");
  return page;
}
