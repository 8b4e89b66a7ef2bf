//! Blocking: what it would do is asked of the server and said before it is done; lifting it can be undone.

import { useSignal } from "@preact/signals";
import { Button, Fault, Field, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Hostile, Notice, Points } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Ban, BanDraft, BanKind, Consequence, Model } from "../model.ts";
import { useModel } from "../pages/context.ts";
import { text } from "../text.ts";
import { EndField, useEnding } from "./end-field.tsx";
import { Until } from "./lists.tsx";
import { undoing } from "./undo.ts";

const REASON_CHARS_MAX = 200;
const KINDS: readonly BanKind[] = ["site", "vapid", "user", "address"];

interface BanDialogProps {
  /** Fixed where it is one site or user that is to be blocked; `null`: all of it is asked. */
  readonly about: { readonly kind: BanKind; readonly value: string; readonly label: string } | null;
  readonly onClose: () => void;
}

export function BanDialog({ about, onClose }: BanDialogProps): JSX.Element {
  const model = useModel();
  const words = text.bans;
  const kind = useSignal<BanKind>(about?.kind ?? "site");
  const value = useSignal(about?.value ?? "");
  const reason = useSignal("");
  const ending = useEnding("never");
  const consequence = useSignal<Consequence | null>(null);
  const action = useAction();
  const draft = (ends: number | null): BanDraft => ({ kind: kind.value, value: value.value.trim(), reason: reason.value.trim(), ends });
  const label = about?.label ?? value.value.trim();
  // What it would do holds for one thing alone.
  const ask = (change: () => void) => {
    change();
    consequence.value = null;
    action.clear();
  };
  const look = () => action.run(async () => {
    consequence.value = await model.reads.consequence(draft(null));
  });
  useEffect(() => {
    if (about) void look();
  }, []);
  const submit = () => action.run(async () => {
    const ends = ending.at();
    if (ends === undefined) return action.fail(text.ends.wrong, "ends");
    if (!value.value.trim()) return action.fail(words.valueMissing, "value");
    if (!consequence.value) {
      consequence.value = await model.reads.consequence(draft(ends));
      return;
    }
    const made = await model.actions.ban(draft(ends));
    onClose();
    say(words.made(made.label), undoing(() => model.actions.liftBan(made.id)));
  });
  const field = (name: string) => (action.fault?.field === name ? action.fault.message : null);
  const elsewhere = action.fault && !["value", "reason", "ends"].includes(action.fault.field ?? "") ? action.fault.message : null;
  return (
    <Dialog title={about ? words.makeNamed(about.label) : words.make} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        {about ? null : (
          <>
            <Field label={words.kind}>
              {(attributes) => (
                <select {...attributes} class="input" value={kind.value} onChange={(event) => { const chosen = event.currentTarget.value as BanKind; ask(() => (kind.value = chosen)); }}>
                  {KINDS.map((one) => <option key={one} value={one}>{words.kinds[one]}</option>)}
                </select>
              )}
            </Field>
            <TextField label={words.values[kind.value]} hint={words.valueHints[kind.value]} autocomplete="off" value={value.value} onText={(typed) => ask(() => (value.value = typed))} fault={field("value")} mono={kind.value !== "user"} />
          </>
        )}
        <TextField label={words.reason} hint={words.reasonHints[kind.value]} maxLength={REASON_CHARS_MAX} autocomplete="off" value={reason.value} onText={(typed) => (reason.value = typed)} fault={field("reason")} />
        <EndField label={words.ends} ending={ending} choices={["never", "hour", "day", "week", "month", "date"]} fault={field("ends")} />
        {elsewhere ? <Fault>{elsewhere}</Fault> : null}
        {consequence.value ? <Follows kind={kind.value} label={label} consequence={consequence.value} /> : null}
        <SubmitOrCancel submit={consequence.value ? words.submit : words.next} look={consequence.value ? "danger" : "primary"} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function Follows({ kind, label, consequence }: { kind: BanKind; label: string; consequence: Consequence }): JSX.Element {
  const words = text.bans;
  const box = useRef<HTMLDivElement>(null);
  // On a phone the dialog is longer than the screen, and what is to be read would be below.
  useEffect(() => box.current?.closest("dialog")?.scrollTo(0, box.current.closest("dialog")!.scrollHeight), []);
  const { connections, permissions, vapidKeys, sites, users, admins } = consequence;
  const points = [
    words.follows[kind],
    permissions > 0 ? words.wouldRefuse(permissions) : "",
    vapidKeys > 0 ? words.wouldCover(vapidKeys) : "",
    sites > 0 && kind === "vapid" ? words.wouldConcernSites(sites) : "",
    users > 0 && kind === "address" ? words.wouldConcernUsers(users) : "",
    connections > 0 ? words.wouldEnd(connections) : words.wouldEndNone,
  ].filter(Boolean);
  return (
    <div class="stack" role="status" ref={box}>
      <p class="label">{words.followsTitle} <Hostile max={120}>{label}</Hostile></p>
      <Points items={points} icon="warn" look="bad" />
      {admins > 0 ? <Notice icon="warn" look="bad"><p>{words.concernsAdmins(admins)}</p></Notice> : null}
    </div>
  );
}

/** Takes it away, and says how to put it back. */
export async function lift(model: Model, ban: Ban): Promise<void> {
  try {
    await model.actions.liftBan(ban.id);
    say(text.bans.lifted(ban.label), undoing(() => model.actions.ban({ kind: ban.kind, value: ban.value, reason: ban.reason, ends: ban.ends })));
  } catch (error) {
    say(error instanceof Error ? error.message : text.wrong);
  }
}

export function EditBan({ ban, onClose }: { ban: Ban; onClose: () => void }): JSX.Element {
  const model = useModel();
  const words = text.bans;
  const reason = useSignal(ban.reason);
  const ending = useEnding("never", ban.ends);
  const action = useAction();
  const submit = () => action.run(async () => {
    const ends = ending.at();
    if (ends === undefined) return action.fail(text.ends.wrong, "ends");
    await model.actions.changeBan(ban.id, { reason: reason.value.trim(), ends });
    onClose();
    say(text.saved, undoing(() => model.actions.changeBan(ban.id, { reason: ban.reason, ends: ban.ends })));
  });
  const fault = action.fault;
  return (
    <Dialog title={words.editNamed(ban.label)} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <TextField label={words.reason} hint={words.reasonHints[ban.kind]} maxLength={REASON_CHARS_MAX} autocomplete="off" value={reason.value} onText={(typed) => (reason.value = typed)} />
        <EndField label={words.ends} ending={ending} choices={["never", "hour", "day", "week", "month", "date"]} fault={fault?.field === "ends" ? fault.message : null} />
        {fault && fault.field !== "ends" ? <Fault>{fault.message}</Fault> : null}
        <SubmitOrCancel submit={text.save} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

/** On the page of a site or user that is blocked. */
export function Blocked({ ban, mayWrite }: { ban: Ban; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const words = text.bans;
  return (
    <Notice icon="ban" look="bad">
      <p><b>{words.blockedBy(ban.author)}</b> <Until at={ban.ends} none={words.untilLifted} /></p>
      {ban.reason ? <p><Hostile max={REASON_CHARS_MAX}>{ban.reason}</Hostile></p> : null}
      {mayWrite ? <Button look="slim" busy={action.busy} onClick={() => void action.run(() => lift(model, ban))}>{words.lift}</Button> : null}
    </Notice>
  );
}
