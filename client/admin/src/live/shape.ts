//! Between the words of `/admin/v1` and those of the pages: names with underscores there, in camel case
//! here; times as RFC 3339 there, as milliseconds here. Pure.

/** Whose value is a time wherever it stands. */
const TIMES: ReadonlySet<string> = new Set(["at", "created", "ends", "expires", "last_used", "last_seen", "first_seen", "started", "seen", "totp_since", "from"]);
/** Whose keys are not names of ours: reasons, kinds, what an act changed. */
const AS_THEY_ARE: ReadonlySet<string> = new Set(["refused_by", "devices_by_kind", "permissions_by_state", "values", "before", "after", "passkey"]);

export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (AS_THEY_ARE.has(name)) return [camel(name), inner];
      if (TIMES.has(name) && typeof inner === "string") return [camel(name), timeOf(inner)];
      return [camel(name), fromJson(inner)];
    }),
  );
}

/** RFC 3339, as the API wants it: whole seconds. */
export function timeWords(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}

/** What is no time is none: a page that shows "never" is better than one that shows nothing. */
function timeOf(words: string): number | null {
  const at = Date.parse(words);
  return Number.isFinite(at) ? at : null;
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
