/**
 * `@belfry/client`: a user's device of a Belfry server, for browsers and Node.
 *
 * @packageDocumentation
 */
export { Belfry } from "./belfry.ts";
export type { BelfryOptions, Devices, Inbox, Keyring, Linking, Permissions, Platform, Recovery } from "./faces.ts";
export type { InboxQuery } from "./session/inbox.ts";
export { sealAes128gcm } from "./body/aes128gcm.ts";
export { sealCryptoBox } from "./body/crypto-box.ts";
export { BelfryError, type Problem } from "./error.ts";
export { presenceOf, watchPresence, type PresenceInput } from "./presence.ts";
export { IndexedDbStore } from "./store/indexeddb.ts";
export { MemoryStore } from "./store/memory.ts";
export type { Change, Store, Table } from "./storage.ts";
export * from "./types.ts";
