//! The limits and the retention: as configured, as set here, and what holds. A retention says what it
//! would remove now, and asks before a change removes anything.

import { useSignal } from "@preact/signals";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Empty, PageHead, Points } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import type { Removal, Setting, Unit } from "../model.ts";
import { Shown, Trouble } from "../parts/lists.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { undoing } from "../parts/undo.ts";
import { useRead } from "../read.ts";
import { bytes, inUnit, parsed, typed } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.limits;
const WRONG: Record<Unit, string> = { count: words.wrongCount, bytes: words.wrongBytes, seconds: words.wrongSeconds };

const nameOf = (setting: { name: string }) => words.names[setting.name] ?? setting.name;

/** What would go, in words; "" for nothing. */
function removalWords(removal: Removal | undefined): string {
  if (!removal) return "";
  return [
    removal.notifications > 0 ? `${words.removes.notifications(removal.notifications)} (${bytes(removal.bytes)})` : "",
    removal.devices > 0 ? words.removes.devices(removal.devices) : "",
    removal.users > 0 ? words.removes.users(removal.users) : "",
    removal.rows > 0 ? words.removes.rows(removal.rows) : "",
  ].filter(Boolean).join(", ");
}

export function LimitsPage(): JSX.Element {
  const model = useModel();
  const reading = useRead(() => model.reads.limits(), [], ["limits"]);
  const removals = useRead(() => model.reads.removals(), [], ["limits"]);
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <Shown reading={reading} rows={6}>
        {(settings) => (settings.length === 0 ? <Empty icon="settings" title={words.emptyTitle} /> : (
          <>
            <Group title={words.limits} settings={settings.filter((setting) => !setting.name.startsWith("retention."))} removals={null} />
            <Group title={words.retention} settings={settings.filter((setting) => setting.name.startsWith("retention."))} removals={removals.value ?? []} />
            {removals.fault && !reading.fault ? <Trouble fault={removals.fault} again={removals.again} busy={removals.busy} /> : null}
          </>
        ))}
      </Shown>
    </div>
  );
}

function Group({ title, settings, removals }: { title: string; settings: readonly Setting[]; removals: readonly Removal[] | null }): JSX.Element {
  const mayWrite = useMayWrite();
  const asking = useSignal<Setting | null>(null);
  const columns: Column<Setting>[] = [
    {
      key: "name", title: words.name,
      cell: (setting) => (
        <span class="two-lines">
          <span>{nameOf(setting)}</span>
          <code class="soft">{setting.name}</code>
          {words.hints[setting.name] ? <span class="hint">{words.hints[setting.name]}</span> : null}
          {removals ? <span class="hint">{removalWords(removals.find((one) => one.name === setting.name)) ? words.removal(removalWords(removals.find((one) => one.name === setting.name))) : words.removesNothing}</span> : null}
        </span>
      ),
    },
    { key: "configured", title: words.configured, number: true, cell: (setting) => inUnit(setting.configured, setting.unit) },
    { key: "set", title: words.set, number: true, cell: (setting) => (setting.set === null ? <span class="soft">{words.notSet}</span> : inUnit(setting.set, setting.unit)) },
    { key: "force", title: words.inForce, number: true, cell: (setting) => <span class="in-force"><b>{inUnit(setting.inForce, setting.unit)}</b>{setting.overrides > 0 ? <span class="chip">{words.overrides(setting.overrides)}</span> : null}</span> },
  ];
  if (mayWrite) columns.push({ key: "act", title: text.table.act, cell: (setting) => <Button look="quiet slim" aria-label={words.changeNamed(nameOf(setting))} onClick={() => (asking.value = setting)}>{words.change}</Button> });
  return (
    <section class="stack" aria-label={title}>
      <h2>{title}</h2>
      <Table label={title} columns={columns} rows={settings} idOf={(setting) => setting.name} />
      {asking.value ? <ChangeDialog setting={asking.value} onClose={() => (asking.value = null)} /> : null}
    </section>
  );
}

function ChangeDialog({ setting, onClose }: { setting: Setting; onClose: () => void }): JSX.Element {
  const model = useModel();
  const value = useSignal(setting.set === null ? "" : typed(setting.set, setting.unit));
  /** What it would remove, asked for what stands in the field. */
  const removes = useSignal<string | null>(null);
  const action = useAction();
  const isRetention = setting.name.startsWith("retention.");
  const least = inUnit(setting.minimum, setting.unit);
  const most = inUnit(setting.maximum, setting.unit);
  const submit = () => action.run(async () => {
    const wanted = value.value.trim() === "" ? null : parsed(value.value, setting.unit);
    if (wanted === null && value.value.trim() !== "") return action.fail(WRONG[setting.unit], "value");
    if (wanted !== null && (wanted < setting.minimum || wanted > setting.maximum)) return action.fail(words.outside(least, most), "value");
    if (isRetention && removes.value === null) {
      const would = await model.reads.removals({ [setting.name]: wanted ?? setting.configured });
      removes.value = removalWords(would.find((one) => one.name === setting.name));
      if (removes.value) return;
    }
    await model.actions.setLimits({ [setting.name]: wanted });
    onClose();
    // What was removed does not come back with the old value, so there is no undo that would say so.
    say(words.saved, removes.value ? null : undoing(() => model.actions.setLimits({ [setting.name]: setting.set })));
  });
  return (
    <Dialog title={nameOf(setting)} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.configuredHint(inUnit(setting.configured, setting.unit))} {words.hints[setting.name] ?? ""}</p>
        <TextField
          label={words.value} hint={words.valueHint(least, most)} autocomplete="off" placeholder={typed(setting.configured, setting.unit)} value={value.value}
          onText={(written) => { value.value = written; removes.value = null; action.clear(); }}
          fault={action.fault?.field === "value" || action.fault?.field === setting.name ? action.fault.message : null}
        />
        {action.fault && action.fault.field !== "value" && action.fault.field !== setting.name ? <Fault>{action.fault.message}</Fault> : null}
        {removes.value ? <div role="status"><Points items={[words.removePoint(removes.value)]} icon="warn" look="bad" /></div> : null}
        <SubmitOrCancel submit={removes.value ? words.removeSubmit : isRetention ? words.look : text.save} look={removes.value ? "danger" : "primary"} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
