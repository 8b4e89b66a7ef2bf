//! What the pages know and what they can ask for: the console's own words, apart from the SDK that
//! answers them (`live/`). A page reads signals and calls actions; it never sees a key or a socket.

import type { Urgency } from "@belfry/client";
import type { ReadonlySignal } from "@preact/signals";
import type { QuietHours } from "./rules/quiet.ts";

export { Failure } from "belfry-ui/failure.ts";

/** Where somebody stands: what the one screen is that they should see. */
export type Phase = "starting" | "signed-out" | "no-device" | "unlinked" | "ready";

export type Connection = "connecting" | "online" | "offline";

export interface Item {
  readonly id: string;
  readonly seq: number | null;
  readonly permission: string;
  /** From the keyring, never from the server. */
  readonly site: string;
  /** The user's own name for the permission, or "". */
  readonly name: string;
  readonly sent: number;
  readonly urgency: "very-low" | "low" | "normal" | "high";
  readonly seen: boolean;
  /** Gone from the inbox, on every device. */
  readonly dismissed: boolean;
  readonly title: string;
  readonly body: string;
  readonly icon?: string | undefined;
  readonly url?: string | undefined;
  readonly tag?: string | undefined;
  readonly actions: readonly { readonly title: string; readonly url?: string | undefined }[];
}

export interface Site {
  readonly permission: string;
  readonly site: string;
  readonly name: string;
  readonly state: "allowed" | "muted";
  readonly accepted: number;
  readonly lastUsed: number | null;
  readonly created: number | null;
  /** It may learn whether its notifications were delivered. */
  readonly receipts: boolean;
  /** A removed device knew its keys. */
  readonly renew: boolean;
  /** The site's key is pinned: only the site can have made a notification. */
  readonly pinned: boolean;
  /** The keyring has its keys. Without them nothing of it can be opened here. */
  readonly hasKeys: boolean;
  /** From the local copy of the mailbox: what is unseen, and how much came by day, today last. */
  readonly unseen: number;
  readonly perDay: readonly number[];
}

export interface Device {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly online: boolean;
  readonly presence: "active" | "away" | null;
  readonly lastSeen: number | null;
  /** What is less urgent waits for it. */
  readonly urgencyMin: Urgency;
  readonly self: boolean;
  /** It stands in the keyring's own list. */
  readonly trusted: boolean;
  /** Of its key in the keyring, for people to compare; "" where it is not trusted. */
  readonly fingerprint: string;
}

/** What this device caught the server, or a sender, at. */
export type AlarmKind =
  | "keyring-rolled-back"
  | "keyring-does-not-open"
  | "keyring-another-user"
  | "keyring-another-epoch"
  | "keyring-gone"
  | "device-key"
  | "site-mismatch"
  | "another-site"
  | "downgraded"
  | "replayed";

export interface Alarm {
  readonly kind: AlarmKind;
  /** The device or site it is about, where there is one. */
  readonly about: string | null;
  readonly count: number;
}

export interface Account {
  readonly username: string;
  /** Seconds; `null`: the server's default. `undefined`: this server has no such setting. */
  readonly awayGrace: number | null | undefined;
}

export interface LinkRequest {
  readonly name: string;
  readonly kind: string;
  readonly fingerprint: string;
  approve(): Promise<void>;
  decline(): Promise<void>;
}

export interface LinkOffer {
  readonly code: string;
  /** What the QR code says: the server's address with the code in the fragment. */
  readonly address: string;
  readonly expires: number;
  /** Resolves when this device is linked. */
  readonly done: Promise<void>;
  cancel(): void;
}

export interface SignInOffer {
  /** Anybody may make an account; otherwise an invite is needed, if that is possible at all. */
  readonly open: boolean;
  readonly oidc: string | null;
}

