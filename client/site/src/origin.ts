import { BelfryError } from "./errors.js";

/** Browsers treat these as secure without TLS, and nothing on the network can answer for them. */
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

export function isSecure(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && LOCAL.includes(url.hostname));
}

/**
 * The origin of the user's server, from what a person types or a site gives: `push.example.org` is
 * taken as https. Throws where it is neither https nor this machine.
 */
export function serverOrigin(text: string): string {
  const wrong = new BelfryError("server", "The server must be an https address such as https://push.example.org");
  const trimmed = text.trim();
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed);
  for (const candidate of scheme ? [trimmed] : [`http://${trimmed}`, `https://${trimmed}`]) {
    let url: URL;
    try {
      url = new URL(candidate);
    } catch {
      throw wrong;
    }
    if (isSecure(url)) return url.origin;
  }
  throw wrong;
}
