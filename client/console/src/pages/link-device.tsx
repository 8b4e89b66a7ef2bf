//! A linked device lets a new one in: the code, then who asks, then the user's word.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Icon } from "belfry-ui/icons.tsx";
import { Hostile } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { scannedCode } from "../address.ts";
import type { LinkRequest } from "../model.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

export function LinkDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const code = useSignal("");
  const request = useSignal<LinkRequest | null>(null);
  const action = useAction();
  const words = text.devices;
  const find = () => void action.run(async () => {
    request.value = await model.actions.readLinkRequest(code.value);
  });
  useEffect(() => {
    if (scannedCode.value === null) return;
    code.value = scannedCode.value;
    scannedCode.value = null;
    find();
  }, []);

  const asked = request.value;
  if (asked) return <Confirmation request={asked} onClose={onClose} />;
  return (
    <Dialog title={words.link} onClose={onClose}>
      <Form onSubmit={find}>
        <p class="soft">{words.linkLead}</p>
        <TextField label={words.linkLabel} hint={words.linkHint} mono autocomplete="off" placeholder="XKQ2-7M4D-…" value={code.value} onText={(value) => { code.value = value; action.clear(); }} fault={action.fault?.message} />
        <SubmitOrCancel submit={words.linkFind} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function Confirmation({ request, onClose }: { request: LinkRequest; onClose: () => void }): JSX.Element {
  const action = useAction();
  const words = text.devices;
  const decline = () => {
    void request.decline().catch(() => undefined);
    onClose();
    say(words.linkDeclined);
  };
  return (
    <Dialog title={words.linkConfirm} onClose={decline}>
      <div class="preview">
        <span class="mark device"><Icon name="device" size={22} /></span>
        <div>
          <p class="label"><Hostile max={64}>{request.name}</Hostile></p>
          <p class="soft small">{words.kinds[request.kind] ?? request.kind}</p>
          <p class="fingerprint" aria-label={words.fingerprint}>{request.fingerprint}</p>
        </div>
      </div>
      <p class="soft">{words.linkConfirmLead}</p>
      {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      <div class="buttons end">
        <Button onClick={decline}>{words.linkDecline}</Button>
        <Button
          look="primary"
          busy={action.busy}
          onClick={() => void action.run(async () => {
            await fresh(() => request.approve());
            onClose();
            say(words.linkDone(request.name));
          })}
        >
          {words.linkSubmit}
        </Button>
      </div>
    </Dialog>
  );
}
