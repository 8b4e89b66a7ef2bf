/** What Node alone has: a store in a file. */
import { readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { base64url, fromBase64url } from "./crypto/bytes.ts";
import { MemoryStore } from "./store/memory.ts";
import type { Change, Table } from "./storage.ts";

export { MemoryStore } from "./store/memory.ts";

const BYTES = "$bytes";

const revive = (_name: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && BYTES in value ? (fromBase64url(value[BYTES]) ?? value) : value;

const replace = (_name: string, value: unknown): unknown => (value instanceof Uint8Array ? { [BYTES]: base64url(value) } : value);

/** All in memory, and written whole to one file (0600) with each change: for programs, whose mailboxes are small. */
export class FileStore extends MemoryStore {
  override readonly keepsCryptoKeys = false;
  readonly #path: string;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    super();
    this.#path = path;
    let json: string;
    try {
      json = readFileSync(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    const tables = JSON.parse(json, revive) as Record<string, [string, unknown][]>;
    for (const [table, rows] of Object.entries(tables)) this.tables.set(table as Table, new Map(rows));
  }

  override async write(changes: Change[]): Promise<void> {
    await super.write(changes);
    // One after the other, each with all that was changed until it begins.
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#save());
    await this.#writing;
  }

  async #save(): Promise<void> {
    const tables = Object.fromEntries([...this.tables].map(([table, rows]) => [table, [...rows]]));
    const file = await open(`${this.#path}.new`, "w", 0o600);
    try {
      await file.writeFile(JSON.stringify(tables, replace));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${this.#path}.new`, this.#path);
  }
}
