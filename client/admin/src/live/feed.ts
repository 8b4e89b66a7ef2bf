//! The live feed: figures, and that something was changed. It comes back by itself, more slowly each
//! time; what changed meanwhile is not known, so that everything counts as changed then.

import type { Changed, Connection, Figures } from "../model.ts";
import { fromJson } from "./shape.ts";

const ADDRESS = "/admin/v1/live";
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export interface Heard {
  connection(state: Connection): void;
  figures(figures: Figures): void;
  /** `null`: anything may have changed. */
  changed(what: readonly Changed[] | null): void;
  ended(why: string): void;
}

export function listen(heard: Heard): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_WAIT_MS;
  let wasOpen = false;

  const open = () => {
    source = new EventSource(ADDRESS);
    source.addEventListener("open", () => {
      wait = FIRST_WAIT_MS;
      heard.connection("online");
      if (wasOpen) heard.changed(null);
      wasOpen = true;
    });
    source.addEventListener("figures", (event) => heard.figures(read(event) as Figures));
    source.addEventListener("changed", (event) => heard.changed((read(event) as { what: readonly Changed[] }).what));
    source.addEventListener("ended", (event) => {
      close();
      heard.ended((read(event) as { why: string }).why);
    });
    // By itself it would not come back from an answer that is no stream, and never wait longer.
    source.addEventListener("error", () => {
      source?.close();
      heard.connection("offline");
      timer = setTimeout(open, wait);
      wait = Math.min(LONGEST_WAIT_MS, wait * 2);
    });
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  open();
  return close;
}

function read(event: Event): unknown {
  return fromJson(JSON.parse((event as MessageEvent<string>).data));
}
