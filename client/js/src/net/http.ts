/** Requests to the server's API, their limits, and its problems as errors. */
import { BelfryError, type Problem } from "../error.ts";
import { concat, fromUtf8, utf8, type Bytes } from "../crypto/bytes.ts";

/** How long an answer may take, its body included. */
const ANSWER_MS = 30_000;
/** Larger than the largest page of notifications: 100 of 4 KiB, encoded. */
const ANSWER_BYTES_MAX = 2 * 1024 * 1024;

/** `fetch`, or what a test has instead. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Who asks. */
export type Credentials = { token: string } | { device: string; password: string } | null;

/** What to ask. */
export interface Ask {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  as?: Credentials;
  json?: unknown;
  bytes?: Bytes;
  headers?: Record<string, string>;
}

/** What was answered, with a status below 300. */
export interface Answer {
  status: number;
  etag: string | null;
  bytes: Bytes;
}

function authorization(as: Credentials): Record<string, string> {
  if (as === null) return {};
  return { Authorization: "token" in as ? `Bearer ${as.token}` : `Basic ${btoa(`${as.device}:${as.password}`)}` };
}

async function readBody(response: Response): Promise<Bytes> {
  const reader = response.body?.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const part = await reader?.read();
    if (part?.value === undefined) return concat(...parts);
    length += part.value.length;
    if (length > ANSWER_BYTES_MAX) {
      await reader?.cancel();
      throw new BelfryError("network", "the answer is too long");
    }
    parts.push(part.value);
  }
}

function readProblem(status: number, bytes: Bytes): Problem {
  let value: Partial<Record<keyof Problem, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof parsed === "object" && parsed !== null) value = parsed;
  } catch {
    // A proxy's page, say.
  }
  const text = (field: unknown, otherwise: string): string => (typeof field === "string" ? field : otherwise);
  const problem: Problem = { type: text(value.type, "about:blank"), title: text(value.title, ""), status, detail: text(value.detail, "") };
  if (typeof value.field === "string") problem.field = value.field;
  return problem;
}

function refusal(problem: Problem): BelfryError {
  const words = problem.detail || problem.title || `the server answered ${problem.status}`;
  if (problem.status === 401 && problem.type.endsWith("/sign-in-again")) return new BelfryError("sign-in-again", words, { problem });
  return new BelfryError("refused", words, { problem });
}

/** Asks one server. */
export class Http {
  readonly #server: string;
  readonly #fetch: Fetch;

  constructor(server: string, fetch: Fetch) {
    this.#server = server;
    this.#fetch = fetch;
  }

  async ask(ask: Ask): Promise<Answer> {
    const headers: Record<string, string> = { ...authorization(ask.as ?? null), ...ask.headers };
    const init: RequestInit = {
      method: ask.method ?? "GET",
      headers,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(ANSWER_MS),
    };
    if (ask.json !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = utf8(JSON.stringify(ask.json));
    } else if (ask.bytes !== undefined) {
      headers["Content-Type"] = "application/octet-stream";
      init.body = ask.bytes;
    }
    let response: Response;
    let bytes: Bytes;
    try {
      response = await this.#fetch(`${this.#server}${ask.path}`, init);
      bytes = await readBody(response);
    } catch (cause) {
      if (cause instanceof BelfryError) throw cause;
      throw new BelfryError("network", "the server cannot be reached", { cause });
    }
    if (response.status >= 300) throw refusal(readProblem(response.status, bytes));
    return { status: response.status, etag: response.headers.get("ETag"), bytes };
  }

  /** The answer's JSON. */
  async json(ask: Ask): Promise<unknown> {
    const { bytes } = await this.ask(ask);
    try {
      return JSON.parse(fromUtf8(bytes));
    } catch (cause) {
      throw new BelfryError("network", "the server's answer is no JSON", { cause });
    }
  }
}

/** The status of the refusal that an error is; 0 if it is something else. */
export function statusOf(error: unknown): number {
  return error instanceof BelfryError ? (error.problem?.status ?? 0) : 0;
}
