/** `site.js`: a classic script that defines `window.belfry`. */
import { belfryOf } from "./belfry.js";
import { BelfryError } from "./errors.js";

declare global {
  interface Window {
    belfry?: object;
  }
}

window.belfry = Object.freeze({ ...belfryOf(window), BelfryError });
