/** Where a device keeps what it knows: a few tables of records by key, changed together or not at all. */

/** The tables. */
export type Table = "device" | "keyring" | "messages" | "dismissed" | "replay" | "outbox" | "cache" | "counts";

/** All of {@link Table}, for those that have to make them. */
export const TABLES: readonly Table[] = ["device", "keyring", "messages", "dismissed", "replay", "outbox", "cache", "counts"];

/** One change. Values are cloned as by `structuredClone`. */
export type Change = { table: Table; put: string; value: unknown } | { table: Table; remove: string } | { table: Table; clear: true };

/** What a store has to do. {@link IndexedDbStore} and {@link MemoryStore} do, and `FileStore` of `@belfry/client/node`. */
export interface Store {
  get(table: Table, key: string): Promise<unknown>;
  all(table: Table): Promise<{ key: string; value: unknown }[]>;
  /** All of the changes or none; resolves when they are there to stay. */
  write(changes: Change[]): Promise<void>;
  /** Whether a `CryptoKey` can be kept; else keys are kept as bytes. */
  readonly keepsCryptoKeys: boolean;
  close(): void;
}
