//! One user: what there is by count, and what may be done about them.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Form, useAction } from "belfry-ui/controls.tsx";
import { Confirm, Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Empty, Notice, PageHead, Points } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import type { AnyRole, Link, UserDetail } from "../model.ts";
import { BanDialog, Blocked } from "../parts/ban.tsx";
import { Ago, Fact, Shown } from "../parts/lists.tsx";
import { OwnLimits } from "../parts/own-limits.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { undoing } from "../parts/undo.ts";
import { useRead } from "../read.ts";
import { bytes, count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";
import { RoleField } from "./users.tsx";

const words = text.users;

type Asking = "role" | "reset" | "disconnect" | "block";

export function UserPage({ id }: { id: string }): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const asking = useSignal<Asking | null>(null);
  const reading = useRead(() => model.reads.user(id), [id], ["users", "bans", "limits"]);
  const user = reading.value;
  const close = () => {
    asking.value = null;
  };
  const disconnect = async () => {
    const ended = await model.actions.disconnect(id);
    say(words.disconnected(ended));
  };
  return (
    <div class="page">
      <a class="back" href={hashOf("users")}>{words.back}</a>
      <PageHead title={user?.username ?? words.user}>
        {mayWrite && user ? (
          <div class="buttons">
            <Button onClick={() => (asking.value = "role")}>{words.roleChange}</Button>
            <Button onClick={() => (asking.value = "reset")}>{words.reset}</Button>
            <Button onClick={() => (asking.value = "disconnect")}>{words.disconnect}</Button>
            {user.ban ? null : <Button look="danger-quiet" icon="ban" aria-label={words.blockNamed(user.username)} onClick={() => (asking.value = "block")}>{words.block}</Button>}
          </div>
        ) : null}
      </PageHead>
      <Shown reading={reading} missing={<Empty icon="user" title={words.gone}>{words.goneBody}</Empty>}>{(detail) => <Detail user={detail} mayWrite={mayWrite} />}</Shown>
      {user && asking.value === "role" ? <RoleDialog user={user} onClose={close} /> : null}
      {user && asking.value === "reset" ? <ResetDialog user={user} onClose={close} /> : null}
      {user && asking.value === "disconnect" ? <Confirm title={words.disconnectTitle(user.username)} points={words.disconnectPoints(user.connected)} submit={words.disconnect} work={disconnect} onClose={close} /> : null}
      {user && asking.value === "block" ? <BanDialog about={{ kind: "user", value: user.id, label: user.username }} onClose={close} /> : null}
    </div>
  );
}

function Detail({ user, mayWrite }: { user: UserDetail; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  return (
    <>
      {user.ban ? <Blocked ban={user.ban} mayWrite={mayWrite} /> : null}
      <dl class="card facts-list wide">
        <Fact name={words.role}>{text.roles[user.role]}{user.username === model.session.value?.username ? <> <span class="chip good">{words.you}</span></> : null}</Fact>
        <Fact name={words.lastSeen}><Ago at={user.lastSeen} /></Fact>
        <Fact name={words.created}><Ago at={user.created} /></Fact>
        <Fact name={words.secondFactor}>{user.secondFactor ? words.on : words.off}</Fact>
      </dl>
      <div class="trio">
        <Counts title={words.devices} lead={words.connected(user.connected, user.devices)} counts={user.devicesByKind} names={words.kinds} />
        <Counts title={words.permissions} lead={count(user.permissions)} counts={user.permissionsByState} names={words.states} />
        <section class="card padded">
          <h2>{words.mailbox}</h2>
          <dl class="facts-list">
            <Fact name={words.waiting}>{count(user.mailboxDepth)}</Fact>
            <Fact name={words.bytes}>{bytes(user.mailboxBytes)}</Fact>
          </dl>
        </section>
      </div>
      <OwnLimits title={words.quota} lead={words.quotaLead} limits={user.limits} mayWrite={mayWrite} save={(limits) => model.actions.setUserLimits(user.id, limits)} />
    </>
  );
}

function Counts({ title, lead, counts, names }: { title: string; lead: string; counts: Readonly<Record<string, number>>; names: Readonly<Record<string, string>> }): JSX.Element {
  return (
    <section class="card padded">
      <div class="section-head"><h2>{title}</h2><p class="hint">{lead}</p></div>
      <dl class="facts-list">{Object.entries(counts).map(([name, many]) => <Fact key={name} name={names[name] ?? name}>{count(many)}</Fact>)}</dl>
    </section>
  );
}

interface DialogProps {
  readonly user: UserDetail;
  readonly onClose: () => void;
}

function RoleDialog({ user, onClose }: DialogProps): JSX.Element {
  const model = useModel();
  const role = useSignal<AnyRole>(user.role);
  const action = useAction();
  const own = user.username === model.session.value?.username;
  const set = (to: AnyRole) => fresh(() => model.actions.setRole(user.id, to));
  const submit = () => action.run(async () => {
    if (role.value !== user.role) {
      await set(role.value);
      say(words.roleChanged(user.username, text.roles[role.value]), own ? null : undoing(() => set(user.role)));
    }
    onClose();
  });
  return (
    <Dialog title={words.roleTitle(user.username)} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <RoleField role={role.value} onRole={(chosen) => (role.value = chosen)} fault={action.fault?.message} />
        <p class="soft">{words.rolePoints}</p>
        {own && role.value !== "admin" ? <Notice icon="warn" look="bad" live><p>{words.roleSelf}</p></Notice> : null}
        <SubmitOrCancel submit={words.roleChange} look={own && role.value !== "admin" ? "danger" : "primary"} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function ResetDialog({ user, onClose }: DialogProps): JSX.Element {
  const model = useModel();
  const made = useSignal<Link | null>(null);
  const action = useAction();
  if (made.value) return <ShownOnce title={words.resetMade} lead={words.resetMadeLead} value={made.value.link} name={words.resetMade} copyLabel={words.copyLink} onClose={onClose} />;
  return (
    <Dialog title={words.resetTitle(user.username)} onClose={onClose}>
      <Form onSubmit={() => void action.run(async () => { made.value = await fresh(() => model.actions.makeReset(user.id)); })}>
        <Points items={words.resetPoints} icon="warn" look="bad" />
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
        <SubmitOrCancel submit={words.resetSubmit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
