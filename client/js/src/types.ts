/** What the SDK's callers see: the words of Belfry's API as types. */

/** `active` or `away`, as a device tells the server. */
export type Presence = "active" | "away";

/** What a device is. */
export type DeviceKind = "browser" | "extension" | "ios" | "android" | "desktop" | "cli";

/** Why the session ended without the user's doing; `null` where the user did it or nobody signed in yet. */
export type SignedOutReason =
  /** The sign-in expired or was ended elsewhere. Signing in again goes on with this device. */
  | "expired"
  /** The device was removed. Signing in again makes a new one, which has to be linked. */
  | "removed"
  | null;

/** Where this device stands. `signed-out` → (`no-device`) → `unlinked` or `ready`. */
export type State =
  | { name: "signed-out"; reason: SignedOutReason; username: string | null }
  /** Signed in, but the device could not be made yet (its limit, or a sign-in that is too old). */
  | { name: "no-device"; userId: string; username: string }
  /** The account has a keyring that this device cannot open: link it, or use the recovery phrase. */
  | { name: "unlinked"; userId: string; username: string; deviceId: string }
  | { name: "ready"; userId: string; username: string; deviceId: string };

/** How one may sign in at this server. */
export interface Providers {
  password: boolean;
  /** The login URL of OpenID Connect, if there is one. */
  oidc: string | null;
  /** Whether anybody may make an account; otherwise an invite is needed, or there is no way. */
  registration: boolean;
}

/** The account. */
export interface Account {
  userId: string;
  username: string;
  /** The seconds in force that active devices have notifications of urgency `normal` to themselves; absent if the server has no such setting. */
  awayGrace?: number | null;
}

/** How soon a notification matters (RFC 8030 §5.3), the least first. */
export type Urgency = "very-low" | "low" | "normal" | "high";

/** A device, as the server's list has it, joined with the keyring. */
export interface Device {
  id: string;
  name: string;
  kind: DeviceKind;
  /** Milliseconds since 1970. */
  created: number;
  online: boolean;
  presence: Presence | null;
  /** Milliseconds since 1970. */
  lastSeen: number | null;
  /** What is less urgent waits for it. */
  urgencyMin: Urgency;
  /** This one. */
  current: boolean;
  /** Whether it stands in the keyring's own device list with the same key. Only such a device can read. */
  trusted: boolean;
  /** The server says another key than the keyring: the server lies. Always show this as an alarm. */
  keyMismatch: boolean;
  /** Of the key in the keyring; to compare by eye with what the device itself shows. */
  fingerprint: string | null;
}

/** A user's approval of one site. */
export interface Permission {
  id: string;
  /** The origin, from the keyring; from the server only if the keyring does not have it (`known` is false). */
  site: string;
  /** The user's name for it. */
  name: string | null;
  state: "allowed" | "muted";
  /** Milliseconds since 1970. */
  created: number;
  /** How many notifications the server accepted. */
  accepted: number;
  /** Milliseconds since 1970. */
  lastUsed: number | null;
  /** Whether the site may learn when a device first had a notification of it, or that none had it in time. */
  receipts: boolean;
  /** Whether the keyring has its keys. Without them nothing of it can be read here. */
  known: boolean;
  /** The server names another site than the keyring. */
  siteMismatch: boolean;
  /** A removed device knew its keys: the site should subscribe again. */
  renew: boolean;
  /** The site's public key, where it was pinned. */
  siteKey: string | null;
}

/** What a site gets: a W3C PushSubscription as JSON. */
export interface SubscriptionJson {
  endpoint: string;
  expirationTime: null;
  keys: { p256dh: string; auth: string; x25519: string };
}

/** What a site may ask for when it is approved. */
export interface ApproveOptions {
  /** The user's name for it; never shown instead of the origin. */
  name?: string;
  /** VAPID public key (RFC 8292), base64url: only posts signed with it are taken. */
  applicationServerKey?: string;
  /** The site's X25519 public key, base64url, to pin: only `crypto-box` from it opens. */
  siteKey?: string;
}

/** A button of a notification. */
export interface Action {
  title: string;
  action: string | null;
  /** https only. */
  url: string | null;
}

/** The decrypted text of a notification. Nothing in it may be fetched to show it. */
export interface Content {
  /** The text was not the JSON of a notification: all of it stands in `title`. */
  plain: boolean;
  title: string;
  body: string | null;
  /** A `data:` image. */
  icon: string | null;
  /** https only. Show its host when it is not the permission's site. */
  url: string | null;
  tag: string | null;
  /** At most 4. */
  actions: Action[];
  data: unknown;
}

/** A notification that opened. */
export interface Message {
  id: string;
  permission: string;
  /** The site that the keyring has for the permission. */
  site: string;
  /** The user's name for the permission. */
  name: string | null;
  /** Its place in the user's log; `null` for one with `TTL: 0`. */
  seq: number | null;
  /** Milliseconds since 1970. */
  sent: number;
  /** Milliseconds since 1970. */
  expires: number;
  urgency: Urgency;
  /** Web Push's `Topic`. */
  topic: string | null;
  content: Content;
  seen: boolean;
  dismissed: boolean;
  /** The permission is muted: list it, but do not raise it. */
  muted: boolean;
}

