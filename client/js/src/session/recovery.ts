/** The recovery phrase: docs/keys.md, *Recovery*. */
import { base64url } from "../crypto/bytes.ts";
import { BelfryError } from "../error.ts";
import { judgeRecovered } from "../keyring/judge.ts";
import { makePhrase, readPhrase, sealRecoveryWrap } from "../keyring/recovery.ts";
import type { Core } from "./core.ts";
import type { KeyringRoom } from "./keyring.ts";

export class RecoveryRoom {
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  readonly #linked: () => Promise<void>;

  constructor(core: Core, keyring: KeyringRoom, linked: () => Promise<void>) {
    this.#core = core;
    this.#keyring = keyring;
    this.#linked = linked;
  }

  async make(): Promise<string> {
    const words = makePhrase();
    const keys = readPhrase(words);
    if (keys === null) throw new TypeError("a phrase that was made can be read");
    const recovery = { key: base64url(keys.key.publicKey), proof: base64url(keys.proof) };
    await this.#keyring.change({
      edit: (contents, stamp) => {
        contents.recovery = { ...recovery, changed: stamp(contents.recovery) };
      },
      wraps: async (payload, own) => ({ recovery: await sealRecoveryWrap(payload, own.key, keys.key.publicKey, keys.proof) }),
    });
    return words;
  }

  async use(words: string): Promise<void> {
    const own = this.#core.own();
    if (this.#keyring.contents !== null) throw new BelfryError("wrong-state", "this device is linked already");
    const keys = readPhrase(words);
    if (keys === null) throw new BelfryError("bad-phrase", "these are not the twelve words of a recovery phrase");
    const [wrap, served] = await Promise.all([this.#core.api.wrap("recovery"), this.#core.api.keyring()]);
    if (wrap === null || served === null) throw new BelfryError("no-recovery", "there is no recovery phrase for this account");
    const judged = await judgeRecovered(own.user, keys, wrap, served.sealed);
    if ("refused" in judged) {
      if (judged.refused === "wrap-does-not-open") throw new BelfryError("bad-phrase", "this is not the phrase of this account, or it was replaced");
      throw new BelfryError("server-lied", `the server's keyring is not the one of the phrase (${judged.refused})`);
    }
    const device = { id: own.id, key: base64url(own.key.publicKey), name: own.name, kind: own.kind };
    const there = judged.contents.devices.find(({ id }) => id === own.id);
    if (there !== undefined && there.key !== device.key) throw new BelfryError("server-lied", "the server gave this device the id of another one");
    await this.#keyring.adopt(judged, served.sealed);
    try {
      await this.#keyring.change({
        edit: ({ devices }, stamp) => {
          if (!devices.some(({ id }) => id === own.id)) devices.push({ ...device, changed: stamp() });
        },
      });
    } catch (error) {
      // Whom no other device trusts gets no wrap of the next key.
      await this.#keyring.abandon();
      throw error;
    }
    await this.#linked();
  }
}
