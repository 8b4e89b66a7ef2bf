//! Text that a site sent, before it is shown. Preact escapes it and <bdi> isolates its direction;
//! what is left is text that disguises or floods: control characters, direction overrides that
//! reach past their field, piles of combining marks, and length.

/** Beyond this a field is cut; nobody reads a notification that long. */
export const TITLE_CHARS_MAX = 200;
export const BODY_CHARS_MAX = 4000;
/** Marks on one base character; living scripts need at most a handful. */
const MARKS_MAX = 4;

// C0 and C1 save tab and line feed, direction controls, invisible operators and tags, the byte
// order mark, and interlinear annotation. The joiners U+200C and U+200D stay: scripts need them.
const CONTROLS =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const SEPARATORS = /[\u2028\u2029]/g;
const MARKS = new RegExp(`(\\p{M}{${MARKS_MAX}})\\p{M}+`, "gu");

export function oneLine(text: string, max = TITLE_CHARS_MAX): string {
  return cut(plain(text.slice(0, max * 4)).replace(/\s+/gu, " ").trim(), max);
}

export function manyLines(text: string, max = BODY_CHARS_MAX): string {
  return cut(plain(text.slice(0, max * 4)).replace(/\n{3,}/g, "\n\n").trim(), max);
}

function plain(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r\n?/g, "\n")
    .replace(SEPARATORS, "\n")
    .replace(CONTROLS, "")
    .replace(MARKS, "$1");
}

function cut(text: string, max: number): string {
  const chars = Array.from(text);
  return chars.length <= max ? text : `${chars.slice(0, max - 1).join("")}…`;
}
