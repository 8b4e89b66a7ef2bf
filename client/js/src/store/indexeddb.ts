/** A browser profile's store. */
import { TABLES, type Change, type Store, type Table } from "../storage.ts";

const VERSION = 1;

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error("IndexedDB failed"));
    };
  });
}

export class IndexedDbStore implements Store {
  readonly keepsCryptoKeys = true;
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
    // A later version of this SDK in another tab waits for it.
    database.onversionchange = () => {
      database.close();
    };
  }

  /** Opens the database, and makes it if there is none. */
  static async open(name: string): Promise<IndexedDbStore> {
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => {
      for (const table of TABLES) {
        if (!request.result.objectStoreNames.contains(table)) request.result.createObjectStore(table);
      }
    };
    return new IndexedDbStore(await done(request));
  }

  get(table: Table, key: string): Promise<unknown> {
    return done(this.#database.transaction(table).objectStore(table).get(key));
  }

  async all(table: Table): Promise<{ key: string; value: unknown }[]> {
    const rows = this.#database.transaction(table).objectStore(table);
    const [keys, values] = await Promise.all([done(rows.getAllKeys()), done(rows.getAll() as IDBRequest<unknown[]>)]);
    return keys.map((key, index) => ({ key: String(key), value: values[index] }));
  }

  write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return Promise.resolve();
    const names = [...new Set(changes.map(({ table }) => table))];
    const transaction = this.#database.transaction(names, "readwrite", { durability: "strict" });
    try {
      for (const change of changes) {
        const rows = transaction.objectStore(change.table);
        if ("put" in change) rows.put(change.value, change.put);
        else if ("remove" in change) rows.delete(change.remove);
        else rows.clear();
      }
    } catch (error) {
      // What cannot be cloned throws here, and the changes before it would be kept.
      transaction.abort();
      return Promise.reject(error as Error);
    }
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => {
        resolve();
      };
      const fail = (): void => {
        reject(transaction.error ?? new Error("IndexedDB failed"));
      };
      transaction.onerror = fail;
      transaction.onabort = fail;
    });
  }

  close(): void {
    this.#database.close();
  }
}
