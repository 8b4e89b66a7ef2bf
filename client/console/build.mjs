// Bundles the console into `dist`, which the server embeds: two pages, their scripts and styles with
// a hash in the name, and a service worker that knows all of them. `--demo` builds, into the folder
// named after it, the same pages over made-up data; it is for looking at them and never ships.

import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const demoAt = process.argv.indexOf("--demo");
const demo = demoAt > 0;
const dist = demo ? process.argv[demoAt + 1] : join(here, "dist");
const src = (name) => join(here, "src", name);

const shared = {
  bundle: true,
  format: "esm",
  target: ["chrome115", "firefox128", "safari17.5"],
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  conditions: ["belfry-source"],
  logLevel: "warning",
  metafile: true,
  absWorkingDir: here,
  plugins: demo ? [{ name: "demo", setup: (b) => b.onResolve({ filter: /\/live\/model\.ts$/ }, () => ({ path: src("demo/model.ts") })) }] : [],
};

async function empty() {
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) if (name !== ".gitignore") await rm(join(dist, name), { recursive: true });
}

/** Where each entry went: `app.js` → `/assets/app-XXXXXXXX.js`. */
async function bundle() {
  const result = await build({
    ...shared,
    entryPoints: { app: src("app.tsx"), consent: src("consent.tsx"), theme: "belfry-ui/theme.ts", style: src("style/index.css") },
    entryNames: "[name]-[hash]",
    outdir: join(dist, "assets"),
    splitting: true,
    chunkNames: "part-[hash]",
  });
  const entries = {};
  const files = [];
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    const address = `/assets/${path.split("/").at(-1)}`;
    files.push(address);
    const name = output.entryPoint?.match(/([^/]+)\/?([^/]*)\.(tsx?|css)$/);
    if (name) entries[address.replace(/^\/assets\/([a-z]+)-.*\.(js|css)$/, "$1.$2")] = { address, imports: output.imports };
  }
  return { entries, files };
}

const page = (title, entry, entries, robots) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#f6f5f1">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#111614">
<meta name="referrer" content="no-referrer">
${robots ? '<meta name="robots" content="noindex">\n' : ""}<link rel="icon" href="/logo.svg" type="image/svg+xml">
<link rel="apple-touch-icon" href="/icon-192.png">
<link rel="manifest" href="/manifest.webmanifest">
<script src="${entries["theme.js"].address}"></script>
<link rel="stylesheet" href="${entries["style.css"].address}">
${entries[entry].imports.filter((i) => i.kind === "import-statement").map((i) => `<link rel="modulepreload" href="/assets/${i.path.split("/").at(-1)}">\n`).join("")}<script type="module" src="${entries[entry].address}"></script>
</head>
<body>
<div id="root"></div>
<noscript><p>Belfry's console opens your notifications on your device, and needs JavaScript for it.</p></noscript>
</body>
</html>
`;

async function worker(shell) {
  const digest = createHash("sha256");
  for (const address of shell) {
    const file = address === "/" ? "index.html" : address.slice(1);
    digest.update(address).update(await readFile(join(dist, file)));
  }
  await build({
    ...shared,
    format: "iife",
    entryPoints: [src("sw.ts")],
    outfile: join(dist, "sw.js"),
    define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(digest.digest("hex").slice(0, 16)) },
  });
}

await empty();
const { entries, files } = await bundle();
await cp(join(here, "public"), dist, { recursive: true });
await writeFile(join(dist, "index.html"), page("Belfry", "app.js", entries, false));
await writeFile(join(dist, "consent.html"), page("Approve a site · Belfry", "consent.js", entries, true));
const roots = (await readdir(join(here, "public"))).filter((name) => !name.startsWith(".")).map((name) => `/${name}`);
await worker(["/", ...files.sort(), ...roots.sort()]);
