//! The consent window that a site opens. It shows who asks, as the browser says it, and answers that
//! origin alone. It never asks for a password: who is not signed in or not linked does that in a tab
//! of the console, and this window goes on by itself. The decisions are in `rules/opener` and
//! `rules/dwell`; this is their window.

import { effect, signal } from "@preact/signals";
import { Button, Fault, useAction } from "belfry-ui/controls.tsx";
import { Gate, Splash } from "belfry-ui/gate.tsx";
import { Hostile, Notice, Points, SiteMark } from "belfry-ui/parts.tsx";
import { oneLine } from "belfry-ui/rules/hostile.ts";
import { render, type JSX } from "preact";
import { useEffect } from "preact/hooks";
import { openModel } from "./live/model.ts";
import { Failure, type Model } from "./model.ts";
import { attend, mayApprove, wait, type Dwell } from "./rules/dwell.ts";
import { canAnswer, hear, type Opener, type Request } from "./rules/opener.ts";
import { text } from "./text.ts";

// Only to recognise its messages and to answer; nothing is ever read from it.
const openerWindow: Window | null = window.opener as Window | null;
const opener = signal<Opener>({ is: "waiting" });
const ended = signal<"approved" | "declined" | null>(null);
const dwell = signal<Dwell>({ since: null });
const approvable = signal(false);
const root = document.getElementById("root")!;
const words = text.consent;
/** How long "approved" stands there before the window closes. */
const CLOSES_AFTER_MS = 1500;

function answer(message: { belfry: "subscription"; subscription: unknown } | { belfry: "declined" | "error"; reason: string }): void {
  const target = canAnswer(opener.value);
  if (target) openerWindow?.postMessage(message, target);
}

function listen(): void {
  addEventListener("message", (event) => {
    const before = opener.value;
    const fromOpener = openerWindow !== null && event.source === openerWindow;
    opener.value = hear(before, { fromOpener, origin: event.origin, data: event.data });
    if (opener.value !== before && opener.value.is === "refused") answer({ belfry: "error", reason: opener.value.why });
  });
  // It says nothing but that somebody listens, so any page may hear it.
  openerWindow?.postMessage({ belfry: "ready" }, "*");
}

/** Feeds the dwell rule with what the window knows of itself. */
function watchAttention(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const weigh = () => {
    const now = performance.now();
    dwell.value = attend(dwell.peek(), { visible: document.visibilityState === "visible", focused: document.hasFocus() }, now);
    approvable.value = mayApprove(dwell.peek(), now);
    clearTimeout(timer);
    const left = wait(dwell.peek(), now);
    if (left !== null && !approvable.peek()) timer = setTimeout(weigh, left + 1);
  };
  for (const name of ["focus", "blur", "pageshow", "pagehide"]) addEventListener(name, weigh);
  document.addEventListener("visibilitychange", weigh);
  // What asks decides when the second begins: a window that waited for its page counts from the question.
  effect(() => {
    if (opener.value.is !== "asked") return;
    dwell.value = { since: null };
    weigh();
  });
}

function Consent({ model }: { model: Model }): JSX.Element {
  const state = opener.value;
  if (ended.value) return <Ended />;
  if (!openerWindow) return <Says title={words.noOpenerTitle} body={words.noOpenerBody} action={<a class="button primary wide" href="/">{words.console}</a>} />;
  if (state.is === "waiting") return <Says title={words.waitingTitle} body={words.waitingBody} action={<CloseButton />} />;
  if (state.is === "refused") return <Says title={words.refusedTitle} body={words.refused[state.why]} origin={state.origin} action={<CloseButton />} />;
  switch (model.phase.value) {
    case "starting": return <Splash />;
    case "signed-out":
    case "no-device": return <Elsewhere title={words.signInTitle} body={words.signInBody} />;
    case "unlinked": return <Elsewhere title={words.linkTitle} body={words.linkBody} />;
    case "ready": return <Asks model={model} request={state.request} />;
  }
}

