/** The real `belfry`, for tests: on free ports, with a directory of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BELFRY = process.env["BELFRY_BIN"] ?? fileURLToPath(new URL("../../../target/debug/belfry", import.meta.url));

/** The `belfry` command as a device, with a folder of its own. Resolves with what it wrote and what it noted beside; `line` is told of each line. */
export function command(directory: string, parameters: string[], line: (text: string) => void = () => undefined, env: Record<string, string> = {}): Promise<{ written: string; noted: string }> {
  const child = spawn(BELFRY, ["--config-dir", directory, "--json", ...parameters], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [written, noted] = ["", ""];
  child.stderr.on("data", (data) => (noted += String(data)));
  createInterface({ input: child.stdout }).on("line", (text) => {
    written += `${text}\n`;
    line(text);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve({ written, noted }) : reject(new Error(`belfry ${parameters.join(" ")} ended with ${code}: ${noted}`))));
  });
}

export interface RealServer {
  url: string;
  stop(): Promise<void>;
}

export async function startServer(): Promise<RealServer> {
  const directory = mkdtempSync(join(tmpdir(), "belfry-js-"));
  const child = spawn(BELFRY, ["serve", "--data-dir", directory], {
    env: {
      ...process.env,
      BELFRY__HTTP__LISTEN: "127.0.0.1:0",
      BELFRY__MQTT__LISTEN: "127.0.0.1:0",
      BELFRY__LIMITS__ACCOUNTS_PER_HOUR: "1000",
      BELFRY__LIMITS__UNPROVEN_PER_SECOND: "1000",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ready = await new Promise<{ http: string }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => resolve(JSON.parse(line) as { http: string }));
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`belfry ended with ${code}: ${log.slice(-20).join("\n")}`)));
  });
  return {
    url: `http://${ready.http}`,
    async stop() {
      child.kill("SIGTERM");
      await gone;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
