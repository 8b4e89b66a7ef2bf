/** The user's devices: the server's list says who is online, the keyring's who is trusted. */
import { fingerprintOf } from "../crypto/device-key.ts";
import { BelfryError } from "../error.ts";
import { statusOf } from "../net/http.ts";
import type { ServerDevice } from "../net/api.ts";
import type { Device, Urgency } from "../types.ts";
import type { Core } from "./core.ts";
import type { KeyringRoom } from "./keyring.ts";

const CACHED = "devices";

export class DevicesRoom {
  readonly #core: Core;
  readonly #keyring: KeyringRoom;
  readonly #fresh: () => string | null;

  constructor(core: Core, keyring: KeyringRoom, fresh: () => string | null) {
    this.#core = core;
    this.#keyring = keyring;
    this.#fresh = fresh;
  }

  /** Without a connection what was there last, all of them offline. */
  async list(): Promise<Device[]> {
    let devices: ServerDevice[];
    try {
      devices = await this.#core.api.devices();
      await this.#core.store.write([{ table: "cache", put: CACHED, value: devices }]);
    } catch (error) {
      if (!(error instanceof BelfryError) || error.code !== "network") throw error;
      const kept = ((await this.#core.store.get("cache", CACHED)) as ServerDevice[] | undefined) ?? [];
      devices = kept.map((device) => ({ ...device, online: false, presence: null }));
    }
    return devices.map((device) => this.#joined(device));
  }

  #joined({ publicKey, ...device }: ServerDevice): Device {
    const kept = this.#keyring.contents?.devices.find(({ id, removed }) => id === device.id && removed !== true);
    const { key } = kept ?? {};
    return {
      ...device,
      name: kept?.name ?? device.name,
      current: device.id === this.#core.record?.device?.id,
      trusted: key === publicKey,
      keyMismatch: key !== undefined && key !== publicKey,
      fingerprint: key === undefined ? null : fingerprintOf(key),
    };
  }

  /** On the server, and in the keyring where it is trusted. */
  async rename(id: string, name: string): Promise<void> {
    await this.#core.api.changeDevice(id, { name });
    if (this.#keyring.contents?.devices.some((device) => device.id === id && device.removed !== true) === true) {
      await this.#keyring.change({
        edit: ({ devices }, stamp) => {
          const device = devices.find((one) => one.id === id && one.removed !== true);
          if (device === undefined) return;
          device.name = name;
          device.changed = stamp(device);
        },
      });
    }
    this.#core.tell("devices", { changed: id });
  }

  async setUrgencyMin(id: string, urgency: Urgency): Promise<void> {
    await this.#core.api.changeDevice(id, { urgency_min: urgency });
    this.#core.tell("devices", { changed: id });
  }

  async remove(id: string): Promise<void> {
    if (id === this.#core.record?.device?.id) throw new BelfryError("malformed", "this device itself is removed by signing out with forget");
    try {
      await this.#core.api.removeDevice(id, this.#fresh());
    } catch (error) {
      // Removed before, and the keyring may not know.
      if (statusOf(error) !== 404) throw error;
    }
    await this.distrust(id);
    this.#core.tell("devices", { changed: id });
  }

  /** Takes a device out of the keyring: a new key for the others, and new ones for the permissions that it knew. */
  async distrust(id: string): Promise<void> {
    const trusted = this.#keyring.contents?.devices.some((device) => device.id === id && device.removed !== true);
    if (trusted !== true) return;
    await this.#keyring.change({
      rotate: true,
      edit: (contents, stamp) => {
        contents.devices = contents.devices.map((device) => (device.id === id && device.removed !== true ? { id, removed: true, changed: stamp(device) } : device));
        for (const permission of contents.permissions) {
          if (permission.removed === true) continue;
          permission.renew = true;
          permission.changed = stamp(permission);
        }
      },
    });
    this.#core.tell("permissions", { changed: null });
  }
}
