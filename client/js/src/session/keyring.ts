/**
 * The keyring of this device: its local copy, and how it and the server's come together.
 *
 * At rest there is the sealed keyring and its key in a wrap to the device's own key; opened, both are in memory alone.
 */
import { base64url, fromBase64url, randomBytes, type Bytes } from "../crypto/bytes.ts";
import { KEY_BYTES } from "../crypto/box.ts";
import { fingerprintOf } from "../crypto/device-key.ts";
import { BelfryError } from "../error.ts";
import { openKeyring, openWrap, sealKeyring, sealWrap, type KeyringContents, type KeyringPermission, type WrapPayload } from "../keyring/format.ts";
import { alarmOf, judge, keyOf, type Judgement, type Taken } from "../keyring/judge.ts";
import { changedAt, forgetRemoved, mergeKeyrings, sameContents } from "../keyring/merge.ts";
import { sealRecoveryWrap } from "../keyring/recovery.ts";
import type { DeviceKind, KeyringAlarm, KeyringInfo } from "../types.ts";
import type { Core, OwnDevice } from "./core.ts";

const LOCAL = "local";
/** As many devices as a user may have, and some more, could each be faster once. */
const TRIES = 30;

interface Kept {
  sealed: Bytes;
  wrap: Bytes;
  alarm: KeyringAlarm | null;
}

/** What a change writes beside the keyring. */
export interface Change {
  /** Changes a copy; `stamp` gives the time of an item's change. */
  edit(contents: KeyringContents, stamp: (before?: { changed: number }) => number): void;
  /** A new keyring key, wrapped for every device that is left and for recovery. */
  rotate?: boolean;
  /** The keyring key as it is, wrapped for all likewise. */
  wrapAll?: boolean;
  /** Wraps of the keyring key as it is, by recipient. */
  wraps?(payload: WrapPayload, own: OwnDevice): Promise<Record<string, Bytes>>;
}

export class KeyringRoom {
  readonly #core: Core;
  #local: Taken | null = null;
  #alarm: KeyringAlarm | null = null;
  /** Told when the contents are other ones. */
  onChange: () => void = () => undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  get contents(): KeyringContents | null {
    return this.#local?.contents ?? null;
  }

  get info(): KeyringInfo | null {
    const { contents } = this;
    if (contents === null) return null;
    const own = this.#core.record?.device?.id;
    const { recovery } = contents;
    const removed = contents.devices.filter((device) => device.removed === true);
    return {
      epoch: contents.epoch,
      generation: contents.generation,
      recovery: recovery !== undefined,
      recoveryStale: recovery !== undefined && removed.some((device) => device.changed > recovery.changed),
      alarm: this.#alarm,
      devices: contents.devices.flatMap((device) => {
        if (device.removed === true || typeof device.key !== "string") return [];
        const kind: DeviceKind = device.kind ?? "browser";
        return [{ id: device.id, name: device.name ?? "", kind, fingerprint: fingerprintOf(device.key), current: device.id === own }];
      }),
    };
  }

  permission(id: string): KeyringPermission | undefined {
    return this.contents?.permissions.find((permission) => permission.id === id);
  }

  setting(name: string): unknown {
    const settings = this.contents?.settings ?? {};
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
    return setting === undefined || setting.removed === true ? null : (setting.value ?? null);
  }

  /** Reads the local copy. What was in memory stays until then. */
  async load(): Promise<void> {
    const read = await this.#read();
    this.#local = read?.local ?? null;
    this.#alarm = read?.alarm ?? null;
  }

