//! What went wrong, for a person.

/** `again` asks for the password; `offline` for patience; `signed-out` for a sign-in; `missing`: there is no such thing. */
export type FailureKind = "again" | "offline" | "another-account" | "signed-out" | "missing" | "refused" | "other";

export class Failure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly field: string | null = null,
  ) {
    super(message);
  }
}
