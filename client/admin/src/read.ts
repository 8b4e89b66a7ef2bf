//! Reading for a page: what came, that it is coming, and why it did not. An answer that was overtaken
//! by a later question is dropped; what is shown stays while it is read again.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Failure, type Changed, type Listed } from "./model.ts";
import { useModel } from "./pages/context.ts";
import { text } from "./text.ts";

export interface Reading<Value> {
  readonly value: Value | null;
  readonly fault: Failure | null;
  readonly busy: boolean;
  again(): void;
}

export interface ListReading<Item> extends Reading<readonly Item[]> {
  readonly hasMore: boolean;
  more(): void;
}

function useChanges(what: readonly Changed[]): number {
  const changes = useModel().changes.value;
  return what.reduce((sum, one) => sum + changes[one], 0);
}

/** `keys`: what the question depends on. `what`: changes after which it is asked again. */
export function useRead<Value>(ask: () => Promise<Value>, keys: readonly unknown[], what: readonly Changed[] = []): Reading<Value> {
  const changed = useChanges(what);
  const value = useSignal<Value | null>(null);
  const fault = useSignal<Failure | null>(null);
  const busy = useSignal(true);
  const asked = useRef(0);
  const question = keys.join("\u0000");
  const last = useRef(question);
  const read = () => {
    const mine = ++asked.current;
    busy.value = true;
    ask().then(
      (answer) => {
        if (mine !== asked.current) return;
        value.value = answer;
        fault.value = null;
        busy.value = false;
      },
      (error: unknown) => {
        if (mine !== asked.current) return;
        fault.value = failureOf(error);
        busy.value = false;
      },
    );
  };
  useEffect(() => {
    if (last.current !== question) fault.value = null;
    last.current = question;
    read();
    return () => void (asked.current += 1);
  }, [question, changed]);
  return { value: value.value, fault: fault.value, busy: busy.value, again: read };
}

/** A list that is read page by page; it begins anew when the question changes. */
export function useList<Item>(ask: (cursor: string | null) => Promise<Listed<Item>>, keys: readonly unknown[], what: readonly Changed[] = []): ListReading<Item> {
  const next = useSignal<string | null>(null);
  const added = useSignal<readonly Item[]>([]);
  const adding = useSignal(false);
  const addFault = useSignal<Failure | null>(null);
  const first = useRead(async () => {
    const answer = await ask(null);
    added.value = [];
    addFault.value = null;
    next.value = answer.next;
    return answer.items;
  }, keys, what);
  const more = () => {
    const cursor = next.value;
    if (cursor === null || adding.value) return;
    adding.value = true;
    ask(cursor).then(
      (answer) => {
        // Read again from the beginning meanwhile: this page belongs to another list.
        if (next.value !== cursor) return;
        added.value = [...added.value, ...answer.items];
        next.value = answer.next;
        addFault.value = null;
      },
      (error: unknown) => (addFault.value = failureOf(error)),
    ).finally(() => (adding.value = false));
  };
  return {
    value: first.value && [...first.value, ...added.value],
    fault: first.fault ?? addFault.value,
    busy: first.busy || adding.value,
    again: first.again,
    hasMore: next.value !== null,
    more,
  };
}

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  console.error(error);
  return new Failure("other", text.wrong);
}
