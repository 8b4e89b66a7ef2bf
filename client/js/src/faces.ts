/** What callers see of a session, part by part. */
import type { Fetch } from "./net/http.ts";
import type { Dial } from "./net/wire.ts";
import type { InboxQuery } from "./session/inbox.ts";
import type { TabPlatform } from "./session/tabs.ts";
import type { Store } from "./storage.ts";
import type { ApproveOptions, Device, DeviceKind, KeyringInfo, LinkOffer, LinkRequest, Message, Permission, SubscriptionJson, Unopened, Urgency } from "./types.ts";

/** What the platform gives; tests give something else. */
export interface Platform {
  fetch?: Fetch;
  dial?: Dial;
  /** `null`: this is the only tab. */
  tabs?: TabPlatform | null;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** From 0 to 1, for pauses. */
  random?: () => number;
}

/** How a session is opened. */
export interface BelfryOptions {
  /** The server's address, such as `https://push.example.org`; in the console `location.origin`. */
  server: string;
  /** Where to keep things. Default: IndexedDB where there is one, else memory. */
  store?: Store;
  /** What the device is called when it is made, such as `Firefox on Linux`. */
  deviceName?: string;
  /** Default: `browser` where there is a document, else `cli`. */
  deviceKind?: DeviceKind;
  /** Whether to connect as soon as there is a device. Default: true. The consent window says false. */
  connect?: boolean;
  platform?: Platform;
}

/** The device's copy of the mailbox. Works without a connection. */
export interface Inbox {
  /** Newest first. */
  list(query?: InboxQuery): Promise<Message[]>;
  get(id: string): Promise<Message | null>;
  /** Reads the page before the oldest that this device has. `done`: there is nothing older. */
  loadOlder(limit?: number): Promise<{ messages: Message[]; done: boolean }>;
  /** Resolves when it holds on this device; the server is told at once or when there is a connection. */
  markSeen(ids: string[]): Promise<void>;
  /** Seen, and gone from the list, on every device. */
  dismiss(ids: string[]): Promise<void>;
  /** Resolves when the server has all that was marked. */
  settled(): Promise<void>;
  /** By permission id; `unseen` and `total` are of what is not dismissed. `perDay` is of the last `days` days, today last. */
  stats(days?: number): Promise<{ unseen: number; permissions: Record<string, { unseen: number; total: number; perDay: number[] }> }>;
  /** What was not shown, by reason. */
  unopened(): Promise<Unopened[]>;
}

/** The user's devices. */
export interface Devices {
  list(): Promise<Device[]>;
  rename(id: string, name: string): Promise<void>;
  /** What is less urgent waits for that device until this is lowered, and expires where it is not. */
  setUrgencyMin(id: string, urgency: Urgency): Promise<void>;
  /** Ends the device, makes a new keyring key, and flags all permissions `renew`. May throw `sign-in-again`. */
  remove(id: string): Promise<void>;
}

/** The user's approvals. */
export interface Permissions {
  /** From the server, joined with the keyring; without a connection what was there last. */
  list(): Promise<Permission[]>;
  /** Approves a site and answers what the site gets. Keys are made here. */
  approve(origin: string, options?: ApproveOptions): Promise<SubscriptionJson>;
  mute(id: string): Promise<void>;
  allow(id: string): Promise<void>;
  /** Lets the site ask for receipts (RFC 8030 §5.1), or no longer. Off until the user says otherwise. */
  setReceipts(id: string, receipts: boolean): Promise<void>;
  rename(id: string, name: string): Promise<void>;
  revoke(id: string): Promise<void>;
  /** A new permission for the same site, with new keys; revoke the old one when the site has the new subscription. */
  renew(id: string, options?: Pick<ApproveOptions, "applicationServerKey">): Promise<SubscriptionJson>;
}

/** What the devices share, sealed. */
export interface Keyring {
  readonly info: KeyringInfo | null;
  /** Reads it from the server and judges it. */
  refresh(): Promise<void>;
  /**
   * Where the alarm is `rolled-back` or `gone` because the operator restored a backup: puts this device's copy back, with
   * wraps for all. Ask the user before. False if there was nothing to repair.
   */
  repair(): Promise<boolean>;
  /** A setting that all devices share, such as `quietHours`. */
  setting<T>(name: string): T | null;
  setSetting(name: string, value: unknown): Promise<void>;
  /** This device's own fingerprint. */
  fingerprint(): string;
}

/** Linking a device by code. */
export interface Linking {
  /** On the new device (`unlinked`). */
  offer(): Promise<LinkOffer>;
  /** On a linked device: reads the code (or the text of the QR code) and fetches who asks. */
  read(code: string): Promise<LinkRequest>;
}

/** The recovery phrase. */
export interface Recovery {
  /** Makes a new one, instead of the old: twelve words, shown once. */
  make(): Promise<string>;
  /** On a device that is `unlinked`. */
  use(words: string): Promise<void>;
}
