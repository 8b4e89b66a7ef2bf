/** What the parts of a session share: the record of this device, its store, the server, and who is told. */
import type { Api } from "../net/api.ts";
import type { PublishOptions } from "../net/wire.ts";
import { DeviceKey, type KeptKey } from "../crypto/device-key.ts";
import { BelfryError } from "../error.ts";
import type { Store } from "../storage.ts";
import type { BelfryEvents, DeviceKind } from "../types.ts";
import type { Tabs } from "./tabs.ts";

/** What this device is, as it is kept. */
export interface DeviceRecord {
  userId: string;
  username: string;
  /** Absent where nobody is signed in. */
  token: string | null;
  signedInAt: number;
  /** Absent until it was made. */
  device: { id: string; password: string; name: string; kind: DeviceKind; key: KeptKey } | null;
  /** It was removed by the user, elsewhere. */
  removed: boolean;
  /** The server has its filters, so its session goes on. */
  subscribed: boolean;
  /** Filters of the moment, to be taken back if this run ends first. */
  filters: string[];
}

export const RECORD = "self";

/** A device that was made. */
export interface OwnDevice {
  user: string;
  id: string;
  name: string;
  kind: DeviceKind;
  key: DeviceKey;
}

export type Emit = <Name extends keyof BelfryEvents>(name: Name, detail: BelfryEvents[Name]) => void;

/** The private space, from whichever tab. */
export interface PrivateSpace {
  publish(topic: string, payload: Uint8Array | string, options?: PublishOptions): Promise<void>;
  /** Until the answer is called. */
  subscribe(topic: string, heard: (payload: Uint8Array) => void): Promise<() => Promise<void>>;
}

export class Core {
  readonly server: string;
  readonly store: Store;
  readonly api: Api;
  readonly tabs: Tabs;
  readonly now: () => number;
  /** Tells this tab. */
  readonly emit: Emit;
  record: DeviceRecord | null = null;
  #key: DeviceKey | null = null;

  constructor(parts: { server: string; store: Store; api: Api; tabs: Tabs; now: () => number; emit: Emit }) {
    this.server = parts.server;
    this.store = parts.store;
    this.api = parts.api;
    this.tabs = parts.tabs;
    this.now = parts.now;
    this.emit = parts.emit;
  }

  /** Tells this tab and the others. */
  tell<Name extends keyof BelfryEvents>(name: Name, detail: BelfryEvents[Name]): void {
    this.emit(name, detail);
    this.tabs.note("event", { name, detail });
  }

  async loadRecord(): Promise<void> {
    this.record = ((await this.store.get("device", RECORD)) as DeviceRecord | undefined) ?? null;
    this.#key = null;
    this.api.token = this.record?.token ?? null;
  }

  async saveRecord(record: DeviceRecord): Promise<void> {
    await this.store.write([{ table: "device", put: RECORD, value: record }]);
    this.record = record;
    this.#key = null;
    this.api.token = record.token;
    this.tabs.note("record");
  }

  /** The record, changed in one step over all tabs. */
  async changeRecord(change: Partial<DeviceRecord>): Promise<void> {
    await this.tabs.exclusive("record", async () => {
      await this.loadRecord();
      if (this.record !== null) await this.saveRecord({ ...this.record, ...change });
    });
  }

  /** This device; throws where there is none yet. */
  own(): OwnDevice {
    const { record } = this;
    if (!record?.device) throw new BelfryError("wrong-state", "this is no device of an account yet");
    this.#key ??= new DeviceKey(record.device.key);
    return { user: record.userId, id: record.device.id, name: record.device.name, kind: record.device.kind, key: this.#key };
  }
}
