//! What the SDK throws, in words for a person.

import { BelfryError } from "@belfry/client";
import { Failure } from "../model.ts";
import { text } from "../text.ts";

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof BelfryError)) {
    console.error(error);
    return new Failure("other", text.failure.other);
  }
  const words = text.failure;
  switch (error.code) {
    case "network": return new Failure("offline", words.offline);
    case "refused": return new Failure("refused", sentence(error.problem?.detail ?? error.message), error.problem?.field ?? null);
    case "wrong-credentials": return new Failure("refused", words.wrongPassword);
    case "sign-in-again": return new Failure("again", text.again.lead);
    case "another-account": return new Failure("another-account", words.anotherAccount);
    case "server-lied": return new Failure("refused", words.serverLied);
    case "keyring-refused": return new Failure("refused", words.keyringRefused);
    case "bad-code": return new Failure("refused", words.badCode);
    case "no-such-link": return new Failure("refused", words.noSuchLink);
    case "cancelled": return new Failure("refused", words.cancelled);
    case "bad-phrase": return new Failure("refused", words.badPhrase);
    case "no-recovery": return new Failure("refused", words.noRecovery);
    case "wrong-state":
    case "malformed":
      console.warn("belfry:", error.code, error.message);
      return new Failure("other", error.code === "malformed" ? error.message : words.other);
  }
}

/** The server's words are for programs too: here they stand alone. */
function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** The same work, whose failure is one for a person. */
export async function told<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    throw failureOf(error);
  }
}