/** What a list is before it came: `null`. */
export interface Model {
  readonly phase: ReadonlySignal<Phase>;
  readonly connection: ReadonlySignal<Connection>;
  readonly account: ReadonlySignal<Account | null>;
  readonly items: ReadonlySignal<readonly Item[] | null>;
  readonly hasOlder: ReadonlySignal<boolean>;
  readonly sites: ReadonlySignal<readonly Site[] | null>;
  readonly devices: ReadonlySignal<readonly Device[] | null>;
  readonly alarms: ReadonlySignal<readonly Alarm[]>;
  readonly quietHours: ReadonlySignal<QuietHours | null>;
  /** Whether there is a recovery phrase, and whether a device that was removed knew the key of its proof. */
  readonly recovery: ReadonlySignal<"none" | "made" | "stale">;
  readonly fingerprint: ReadonlySignal<string>;
  /** How many notifications could not be opened on this device. */
  readonly unopened: ReadonlySignal<number>;
  /** Why the last reading of a list failed, in words; `null` where it did not. */
  readonly trouble: ReadonlySignal<string | null>;
  /** This tab holds the connection, so it alone shows system notifications. */
  readonly leading: ReadonlySignal<boolean>;
  /** Why the last session ended, where the user did not end it. */
  readonly ended: ReadonlySignal<"expired" | "removed" | null>;
  /** Calls with each notification that came live; the answer stops it. */
  onArrival(listener: (item: Item) => void): () => void;
  /** Calls with the ids that are seen, dismissed or withdrawn, wherever that was done. */
  onGone(listener: (ids: readonly string[]) => void): () => void;
  readonly actions: Actions;
}

export interface Actions {
  signInOffer(): Promise<SignInOffer>;
  signUp(username: string, password: string, invite: string | null): Promise<void>;
  /** `replace` forgets the device of another account that this browser has. */
  signIn(username: string, password: string, replace?: boolean): Promise<void>;
  /** A fresh sign-in of the same account, for what needs one of the last ten minutes. */
  signInAgain(password: string): Promise<void>;
  /** `forget` removes the device too, with all that this browser keeps. */
  signOut(forget: boolean): Promise<void>;
  changePassword(before: string, after: string): Promise<void>;
  eraseAccount(): Promise<void>;
  /** With the token of a reset link, signed in or not. */
  resetPassword(token: string, password: string): Promise<void>;

  offerLink(): Promise<LinkOffer>;
  recover(phrase: string): Promise<void>;
  readLinkRequest(code: string): Promise<LinkRequest>;

  refresh(): Promise<void>;
  /** Reads the sites again, for their counts. */
  readSites(): Promise<void>;
  markSeen(ids: readonly string[]): Promise<void>;
  dismiss(ids: readonly string[]): Promise<void>;
  loadOlder(): Promise<void>;

  /** Answers the PushSubscription JSON that the site gets. */
  approve(site: string, name: string | null, keys?: { applicationServerKey?: string | null; siteKey?: string | null }): Promise<string>;
  /** A new permission of the same site with new keys; answers the JSON for the site. */
  renew(permission: string): Promise<string>;
  setMuted(permission: string, muted: boolean): Promise<void>;
  setReceipts(permission: string, receipts: boolean): Promise<void>;
  renameSite(permission: string, name: string): Promise<void>;
  revoke(permission: string): Promise<void>;
  /** A real notification, encrypted, and posted to an endpoint of the user's own; `onPost` is called as it leaves. */
  sendTest(title: string, body: string, onPost: () => void): Promise<void>;

  renameDevice(id: string, name: string): Promise<void>;
  setUrgencyMin(id: string, urgency: Urgency): Promise<void>;
  removeDevice(id: string): Promise<void>;

  makeRecoveryPhrase(): Promise<string>;
  /** Reads the keyring from the server again and judges it. */
  checkKeyring(): Promise<void>;
  setQuietHours(hours: QuietHours | null): Promise<void>;
  /** `null`: the server's default. */
  setAwayGrace(seconds: number | null): Promise<void>;
}
