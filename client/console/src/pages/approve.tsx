//! Approving a site by hand: its address, then the subscription to give it.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { CopyBox } from "belfry-ui/parts.tsx";
import { bytesOf } from "belfry-ui/rules/bytes.ts";
import { siteLabel, typedSite } from "belfry-ui/rules/site.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const SITE_KEY_BYTES = 32;

export function ApproveDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const origin = useSignal("");
  const name = useSignal("");
  const siteKey = useSignal("");
  const made = useSignal<string | null>(null);
  const action = useAction();
  const words = text.sites;
  const fault = (field: string) => (action.fault?.field === field ? action.fault.message : null);

  const submit = () => {
    const site = typedSite(origin.value);
    const key = siteKey.value.trim();
    if (!site) return action.fail(words.originWrong, "site");
    if (key && bytesOf(key)?.length !== SITE_KEY_BYTES) return action.fail(words.siteKeyWrong, "siteKey");
    void action.run(async () => {
      made.value = await fresh(() => model.actions.approve(site, name.value.trim() || null, { siteKey: key || null }));
    });
  };
  const done = () => {
    onClose();
    say(words.approved(siteLabel(typedSite(origin.value) ?? "")));
  };
  if (made.value !== null) {
    return (
      <Dialog title={words.subscription} onClose={done} firm>
        <p class="soft">{words.subscriptionLead}</p>
        <CopyBox name={text.sites.subscription} value={made.value} label={words.copyLabel} />
        <div class="buttons end"><Button onClick={done}>{text.done}</Button></div>
      </Dialog>
    );
  }
  return (
    <Dialog title={words.approve} onClose={onClose}>
      <Form onSubmit={submit}>
        <p class="soft">{words.approveLead}</p>
        <TextField label={words.origin} hint={words.originHint} inputMode="url" autocomplete="off" value={origin.value} onText={(value) => (origin.value = value)} fault={fault("site")} />
        <TextField label={`${words.name} (${text.sites.optional})`} autocomplete="off" maxLength={64} value={name.value} onText={(value) => (name.value = value)} fault={fault("name")} />
        <details open={fault("siteKey") !== null}>
          <summary>{words.advanced}</summary>
          <TextField label={`${words.siteKey} (${text.sites.optional})`} hint={words.siteKeyHint} autocomplete="off" mono value={siteKey.value} onText={(value) => (siteKey.value = value)} fault={fault("siteKey")} />
        </details>
        {action.fault && !["site", "name", "siteKey"].includes(action.fault.field ?? "") ? <Fault>{action.fault.message}</Fault> : null}
        <SubmitOrCancel submit={words.submit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