  async #read(): Promise<{ local: Taken; alarm: KeyringAlarm | null } | null> {
    const kept = (await this.#core.store.get("keyring", LOCAL)) as Kept | undefined;
    if (kept === undefined || !this.#core.record?.device) return null;
    const unwrapped = await openWrap(kept.wrap, this.#core.own().key);
    if (typeof unwrapped === "string") return null;
    const key = keyOf(unwrapped.payload);
    const contents = await openKeyring(kept.sealed, key);
    return typeof contents === "string" ? null : { local: { contents, key }, alarm: kept.alarm };
  }

  /** Forgets what is in memory. */
  unload(): void {
    this.#local = null;
    this.#alarm = null;
  }

  /** Makes the account's first one; false if another device was faster. */
  async begin(): Promise<boolean> {
    const own = this.#core.own();
    const device = { id: own.id, key: base64url(own.key.publicKey), name: own.name, kind: own.kind, changed: this.#core.now() };
    const contents: KeyringContents = { user: own.user, epoch: 1, generation: 1, devices: [device], permissions: [], settings: {} };
    const key = randomBytes(KEY_BYTES);
    const sealed = await sealKeyring(contents, key);
    if (!(await this.#core.api.putKeyring(sealed, null, {}))) return false;
    await this.#keep({ contents, key }, sealed, null);
    return true;
  }

  /** Takes what was judged to be the account's, on a device that had none. */
  async adopt(taken: Taken, sealed: Bytes): Promise<void> {
    await this.#keep(taken, sealed, null);
  }

  /** Forgets the local copy. */
  async abandon(): Promise<void> {
    await this.#core.store.write([{ table: "keyring", clear: true }]);
    this.unload();
    this.#core.tabs.note("keyring");
  }

  /** Reads the server's and judges it. What is wrong with it is told, not thrown. */
  async refresh(): Promise<void> {
    await this.#core.tabs.exclusive("keyring", async () => {
      await this.load();
      if (this.#local === null) return;
      const served = await this.#core.api.keyring();
      await this.#judged(served?.sealed ?? null, async (merged) => {
        // Written by another device at the same time: both learn of it.
        if (served !== null) await this.#put(merged, served.etag, { edit: () => undefined });
      });
    });
  }

  /** Changes the keyring, on what the server has by then. Throws `keyring-refused` and uploads nothing if that is not to be trusted. */
  async change(change: Change): Promise<KeyringContents> {
    return this.#core.tabs.exclusive("keyring", async () => {
      await this.load();
      for (let tries = 0; tries < TRIES; tries++) {
        if (this.#local === null) throw new BelfryError("wrong-state", "this device has no keyring: link it first");
        const served = await this.#core.api.keyring();
        const base = await this.#judged(served?.sealed ?? null, () => Promise.resolve());
        if (base === null || served === null) throw new BelfryError("keyring-refused", `the server's keyring is not to be trusted: ${this.#alarm ?? "gone"}`);
        if (await this.#put(base, served.etag, change)) return this.#local.contents;
      }
      throw new BelfryError("network", "other devices changed the keyring again and again");
    });
  }

  /**
   * Puts the local copy where the server has an older one or none, as after a restore from a backup; whether that was
   * needed. Never over a keyring that does not open: it may be a later one.
   */
  async repair(): Promise<boolean> {
    return this.#core.tabs.exclusive("keyring", async () => {
      await this.load();
      const local = this.#local;
      if (local === null) throw new BelfryError("wrong-state", "this device has no keyring: link it first");
      const served = await this.#core.api.keyring();
      if ((await this.#judged(served?.sealed ?? null, () => Promise.resolve())) !== null) return false;
      if (this.#alarm !== "rolled-back" && this.#alarm !== "gone") throw new BelfryError("keyring-refused", `the server's keyring is not an older one: ${this.#alarm ?? ""}`);
      if (await this.#put(local, served?.etag ?? null, { edit: () => undefined, wrapAll: true })) return true;
      throw new BelfryError("network", "another device put a keyring meanwhile");
    });
  }

  /** Judges against the local copy, keeps what is newer, and says what to go on with; `null` if it is refused. */
  async #judged(sealed: Bytes | null, beside: (merged: Taken) => Promise<void>): Promise<Taken | null> {
    const local = this.#local;
    if (local === null) return null;
    if (sealed === null) {
      await this.#alarmed("gone");
      return null;
    }
    const own = this.#core.own();
    const judged: Judgement = await judge(local, own.key, sealed, () => this.#core.api.wrap(own.id));
    if ("refused" in judged) {
      await this.#alarmed(alarmOf(judged.refused));
      return null;
    }
    if (judged.contents.generation > local.contents.generation) {
      await this.#keep(judged, sealed, null);
      return judged;
    }
    await this.#alarmed(null);
    if (sameContents(judged.contents, local.contents)) return judged;
    const merged = { contents: mergeKeyrings(local.contents, judged.contents, this.#core.now()), key: judged.key };
    if (sameContents(merged.contents, judged.contents)) await this.#keep(judged, sealed, null);
    else await beside(merged);
    return merged;
  }

  async #put(base: Taken, etag: string | null, change: Change): Promise<boolean> {
    const own = this.#core.own();
    const now = this.#core.now();
    const contents = forgetRemoved(structuredClone(base.contents), now);
    change.edit(contents, (before) => changedAt(now, before?.changed));
    contents.generation = Math.max(base.contents.generation, this.#local?.contents.generation ?? 0) + 1;
    let { key } = base;
    if (change.rotate === true) {
      key = randomBytes(KEY_BYTES);
      contents.epoch += 1;
    }
    const payload: WrapPayload = { user: contents.user, epoch: contents.epoch, generation: contents.generation, key: base64url(key) };
    const wraps = change.rotate === true || change.wrapAll === true ? await this.#wrapsForAll(contents, payload, own) : ((await change.wraps?.(payload, own)) ?? {});
    const sealed = await sealKeyring(contents, key);
    if (!(await this.#core.api.putKeyring(sealed, etag, wraps))) return false;
    await this.#keep({ contents, key }, sealed, null);
    return true;
  }

  async #keep(taken: Taken, sealed: Bytes, alarm: KeyringAlarm | null): Promise<void> {
    const { key } = this.#core.own();
    const { user, epoch, generation } = taken.contents;
    const wrap = await sealWrap({ user, epoch, generation, key: base64url(taken.key) }, key, key.publicKey);
    await this.#core.store.write([{ table: "keyring", put: LOCAL, value: { sealed, wrap, alarm } satisfies Kept }]);
    this.#local = taken;
    this.#alarm = alarm;
    this.#changed();
  }

  async #alarmed(alarm: KeyringAlarm | null): Promise<void> {
    if (alarm === this.#alarm) return;
    const kept = (await this.#core.store.get("keyring", LOCAL)) as Kept | undefined;
    if (kept !== undefined) await this.#core.store.write([{ table: "keyring", put: LOCAL, value: { ...kept, alarm } }]);
    this.#alarm = alarm;
    this.#changed();
  }

  #changed(): void {
    this.#core.tabs.note("keyring");
    this.onChange();
    const { info } = this;
    if (info !== null) this.#core.emit("keyring", info);
  }

  /** For each trusted device, this one too lest it loses the key before it is kept, and for recovery. */
  async #wrapsForAll(contents: KeyringContents, payload: WrapPayload, own: OwnDevice): Promise<Record<string, Bytes>> {
    // The server takes no wrap for a device that it does not have, and keeps the whole put. That is all that its list is
    // good for: a device that it leaves out has to be linked again.
    const there = new Set((await this.#core.api.devices()).map(({ id }) => id));
    const wraps: [string, Bytes][] = [];
    for (const device of contents.devices) {
      const key = device.removed === true || !there.has(device.id) ? null : fromBase64url(device.key, KEY_BYTES);
      // A key of low order cannot be boxed to; it keeps nobody else from the new key.
      const wrap = key && (await sealWrap(payload, own.key, key).catch(() => null));
      if (wrap !== null) wraps.push([device.id, wrap]);
    }
    const [key, proof] = [fromBase64url(contents.recovery?.key, KEY_BYTES), fromBase64url(contents.recovery?.proof, KEY_BYTES)];
    if (key !== null && proof !== null) wraps.push(["recovery", await sealRecoveryWrap(payload, own.key, key, proof)]);
    return Object.fromEntries(wraps);
  }
}
