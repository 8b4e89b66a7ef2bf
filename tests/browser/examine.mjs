// A page as axe judges it, narrow and wide, light and dark.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const AXE = await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

const WIDTHS = [360, 1440];
const THEMES = ["light", "dark"];

/** What axe calls serious or critical, and whether the page is wider than the screen. */
export async function examine(page, what) {
  const faults = [];
  await page.evaluate(AXE);
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 800 });
    // Nothing is pointed at.
    await page.mouse.move(0, 0);
    for (const value of THEMES) {
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value },
        // Colours on their way from one to the other are nobody's.
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      const where = `${what} at ${width} px, ${value}`;
      const violations = await page.evaluate(async () => {
        // A change of colours begins with the next frame, and may begin another one where it ends.
        const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        do {
          await frame();
          await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
          await frame();
        } while (document.getAnimations().length > 0);
        const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
        return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, at: nodes.map(({ target, failureSummary }) => `${target.join(" ")}: ${failureSummary}`) }));
      });
      for (const { id, impact, help, at } of violations) {
        if (impact === "serious" || impact === "critical") faults.push(`${where}: ${id} (${impact}): ${help}: ${at.join(", ")}`);
      }
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (beyond > 0) faults.push(`${where}: ${beyond} px wider than the screen`);
    }
  }
  await page.emulateMediaFeatures([]);
  await page.setViewport({ width: 1440, height: 900 });
  return faults;
}
