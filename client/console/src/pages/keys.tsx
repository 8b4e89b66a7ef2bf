//! The keys: a way back, who reads along, and what the server was caught at.

import { Button, Fault, useAction } from "belfry-ui/controls.tsx";
import { Icon } from "belfry-ui/icons.tsx";
import { Hostile, Notice, PageHead, Points, SkeletonRows } from "belfry-ui/parts.tsx";
import { siteLabel } from "belfry-ui/rules/site.ts";
import type { JSX } from "preact";
import { go } from "../address.ts";
import type { Alarm } from "../model.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { PhraseDialog } from "./phrase.tsx";

export function KeysPage({ part }: { part: string | null }): JSX.Element {
  const model = useModel();
  const words = text.keys;
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <Alarms alarms={model.alarms.value} />
      <Recovery />
      <section class="card padded" aria-labelledby="verify">
        <div class="section-head">
          <h2 id="verify">{words.verify}</h2>
          <p class="soft">{words.verifyLead}</p>
        </div>
        <Fingerprints />
      </section>
      <section class="card padded" aria-labelledby="trust">
        <h2 id="trust">{words.trust}</h2>
        <Points items={words.trustPoints} icon="shield" />
      </section>
      {model.unopened.value > 0 ? <p class="soft small">{words.unopened}: {words.unopenedBody(model.unopened.value)}</p> : null}
      {part === "phrase" ? <PhraseDialog onClose={() => go("keys")} /> : null}
    </div>
  );
}

function Alarms({ alarms }: { alarms: readonly Alarm[] }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const words = text.keys;
  const recheck = <Button look="slim" busy={action.busy} onClick={() => void action.run(() => model.actions.checkKeyring())}>{words.recheck}</Button>;
  if (alarms.length === 0) {
    return (
      <Notice icon="shield">
        <p>{words.healthy}</p>
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        {recheck}
      </Notice>
    );
  }
  return (
    <section class="card padded" aria-labelledby="alarms">
      <div class="section-head">
        <h2 id="alarms">{words.alarms}</h2>
        <p class="soft">{words.alarmsLead}</p>
      </div>
      {alarms.map((alarm) => (
        <Notice key={`${alarm.kind} ${alarm.about ?? ""}`} icon="warn" look="bad">
          <p class="label">{words.kind[alarm.kind].title}</p>
          {alarm.about ? <p class="small">{words.about} <Hostile max={80}>{siteLabel(alarm.about)}</Hostile></p> : null}
          <p>{words.kind[alarm.kind].advice}</p>
          {alarm.count > 1 ? <p class="soft small">{words.times(alarm.count)}</p> : null}
        </Notice>
      ))}
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons">{recheck}</div>
    </section>
  );
}

function Recovery(): JSX.Element {
  const model = useModel();
  const words = text.keys;
  const state = model.recovery.value;
  const lead = { none: words.recoveryNone, made: words.recoveryMade, stale: words.recoveryStale }[state];
  return (
    <section class="card padded" aria-labelledby="recovery">
      <div class="section-head">
        <div class="row-title">
          <h2 id="recovery">{words.recovery}</h2>
          {state === "made" ? <span class="chip good">{words.recoverySet}</span> : null}
        </div>
        <p class={state === "stale" ? "" : "soft"}>{lead}{state === "made" ? ` ${words.replaceNote}` : ""}</p>
      </div>
      <div class="buttons">
        <Button look={state === "made" ? "" : "primary"} icon="key" onClick={() => go("keys", "phrase")}>{state === "none" ? words.make : words.replace}</Button>
      </div>
    </section>
  );
}

function Fingerprints(): JSX.Element {
  const model = useModel();
  const devices = model.devices.value;
  const words = text.keys;
  const own = (
    <li>
      <p class="row-title"><Icon name="device" /><span class="label">{words.thisDevice}</span></p>
      <p class="fingerprint" data-fingerprint="self">{model.fingerprint.value || "…"}</p>
    </li>
  );
  if (devices === null) return <SkeletonRows rows={1} />;
  return (
    <ul class="stack">
      {own}
      {devices.filter((device) => device.trusted && !device.self).map((device) => (
        <li key={device.id}>
          <p class="row-title"><Icon name="device" /><span class="label"><Hostile max={64}>{device.name}</Hostile></span></p>
          <p class="fingerprint">{device.fingerprint}</p>
        </li>
      ))}
    </ul>
  );
}
