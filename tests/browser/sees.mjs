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

/** By its label: a field for a password has no role that both browsers know. */
export async function type(page, name, text) {
  const labelled = (name) => [...document.querySelectorAll("label")].find((label) => label.innerText.trim() === name)?.control ?? false;
  const field = await page.waitForFunction(labelled, { polling: 50 }, name).catch((error) => {
    throw new Error(`there is no field “${name}”`, { cause: error });
  });
  await field.asLocator().fill(text);
}

/** Waits until these words stand on the page where they can be seen. */
export async function text(page, words) {
  const stands = (words) => document.body.innerText.replaceAll(/\s+/g, " ").includes(words);
  await page.waitForFunction(stands, { polling: 50 }, words).catch((error) => {
    throw new Error(`“${words}” does not stand there`, { cause: error });
  });
}

/** What has this role, and this name where one is given. */
export function aria(role, name) {
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
