// Debian's two browsers behind one face. A profile is a browser process with a folder of its own, so
// two profiles share nothing but the machine; everything that a page complains of is kept for the test.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

/** Longest wait for anything: a failure, never a rhythm. */
export const PATIENCE_MS = 30_000;

/** A name that leads to this machine without saying so: an honest http origin. */
export const PLAIN_HOST = "site.test";

const KINDS = {
  chromium: {
    browser: "chrome",
    executablePath: process.env.BELFRY_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      // CI runs as root, where Chromium's own sandbox does not start.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`,
    ],
  },
  firefox: {
    browser: "firefox",
    executablePath: process.env.BELFRY_FIREFOX ?? "/usr/bin/firefox-esr",
    args: [],
    extraPrefsFirefox: {
      // System notifications are Firefox's own windows: there is no desktop here to show them.
      "alerts.useSystemBackend": false,
      "network.dns.localDomains": PLAIN_HOST,
      // Nothing leaves the machine.
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      "browser.safebrowsing.downloads.enabled": false,
      "extensions.update.enabled": false,
      "app.normandy.enabled": false,
    },
  },
};

/** The browsers to test in: both, unless `BELFRY_BROWSERS` names some. */
export const BROWSERS = (process.env.BELFRY_BROWSERS ?? "chromium firefox").split(/[ ,]+/).filter((kind) => {
  if (!KINDS[kind]) throw new Error(`BELFRY_BROWSERS: ${kind} is neither chromium nor firefox`);
  return true;
});

export class Profile {
  /** All pages that were ever open, with what they said. */
  watched = [];

  constructor(kind, name, browser, folder) {
    this.kind = kind;
    this.name = name;
    this.browser = browser;
    this.folder = folder;
  }

  static async start(kind, name) {
    const folder = await mkdtemp(join(tmpdir(), `belfry-${kind}-`));
    const browser = await puppeteer.launch({
      ...KINDS[kind],
      headless: true,
      userDataDir: folder,
      defaultViewport: null,
      timeout: 60_000,
      protocolTimeout: 60_000,
      env: { ...process.env, HOME: folder },
    });
    const profile = new Profile(kind, name, browser, folder);
    // Popups too, from their first message on.
    browser.on("targetcreated", async (target) => {
      if (target.type() !== "page") return;
      const page = await target.page().catch(() => null);
      if (page) profile.#watch(page);
    });
    return profile;
  }

  async page(url) {
    const page = await this.browser.newPage();
    this.#watch(page);
    if (url) await page.goto(url);
    return page;
  }

  /** What `open` makes another page open, once it is at a page of its own. */
  async popup(page, open) {
    const opened = new Promise((resolve) => page.once("popup", resolve));
    await open();
    const popup = await within(opened, "a window opens");
    this.#watch(popup);
    return popup;
  }

  /** The tab that `open` makes some page open without staying its opener. */
  async tab(open) {
    const opened = new Promise((resolve) => this.browser.once("targetcreated", resolve));
    await open();
    const target = await within(opened, "a tab opens");
    const page = await target.page();
    this.#watch(page);
    return page;
  }

  /** Nobody looks at this page any more, though it is open. */
  async hide(page) {
    if (this.kind === "chromium") return this.#windowState(page, "minimized");
    const other = await this.browser.newPage();
    await other.bringToFront();
  }

  /** Somebody does again. */
  async show(page) {
    if (this.kind === "chromium") return this.#windowState(page, "normal");
    await page.bringToFront();
  }

  // Without a desktop, a window of Chromium's that is behind another does not know it.
  async #windowState(page, windowState) {
    const session = await page.createCDPSession();
    const { windowId } = await session.send("Browser.getWindowForTarget");
    await session.send("Browser.setWindowBounds", { windowId, bounds: { windowState } });
    await session.detach();
  }

  /** What pages complained of: errors and violations of their policy. */
  complaints() {
    return this.watched.flatMap(({ complaints }) => complaints);
  }

  said() {
    return this.watched.flatMap(({ said }) => said);
  }

  /** Dialogs that pages opened; each was dismissed. */
  dialogs() {
    return this.watched.flatMap(({ dialogs }) => dialogs);
  }

  async allowNotifications(origin) {
    await this.browser.defaultBrowserContext().overridePermissions(origin, ["notifications"]);
  }

  async stop() {
    await this.browser.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #watch(page) {
    if (this.watched.some((known) => known.page === page)) return;
    page.setDefaultTimeout(PATIENCE_MS);
    const watched = { page, said: [], complaints: [], dialogs: [] };
    this.watched.push(watched);
    page.on("console", (message) => {
      const line = `${this.name}: [${message.type()}] ${message.text()}`;
      watched.said.push(line);
      // An answer of the API such as 404 is no fault of the page, though Chromium says so.
      const answer = /^Failed to load resource/.test(message.text()) && /\/v1\//.test(message.location().url ?? "");
      if (message.type() === "error" && !answer) watched.complaints.push(line);
    });
    page.on("pageerror", (error) => {
      const line = `${this.name}: [uncaught] ${error?.stack ?? error}`;
      watched.said.push(line);
      watched.complaints.push(line);
    });
    page.on("dialog", (dialog) => {
      watched.dialogs.push(`${dialog.type()}: ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
  }
}

/** The promise, or an error that says what was waited for. */
export async function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms / 1000} s in vain: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
