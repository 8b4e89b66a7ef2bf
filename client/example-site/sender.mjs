// Sends one notification: encrypted for the subscription, signed with the site's VAPID key.
//
// `webpush.sendNotification()` does the same in one call for endpoints that are https. The request is
// made here by hand only so that a server on this very machine, which is http, can be tried too.
import webpush from "web-push";
import { sealFor, SiteKey } from "./seal.mjs";

/** Who the server's operator writes to when something is wrong (RFC 8292 §2.1). */
const CONTACT = "mailto:owner@example-site.invalid";

/** Seconds that a notification may wait. */
const TTL = 24 * 60 * 60;

const ANSWER_MS = 20_000;

export class Sender {
  // A real site keeps its keys: with new ones, all its subscriptions are void.
  #vapid = webpush.generateVAPIDKeys();
  #siteKey = new SiteKey();

  get applicationServerKey() {
    return this.#vapid.publicKey;
  }

  get siteKey() {
    return this.#siteKey.public;
  }

  async send({ subscription, ...entry }, notification, { urgency = "normal", ttl = TTL, topic, sealed = entry.sealed } = {}) {
    const text = JSON.stringify(notification);
    const options = { TTL: ttl, urgency, ...(topic && { topic }) };
    const { headers, body } = sealed ? this.#sealed(subscription, text, options) : this.#webPush(subscription, text, options);
    const response = await fetch(subscription.endpoint, {
      method: "POST",
      headers,
      body,
      // An endpoint is a stranger's word; it may not lead the backend elsewhere.
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const problem = response.ok ? {} : await response.json().catch(() => ({}));
    return { status: response.status, detail: problem.detail ?? "" };
  }

  #webPush(subscription, text, options) {
    const request = webpush.generateRequestDetails(subscription, text, {
      ...options,
      contentEncoding: "aes128gcm",
      vapidDetails: { subject: CONTACT, ...this.#vapid },
    });
    delete request.headers["Content-Length"];
    return request;
  }

  /** As docs/encryption.md has it: only this site can make it, not even the user's server. */
  #sealed(subscription, text, { TTL: ttl, urgency, topic }) {
    const audience = new URL(subscription.endpoint).origin;
    const { Authorization } = webpush.getVapidHeaders(audience, CONTACT, this.#vapid.publicKey, this.#vapid.privateKey, "aes128gcm");
    const headers = { Authorization, TTL: String(ttl), Urgency: urgency, "Content-Encoding": "crypto-box" };
    if (topic) headers.Topic = topic;
    return { headers, body: sealFor(subscription.keys.x25519, this.#siteKey, text) };
  }
}
