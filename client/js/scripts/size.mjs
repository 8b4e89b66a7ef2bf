// Prints what the SDK weighs in a page: minified and gzipped, with all dependencies; mqtt.js apart, since it is loaded later.
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const { outputFiles, metafile } = await build({
  absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
  entryPoints: { index: "src/index.ts" },
  outdir: "out",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "browser",
  minify: true,
  write: false,
  metafile: true,
});

const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(6);
for (const { path, contents } of outputFiles) {
  const output = Object.entries(metafile.outputs).find(([name]) => path.endsWith(name.replace(/^out/, "")))?.[1];
  const inputs = Object.keys(output?.inputs ?? {});
  const what = inputs.some((input) => input.includes("/mqtt/")) ? "mqtt.js, on first connection" : inputs.some((input) => input.startsWith("src/belfry")) ? "the SDK" : "shared";
  console.log(`${kib(contents.length)} KiB minified, ${kib(gzipSync(contents, { level: 9 }).length)} KiB gzipped: ${what}`);
}
