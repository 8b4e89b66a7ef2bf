//! The user's devices: who is here, linking a new one, what each is called and is sent, removing.

import type { Urgency } from "@belfry/client";
import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Field } from "belfry-ui/controls.tsx";
import { Confirm, Rename } from "belfry-ui/dialog.tsx";
import { Icon } from "belfry-ui/icons.tsx";
import { now } from "belfry-ui/now.ts";
import { Empty, Hostile, Notice, PageHead, SkeletonRows } from "belfry-ui/parts.tsx";
import { ago } from "belfry-ui/rules/times.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { go } from "../address.ts";
import type { Device } from "../model.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { Trouble } from "./inbox.tsx";
import { LinkDialog } from "./link-device.tsx";

type Asking = { readonly what: "edit" | "remove"; readonly device: Device };

export function DevicesPage({ part }: { part: string | null }): JSX.Element {
  const model = useModel();
  const asking = useSignal<Asking | null>(null);
  const words = text.devices;
  const devices = model.devices.value;
  const close = () => {
    asking.value = null;
  };
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>
        <Button look="primary" icon="plus" onClick={() => go("devices", "link")}>{words.link}</Button>
      </PageHead>
      {model.trouble.value ? <Trouble /> : null}
      {devices === null ? <SkeletonRows /> : null}
      {devices?.length === 0 ? <Empty icon="device" title={words.emptyTitle}>{words.emptyBody}</Empty> : null}
      {devices?.length ? (
        <ul class="card rows">
          {devices.map((device) => <DeviceRow key={device.id} device={device} ask={(what) => (asking.value = { what, device })} />)}
        </ul>
      ) : null}
      {part === "link" ? <LinkDialog onClose={() => go("devices")} /> : null}
      {asking.value?.what === "edit" ? <EditDevice device={asking.value.device} onClose={close} /> : null}
      {asking.value?.what === "remove" ? <RemoveDevice device={asking.value.device} onClose={close} /> : null}
    </div>
  );
}

function DeviceRow({ device, ask }: { device: Device; ask: (what: Asking["what"]) => void }): JSX.Element {
  const words = text.devices;
  const away = device.online && device.presence === "away";
  return (
    <li>
      <article class="row" aria-label={device.name} data-device={device.id}>
        <span class="mark device"><Icon name="device" size={22} /></span>
        <div class="row-main">
          <div class="row-title">
            <h2><Hostile max={64}>{device.name}</Hostile></h2>
            {device.self ? <span class="chip good">{words.self}</span> : null}
            {device.urgencyMin === "very-low" ? null : <span class="chip">{words.urgencyChips[device.urgencyMin]}</span>}
            {device.trusted ? null : <span class="chip warn">{words.untrusted}</span>}
          </div>
          <div class="facts">
            <span class="link-state"><span class={`dot ${away ? "wait" : device.online ? "on" : ""}`} />{away ? words.away : device.online ? words.online : words.offline}</span>
            <span>{words.kinds[device.kind] ?? device.kind}</span>
            {device.online ? null : <span>{device.lastSeen === null ? words.neverSeen : words.lastSeen(ago(device.lastSeen, now.value))}</span>}
          </div>
        </div>
        <div class="row-side">
          <div class="buttons">
            <Button look="quiet slim" aria-label={words.editNamed(device.name)} onClick={() => ask("edit")}>{words.edit}</Button>
            {device.self ? null : <Button look="danger-quiet slim" aria-label={words.removeNamed(device.name)} onClick={() => ask("remove")}>{words.remove}</Button>}
          </div>
        </div>
        {device.trusted ? null : <Notice icon="warn" look="warn"><p>{words.untrustedBody}</p></Notice>}
      </article>
    </li>
  );
}

interface DeviceDialogProps {
  device: Device;
  onClose: () => void;
}

function EditDevice({ device, onClose }: DeviceDialogProps): JSX.Element {
  const model = useModel();
  const urgency = useSignal(device.urgencyMin);
  const words = text.devices;
  const work = async (name: string) => {
    if (name !== device.name) await model.actions.renameDevice(device.id, name);
    if (urgency.value !== device.urgencyMin) await model.actions.setUrgencyMin(device.id, urgency.value);
    say(text.settings.saved);
  };
  return (
    <Rename title={words.editTitle} label={words.editName} name={device.name} work={work} onClose={onClose}>
      <Field label={words.urgency} hint={words.urgencyHint}>
        {(attributes) => (
          <select {...attributes} class="input select" value={urgency.value} onChange={(event) => (urgency.value = event.currentTarget.value as Urgency)}>
            {Object.entries(words.urgencies).map(([value, label]) => <option key={value} value={value}>{label}</option>)}
          </select>
        )}
      </Field>
    </Rename>
  );
}

function RemoveDevice({ device, onClose }: DeviceDialogProps): JSX.Element {
  const model = useModel();
  const work = async () => {
    await fresh(() => model.actions.removeDevice(device.id));
    say(text.devices.removed(device.name));
  };
  return <Confirm title={text.devices.removeTitle(device.name)} points={text.devices.removePoints} submit={text.devices.remove} work={work} onClose={onClose} />;
}
