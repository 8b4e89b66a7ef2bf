// npm run dev [-- PATH-TO-BELFRY [PORT]]: starts a belfry with its data under the system's temporary
// folder, and the built console in front of it. Build again and reload to see a change.

import { spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { serve } from "belfry-ui/scripts/server.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const binary = process.argv[2] ?? join(here, "../../../target/debug/belfry");
const port = Number(process.argv[3] ?? 8090);
const data = await mkdtemp(join(tmpdir(), "belfry-console-"));
const belfry = spawn(binary, ["serve", "--data-dir", data], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...process.env, BELFRY__HTTP__LISTEN: "127.0.0.1:0", BELFRY__MQTT__LISTEN: "127.0.0.1:0", BELFRY__LIMITS__ACCOUNTS_PER_HOUR: "1000" },
});
process.on("exit", () => belfry.kill());
process.on("SIGINT", () => process.exit());
process.on("SIGTERM", () => process.exit());
for await (const line of createInterface({ input: belfry.stdout })) {
  const { event, http } = JSON.parse(line);
  if (event !== "ready") continue;
  await serve({ dist: join(here, "../dist"), upstream: http, port });
  console.log(`console: http://localhost:${port}/ in front of belfry at ${http}, data in ${data}`);
}
