//! What differs between the state before an act and the one after it. Pure.

export interface Change {
  readonly name: string;
  /** `null`: there was, or is, none. */
  readonly before: string | null;
  readonly after: string | null;
}

type State = Readonly<Record<string, unknown>> | null;

export function changes(before: State, after: State): Change[] {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...names]
    .map((name) => ({ name, before: worded(before, name), after: worded(after, name) }))
    .filter((change) => change.before !== change.after);
}

function worded(state: State, name: string): string | null {
  if (!state || !Object.hasOwn(state, name)) return null;
  const value = state[name];
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}
