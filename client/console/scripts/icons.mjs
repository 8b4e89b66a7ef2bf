// Renders the PNG icons from the logo with Chromium. They are small and kept in `public`; run this
// when the logo changes.

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "puppeteer-core";

const pub = join(dirname(fileURLToPath(import.meta.url)), "..", "public");
const logo = await readFile(join(pub, "logo.svg"), "utf8");
// The platform cuts a maskable icon to its own shape: the ground goes to the edge, the drawing stays
// in the middle four fifths.
const maskable = logo.replace(' rx="15"', "").replace(/(<rect[^>]*\/>)(.*)(<\/svg>)/s, '$1<g transform="translate(6.4 6.4) scale(.8)">$2</g>$3');

const browser = await launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  for (const [name, size, svg] of [["icon-192", 192, logo], ["icon-512", 512, logo], ["icon-maskable-512", 512, maskable]]) {
    await page.setViewport({ width: size, height: size });
    await page.goto(`data:text/html;base64,${Buffer.from(`<style>*{margin:0}svg{display:block;width:100vw}</style>${svg}`).toString("base64")}`);
    await writeFile(join(pub, `${name}.png`), await page.screenshot({ omitBackground: true }));
  }
} finally {
  await browser.close();
}
