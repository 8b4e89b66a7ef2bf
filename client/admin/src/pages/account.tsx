//! The account of whoever looks: password, second factors, sessions. A viewer may change their own too.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, PasswordField, Segments, TextField, useAction, WhoseForm } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { now } from "belfry-ui/now.ts";
import { Hostile, PageHead, QrCode } from "belfry-ui/parts.tsx";
import { day } from "belfry-ui/rules/times.ts";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Account, AdminSession, Passkey, TotpOffer } from "../model.ts";
import { Ago, Shown, Until } from "../parts/lists.tsx";
import { chooseTheme, theme } from "../preferences.ts";
import { useRead } from "../read.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { hasPasskeys } from "./sign-in.tsx";

const words = text.account;

type Asking = "password" | "totp" | "totp-end" | "passkey" | "everywhere" | Passkey | null;

export function AccountPage(): JSX.Element {
  const model = useModel();
  const session = model.session.value;
  const asking = useSignal<Asking>(null);
  const out = useAction();
  const reading = useRead(() => model.reads.account(), [], ["account"]);
  const close = () => {
    asking.value = null;
  };
  const done = (work: () => Promise<void>, said: string) => async () => {
    await fresh(work);
    say(said);
  };
  const asked = asking.value;
  return (
    <div class="page settings">
      <PageHead title={words.title} />
      <section class="card padded" aria-label={words.signedIn}>
        <div class="setting">
          <div><span class="hint">{words.signedIn}</span><span class="label"><Hostile max={64}>{session?.username ?? ""}</Hostile> · {text.roles[session?.role ?? "viewer"]}</span></div>
          <Button icon="out" busy={out.busy} onClick={() => void out.run(() => model.actions.signOut())}>{words.signOut}</Button>
        </div>
        {out.fault ? <Fault>{out.fault.message}</Fault> : null}
        <div class="setting">
          <div><span class="label">{words.theme}</span></div>
          <Segments label={words.theme} value={theme.value} options={[["auto", words.themes.auto], ["light", words.themes.light], ["dark", words.themes.dark]]} onChange={chooseTheme} />
        </div>
        <div class="setting">
          <div><span class="label">{words.password}</span><span class="hint">{words.passwordHint}</span></div>
          <Button onClick={() => (asking.value = "password")}>{words.changePassword}</Button>
        </div>
      </section>
      <Shown reading={reading}>{(account) => <Factors account={account} ask={(what) => (asking.value = what)} />}</Shown>
      <Sessions onEverywhere={() => (asking.value = "everywhere")} />
      {asked === "password" ? <PasswordDialog onClose={close} /> : null}
      {asked === "totp" ? <TotpDialog onClose={close} /> : null}
      {asked === "totp-end" ? <Confirm title={words.totpEndTitle} points={words.totpEndPoints} submit={words.totpEnd} work={done(() => model.actions.endTotp(), words.totpEnded)} onClose={close} /> : null}
      {asked === "passkey" ? <PasskeyDialog onClose={close} /> : null}
      {asked === "everywhere" ? <Confirm title={words.everywhereTitle} points={words.everywherePoints} submit={words.everywhere} work={() => model.actions.signOutEverywhere()} onClose={close} /> : null}
      {asked !== null && typeof asked === "object" ? <Confirm title={words.passkeyEndTitle(asked.name)} points={words.passkeyEndPoints} submit={words.passkeyEnd} work={done(() => model.actions.endPasskey(asked.id), words.passkeyEnded)} onClose={close} /> : null}
    </div>
  );
}

