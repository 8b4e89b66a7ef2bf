//! The way back of an act, as a toast's button: it says that it worked, or why it did not.

import { say } from "belfry-ui/toasts.tsx";
import { text } from "../text.ts";

export function undoing(work: () => Promise<unknown>): () => void {
  return () => {
    work().then(
      () => say(text.undone),
      (error: unknown) => say(error instanceof Error ? error.message : text.wrong),
    );
  };
}
