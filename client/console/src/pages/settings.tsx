//! Settings: how this browser tells, when all devices are quiet, how it looks, and the account.

import { useSignal } from "@preact/signals";
import { Button, Fault, Field, Form, Segments, Switch, useAction } from "belfry-ui/controls.tsx";
import { Hostile, PageHead } from "belfry-ui/parts.tsx";
import { duration } from "belfry-ui/rules/times.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { installing } from "../install.ts";
import { prefer, preferences } from "../preferences.ts";
import { hashOf } from "../rules/route.ts";
import { idleDetection, requestIdleDetection } from "../idle.ts";
import { permission, requestPermission } from "../system.ts";
import { text } from "../text.ts";
import { EraseDialog, PasswordDialog, SignOutDialog } from "./account.tsx";
import { useModel } from "./context.ts";

const GRACES = [0, 10, 30, 60, 120, 300, 900, 3600];

export function SettingsPage(): JSX.Element {
  const words = text.settings;
  return (
    <div class="page settings">
      <PageHead title={words.title} />
      <section class="card padded" aria-labelledby="set-notify">
        <h2 id="set-notify">{words.notifications}</h2>
        <System />
        <Switch label={words.preview} hint={words.previewHint} checked={preferences.value.preview} onChange={(preview) => prefer({ preview })} />
      </section>
      <section class="card padded" aria-labelledby="set-away">
        <h2 id="set-away">{words.presence}</h2>
        <Grace />
        <Quiet />
        <Idle />
      </section>
      <section class="card padded" aria-labelledby="set-look">
        <h2 id="set-look">{words.appearance}</h2>
        <div class="setting">
          <div><span class="label">{words.theme}</span></div>
          <Segments label={words.theme} value={preferences.value.theme} options={[["auto", words.themes.auto], ["light", words.themes.light], ["dark", words.themes.dark]]} onChange={(theme) => prefer({ theme })} />
        </div>
        {installing.value ? (
          <div class="setting">
            <div><span class="label">{words.install}</span><span class="hint">{words.installHint}</span></div>
            <Button onClick={() => void installing.value?.prompt()}>{words.installButton}</Button>
          </div>
        ) : null}
        <div class="setting">
          <div><span class="label">{words.guide}</span><span class="hint">{words.guideHint}</span></div>
          <a class="button" href={hashOf("welcome")}>{words.guideButton}</a>
        </div>
      </section>
      <Account />
    </div>
  );
}

function System(): JSX.Element {
  const words = text.settings;
  const state = permission.value;
  const hint = state === "denied" ? words.systemDenied : state === "missing" ? words.systemMissing : words.systemHint;
  const turn = async (system: boolean) => {
    prefer({ system });
    if (system && state === "default") await requestPermission();
  };
  return <Switch label={words.system} hint={hint} disabled={state === "denied" || state === "missing"} checked={state === "granted" && preferences.value.system} onChange={(on) => void turn(on)} />;
}

function Grace(): JSX.Element {
  const model = useModel();
  const action = useAction();
  const words = text.settings;
  const account = model.account.value;
  const grace = account?.awayGrace;
  if (account && grace === undefined) return <p class="soft">{words.grace}: {words.graceMissing}</p>;
  const options = grace === null || grace === undefined || GRACES.includes(grace) ? GRACES : [...GRACES, grace].sort((a, b) => a - b);
  return (
    <Field label={words.grace} hint={words.graceHint} fault={action.fault?.message}>
      {(attributes) => (
        <select
          {...attributes}
          class="input select"
          disabled={!account || action.busy}
          value={grace === null || grace === undefined ? "" : String(grace)}
          onChange={(event) => {
            const { value } = event.currentTarget;
            void action.run(async () => {
              await model.actions.setAwayGrace(value === "" ? null : Number(value));
              say(words.saved);
            });
          }}
        >
          <option value="">{words.graceDefault}</option>
          {options.map((seconds) => <option key={seconds} value={String(seconds)}>{seconds === 0 ? words.graceNone : duration(seconds)}</option>)}
        </select>
      )}
    </Field>
  );
}

function Quiet(): JSX.Element {
  const model = useModel();
  const hours = model.quietHours.value;
  const from = useSignal(hours?.from ?? "22:00");
  const to = useSignal(hours?.to ?? "07:00");
  const action = useAction();
  const words = text.settings;
  const save = () => {
    if (from.value === to.value) return action.fail(words.quietWrong);
    void action.run(async () => {
      await model.actions.setQuietHours({ from: from.value, to: to.value });
      say(words.quietSaved);
    });
  };
  const turn = (on: boolean) => (on ? save() : void action.run(() => model.actions.setQuietHours(null)));
  return (
    <div class="stack">
      <Switch label={words.quiet} hint={words.quietHint} checked={hours !== null} disabled={action.busy} onChange={turn} />
      {hours ? (
        <Form onSubmit={save} label={words.quiet}>
          <div class="times">
            <Field label={words.from}>{(attributes) => <input {...attributes} class="input" type="time" required value={from.value} onInput={(event) => (from.value = event.currentTarget.value)} />}</Field>
            <Field label={words.to}>{(attributes) => <input {...attributes} class="input" type="time" required value={to.value} onInput={(event) => (to.value = event.currentTarget.value)} />}</Field>
            <Button type="submit" busy={action.busy} aria-disabled={from.value === hours.from && to.value === hours.to}>{text.save}</Button>
          </div>
        </Form>
      ) : null}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
    </div>
  );
}

/** Where the browser has Idle Detection, it is asked for by a click; it is taken back in the browser. */
function Idle(): JSX.Element | null {
  const state = idleDetection.value;
  if (state === "missing") return null;
  const words = text.settings;
  return <Switch label={words.idle} hint={words.idleHint} checked={state === "granted"} disabled={state !== "prompt"} onChange={() => void requestIdleDetection()} />;
}

function Account(): JSX.Element {
  const model = useModel();
  const asking = useSignal<"password" | "out" | "erase" | null>(null);
  const words = text.settings;
  const close = () => {
    asking.value = null;
  };
  return (
    <section class="card padded" aria-labelledby="set-account">
      <h2 id="set-account">{words.account}</h2>
      <div class="setting">
        <div><span class="hint">{words.signedInAs}</span><span class="label"><Hostile max={64}>{model.account.value?.username ?? "…"}</Hostile></span></div>
        <Button icon="out" onClick={() => (asking.value = "out")}>{words.signOut}</Button>
      </div>
      <div class="setting">
        <div><span class="label">{words.password}</span><span class="hint">{words.passwordHint}</span></div>
        <Button onClick={() => (asking.value = "password")}>{words.changePassword}</Button>
      </div>
      <div class="setting">
        <div><span class="label">{words.erase}</span><span class="hint">{words.eraseHint}</span></div>
        <Button look="danger-quiet" onClick={() => (asking.value = "erase")}>{words.erase}</Button>
      </div>
      {asking.value === "password" ? <PasswordDialog onClose={close} /> : null}
      {asking.value === "out" ? <SignOutDialog onClose={close} /> : null}
      {asking.value === "erase" ? <EraseDialog onClose={close} /> : null}
    </section>
  );
}
