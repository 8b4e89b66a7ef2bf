//! Requests to `/admin/v1`, their limits, and its problems in words for a person.

import { Failure } from "../model.ts";
import { text } from "../text.ts";
import { fromJson } from "./shape.ts";

const BASE = "/admin/v1";
/** How long an answer may take; an export is the longest. */
const ANSWER_MS = 60_000;

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Problem {
  /** The last part of its type. */
  readonly kind: string;
  readonly status: number;
  readonly detail: string;
  readonly field: string | null;
  readonly ended: "expired" | "role" | null;
}

/** A failure that still has the problem it was made of. */
export class Refusal extends Failure {
  constructor(readonly problem: Problem) {
    super(kindOf(problem), sentence(problem.detail), problem.field);
  }
}

export class Http {
  /** `isUsed`: somebody is at the page, so that what is read now extends the session. */
  constructor(private readonly isUsed: () => boolean) {}

  /** Called when the session is no more, whatever it was that was asked. */
  onSignedOut: (problem: Problem) => void = () => undefined;

  /** The answer in the pages' words; `undefined` where there is none. */
  async json<Answer>(method: Method, path: string, body?: unknown): Promise<Answer> {
    const response = await this.#ask(method, path, body === undefined ? null : { type: "application/json", content: JSON.stringify(body) });
    if (response.status === 204) return undefined as Answer;
    try {
      return fromJson(await response.json()) as Answer;
    } catch {
      throw new Failure("other", text.wrong);
    }
  }

  async text(path: string): Promise<string> {
    return (await this.#ask("GET", path, null)).text();
  }

  async csv<Answer>(path: string, csv: string): Promise<Answer> {
    return fromJson(await (await this.#ask("POST", path, { type: "text/csv", content: csv })).json()) as Answer;
  }

  async #ask(method: Method, path: string, body: { type: string; content: string } | null): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(BASE + path, {
        method,
        // What a page of another origin cannot send without being asked for it first. What is read
        // without it does not extend the session.
        headers: { ...(method !== "GET" || this.isUsed() ? { "X-Belfry-Admin": "1" } : {}), ...(body ? { "Content-Type": body.type } : {}) },
        body: body?.content ?? null,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
    } catch {
      throw new Failure("offline", text.offline);
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status === 401 && problem.kind === "signed-out") this.onSignedOut(problem);
    throw new Refusal(problem);
  }
}

/** `?a=1&b=2` of what is given; "" of nothing. */
export function query(values: Readonly<Record<string, string | number | boolean | null | undefined>>): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== null && value !== "" && value !== false) asked.append(name, String(value));
  const words = asked.toString();
  return words ? `?${words}` : "";
}

async function problemOf(response: Response): Promise<Problem> {
  let said: Record<string, unknown> = {};
  try {
    const parsed: unknown = await response.json();
    if (typeof parsed === "object" && parsed !== null) said = parsed as Record<string, unknown>;
  } catch {
    // A proxy's page, say.
  }
  const words = (name: string) => (typeof said[name] === "string" ? (said[name] as string) : "");
  const ended = words("ended");
  return {
    kind: words("type").split("/").at(-1) ?? "",
    status: response.status,
    detail: words("detail") || words("title"),
    field: words("field") || null,
    ended: ended === "expired" || ended === "role" ? ended : null,
  };
}

function kindOf(problem: Problem): Failure["kind"] {
  if (problem.kind === "sign-in-again") return "again";
  if (problem.kind === "signed-out") return "signed-out";
  if (problem.status === 404) return "missing";
  // A proxy in front of a server that is down.
  return problem.status === 502 || problem.status === 504 ? "offline" : "refused";
}

/** The server's words are for programs too: here they stand alone. */
function sentence(words: string): string {
  if (!words) return text.wrong;
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
