//! What the shared parts say, in English. Another language is another file of this shape.

export const text = {
  brand: "Belfry",
  skip: "Skip to content",
  close: "Close",
  cancel: "Cancel",
  back: "Back",
  done: "Done",
  undo: "Undo",
  save: "Save",
  copy: "Copy",
  copied: "Copied",
  retry: "Try again",
  loading: "Loading…",
  show: "Show",
  hide: "Hide",
  again: {
    title: "Is it you?",
    lead: "This needs a sign-in of the last ten minutes. Your password, please.",
    password: "Password",
    submit: "Go on",
  },
  wrong: "Something went wrong. Try again.",
} as const;