function Factors({ account, ask }: { account: Account; ask: (what: Asking) => void }): JSX.Element {
  return (
    <section class="card padded" aria-labelledby="second">
      <div class="section-head"><h2 id="second">{words.second}</h2><p class="hint">{words.secondLead}</p></div>
      <div class="setting">
        <div><span class="label">{words.totp}</span><span class="hint">{account.totpSince === null ? words.totpOff : words.totpOn(day(account.totpSince, now.value))}</span></div>
        {account.totpSince === null ? <Button onClick={() => ask("totp")}>{words.totpAdd}</Button> : <Button look="danger-quiet" onClick={() => ask("totp-end")}>{words.totpEnd}</Button>}
      </div>
      <div class="stack">
        <div class="setting">
          <div><span class="label">{words.passkeys}</span><span class="hint">{hasPasskeys ? words.passkeysHint : text.signIn.passkeyMissing}</span></div>
          {hasPasskeys ? <Button onClick={() => ask("passkey")}>{words.passkeyAdd}</Button> : null}
        </div>
        {account.passkeys.length === 0 ? null : (
          <ul class="lines">
            {account.passkeys.map((passkey) => (
              <li key={passkey.id} data-id={passkey.id}>
                <div><b><Hostile max={64}>{passkey.name}</Hostile></b><span class="hint">{words.passkeyUsed} <Ago at={passkey.lastUsed} /></span></div>
                <Button look="danger-quiet slim" aria-label={words.passkeyEndNamed(passkey.name)} onClick={() => ask(passkey)}>{words.passkeyEnd}</Button>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function Sessions({ onEverywhere }: { onEverywhere: () => void }): JSX.Element {
  const model = useModel();
  const reading = useRead(() => model.reads.sessions(), [], ["account"]);
  return (
    <section class="card padded" aria-labelledby="sessions">
      <div class="setting">
        <div><h2 id="sessions">{words.sessions}</h2><span class="hint">{words.sessionsLead}</span></div>
        <Button look="danger-quiet" onClick={onEverywhere}>{words.everywhere}</Button>
      </div>
      <Shown reading={reading} rows={2}>
        {({ items }) => <ul class="lines">{items.map((session) => <SessionLine key={session.id} session={session} />)}</ul>}
      </Shown>
      {model.session.value ? <p class="hint">{words.until}: <Until at={model.session.value.expires} none="" /></p> : null}
    </section>
  );
}

function SessionLine({ session }: { session: AdminSession }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const end = () => action.run(async () => {
    await model.actions.endSession(session.id);
    say(words.sessionEnded);
  });
  return (
    <li data-id={session.id}>
      <div>
        <b><Hostile max={64}>{session.client}</Hostile> {session.current ? <span class="chip good">{words.sessionSelf}</span> : null}</b>
        <span class="hint"><code>{session.address}</code> · <Ago at={session.lastUsed} /></span>
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      </div>
      {session.current ? null : <Button look="danger-quiet slim" busy={action.busy} aria-label={words.sessionEndNamed(session.client)} onClick={() => void end()}>{words.sessionEnd}</Button>}
    </li>
  );
}

interface DialogProps {
  readonly onClose: () => void;
}

function PasswordDialog({ onClose }: DialogProps): JSX.Element {
  const model = useModel();
  const before = useSignal("");
  const after = useSignal("");
  const action = useAction();
  const isNew = action.fault?.field === "new";
  return (
    <Dialog title={words.changePassword} onClose={onClose}>
      <Form
        onSubmit={() => void action.run(async () => {
          await fresh(() => model.actions.changePassword(before.value, after.value));
          onClose();
          say(words.passwordChanged);
        })}
      >
        <PasswordField label={words.oldPassword} autofocus autocomplete="current-password" value={before.value} onText={(value) => (before.value = value)} fault={isNew ? null : action.fault?.message} />
        <PasswordField label={words.newPassword} autocomplete="new-password" hint={words.newHint} value={after.value} onText={(value) => (after.value = value)} fault={isNew ? action.fault?.message : null} />
        <SubmitOrCancel submit={words.changePassword} busy={action.busy} onCancel={onClose} />
        <WhoseForm username={model.session.value?.username ?? ""} />
      </Form>
    </Dialog>
  );
}

function TotpDialog({ onClose }: DialogProps): JSX.Element {
  const model = useModel();
  const offer = useSignal<TotpOffer | null>(null);
  const code = useSignal("");
  const action = useAction();
  useEffect(() => {
    void action.run(async () => {
      offer.value = await fresh(() => model.actions.offerTotp());
    });
  }, []);
  const submit = () => action.run(async () => {
    await fresh(() => model.actions.confirmTotp(code.value.replace(/\s/g, "")));
    onClose();
    say(words.totpDone);
  });
  return (
    <Dialog title={words.totpTitle} onClose={onClose} firm>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.totpLead}</p>
        {offer.value ? (
          <div class="totp">
            <QrCode value={offer.value.uri} label={words.totpPicture} />
            <div class="field"><span class="label">{words.totpKey}</span><code class="copy-box">{offer.value.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code></div>
            <TextField label={words.totpCode} name="code" autocomplete="one-time-code" inputMode="numeric" maxLength={10} value={code.value} onText={(value) => (code.value = value)} fault={action.fault?.message} mono />
          </div>
        ) : action.fault ? <Fault>{action.fault.message}</Fault> : <p class="soft" role="status">{text.loading}</p>}
        <SubmitOrCancel submit={words.totpSubmit} busy={action.busy} waits={offer.value === null} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function PasskeyDialog({ onClose }: DialogProps): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const action = useAction();
  const submit = () => action.run(async () => {
    await fresh(() => model.actions.addPasskey(name.value.trim()));
    onClose();
    say(words.passkeyAdded);
  });
  return (
    <Dialog title={words.passkeyAdd} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <TextField label={words.passkeyName} hint={words.passkeyNameHint} maxLength={64} autocomplete="off" value={name.value} onText={(value) => (name.value = value)} fault={action.fault?.message} />
        <SubmitOrCancel submit={words.passkeyAdd} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
