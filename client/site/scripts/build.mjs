// Bundles the script that sites include, once as a classic script and once as a module, and says how
// large it is on the wire.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const folder = fileURLToPath(new URL("../", import.meta.url));
const { version } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));

for (const [entry, format, name] of [
  ["script.ts", "iife", "site.js"],
  ["index.ts", "esm", "site.mjs"],
]) {
  const outfile = `${folder}dist/${name}`;
  await build({
    entryPoints: [`${folder}src/${entry}`],
    outfile,
    bundle: true,
    minify: true,
    format,
    target: "es2020",
    banner: { js: `/*! Belfry for sites ${version}, MPL-2.0 */` },
    legalComments: "none",
  });
  const bytes = readFileSync(outfile);
  console.log(`${name}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
}
