/** Both sides of linking by code: docs/keys.md, *Linking a device*. */
import { base64url, fromBase64url, randomBytes, type Bytes } from "../crypto/bytes.ts";
import { KEY_BYTES } from "../crypto/box.ts";
import { fingerprintOf } from "../crypto/device-key.ts";
import { BelfryError } from "../error.ts";
import { sealWrap } from "../keyring/format.ts";
import { judgeLinked } from "../keyring/judge.ts";
import {
  LINK_SECONDS, LINK_SECRET_BYTES, linkCode, linkKeys, openLinkAnswer, openLinkRequest, readLinkCode, sealLinkMessage,
  type LinkAnswerPayload, type LinkKeys, type LinkRequestPayload,
} from "../keyring/link.ts";
import type { LinkOffer, LinkRequest } from "../types.ts";
import type { Core, PrivateSpace } from "./core.ts";
import type { KeyringRoom } from "./keyring.ts";

/** A retained message is there at once; this is for a slow line. */
const REQUEST_MS = 10_000;

export class LinkingRoom {
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  readonly #space: PrivateSpace;
  readonly #linked: () => Promise<void>;
  readonly #offers = new Set<LinkOffer>();

  constructor(core: Core, keyring: KeyringRoom, space: PrivateSpace, linked: () => Promise<void>) {
    this.#core = core;
    this.#keyring = keyring;
    this.#space = space;
    this.#linked = linked;
  }

