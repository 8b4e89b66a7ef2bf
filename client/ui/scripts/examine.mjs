// How a page is looked at: photographed, put before axe, and judged. What is found is gathered in `faults`.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Pictures go to the folder `out`. */
export function examiner(out) {
  const faults = [];

  async function examine(page, name, full = true) {
    await page.evaluate(() => document.fonts.ready);
    await new Promise((resolve) => setTimeout(resolve, 250));
    await page.screenshot({ path: join(out, `${name}.png`), fullPage: full });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) faults.push(`${name}: wider than the window by ${wide}`);
    const spilt = await page.evaluate(() => [...document.querySelectorAll(".card *, dialog *")].filter((element) => {
      const box = element.getBoundingClientRect();
      const edge = element.closest("dialog, .card").getBoundingClientRect().right;
      return box.width > 1 && box.right > edge + 1 && !element.closest(".hidden, .copy-box, .scroller, bdi");
    }).map((element) => element.className || element.tagName));
    if (spilt.length > 0) faults.push(`${name}: over the edge of its card: ${[...new Set(spilt)].slice(0, 4).join(", ")}`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const found of violations)
      faults.push(`${name}: axe ${found.impact} ${found.id}: ${found.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
  }

  function watch(page, name) {
    page.on("pageerror", (error) => faults.push(`${name}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !/ERR_|503|404|Cross-Origin-Opener-Policy/.test(message.text())) faults.push(`${name}: ${message.text()}`);
    });
  }

  return { faults, examine, watch };
}
