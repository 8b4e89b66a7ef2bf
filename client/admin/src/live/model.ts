//! The model over a server: who is there, the feed while somebody is, and what changed.

import { signal } from "@preact/signals";
import { setupToken } from "../address.ts";
import { Failure, type Changed, type Connection, type Figures, type Model, type Phase, type Session } from "../model.ts";
import { actions } from "./actions.ts";
import { isUsed } from "./activity.ts";
import { listen } from "./feed.ts";
import { Http, Refusal } from "./http.ts";
import { reads } from "./reads.ts";

const NOTHING_CHANGED: Readonly<Record<Changed, number>> = { sites: 0, users: 0, bans: 0, limits: 0, audit: 0, tokens: 0, nodes: 0, account: 0 };

export async function openModel(): Promise<Model> {
  const http = new Http(isUsed);
  const phase = signal<Phase>("starting");
  const session = signal<Session | null>(null);
  const connection = signal<Connection>("connecting");
  const ended = signal<"expired" | "role" | null>(null);
  const figures = signal<Figures | null>(null);
  const changes = signal(NOTHING_CHANGED);
  let stop: () => void = () => undefined;

  const changed = (what: readonly Changed[]) => {
    const next = { ...changes.peek() };
    for (const one of what) if (one in next) next[one] += 1;
    changes.value = next;
  };
  const leave = (why: "expired" | "role" | null) => {
    stop();
    stop = () => undefined;
    session.value = null;
    figures.value = null;
    ended.value = why;
    phase.value = setupToken.peek() === null ? "signed-out" : "setting-up";
  };
  const readSession = async () => {
    session.value = await http.json<Session>("GET", "/session");
  };
  const enter = async () => {
    await readSession();
    ended.value = null;
    if (phase.peek() === "ready") return;
    phase.value = "ready";
    stop = listen({
      connection: (state) => {
        connection.value = state;
        // The feed does not say why it was refused; the session does.
        if (state === "offline") void readSession().catch(() => undefined);
      },
      figures: (now) => (figures.value = now),
      changed: (what) => changed(what ?? (Object.keys(NOTHING_CHANGED) as Changed[])),
      ended: (why) => leave(why === "expired" || why === "role" ? why : null),
    });
  };
  http.onSignedOut = (problem) => {
    if (phase.peek() !== "starting") leave(problem.ended);
  };
  const begin = async () => {
    phase.value = "starting";
    try {
      await enter();
    } catch (error) {
      if (error instanceof Refusal && error.problem.status === 401) leave(error.problem.ended);
      else if (error instanceof Failure) phase.value = "broken";
      else throw error;
    }
  };
  setupToken.subscribe((token) => {
    if (token === null && phase.peek() === "setting-up") phase.value = "signed-out";
    else if (token !== null && phase.peek() === "signed-out") phase.value = "setting-up";
  });
  await begin();
  return {
    phase, session, connection, ended, figures, changes,
    reads: reads(http),
    actions: actions(http, { changed, enter, left: () => leave(null), retry: () => void begin() }),
  };
}