  #topic(keys: LinkKeys, message: "request" | "answer"): string {
    return `u/${this.#core.own().user}/x/link/${keys.place}/${message}`;
  }

  // The new device

  async offer(): Promise<LinkOffer> {
    const own = this.#core.own();
    if (this.#keyring.contents !== null) throw new BelfryError("wrong-state", "this device is linked already");
    const secret = randomBytes(LINK_SECRET_BYTES);
    const keys = linkKeys(secret);
    const key = base64url(own.key.publicKey);
    const request: LinkRequestPayload = { user: own.user, device: own.id, key, name: own.name, kind: own.kind };

    let settle: { resolve(): void; reject(error: BelfryError): void } | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    // Whoever offers without waiting is not troubled by how it ends.
    answered.catch(() => undefined);
    const close = await this.#space.subscribe(this.#topic(keys, "answer"), (message) => {
      if (message.length === 0) return;
      this.#answered(keys, message).then(
        () => settle?.resolve(),
        (error: unknown) => settle?.reject(error instanceof BelfryError ? error : new BelfryError("network", "the keyring cannot be read", { cause: error })),
      );
    });
    const timer = setTimeout(() => settle?.reject(new BelfryError("cancelled", "the code expired")), LINK_SECONDS * 1000);
    const done = answered.finally(async () => {
      clearTimeout(timer);
      await close().catch(() => undefined);
      await this.#space.publish(this.#topic(keys, "request"), new Uint8Array(), { retain: true }).catch(() => undefined);
    });
    done.catch(() => undefined);
    try {
      await this.#space.publish(this.#topic(keys, "request"), sealLinkMessage(request, keys.request), { retain: true, expirySeconds: LINK_SECONDS });
    } catch (error) {
      settle?.reject(new BelfryError("network", "the request cannot be published", { cause: error }));
      await done;
    }
    const code = linkCode(secret);
    const offer: LinkOffer = {
      code,
      qr: `${this.#core.server}/#link=${code}`,
      expires: this.#core.now() + LINK_SECONDS * 1000,
      fingerprint: fingerprintOf(key),
      done,
      cancel: () => settle?.reject(new BelfryError("cancelled", "linking was cancelled")),
    };
    this.#offers.add(offer);
    const forget = (): void => {
      this.#offers.delete(offer);
    };
    done.then(forget, forget);
    return offer;
  }

  /** Forgets the codes that are shown. */
  async close(): Promise<void> {
    const offers = [...this.#offers];
    for (const offer of offers) offer.cancel();
    await Promise.allSettled(offers.map(({ done }) => done));
  }

  async #answered(keys: LinkKeys, message: Uint8Array): Promise<void> {
    const own = this.#core.own();
    const answer = openLinkAnswer(message, keys.answer);
    if (answer === null) throw new BelfryError("server-lied", "somebody answered who does not know the code");
    const [wrap, served] = await Promise.all([this.#core.api.wrap(own.id), this.#core.api.keyring()]);
    if (wrap === null || served === null) throw new BelfryError("server-lied", "the server does not have what the other device gave it");
    const judged = await judgeLinked({ user: own.user, device: own.id, key: own.key }, answer, wrap, served.sealed);
    if ("refused" in judged) throw new BelfryError("server-lied", `the server's keyring is not the other device's (${judged.refused})`);
    await this.#keyring.adopt(judged, served.sealed);
    await this.#linked();
  }

  // The linked device

  async read(code: string): Promise<LinkRequest> {
    const secret = readLinkCode(code);
    if (secret === null) throw new BelfryError("bad-code", "there is a slip in the code");
    const own = this.#core.own();
    if (this.#keyring.contents === null) throw new BelfryError("wrong-state", "this device is not linked itself");
    const keys = linkKeys(secret);
    const messages: Bytes[] = [];
    let arrived: (message: Bytes) => void = (message) => messages.push(message);
    const close = await this.#space.subscribe(this.#topic(keys, "request"), (message) => {
      arrived(message as Bytes);
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const message = await new Promise<Bytes>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(new BelfryError("no-such-link", "no device waits with this code, or it expired"));
        }, REQUEST_MS);
        arrived = (one) => {
          if (one.length > 0) resolve(one);
        };
        messages.forEach(arrived);
      });
      const request = openLinkRequest(message, keys.request);
      if (request === null) throw new BelfryError("server-lied", "somebody asks who does not know the code");
      if (request.user !== own.user) throw new BelfryError("server-lied", "the device that asks is of another account");
      this.#refuseTaken(request);
      return this.#asked(keys, request, (heard) => (arrived = heard), close);
    } catch (error) {
      await close().catch(() => undefined);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A server that gave the new device the id of a trusted one would have its key replaced. */
  #refuseTaken(request: LinkRequestPayload): void {
    const there = this.#keyring.contents?.devices.find(({ id }) => id === request.device);
    if (there !== undefined && there.key !== request.key) throw new BelfryError("server-lied", "the device that asks has the id of another one");
  }

  #asked(keys: LinkKeys, request: LinkRequestPayload, listen: (heard: (message: Bytes) => void) => void, close: () => Promise<void>): LinkRequest {
    const { device, name, kind, key } = request;
    return {
      device, name, kind,
      fingerprint: fingerprintOf(key),
      confirm: async () => {
        const answer = await this.#letIn(request);
        // The new device takes its request away when it is done; then the answer goes too.
        const tidy = (): void => {
          clearTimeout(timer);
          void close().catch(() => undefined);
          void this.#space.publish(this.#topic(keys, "answer"), new Uint8Array(), { retain: true }).catch(() => undefined);
        };
        const timer = setTimeout(tidy, LINK_SECONDS * 1000);
        (timer as { unref?: () => void }).unref?.();
        listen((message) => {
          if (message.length === 0) tidy();
        });
        await this.#space.publish(this.#topic(keys, "answer"), sealLinkMessage(answer, keys.answer), { retain: true, expirySeconds: LINK_SECONDS });
        this.#core.tell("devices", { changed: device });
      },
      decline: async () => {
        await close();
      },
    };
  }

  async #letIn(request: LinkRequestPayload): Promise<LinkAnswerPayload> {
    const recipient = fromBase64url(request.key, KEY_BYTES);
    if (recipient === null) throw new BelfryError("server-lied", "the key of the device that asks is none");
    const own = this.#core.own();
    const contents = await this.#keyring.change({
      edit: ({ devices }, stamp) => {
        this.#refuseTaken(request);
        if (devices.some(({ id, removed }) => id === request.device && removed !== true)) return;
        devices.push({ id: request.device, key: request.key, name: request.name, kind: request.kind, changed: stamp() });
      },
      wraps: async (payload) => ({ [request.device]: await sealWrap(payload, own.key, recipient) }),
    });
    return { user: own.user, device: own.id, key: base64url(own.key.publicKey), for: request.key, epoch: contents.epoch, generation: contents.generation };
  }
}