/** Why a notification was not shown. */
export type UnopenedReason =
  /** The keyring does not have the permission. */
  | "unknown-permission"
  /** It names another site than the keyring has for the permission. */
  | "another-site"
  /** The permission has a pinned key and this is not `crypto-box`. */
  | "downgraded"
  /** It did not decrypt. */
  | "does-not-open"
  /** Its salt or nonce was there before under another id: an old one posted again. */
  | "replayed"
  /** The payload is no notification. */
  | "malformed";

/** How many were not shown, and why. */
export interface Unopened {
  reason: UnopenedReason;
  count: number;
}

/** What is wrong with the keyring that the server serves. The local copy stays, and nothing is uploaded. */
export type KeyringAlarm =
  /** A generation lower than the local copy's. */
  | "rolled-back"
  /** It does not open with any key that this device accepts. */
  | "does-not-open"
  /** It names another user. */
  | "another-user"
  /** It names another epoch than its key's. */
  | "another-epoch"
  /** There was one, and the server says there is none. */
  | "gone";

/** The keyring as this device has it. */
export interface KeyringInfo {
  epoch: number;
  generation: number;
  /** Whether there is a recovery phrase. */
  recovery: boolean;
  /** A device was removed since the phrase was made: make a new one. */
  recoveryStale: boolean;
  alarm: KeyringAlarm | null;
  /** The trusted devices. */
  devices: { id: string; name: string; kind: DeviceKind; fingerprint: string; current: boolean }[];
}

/** When all devices say `away`, in the local time of each: `HH:MM`. */
export interface QuietHours {
  from: string;
  to: string;
}

/** How the connection is. */
export type Connection = "offline" | "connecting" | "online";

/** What {@link Belfry} tells, by name. Register with `on`. */
export interface BelfryEvents {
  /** Any change of {@link Belfry.state}. */
  state: State;
  /** New, decrypted and stored. `live` is false for what was read from the history; what the server still owed after a pause is live. */
  notification: { message: Message; live: boolean };
  /** Seen on some device of the user, this one too. */
  seen: { ids: string[] };
  /** Dismissed on some device of the user, this one too. */
  dismissed: { ids: string[] };
  /** Taken back by its site, or gone with its permission. */
  withdrawn: { ids: string[] };
  /** The permissions changed: read them again. */
  permissions: { changed: string | null };
  /** The devices changed: read them again. */
  devices: { changed: string | null };
  /** The keyring changed, or there is something wrong with what the server serves. */
  keyring: KeyringInfo;
  connection: Connection;
  signedOut: { reason: SignedOutReason };
  /** A notification was not shown. */
  unopened: { reason: UnopenedReason; permission: string | null; site: string | null };
}

/** A new device's side of linking. */
export interface LinkOffer {
  /** `XKQ2-7M4D-…`, to type on a linked device. */
  code: string;
  /** What a QR code of it says: `<server>/#link=<code>`. */
  qr: string;
  /** Milliseconds since 1970; ten minutes from its making. */
  expires: number;
  /** This device's fingerprint. */
  fingerprint: string;
  /** Resolves when the device is linked; rejects with a {@link BelfryError} when it expired, was cancelled or the answer was wrong. */
  done: Promise<void>;
  /** Forgets the code. */
  cancel(): void;
}

/** A linked device's side of linking: what the new device says of itself. */
export interface LinkRequest {
  device: string;
  name: string;
  kind: DeviceKind;
  fingerprint: string;
  /** Lets it in. Ask the user before. */
  confirm(): Promise<void>;
  /** Does not. */
  decline(): Promise<void>;
}

/** What went wrong, for programs. */
export type ErrorCode =
  /** No connection to the server, or it answered nonsense. */
  | "network"
  /** The server refused; `problem` has its words. */
  | "refused"
  /** Name or password is wrong. */
  | "wrong-credentials"
  /** It needs a sign-in of the last 10 minutes: call `confirmPassword`, then again. */
  | "sign-in-again"
  /** Not in a state where this is possible. */
  | "wrong-state"
  /** This store holds a device of another account. */
  | "another-account"
  /** The server lied: what it answered is not what was asked, or not what the keyring says. */
  | "server-lied"
  /** The keyring that the server serves is not to be trusted; nothing was uploaded. */
  | "keyring-refused"
  /** The code has a slip in it. */
  | "bad-code"
  /** Nobody waits under this code, or it expired. */
  | "no-such-link"
  /** Cancelled, or expired. */
  | "cancelled"
  /** The words are not a recovery phrase, or not this account's. */
  | "bad-phrase"
  /** There is no recovery phrase for this account. */
  | "no-recovery"
  /** A parameter is malformed; `message` says which and what would be right. */
  | "malformed";
