//! What every list has: a field to search in, troubles with a way out, more of it, times.

import { useSignal } from "@preact/signals";
import { Button } from "belfry-ui/controls.tsx";
import { Icon, type IconName } from "belfry-ui/icons.tsx";
import { now } from "belfry-ui/now.ts";
import { Empty, Notice, SkeletonRows } from "belfry-ui/parts.tsx";
import { ago, wholeTime } from "belfry-ui/rules/times.ts";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Failure } from "../model.ts";
import type { ListReading, Reading } from "../read.ts";
import { text } from "../text.ts";
import { until } from "../rules/ends.ts";

/** Somebody who types is not asked for after each letter. */
const PAUSE_MS = 250;

/** Tells what was typed when the typing pauses, and at once with Enter. */
export function Search({ label, value, onSearch }: { label: string; value: string; onSearch: (words: string) => void }): JSX.Element {
  const typed = useSignal(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const tell = (after: number) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onSearch(typed.peek().trim()), after);
  };
  return (
    <div class="search">
      <Icon name="search" />
      <input
        class="input"
        type="search"
        aria-label={label}
        placeholder={label}
        autocomplete="off"
        spellcheck={false}
        value={typed.value}
        onInput={(event) => { typed.value = event.currentTarget.value; tell(PAUSE_MS); }}
        onKeyDown={(event) => { if (event.key === "Enter") tell(0); }}
      />
    </div>
  );
}

export function Trouble({ fault, again, busy }: { fault: Failure; again: () => void; busy: boolean }): JSX.Element {
  return (
    <Notice icon={fault.kind === "offline" ? "cloudOff" : "warn"} look="bad" live>
      <p>{fault.message}</p>
      <Button look="slim" busy={busy} onClick={again}>{text.retry}</Button>
    </Notice>
  );
}

/** What was read, or what stands in for it. What came before stays under a trouble. */
export function Shown<Value>({ reading, rows, missing, children }: { reading: Reading<Value>; rows?: number; missing?: ComponentChildren; children: (value: Value) => ComponentChildren }): JSX.Element {
  if (missing && reading.fault?.kind === "missing") return <>{missing}</>;
  return (
    <>
      {reading.fault ? <Trouble fault={reading.fault} again={reading.again} busy={reading.busy} /> : null}
      {reading.value !== null ? children(reading.value) : reading.fault ? null : <SkeletonRows rows={rows ?? 4} />}
    </>
  );
}

interface ShownListProps<Item> {
  readonly reading: ListReading<Item>;
  readonly icon: IconName;
  readonly emptyTitle: string;
  readonly emptyBody: ComponentChildren;
  readonly emptyActions?: ComponentChildren;
  /** Something was looked for: an empty list means that it was not found. */
  readonly narrowed: boolean;
  readonly children: (items: readonly Item[]) => ComponentChildren;
}

export function ShownList<Item>({ reading, icon, emptyTitle, emptyBody, emptyActions, narrowed, children }: ShownListProps<Item>): JSX.Element {
  return (
    <>
      <Shown reading={reading}>
        {(items) => (items.length > 0 ? children(items) : narrowed ? <Empty icon="search" title={text.table.notFound}>{text.table.notFoundBody}</Empty> : <Empty icon={icon} title={emptyTitle} actions={emptyActions}>{emptyBody}</Empty>)}
      </Shown>
      {reading.hasMore && reading.value?.length ? <div class="more"><Button busy={reading.busy} onClick={reading.more}>{text.table.more}</Button></div> : null}
    </>
  );
}

export function Ago({ at, none = text.never }: { at: number | null; none?: string }): JSX.Element {
  if (at === null) return <span class="soft">{none}</span>;
  return <time dateTime={new Date(at).toISOString()} title={wholeTime(at)}>{ago(at, now.value)}</time>;
}

export function Until({ at, none }: { at: number | null; none: string }): JSX.Element {
  if (at === null) return <span>{none}</span>;
  return <time dateTime={new Date(at).toISOString()} title={wholeTime(at)}>{until(at, now.value)}</time>;
}

/** A figure with its name. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Hands a text over as a file. */
export function download(name: string, type: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
