/** The presence of a device whose tabs each have their own: active while one of them is. */
import type { Presence } from "../types.ts";

/** A tab that said nothing for so long is gone: one that is used says so more often. */
export const PRESENCE_STALE_MS = 90_000;

export class TabPresences {
  readonly #own: string;
  readonly #now: () => number;
  readonly #say: (presence: Presence) => void;
  readonly #said = new Map<string, { presence: Presence; at: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `say` is told whenever it changes, and when it may have because nobody said anything. */
  constructor(own: string, now: () => number, say: (presence: Presence) => void) {
    this.#own = own;
    this.#now = now;
    this.#say = say;
  }

  /** `null`: none of the tabs ever said anything. */
  get presence(): Presence | null {
    const now = this.#now();
    let presence: Presence | null = null;
    for (const [tab, said] of this.#said) {
      // This tab itself is there, whether it says so again or not.
      const holds = tab === this.#own || now - said.at <= PRESENCE_STALE_MS;
      if (said.presence === "active" && holds) return "active";
      presence = "away";
    }
    return presence;
  }

  /** What a tab says; `null` when it closes. */
  heard(tab: string, presence: Presence | null): void {
    const before = this.presence;
    if (presence === null) this.#said.delete(tab);
    else this.#said.set(tab, { presence, at: this.#now() });
    // The last tab that closes leaves nobody.
    const now = this.presence ?? (before === null ? null : "away");
    if (now !== null && now !== before) this.#say(now);
    clearTimeout(this.#timer);
    if (now === "active") this.#watch();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #watch(): void {
    this.#timer = setTimeout(() => {
      const { presence } = this;
      if (presence === "away") this.#say(presence);
    }, PRESENCE_STALE_MS + 1);
    // Node's timers keep the process running, browsers' are numbers.
    (this.#timer as { unref?: () => void }).unref?.();
  }
}
