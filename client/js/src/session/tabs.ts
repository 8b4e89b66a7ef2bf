/**
 * The tabs of one browser profile are one device: one of them leads and holds the connection, and the others
 * hear from it. A Web Lock decides who; when its holder is gone the next one has it.
 */
import { BelfryError } from "../error.ts";

/** How long another tab may take to answer. */
const ANSWER_MS = 30_000;

/** The part of a `LockManager` that is used. */
export interface Locks {
  request<T>(name: string, options: { signal?: AbortSignal }, holding: () => Promise<T>): Promise<T>;
}

/** The part of a `BroadcastChannel` that is used. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  close(): void;
}

/** What a browser has; `null` where there is but one tab, as in Node. */
export interface TabPlatform {
  locks: Locks;
  channel: (name: string) => Channel;
}

/** The browser's own, if it has both. */
export function browserTabs(): TabPlatform | null {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  if (locks === undefined || typeof BroadcastChannel === "undefined" || typeof document === "undefined") return null;
  return {
    locks: locks as unknown as Locks,
    channel: (name) => new BroadcastChannel(name) as unknown as Channel,
  };
}

interface Note {
  tab: string;
  note: string;
  detail: unknown;
}

interface Call {
  tab: string;
  call: string;
  method: string;
  args: unknown[];
}

interface Answer {
  tab: string;
  answer: string;
  value?: unknown;
  error?: { code: string; message: string };
}

type Letter = Note | Call | Answer;

type Method = (...args: never[]) => Promise<unknown>;

export class Tabs {
  readonly id: string = crypto.getRandomValues(new Uint32Array(2)).join("-");
  leading = false;
  readonly #name: string;
  readonly #platform: TabPlatform | null;
  readonly #channel: Channel | null;
  readonly #methods = new Map<string, Method>();
  readonly #waiting = new Map<string, (letter: Answer) => void>();
  readonly #closed = new AbortController();
  readonly #queues = new Map<string, Promise<unknown>>();
  #resign: (() => void) | null = null;
  #calls = 0;
  /** Told what other tabs note. */
  onNote: (note: string, detail: unknown, tab: string) => void = () => undefined;

  constructor(name: string, platform: TabPlatform | null) {
    this.#name = name;
    this.#platform = platform;
    this.#channel = platform?.channel(name) ?? null;
    if (this.#channel !== null) {
      this.#channel.onmessage = ({ data }) => {
        this.#hear(data as Letter);
      };
    }
  }

  /** Wants to lead; `begin` is called when it does. */
  campaign(begin: () => void): void {
    const lead = (): Promise<void> => {
      if (this.#closed.signal.aborted) return Promise.resolve();
      this.leading = true;
      begin();
      return new Promise((resolve) => {
        this.#resign = resolve;
      });
    };
    if (this.#platform === null) {
      void lead();
      return;
    }
    this.#platform.locks.request(`${this.#name} leader`, { signal: this.#closed.signal }, lead).catch(() => undefined);
  }

  /** Tells the other tabs. */
  note(note: string, detail: unknown = null): void {
    this.#channel?.postMessage({ tab: this.id, note, detail } satisfies Letter);
  }

  /** What the leading tab does for the others. */
  offer(method: string, does: Method): void {
    this.#methods.set(method, does);
  }

  /** Has the leading tab do it, which may be this one. */
  async call<T>(method: string, ...args: unknown[]): Promise<T> {
    if (this.leading) return (await this.#methods.get(method)?.(...(args as never[]))) as T;
    if (this.#channel === null) throw new BelfryError("wrong-state", "there is no connection");
    const call = `${this.id}/${++this.#calls}`;
    const channel = this.#channel;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(call);
        reject(new BelfryError("network", "no tab holds the connection"));
      }, ANSWER_MS);
      this.#waiting.set(call, (letter) => {
        clearTimeout(timer);
        this.#waiting.delete(call);
        if (letter.error === undefined) resolve(letter.value as T);
        else reject(new BelfryError(letter.error.code as "network", letter.error.message));
      });
      channel.postMessage({ tab: this.id, call, method, args } satisfies Letter);
    });
  }

  /** One at a time, over all tabs. */
  exclusive<T>(what: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(what) ?? Promise.resolve();
    const run = (): Promise<T> => (this.#platform === null ? work() : this.#platform.locks.request(`${this.#name} ${what}`, {}, work));
    const mine = before.then(run, run);
    this.#queues.set(what, mine.catch(() => undefined));
    return mine;
  }

  close(): void {
    this.#closed.abort();
    this.leading = false;
    this.#resign?.();
    if (this.#channel !== null) this.#channel.onmessage = null;
    this.#channel?.close();
  }

  #hear(letter: Letter): void {
    if (letter.tab === this.id) return;
    if ("note" in letter) this.onNote(letter.note, letter.detail, letter.tab);
    else if ("answer" in letter) this.#waiting.get(letter.answer)?.(letter);
    else if (this.leading) void this.#serve(letter);
  }

  async #serve(letter: Call): Promise<void> {
    const answer: Answer = { tab: this.id, answer: letter.call };
    try {
      answer.value = await this.#methods.get(letter.method)?.(...(letter.args as never[]));
    } catch (error) {
      const code = error instanceof BelfryError ? error.code : "network";
      answer.error = { code, message: error instanceof Error ? error.message : String(error) };
    }
    this.#channel?.postMessage(answer);
  }
}
