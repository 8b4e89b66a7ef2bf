/** What a device needs of an MQTT 5 connection: `mqtt.ts` has the real one, tests have another. */

/** A message from the server. */
export interface Incoming {
  topic: string;
  payload: Uint8Array;
  /** It was there before the subscription. */
  retained: boolean;
}

/** How a connection is asked for. */
export interface DialOptions {
  url: string;
  clientId: string;
  username: string;
  password: string;
  /** Begins a new session, and forgets what an older one was owed. */
  clean: boolean;
  /** Acknowledged when it resolves. Where it rejects the connection ends, and the message comes again. */
  onMessage: (message: Incoming) => Promise<void>;
}

/** How a connection ended. */
export interface Ending {
  /** CONNACK said no, DISCONNECT came, or the line went dead. */
  why: "refused" | "disconnected" | "lost";
  /** The reason code, where there was one. */
  code: number | null;
}

/** One filter. */
export interface Filter {
  filter: string;
  qos: 0 | 1;
  /** What this device publishes itself does not come back. */
  noLocal?: boolean;
}

/** How a message is published, at QoS 1. */
export interface PublishOptions {
  retain?: boolean;
  /** Message Expiry Interval. */
  expirySeconds?: number;
}

/** A connection that the server took. */
export interface Wire {
  /** The server still has the session, with its filters. */
  readonly sessionPresent: boolean;
  /** Resolves with its end. */
  readonly ended: Promise<Ending>;
  /** Rejects if a filter is refused, or the connection ends first. */
  subscribe(filters: Filter[]): Promise<void>;
  unsubscribe(filters: string[]): Promise<void>;
  /** Resolves with PUBACK; rejects if that says no, or the connection ends first. */
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>;
  /** DISCONNECT with reason 0x00. */
  end(): Promise<void>;
}

/** Rejects with a {@link DialFailed}. */
export type Dial = (options: DialOptions) => Promise<Wire>;

/** There is no connection. */
export class DialFailed extends Error {
  readonly ending: Ending;

  constructor(ending: Ending, cause?: unknown) {
    super(`no connection (${ending.why}${ending.code === null ? "" : `, 0x${ending.code.toString(16)}`})`, { cause });
    this.ending = ending;
  }
}

/** What a device does after a connection ended. */
export type Next = { retryAfterMs: number } | { stop: "taken-over" | "removed" };

/** CONNACK: client id, user name or password is wrong, which for a device means that it was removed. */
const BAD_CREDENTIALS = 0x86;
/** DISCONNECT: the same device connected again. */
const TAKEN_OVER = 0x8e;

const PAUSE_MIN_MS = 1_000;
/** As docs/protocol.md asks: from a second to a minute, with chance in it. */
const PAUSE_MAX_MS = 60_000;

/** Exponential with full jitter. `attempt` counts the failures in a row, `random` is from 0 to 1. */
export function afterEnding(ending: Ending, attempt: number, random: number): Next {
  if (ending.why === "refused" && ending.code === BAD_CREDENTIALS) return { stop: "removed" };
  if (ending.why === "disconnected" && ending.code === TAKEN_OVER) return { stop: "taken-over" };
  const ceiling = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(attempt, 10));
  return { retryAfterMs: Math.round(random * ceiling) };
}
