// Bundles the dashboard into `dist`, which the server serves under `/admin`: one page, its script and
// style with a hash in the name. `--demo` builds, into the folder named after it, the same page over
// made-up data; it is for looking at it and never ships.

import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const demoAt = process.argv.indexOf("--demo");
const demo = demoAt > 0;
const dist = demo ? process.argv[demoAt + 1] : join(here, "dist");
const src = (name) => join(here, "src", name);
const BASE = "/admin";

async function empty() {
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) if (name !== ".gitignore") await rm(join(dist, name), { recursive: true });
}

/** Where each entry went: `app.js` → `/admin/assets/app-XXXXXXXX.js`. */
async function bundle() {
  const result = await build({
    bundle: true,
    format: "esm",
    target: ["chrome115", "firefox128", "safari17.5"],
    minify: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
    metafile: true,
    absWorkingDir: here,
    plugins: demo ? [{ name: "demo", setup: (b) => b.onResolve({ filter: /\/live\/model\.ts$/ }, () => ({ path: src("demo/model.ts") })) }] : [],
    entryPoints: { app: src("app.tsx"), theme: "belfry-ui/theme.ts", style: src("style/index.css") },
    entryNames: "[name]-[hash]",
    outdir: join(dist, "assets"),
  });
  const entries = {};
  for (const path of Object.keys(result.metafile.outputs)) {
    const file = path.split("/").at(-1);
    entries[file.replace(/^([a-z]+)-.*\.(js|css)$/, "$1.$2")] = `${BASE}/assets/${file}`;
  }
  return entries;
}

const page = (entries) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Belfry admin</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#f6f5f1">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#111614">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<link rel="icon" href="${BASE}/logo.svg" type="image/svg+xml">
<script src="${entries["theme.js"]}"></script>
<link rel="stylesheet" href="${entries["style.css"]}">
<script type="module" src="${entries["app.js"]}"></script>
</head>
<body>
<div id="root"></div>
<noscript><p>The dashboard draws what the server measures, and needs JavaScript for it. Without it, use belfry admin.</p></noscript>
</body>
</html>
`;

await empty();
const entries = await bundle();
await cp(join(here, "public"), dist, { recursive: true });
await writeFile(join(dist, "index.html"), page(entries));
