/** A device's connection, kept open: it connects again after losses, and holds the filters of the device. */
import type { Connection } from "../types.ts";
import { afterEnding, DialFailed, type Dial, type DialOptions, type Ending, type Filter, type PublishOptions, type Wire } from "./wire.ts";

/** A connection that held this long was a good one: the next pause begins short again. */
const STEADY_MS = 30_000;

/** As long as a connection that is being made is waited for: a page offers a link as soon as it is drawn. */
const OPENING_MS = 10_000;

/** What the line tells. */
export interface LineEvents {
  onConnection(connection: Connection): void;
  /** A connection is open and its filters are in place. `resumed`: nothing that is owed was lost meanwhile. */
  onOpen(resumed: boolean): Promise<void>;
  /** It does not connect again by itself. */
  onStopped(why: "taken-over" | "removed"): void;
  /** The server has the filters of the device from now on, so the next connection goes on with the session. */
  onSubscribed(): Promise<void>;
}

/** What it needs. */
export interface LineOptions {
  dial: Dial;
  device: Omit<DialOptions, "clean">;
  /** Held for the whole session. */
  filters: Filter[];
  /** Whether the server had the filters of this device before. */
  subscribed: boolean;
  /** Filters that an earlier run of this program left behind. */
  leftover: string[];
  events: LineEvents;
  random?: () => number;
}

export class Line {
  readonly #options: LineOptions;
  #subscribed: boolean;
  #leftover: string[];
  #wire: Wire | null = null;
  #attempt = 0;
  #stopped = true;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Called when the connection is there, or will not be. */
  readonly #waiting = new Set<() => void>();
  /** Filters of the moment, such as of linking, with how many ask for each. */
  readonly #extra = new Map<string, number>();

  constructor(options: LineOptions) {
    this.#options = options;
    this.#subscribed = options.subscribed;
    this.#leftover = options.leftover;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    void this.#connect();
  }

  /** Connects at once where a pause is running: the network came back, say. */
  hurry(): void {
    if (this.#stopped || this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const wire = this.#wire;
    this.#wire = null;
    this.#tellWaiting();
    this.#options.events.onConnection("offline");
    await wire?.end().catch(() => undefined);
  }

  get open(): boolean {
    return this.#wire !== null;
  }

  /** Waits a little for a connection that is being made; rejects without one. */
  async publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void> {
    await (this.#wire ?? (await this.#opened())).publish(topic, payload, options);
  }

  /** Held until {@link unsubscribe}, across connections. */
  async subscribe(filter: string): Promise<void> {
    const askers = this.#extra.get(filter) ?? 0;
    this.#extra.set(filter, askers + 1);
    await (this.#wire ?? (await this.#opened())).subscribe([{ filter, qos: 1, noLocal: true }]);
  }

  async unsubscribe(filter: string): Promise<void> {
    const askers = (this.#extra.get(filter) ?? 0) - 1;
    if (askers > 0) {
      this.#extra.set(filter, askers);
      return;
    }
    this.#extra.delete(filter);
    await this.#wire?.unsubscribe([filter]).catch(() => undefined);
  }

  async #opened(): Promise<Wire> {
    if (!this.#stopped) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      let opened: (() => void) | undefined;
      await new Promise<void>((resolve) => {
        opened = resolve;
        this.#waiting.add(resolve);
        timer = setTimeout(resolve, OPENING_MS);
      });
      clearTimeout(timer);
      this.#waiting.delete(opened!);
    }
    if (this.#wire === null) throw new DialFailed({ why: "lost", code: null });
    return this.#wire;
  }

  #tellWaiting(): void {
    for (const resolve of this.#waiting) resolve();
  }

  async #connect(): Promise<void> {
    const { dial, device, events } = this.#options;
    events.onConnection("connecting");
    let since = Infinity;
    let ending: Ending;
    try {
      const wire = await dial({ ...device, clean: !this.#subscribed });
      if (this.#stopped) {
        await wire.end().catch(() => undefined);
        return;
      }
      since = Date.now();
      await this.#begin(wire);
      ending = await wire.ended;
    } catch (error) {
      ending = error instanceof DialFailed ? error.ending : { why: "lost", code: null };
    }
    this.#wire = null;
    if (!this.#stopped) this.#after(ending, Date.now() - since >= STEADY_MS);
  }

  async #begin(wire: Wire): Promise<void> {
    const { events, filters } = this.#options;
    const resumed = wire.sessionPresent && this.#subscribed;
    // A filter that is there already is not made again: what is owed counts from when it was made.
    const wanted = [...(resumed ? [] : filters), ...[...this.#extra.keys()].map((filter): Filter => ({ filter, qos: 1, noLocal: true }))];
    try {
      if (wanted.length > 0) await wire.subscribe(wanted);
      if (!this.#subscribed) {
        await events.onSubscribed();
        this.#subscribed = true;
      }
      const leftover = this.#leftover.filter((filter) => !this.#extra.has(filter));
      this.#leftover = [];
      await wire.unsubscribe(leftover).catch(() => undefined);
    } catch (error) {
      await wire.end().catch(() => undefined);
      throw error;
    }
    if (this.#stopped) return;
    this.#wire = wire;
    this.#tellWaiting();
    events.onConnection("online");
    // Whoever reads again what may have been missed meets failures of its own; they do not end the connection.
    void events.onOpen(resumed).catch(() => undefined);
  }

  #after(ending: Ending, steady: boolean): void {
    const { events, random = Math.random } = this.#options;
    if (steady) this.#attempt = 0;
    const next = afterEnding(ending, this.#attempt++, random());
    if ("stop" in next) {
      this.#stopped = true;
      this.#tellWaiting();
      events.onConnection("offline");
      events.onStopped(next.stop);
      return;
    }
    events.onConnection("connecting");
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#connect();
    }, next.retryAfterMs);
  }
}
