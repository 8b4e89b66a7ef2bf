/** Why there is no subscription. A site tells them apart by this, never by the message. */
export type ErrorCode =
  /** The browser opened no window: `subscribe` was not called from a click, or windows are blocked here. */
  | "blocked"
  /** The page asks already; that window was brought to the front. */
  | "busy"
  /** The user closed the window, or the question for the server. */
  | "closed"
  /** The user said no. */
  | "declined"
  /** The consent window could not do it; the message says why. */
  | "failed"
  /** `server` is no https origin. */
  | "server"
  /** No answer in time. */
  | "timeout";

export class BelfryError extends Error {
  override readonly name = "BelfryError";

  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}
