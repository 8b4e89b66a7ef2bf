//! A table that becomes a list of cards where it is too narrow for columns. Roles are named, since a
//! browser forgets that a table is one when its parts are laid out otherwise.

import type { ComponentChildren, JSX } from "preact";
import { text } from "../text.ts";

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  /** The name that the server sorts by; none: it does not. */
  readonly sort?: string;
  readonly number?: boolean;
  /** Sorted by time rather than by amount. */
  readonly time?: boolean;
  /** Where there are no columns it has a line to itself, without its title. */
  readonly whole?: boolean;
  /** Wide enough windows alone have room for it. */
  readonly extra?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
}

interface TableProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly idOf: (row: Row) => string;
  readonly sort?: string;
  readonly onSort?: (sort: string) => void;
  readonly busy?: boolean;
}

export function Table<Row>({ label, columns, rows, idOf, sort, onSort, busy }: TableProps<Row>): JSX.Element {
  return (
    <div class="card table-card" aria-busy={busy || undefined}>
      <table class="table" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => <Heading key={column.key} column={column} sort={sort} onSort={onSort} />)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={idOf(row)} role="row" data-id={idOf(row)}>
              {columns.map((column, at) => (
                <td key={column.key} role={at === 0 ? "rowheader" : "cell"} data-title={column.title} class={classes(column, at)}><div>{column.cell(row)}</div></td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function classes<Row>(column: Column<Row>, at: number): string {
  return [at === 0 ? "first" : "", column.number ? "number" : "", column.extra ? "extra" : "", column.whole ? "whole" : "", column.key === "act" ? "acts" : ""].filter(Boolean).join(" ");
}

/** A click sorts by it, the largest first where it has numbers; the next one turns it round. */
function Heading<Row>({ column, sort, onSort }: { column: Column<Row>; sort: string | undefined; onSort: ((sort: string) => void) | undefined }): JSX.Element {
  const look = classes(column, -1);
  if (!column.sort || !onSort) return <th role="columnheader" scope="col" class={look}>{column.key === "act" ? <span class="hidden">{column.title}</span> : column.title}</th>;
  const up = sort === column.sort;
  const down = sort === `-${column.sort}`;
  const next = up ? `-${column.sort}` : down ? column.sort : column.number ? `-${column.sort}` : column.sort;
  return (
    <th role="columnheader" scope="col" class={look} aria-sort={up ? "ascending" : down ? "descending" : undefined}>
      <button type="button" class="sort" onClick={() => onSort(next)}>
        {column.title}
        <span class="arrow" aria-hidden="true">{up ? "↑" : down ? "↓" : ""}</span>
      </button>
    </th>
  );
}

/** The same sorting where there are no headings to click. */
export function SortChoice<Row>({ columns, sort, onSort }: { columns: readonly Column<Row>[]; sort: string; onSort: (sort: string) => void }): JSX.Element {
  return (
    <select class="input select sort-choice" aria-label={text.table.sortBy} value={sort} onChange={(event) => onSort(event.currentTarget.value)}>
      {columns.filter((column) => column.sort).flatMap((column) => {
        const [rising, falling] = column.time ? [text.table.oldest, text.table.newest] : column.number ? [text.table.least, text.table.most] : [text.table.rising, text.table.falling];
        return [
          <option key={`-${column.sort}`} value={`-${column.sort}`}>{`${column.title}: ${falling}`}</option>,
          <option key={column.sort} value={column.sort}>{`${column.title}: ${rising}`}</option>,
        ];
      })}
    </select>
  );
}
