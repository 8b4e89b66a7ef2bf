/** A store that is gone with the process. */
import type { Change, Store, Table } from "../storage.ts";

export class MemoryStore implements Store {
  readonly keepsCryptoKeys: boolean = true;
  protected readonly tables = new Map<Table, Map<string, unknown>>();

  get(table: Table, key: string): Promise<unknown> {
    return Promise.resolve(structuredClone(this.tables.get(table)?.get(key)));
  }

  all(table: Table): Promise<{ key: string; value: unknown }[]> {
    return Promise.resolve([...(this.tables.get(table) ?? [])].map(([key, value]) => ({ key, value: structuredClone(value) })));
  }

  async write(changes: Change[]): Promise<void> {
    // Cloned first, so that what cannot be cloned changes nothing.
    const cloned = changes.map((change) => structuredClone(change));
    for (const change of cloned) {
      const rows = this.tables.get(change.table) ?? new Map<string, unknown>();
      this.tables.set(change.table, rows);
      if ("put" in change) rows.set(change.put, change.value);
      else if ("remove" in change) rows.delete(change.remove);
      else rows.clear();
    }
  }

  close(): void {}
}
