/** Typed listeners, by name. A listener that throws does not keep others from being called. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(detail: never) => void>>();

  /** Calls `listener` from now on; the answer takes it off again. */
  on<Name extends keyof Events>(name: Name, listener: (detail: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** The next time it happens, of those that `matches` lets pass. */
  next<Name extends keyof Events>(name: Name, matches: (detail: Events[Name]) => boolean = () => true): Promise<Events[Name]> {
    return new Promise((resolve) => {
      const off = this.on(name, (detail) => {
        if (matches(detail)) {
          off();
          resolve(detail);
        }
      });
    });
  }

  protected emit<Name extends keyof Events>(name: Name, detail: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (detail: Events[Name]) => void)(detail);
      } catch (error) {
        // Reported as an uncaught error, as an EventTarget does it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
