// The subscriptions that users gave to the site. A real site keeps them in its database, as secrets: who
// has an endpoint and its keys can notify that user.
import { randomUUID } from "node:crypto";

/** As many as a page can list. */
const COUNT_MAX = 100;

export class Subscriptions {
  #entries = new Map();

  add(subscription, sealed) {
    check(subscription);
    if (this.#entries.size >= COUNT_MAX) throw new Error("This example keeps no more than a hundred subscriptions");
    const id = randomUUID();
    this.#entries.set(id, { id, subscription, sealed, since: new Date().toISOString() });
    return { id };
  }

  get(id) {
    const entry = this.#entries.get(id);
    if (!entry) throw new Error("There is no such subscription any more");
    return entry;
  }

  drop(id) {
    this.#entries.delete(id);
  }

  /** What may be shown: not the endpoint, only where it is. */
  list() {
    return [...this.#entries.values()].map(({ id, subscription, sealed, since }) => ({
      id,
      server: new URL(subscription.endpoint).origin,
      sealed,
      since,
    }));
  }
}

/** A subscription comes from a stranger, and the backend will post to what it names. */
function check(subscription) {
  const { endpoint, keys } = subscription ?? {};
  const url = new URL(endpoint);
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !(local && url.protocol === "http:")) throw new Error("The endpoint must be https");
  const sizes = { p256dh: 65, auth: 16, x25519: 32 };
  for (const [name, bytes] of Object.entries(sizes)) {
    if (name === "x25519" && keys?.x25519 === undefined) continue;
    if (typeof keys?.[name] !== "string" || Buffer.from(keys[name], "base64url").length !== bytes) {
      throw new Error(`keys.${name} must be ${bytes} bytes in base64url`);
    }
  }
}
