//! The first run: what this is, system notifications, a way back, and a real notification.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, useAction } from "belfry-ui/controls.tsx";
import { Icon } from "belfry-ui/icons.tsx";
import { Notice, Points } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { go } from "../address.ts";
import { prefer } from "../preferences.ts";
import { permission, requestPermission } from "../system.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { PhraseDialog } from "./phrase.tsx";

const STEPS = 4;
/** After this the guide says that something is wrong; it goes on listening. */
const PATIENCE_MS = 15_000;

export function WelcomePage(): JSX.Element {
  const at = useSignal(0);
  const arrived = useSignal(false);
  const words = text.welcome;
  const heading = useRef<HTMLDivElement>(null);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else heading.current?.querySelector<HTMLElement>("h1, h2")?.focus();
  }, [at.value]);
  const next = () => {
    at.value += 1;
  };
  const finish = () => {
    prefer({ welcomed: true });
    go("inbox");
  };
  return (
    <div class="page">
      <ol class="steps" aria-label={words.step(at.value + 1, STEPS)}>
        {Array.from({ length: STEPS }, (_, step) => <li key={step} class={step <= at.value ? "done" : ""} aria-current={step === at.value ? "step" : undefined} />)}
      </ol>
      <div class="guide" ref={heading}>
        {at.value === 0 ? (
          <>
            <h1 tabIndex={-1}>{words.title}</h1>
            <p>{words.intro}</p>
            <Points items={words.points} />
            <Button look="primary" onClick={next}>{words.begin}</Button>
          </>
        ) : null}
        {at.value === 1 ? <Notify onNext={next} /> : null}
        {at.value === 2 ? <WayBack onNext={next} /> : null}
        {at.value === 3 ? <Test onFinish={finish} onArrived={() => (arrived.value = true)} /> : null}
        {arrived.value ? null : <Button look="quiet slim" onClick={finish}>{words.skip}</Button>}
      </div>
    </div>
  );
}

function Notify({ onNext }: { onNext: () => void }): JSX.Element {
  const words = text.welcome;
  const state = permission.value;
  return (
    <>
      <h1 tabIndex={-1}>{words.notifyTitle}</h1>
      <p>{words.notifyBody}</p>
      {state === "granted" ? <Notice icon="check" live><p>{words.notifyAllowed}</p></Notice> : null}
      {state === "denied" ? <Notice icon="warn" look="warn" live><p>{words.notifyDenied}</p></Notice> : null}
      {state === "missing" ? <Notice icon="warn" look="warn"><p>{words.notifyMissing}</p></Notice> : null}
      <div class="buttons">
        {state === "default" ? <Button look="primary" icon="bell" onClick={() => void requestPermission()}>{words.notifyAllow}</Button> : null}
        <Button look={state === "default" ? "" : "primary"} onClick={onNext}>{state === "default" ? words.later : words.next}</Button>
      </div>
    </>
  );
}

function WayBack({ onNext }: { onNext: () => void }): JSX.Element {
  const model = useModel();
  const making = useSignal(false);
  const words = text.welcome;
  const made = model.recovery.value === "made";
  return (
    <>
      <h1 tabIndex={-1}>{words.keysTitle}</h1>
      <p>{words.keysBody}</p>
      {made ? <Notice icon="check" live><p>{words.keysMade}</p></Notice> : null}
      <div class="buttons">
        {made ? null : <Button look="primary" icon="key" onClick={() => (making.value = true)}>{words.keysMake}</Button>}
        <Button look={made ? "primary" : ""} onClick={onNext}>{made ? words.next : words.later}</Button>
      </div>
      {making.value ? <PhraseDialog onClose={() => (making.value = false)} /> : null}
    </>
  );
}

function Test({ onFinish, onArrived }: { onFinish: () => void; onArrived: () => void }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const state = useSignal<"ready" | "waiting" | "late" | "arrived">("ready");
  const took = useSignal(0);
  const posted = useRef(0);
  const words = text.welcome;
  useEffect(() => model.onArrival((item) => {
    if (posted.current === 0 || item.title !== words.testNoteTitle) return;
    took.value = Math.round(performance.now() - posted.current);
    posted.current = 0;
    state.value = "arrived";
    onArrived();
  }), []);
  useEffect(() => {
    if (state.value !== "waiting") return;
    const late = setTimeout(() => (state.value = "late"), PATIENCE_MS);
    return () => clearTimeout(late);
  }, [state.value]);
  const send = () => void action.run(async () => {
    state.value = "ready";
    await fresh(() => model.actions.sendTest(words.testNoteTitle, words.testNoteBody, () => {
      posted.current = performance.now();
    }));
    if (posted.current !== 0) state.value = "waiting";
  });
  const arrived = state.value === "arrived";
  return (
    <>
      <h1 tabIndex={-1}>{words.testTitle}</h1>
      <p>{words.testBody}</p>
      <div class="preview" role="status">
        <span class="mark device"><Icon name={arrived ? "check" : "bell"} size={22} /></span>
        <div>
          {arrived ? (
            <>
              <p class="label">{words.testNoteTitle}</p>
              <p class="soft">{words.testArrived(took.value)}</p>
            </>
          ) : <p class="soft">{state.value === "waiting" ? words.testWaiting : state.value === "late" ? words.testMissing : words.testName}</p>}
        </div>
      </div>
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons">
        <Button look={arrived ? "" : "primary"} icon="bell" busy={action.busy || state.value === "waiting"} onClick={send}>{arrived ? words.testAgain : words.testSend}</Button>
        {arrived ? <Button look="primary" onClick={onFinish}>{words.finish}</Button> : null}
      </div>
    </>
  );
}
