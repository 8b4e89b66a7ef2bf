// One test's world: a server, the example site, and as many browser profiles as it asks for. What goes
// wrong leaves a picture of each page and all that the pages said.
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { BROWSERS, Profile } from "./browsers.mjs";
import { BelfryServer, ExampleSite } from "./programs.mjs";

const PICTURES = process.env.BELFRY_PICTURES ?? join(tmpdir(), "belfry-browser-tests");

const TEST_MS = 180_000;

/** Runs it in each browser, with a stand of its own. */
export function inBrowsers(title, options, run) {
  for (const kind of options.browsers ?? BROWSERS.filter((one) => !options.only || options.only === one)) {
    test(`${title} (${kind})`, { timeout: TEST_MS }, async (t) => {
      const stand = new Stand(kind, t);
      try {
        await stand.start(options);
        await run(stand);
      } catch (error) {
        await stand.picture(title);
        throw error;
      } finally {
        await stand.stop();
      }
    });
  }
}

export class Stand {
  #profiles = [];

  constructor(kind, t) {
    this.kind = kind;
    this.t = t;
  }

  async start({ settings, server = true, site = true }) {
    if (server) this.server = await BelfryServer.start(settings);
    if (site) this.site = await ExampleSite.start(server ? { BELFRY_SERVER: this.server.origin } : {});
  }

  /** A part of the test with a name of its own; the test goes on where it fails. */
  async step(title, run) {
    await this.t.test(title, async () => {
      try {
        await run();
      } catch (error) {
        await this.picture(title);
        throw error;
      }
    });
  }

  /** A new browser profile: another device. */
  async profile(name = "A") {
    const profile = await Profile.start(this.kind, name);
    this.#profiles.push(profile);
    return profile;
  }

  async picture(title) {
    await mkdir(PICTURES, { recursive: true });
    const name = `${title} ${this.kind}`.replaceAll(/[^a-z0-9]+/gi, "-");
    const lines = [];
    for (const profile of this.#profiles) {
      for (const [index, { page, said }] of profile.watched.entries()) {
        lines.push(`-- ${profile.name} page ${index}: ${page.url()}`, ...said);
        if (page.isClosed()) continue;
        const path = join(PICTURES, `${name}-${profile.name}-${index}.png`);
        // A page that hangs must not hide what went wrong.
        await Promise.race([page.screenshot({ path }), new Promise((resolve) => setTimeout(resolve, 5000).unref())]).catch(() => {});
      }
    }
    lines.push("-- server", this.server?.errors ?? "", "-- site", this.site?.errors ?? "");
    await writeFile(join(PICTURES, `${name}.txt`), lines.join("\n"));
    this.t.diagnostic(`pictures and messages are in ${PICTURES}/${name}*`);
  }

  async stop() {
    await Promise.allSettled(this.#profiles.map((profile) => profile.stop()));
    await Promise.allSettled([this.site?.stop(), this.server?.stop()]);
  }
}
