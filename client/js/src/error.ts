import type { ErrorCode } from "./types.ts";

/** A problem of RFC 9457, as the server writes it. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  field?: string;
}

/** All that this SDK throws on purpose. */
export class BelfryError extends Error {
  override readonly name = "BelfryError";
  readonly code: ErrorCode;
  /** What the server said, where it refused. */
  readonly problem: Problem | null;

  constructor(code: ErrorCode, message: string, options: { problem?: Problem; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.problem = options.problem ?? null;
  }
}
