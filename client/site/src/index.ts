/** `site.mjs`: for sites that bundle. Importing it touches nothing, so it may be imported on a server too. */
import { belfryOf } from "./belfry.js";

export const { subscribe, forgetServer } = belfryOf(globalThis as Window & typeof globalThis);
export { BelfryError, type ErrorCode } from "./errors.js";
export type { SubscribeOptions } from "./belfry.js";
export type { Subscription } from "./consent.js";
