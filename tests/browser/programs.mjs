// The real server and the example site's backend, each a process on a port of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "./browsers.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BELFRY = process.env.BELFRY_BIN ?? join(ROOT, "target/debug/belfry");
const EXAMPLE = join(ROOT, "client/example-site/server.mjs");

class Program {
  constructor(process) {
    this.process = process;
    this.errors = "";
    process.stderr.on("data", (chunk) => (this.errors += chunk));
  }

  /** The first line that it prints. */
  async firstLine() {
    const lines = createInterface({ input: this.process.stdout });
    const line = await within(
      Promise.race([
        once(lines, "line").then(([first]) => first),
        once(this.process, "exit").then(([code]) => Promise.reject(new Error(`it ended with ${code}: ${this.errors}`))),
        once(this.process, "error").then(([error]) => Promise.reject(error)),
      ]),
      "the program says where it is",
    );
    // What it prints later must go somewhere, or it blocks.
    this.process.stdout.resume();
    return line;
  }

  async stop(signal = "SIGTERM") {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill(signal);
    await within(exited, "the program ends");
  }
}

/** A fresh `belfry serve`, with settings such as `{ "LIMITS__AWAY_GRACE": "2s" }`. */
export class BelfryServer extends Program {
  static async start(settings = {}) {
    const data = await mkdtemp(join(tmpdir(), "belfry-data-"));
    const environment = Object.entries({
      HTTP__LISTEN: "127.0.0.1:0",
      MQTT__LISTEN: "127.0.0.1:0",
      LOG__LEVEL: "warn",
      LIMITS__ACCOUNTS_PER_HOUR: "1000",
      ...settings,
    }).map(([key, value]) => [`BELFRY__${key}`, value]);
    const child = spawn(BELFRY, ["serve", "--data-dir", data], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...Object.fromEntries(environment) },
    });
    const server = new BelfryServer(child);
    server.data = data;
    const { http } = JSON.parse(await server.firstLine());
    server.origin = `http://${http}`;
    return server;
  }

  /** The link to the first admin, which it prints at its start. */
  async setupLink() {
    const found = () => /\S+\/admin#setup=\S+/.exec(this.errors)?.[0];
    while (!found()) await within(once(this.process.stderr, "data"), "the server prints the set-up link");
    return found();
  }

  async stop() {
    await super.stop();
    await rm(this.data, { recursive: true, force: true });
  }
}

/** The example site, as `npm start` runs it. */
export class ExampleSite extends Program {
  static async start(environment = {}) {
    const child = spawn(process.execPath, [EXAMPLE], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PORT: "0", ...environment },
    });
    const site = new ExampleSite(child);
    const line = await site.firstLine();
    site.origin = /http:\/\/\S+/.exec(line)[0];
    return site;
  }

  async #post(path, value) {
    const response = await fetch(`${this.origin}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(value),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }

  async subscriptions() {
    return (await fetch(`${this.origin}/subscriptions`)).json();
  }

  /** Sends to the subscription made last; the answer has the `status` that the server gave. */
  async send(notification, options = {}) {
    const id = options.id ?? (await this.subscriptions()).at(-1).id;
    return this.#post("/send", { id, notification, options });
  }
}
