// Finding things on a page as people do: by role and name.
import { PATIENCE_MS } from "./browsers.mjs";

/** Waits until it is there and visible. */
export function see(page, role, name, options = {}) {
  return page.waitForSelector(aria(role, name), { visible: true, ...options });
}

/** Waits until it is not there, or not visible. */
export async function gone(page, role, name) {
  await page.waitForSelector(aria(role, name), { hidden: true });
}

export async function press(page, role, name) {
  await page.locator(aria(role, name)).click();
}

export async function type(page, name, text) {
  await page.locator(aria("textbox", name)).fill(text);
}

/** Waits until this text stands somewhere on the page where it can be seen. */
export function text(page, words, options = {}) {
  return page.waitForSelector(`::-p-text(${words})`, { visible: true, ...options });
}

function aria(role, name) {
  return name === undefined ? `::-p-aria([role="${role}"])` : `::-p-aria([name="${name}"][role="${role}"])`;
}

/** Waits until it is so, for what no page says by itself. */
export async function until(what, isSo, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await isSo();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
