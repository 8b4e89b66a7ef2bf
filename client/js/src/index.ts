/**
 * `@belfry/client`: a user's device of a Belfry server, for browsers and Node.
 *
 * @packageDocumentation
 */
export { Belfry, type BelfryOptions, type Inbox, type InboxQuery, type Devices, type Permissions, type Keyring, type Linking, type Recovery } from "./belfry.ts";
export { BelfryError, type Problem } from "./error.ts";
export type { Change, Store, Table } from "./storage.ts";
export * from "./types.ts";
export { presenceOf, watchPresence, type PresenceInput } from "./presence.ts";
