// A user and a site without a browser: what a server's admin has to do with.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import mqtt from "mqtt";
import { within } from "./browsers.mjs";
import { PASSWORD } from "./console.mjs";

/** Nonce, authenticator and one padded block: what a `crypto-box` body is at the least. */
const BODY_BYTES = 24 + 16 + 128;

export class Person {
  constructor(server, username) {
    this.server = server;
    this.username = username;
  }

  static async make(server, username) {
    const person = new Person(server, username);
    const account = await person.asks("POST", "/v1/accounts", { username, password: PASSWORD });
    person.id = account.user_id;
    person.token = (await person.asks("POST", "/v1/sessions", { username, password: PASSWORD })).access_token;
    return person;
  }

  async request(method, path, body) {
    return fetch(this.server.origin + path, {
      method,
      headers: { "Content-Type": "application/json", ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  }

  async asks(method, path, body) {
    const answer = await this.request(method, path, body);
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${answer.ok ? "" : await answer.text()}`);
    return answer.json();
  }

  /** The endpoint of a new permission. */
  async approves(site) {
    return (await this.asks("POST", "/v1/permissions", { site })).endpoint;
  }

  /** A new device of this person's, connected over MQTT 5.0 and not coming back by itself. */
  async connects() {
    const public_key = randomBytes(32).toString("base64url");
    const { mqtt: to } = await this.asks("POST", "/v1/devices", { name: "script", kind: "cli", public_key });
    const client = mqtt.connect(to.url, { protocolVersion: 5, clientId: to.client_id, username: to.username, password: to.password, reconnectPeriod: 0 });
    await within(once(client, "connect"), "the device connects");
    return client;
  }
}

/** Posts one after the other on a few connections until it is told to stop. */
export class Poster {
  /** Of each post: when it was begun, and its status. */
  posts = [];
  #stopped = false;

  constructor(endpoint, connections = 4) {
    this.endpoint = endpoint;
    this.ended = Promise.all(Array.from({ length: connections }, () => this.#run()));
  }

  async #run() {
    while (!this.#stopped) {
      const begun = performance.now();
      this.posts.push({ begun, status: (await post(this.endpoint)).status });
    }
  }

  async stop() {
    this.#stopped = true;
    await this.ended;
  }
}

export async function post(endpoint) {
  const answer = await fetch(endpoint, { method: "POST", headers: { TTL: "60", "Content-Encoding": "crypto-box" }, body: randomBytes(BODY_BYTES) });
  return { status: answer.status, problem: answer.ok ? null : await answer.json() };
}
