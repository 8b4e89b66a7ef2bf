//! What the pages read, of `/admin/v1`.

import type { Listed, Reads, Removal, Series } from "../model.ts";
import { query, type Http } from "./http.ts";
import { timeWords } from "./shape.ts";

/** Lists of one page: so many links or tokens at most are shown. */
const WHOLE = 200;

const path = (part: string) => encodeURIComponent(part);

export function reads(http: Http): Reads {
  const items = async <Item>(address: string) => (await http.json<Listed<Item>>("GET", address)).items;
  return {
    async series(metrics, span, site) {
      const asked = [...metrics.map((metric) => `metric=${path(metric)}`), `from=${path(timeWords(span.from))}`, `to=${path(timeWords(span.to))}`, ...(site ? [`site=${path(site)}`] : [])];
      const { from, stepSeconds, values } = await http.json<{ from: number; stepSeconds: number; values: Series["values"] }>("GET", `/series?${asked.join("&")}`);
      return { from, stepMs: stepSeconds * 1000, values };
    },
    sites: (asked) => http.json("GET", `/sites${query({ ...asked })}`),
    site: (site) => http.json("GET", `/sites/${path(site)}`),
    users: (asked) => http.json("GET", `/users${query({ ...asked })}`),
    user: (id) => http.json("GET", `/users/${path(id)}`),
    links: () => http.json("GET", `/links${query({ limit: WHOLE })}`),
    bans: (asked) => http.json("GET", `/bans${query({ ...asked })}`),
    consequence: (draft) => http.json("POST", "/bans?dry_run=true", banBody(draft)),
    bansCsv: () => http.text("/bans.csv"),
    limits: () => items("/limits"),
    removals: async (instead) => (instead ? (await http.json<Listed<Removal>>("PUT", "/limits?dry_run=true", instead)).items : items<Removal>("/retention")),
    apns: () => http.json("GET", "/apns"),
    nodes: () => items("/nodes"),
    audit: (asked) => http.json("GET", `/audit${query({ ...asked })}`),
    auditNdjson: () => http.text("/audit.ndjson"),
    tokens: () => http.json("GET", `/tokens${query({ limit: WHOLE })}`),
    trace: (message) => http.json("POST", "/trace", { message }),
    account: () => http.json("GET", "/account"),
    sessions: () => http.json("GET", `/sessions${query({ limit: WHOLE })}`),
  };
}

export function banBody(draft: { kind: string; value: string; reason: string; ends: number | null }): object {
  return { ...draft, ends: endBody(draft.ends) };
}

export function endBody(at: number | null): string | null {
  return at === null ? null : timeWords(at);
}