function Asks({ model, request }: { model: Model; request: Request }): JSX.Element {
  const action = useAction();
  const had = (model.sites.value ?? []).filter((site) => site.site === request.origin).length;
  const approve = () => void action.run(async () => {
    // The rule is asked once more: what enabled the button may be a moment old.
    if (!mayApprove(dwell.value, performance.now())) return;
    try {
      const subscription: unknown = JSON.parse(await model.actions.approve(request.origin, null, { applicationServerKey: request.applicationServerKey, siteKey: request.siteKey }));
      answer({ belfry: "subscription", subscription });
      ended.value = "approved";
    } catch (error) {
      if (error instanceof Failure && error.kind === "again") throw new Failure("other", words.signInBody);
      throw error;
    }
  });
  const decline = () => {
    answer({ belfry: "declined", reason: "declined" });
    ended.value = "declined";
  };
  return (
    <Gate look="consent" foot={<>{words.signedInAs} <Hostile max={64}>{model.account.value?.username ?? "…"}</Hostile></>}>
      <h1 class="center">{words.title}</h1>
      <Origin origin={request.origin}><p class="soft">{words.asks}</p></Origin>
      <p class="soft small center">
        {words.verified}
        {request.name ? <> {words.callsItself} “<Hostile max={64}>{request.name}</Hostile>”.</> : null}
      </p>
      <Points items={[...words.points, ...(request.siteKey ? [words.sealed] : [])]} />
      {had > 0 ? <Notice icon="warn" look="warn"><p>{words.again(had)}</p></Notice> : null}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons">
        <Button onClick={decline}>{words.decline}</Button>
        <Button look="primary" busy={action.busy} disabled={!approvable.value && !action.busy} aria-describedby="wait" onClick={approve}>{words.approve}</Button>
      </div>
      <p class="soft small center" id="wait">{words.wait}</p>
    </Gate>
  );
}

function Origin({ origin, children }: { origin: string; children?: JSX.Element }): JSX.Element {
  const [scheme, ...host] = origin.split("://");
  return (
    <div class="origin">
      <SiteMark site={origin} />
      <p class="address" data-origin={origin}>
        {host.length > 0 ? <><span class="scheme">{scheme}://</span>{host.join("://")}</> : oneLine(origin)}
      </p>
      {children}
    </div>
  );
}

function Says({ title, body, origin, action }: { title: string; body: string; origin?: string; action: JSX.Element }): JSX.Element {
  return (
    <Gate>
      <h1 class="center">{title}</h1>
      {origin && origin !== "null" ? <Origin origin={origin} /> : null}
      <p class="soft center">{body}</p>
      {action}
    </Gate>
  );
}

function Elsewhere({ title, body }: { title: string; body: string }): JSX.Element {
  const asked = opener.value.is === "asked" ? opener.value.request.origin : null;
  return (
    <Gate>
      <h1 class="center">{title}</h1>
      {asked ? <Origin origin={asked}><p class="soft">{words.asks}</p></Origin> : null}
      <p class="soft center" role="status">{body}</p>
      <a class="button primary wide" href="/" target="_blank" rel="noopener noreferrer">{words.signInOpen}</a>
      <Button look="quiet wide" onClick={() => { answer({ belfry: "declined", reason: "declined" }); ended.value = "declined"; }}>{words.decline}</Button>
    </Gate>
  );
}

function Ended(): JSX.Element {
  const approved = ended.value === "approved";
  useEffect(() => {
    const closing = setTimeout(() => close(), CLOSES_AFTER_MS);
    return () => clearTimeout(closing);
  }, []);
  return <Says title={approved ? words.approvedTitle : words.declinedTitle} body={approved ? words.approvedBody : words.declinedBody} action={<CloseButton />} />;
}

function CloseButton(): JSX.Element {
  return <Button look="wide" onClick={() => close()}>{words.close}</Button>;
}

document.title = words.documentTitle;
render(<Splash />, root);
watchAttention();
listen();
openModel({ connect: false }).then(
  (model) => render(<Consent model={model} />, root),
  (error: unknown) => {
    console.error(error);
    answer({ belfry: "error", reason: "unavailable" });
    render(<Says title={words.failedTitle} body={text.failure.other} action={<CloseButton />} />, root);
  },
);
