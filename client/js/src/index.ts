/**
 * `@belfry/client`: a user's device of a Belfry server, for browsers and Node.
 *
 * @packageDocumentation
 */
export {
  Belfry, type BelfryOptions, type Devices, type Inbox, type InboxQuery, type Keyring, type Linking, type Permissions, type Platform, type Recovery,
} from "./belfry.ts";
export { sealAes128gcm } from "./body/aes128gcm.ts";
export { sealCryptoBox } from "./body/crypto-box.ts";
export { BelfryError, type Problem } from "./error.ts";
export { presenceOf, watchPresence, type PresenceInput } from "./presence.ts";
export { IndexedDbStore } from "./store/indexeddb.ts";
export { MemoryStore } from "./store/memory.ts";
export type { Change, Store, Table } from "./storage.ts";
export * from "./types.ts";
