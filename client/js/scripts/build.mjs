// Bundles the SDK into dist/: one file for all but mqtt.js, which is loaded when it is first needed.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });

await build({
  absWorkingDir: root,
  entryPoints: { index: "src/index.ts", node: "src/node.ts" },
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  // Dependencies stay imports: whoever bundles a page has one copy of each.
  packages: "external",
  external: ["node:*"],
  splitting: true,
  sourcemap: true,
  logLevel: "warning",
});

const tsc = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
execFileSync(tsc, ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
