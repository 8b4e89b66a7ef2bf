/** A page and its consent window, without a browser: messages and time come when the test says so. */

export const SERVER = "https://push.example.org";

export const SUBSCRIPTION = {
  endpoint: `${SERVER}/push/secret`,
  expirationTime: null,
  keys: { p256dh: "p", auth: "a", x25519: "x" },
};

export class FakeWindow {
  closed = false;
  focused = 0;
  readonly heard: { message: unknown; target: string }[] = [];

  postMessage(message: unknown, target: string): void {
    this.heard.push({ message, target });
  }

  close(): void {
    this.closed = true;
  }

  focus(): void {
    this.focused += 1;
  }
}

type Listener = (event: unknown) => void;

export class FakePage {
  readonly opened: { url: string; window: FakeWindow }[] = [];
  blocks = false;
  readonly kept = new Map<string, string>();
  #listeners = new Map<string, Set<Listener>>();
  #timers = new Map<number, { run: () => void; at: number; every?: number }>();
  #now = 0;
  #next = 1;

  readonly localStorage = {
    getItem: (key: string) => this.kept.get(key) ?? null,
    setItem: (key: string, value: string) => void this.kept.set(key, value),
    removeItem: (key: string) => void this.kept.delete(key),
  };

  /** As the type that the script takes. */
  get page(): Window & typeof globalThis {
    return this as unknown as Window & typeof globalThis;
  }

  get window(): FakeWindow {
    const last = this.opened.at(-1);
    if (!last) throw new Error("no window was opened");
    return last.window;
  }

  open(url: string): FakeWindow | null {
    if (this.blocks) return null;
    const window = new FakeWindow();
    this.opened.push({ url, window });
    return window;
  }

  addEventListener(name: string, listener: Listener): void {
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all.add(listener));
  }

  removeEventListener(name: string, listener: Listener): void {
    this.#listeners.get(name)?.delete(listener);
  }

  /** How many listeners and timers the script has left behind. */
  get left(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0) + this.#timers.size;
  }

  dispatch(name: string, event: unknown = {}): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event);
  }

  hear(data: unknown, source: unknown = this.window, origin: string = SERVER): void {
    this.dispatch("message", { data, source, origin });
  }

  setTimeout(run: () => void, ms: number): number {
    this.#timers.set(this.#next, { run, at: this.#now + ms });
    return this.#next++;
  }

  setInterval(run: () => void, ms: number): number {
    this.#timers.set(this.#next, { run, at: this.#now + ms, every: ms });
    return this.#next++;
  }

  clearTimeout(id: number): void {
    this.#timers.delete(id);
  }

  clearInterval(id: number): void {
    this.#timers.delete(id);
  }

  /** Lets time pass, and what is due happen in order. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.#now = timer.at;
      if (timer.every === undefined) this.#timers.delete(id);
      else timer.at += timer.every;
      timer.run();
    }
    this.#now = end;
  }
}
