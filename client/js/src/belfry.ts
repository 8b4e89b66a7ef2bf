import { Emitter } from "./events.ts";
import type { Store } from "./storage.ts";
import type {
  Account, ApproveOptions, BelfryEvents, Connection, Device, DeviceKind, KeyringInfo, LinkOffer, LinkRequest, Message,
  Permission, Presence, Providers, State, SubscriptionJson, Unopened,
} from "./types.ts";

/** How a session is opened. */
export interface BelfryOptions {
  /** The server's address, such as `https://push.example.org`; in the console `location.origin`. */
  server: string;
  /** Where to keep things. Default: IndexedDB where there is one, else memory. */
  store?: Store;
  /** What the device is called when it is made, such as `Firefox on Linux`. */
  deviceName?: string;
  /** Default: `browser` where there is a window, else `cli`. */
  deviceKind?: DeviceKind;
  /** Whether to connect as soon as there is a device. Default: true. The consent window says false. */
  connect?: boolean;
}

/** Which messages to list. */
export interface InboxQuery {
  /** Default: 50. */
  limit?: number;
  /** Only older ones than this message id. */
  before?: string;
  permission?: string;
  site?: string;
  /** Default: false. */
  dismissed?: boolean;
  /** Default: false. */
  unseenOnly?: boolean;
  /** Words that all have to stand in title, body, site or name; case does not matter. */
  search?: string;
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
  /** Of what is not dismissed, by permission id. `perDay` is of the last `days` days, today last. */
  stats(days?: number): Promise<{ unseen: number; permissions: Record<string, { unseen: number; total: number; perDay: number[] }> }>;
  /** What was not shown, by reason. */
  unopened(): Promise<Unopened[]>;
}

/** The user's devices. */
export interface Devices {
  list(): Promise<Device[]>;
  rename(id: string, name: string): Promise<void>;
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

/** One device of one user. Tabs of one browser profile share it; one of them holds the connection. */
export class Belfry extends Emitter<BelfryEvents> {
  readonly server!: string;
  readonly state!: State;
  readonly connection!: Connection;
  readonly inbox!: Inbox;
  readonly devices!: Devices;
  readonly permissions!: Permissions;
  readonly keyring!: Keyring;
  readonly linking!: Linking;
  readonly recovery!: Recovery;
  /** Whether this tab holds the connection. System notifications are best shown by this one alone. */
  readonly leading!: boolean;

  private constructor() {
    super();
  }

  /** Opens what the store has; signed out if it has nothing. Does not wait for the network. */
  static open(_options: BelfryOptions): Promise<Belfry> {
    throw new Error("not yet");
  }

  /** How one may sign in here. */
  providers(): Promise<Providers> {
    throw new Error("not yet");
  }

  /** Makes an account and signs in. */
  signUp(_account: { username: string; password: string; invite?: string }): Promise<void> {
    throw new Error("not yet");
  }

  /**
   * Signs in, makes this device if there is none yet, and the keyring if it is the first.
   * `another-account` if the store has a device of somebody else: `replace` forgets that one.
   */
  signIn(_as: { username: string; password: string; replace?: boolean }): Promise<void> {
    throw new Error("not yet");
  }

  /** Signs in once more, for what needs a fresh sign-in. */
  confirmPassword(_password: string): Promise<void> {
    throw new Error("not yet");
  }

  /** Ends the sign-in. `forget` removes the device too and empties the store. */
  signOut(_options: { forget?: boolean } = {}): Promise<void> {
    throw new Error("not yet");
  }

  me(): Promise<Account> {
    throw new Error("not yet");
  }

  changePassword(_old: string, _now: string): Promise<void> {
    throw new Error("not yet");
  }

  /** Seconds from 0 to 3600; `null` is the server's default. */
  setAwayGrace(_seconds: number | null): Promise<void> {
    throw new Error("not yet");
  }

  /** Everything of the account, on the server and here. May throw `sign-in-again`. */
  eraseAccount(): Promise<void> {
    throw new Error("not yet");
  }

  /** Says `active` or `away` for this tab; the device is active while one of its tabs is. */
  setPresence(_presence: Presence): void {
    throw new Error("not yet");
  }

  /** Closes the connection and the store; the session goes on with the next `open`. */
  close(): Promise<void> {
    throw new Error("not yet");
  }
}
