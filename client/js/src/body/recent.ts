/** A bounded memory of salts and nonces, to drop what is posted again. */

/** Four full mailboxes. */
export const RECENT_MAX = 4096;

/** What was used under which permission, and by which notification. */
export interface Used {
  permission: string;
  /** The salt or nonce, base64url. */
  nonce: string;
  /** The notification's id. */
  id: string;
  /** Later ones have higher numbers. */
  order: number;
}

export const usedKey = (permission: string, nonce: string): string => `${permission}:${nonce}`;

/** The last {@link RECENT_MAX}. */
export class Recent {
  readonly #used = new Map<string, Used>();
  readonly #max: number;
  #order = 0;

  constructor(kept: Used[] = [], max = RECENT_MAX) {
    this.#max = max;
    for (const used of [...kept].sort((one, other) => one.order - other.order)) {
      this.#used.set(usedKey(used.permission, used.nonce), used);
      this.#order = used.order;
    }
  }

  /** Whether another notification used it before. The same one may come again. */
  repeats(permission: string, nonce: string, id: string): boolean {
    const used = this.#used.get(usedKey(permission, nonce));
    return used !== undefined && used.id !== id;
  }

  /** Remembers, and says what is to be kept and what is forgotten for it. */
  remember(permission: string, nonce: string, id: string): { kept: Used; forgotten: Used[] } {
    const key = usedKey(permission, nonce);
    const kept = this.#used.get(key) ?? { permission, nonce, id, order: ++this.#order };
    this.#used.set(key, kept);
    const forgotten: Used[] = [];
    for (const oldest of this.#used.values()) {
      if (this.#used.size <= this.#max) break;
      this.#used.delete(usedKey(oldest.permission, oldest.nonce));
      forgotten.push(oldest);
    }
    return { kept, forgotten };
  }
}
