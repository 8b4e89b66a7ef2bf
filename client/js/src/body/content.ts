/** What a decrypted message says: a title and what goes with it, or plain text. Never throws. */
import { fromUtf8 } from "../crypto/bytes.ts";
import type { Action, Content } from "../types.ts";

/** Systems show two or three. */
export const ACTIONS_MAX = 4;

const text = (value: Record<string, unknown>, name: string): string | null => {
  const field = Object.hasOwn(value, name) ? value[name] : undefined;
  return typeof field === "string" ? field : null;
};

/** Normalised, so that what is shown is what is opened. */
function https(value: Record<string, unknown>, name: string): string | null {
  const url = text(value, name);
  if (url === null || !URL.canParse(url)) return null;
  const parsed = new URL(url);
  return parsed.protocol === "https:" ? parsed.href : null;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function action(value: unknown): Action | null {
  if (!isObject(value)) return null;
  const title = text(value, "title");
  return title === null ? null : { title, action: text(value, "action"), url: https(value, "url") };
}

function fromJson(bytes: Uint8Array): Content | null {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch {
    return null;
  }
  const title = isObject(value) ? text(value, "title") : null;
  if (!isObject(value) || title === null) return null;
  const icon = text(value, "icon");
  const actions = Array.isArray(value["actions"]) ? value["actions"] : [];
  return {
    plain: false,
    title,
    body: text(value, "body"),
    icon: icon !== null && /^data:image\//i.test(icon) ? icon : null,
    url: https(value, "url"),
    tag: text(value, "tag"),
    actions: actions.map(action).filter((one) => one !== null).slice(0, ACTIONS_MAX),
    data: Object.hasOwn(value, "data") ? value["data"] : null,
  };
}

/** Reads it. What is not a JSON object with a title is shown as text; bytes that are not UTF-8 as U+FFFD. */
export function readContent(bytes: Uint8Array): Content {
  const plain = (): Content => ({
    plain: true,
    title: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
    body: null,
    icon: null,
    url: null,
    tag: null,
    actions: [],
    data: null,
  });
  return fromJson(bytes) ?? plain();
}
