//! The people who have an account: found, created, invited.

import { useSignal } from "@preact/signals";
import { fresh } from "belfry-ui/again.tsx";
import { Button, Fault, Field, Form, PasswordField, TextField, useAction } from "belfry-ui/controls.tsx";
import { Dialog, SubmitOrCancel } from "belfry-ui/dialog.tsx";
import { Hostile, PageHead } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import type { AnyRole, Invite, Link, User } from "../model.ts";
import { EndField, useEnding } from "../parts/end-field.tsx";
import { Ago, Search, ShownList, Until } from "../parts/lists.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { SortChoice, Table, type Column } from "../parts/table.tsx";
import { useList, useRead } from "../read.ts";
import { bytes, count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

const words = text.users;
const NAME_CHARS_MAX = 64;

const COLUMNS: readonly Column<User>[] = [
  {
    key: "user", title: words.user, sort: "username",
    cell: (user) => (
      <span class="named">
        <a href={hashOf("users", user.id)}><Hostile max={NAME_CHARS_MAX}>{user.username}</Hostile></a>
        {user.role === "none" ? null : <span class="chip good">{text.roles[user.role]}</span>}
        {user.ban ? <span class="chip bad">{words.blocked}</span> : null}
        {user.hasOwnLimits ? <span class="chip">{words.ownLimits}</span> : null}
      </span>
    ),
  },
  { key: "devices", title: words.devices, sort: "devices", number: true, cell: (user) => words.connected(user.connected, user.devices) },
  { key: "permissions", title: words.permissions, sort: "permissions", number: true, cell: (user) => count(user.permissions) },
  { key: "mailbox", title: words.mailbox, number: true, cell: (user) => `${count(user.mailboxDepth)} · ${bytes(user.mailboxBytes)}` },
  { key: "seen", title: words.lastSeen, sort: "last_seen", number: true, time: true, cell: (user) => <Ago at={user.lastSeen} /> },
  { key: "created", title: words.created, sort: "created", number: true, time: true, extra: true, cell: (user) => <Ago at={user.created} /> },
];

export function UsersPage(): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const search = useSignal("");
  const sort = useSignal("username");
  const asking = useSignal<"create" | "invite" | null>(null);
  const list = useList((cursor) => model.reads.users({ search: search.value, sort: sort.value, cursor }), [search.value, sort.value], ["users", "bans"]);
  const close = () => {
    asking.value = null;
  };
  const buttons = mayWrite ? (
    <div class="buttons">
      <Button icon="link" onClick={() => (asking.value = "invite")}>{words.invite}</Button>
      <Button icon="plus" look="primary" onClick={() => (asking.value = "create")}>{words.create}</Button>
    </div>
  ) : null;
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead}>{buttons}</PageHead>
      <div class="finder">
        <Search label={words.search} value={search.value} onSearch={(asked) => (search.value = asked)} />
        <SortChoice columns={COLUMNS} sort={sort.value} onSort={(asked) => (sort.value = asked)} />
      </div>
      <ShownList reading={list} icon="users" emptyTitle={words.emptyTitle} emptyBody={words.emptyBody} narrowed={search.value !== ""}>
        {(users) => <Table label={words.title} columns={COLUMNS} rows={users} idOf={(user) => user.id} sort={sort.value} onSort={(asked) => (sort.value = asked)} busy={list.busy} />}
      </ShownList>
      <Links mayWrite={mayWrite} />
      {asking.value === "create" ? <CreateUser onClose={close} /> : null}
      {asking.value === "invite" ? <InviteDialog onClose={close} /> : null}
    </div>
  );
}

/** Shown where there are any; their failing is that of the list above too. */
function Links({ mayWrite }: { mayWrite: boolean }): JSX.Element | null {
  const model = useModel();
  const links = useRead(() => model.reads.links(), [], ["users"]).value?.items ?? [];
  if (links.length === 0) return null;
  return (
    <section class="card padded" aria-labelledby="links">
      <div class="section-head"><h2 id="links">{words.links}</h2><p class="hint">{words.linksLead}</p></div>
      <ul class="lines">{links.map((link) => <LinkLine key={link.id} link={link} mayWrite={mayWrite} />)}</ul>
    </section>
  );
}

function LinkLine({ link, mayWrite }: { link: Invite; mayWrite: boolean }): JSX.Element {
  const model = useModel();
  const action = useAction();
  const name = link.about ? `${words.linkKinds[link.kind]}: ${link.about}` : words.linkKinds[link.kind];
  const end = () => action.run(async () => {
    await model.actions.endLink(link.id);
    say(words.linkEnded);
  });
  return (
    <li data-id={link.id}>
      <div>
        <b><Hostile max={NAME_CHARS_MAX}>{name}</Hostile></b>
        <span class="hint">{words.linkBy(link.author)} · <Ago at={link.created} /> · <Until at={link.ends} none="" /></span>
        {action.fault ? <Fault>{action.fault.message}</Fault> : null}
      </div>
      {mayWrite ? <Button look="danger-quiet slim" busy={action.busy} aria-label={words.linkEndNamed(name)} onClick={() => void end()}>{words.linkEnd}</Button> : null}
    </li>
  );
}

const ROLES: readonly AnyRole[] = ["none", "viewer", "admin"];

export function RoleField({ role, onRole, fault }: { role: AnyRole; onRole: (role: AnyRole) => void; fault?: string | null | undefined }): JSX.Element {
  return (
    <Field label={words.role} hint={text.roleHints[role]} fault={fault}>
      {(attributes) => (
        <select {...attributes} class="input" value={role} onChange={(event) => onRole(event.currentTarget.value as AnyRole)}>
          {ROLES.map((one) => <option key={one} value={one}>{text.roles[one]}</option>)}
        </select>
      )}
    </Field>
  );
}

function CreateUser({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const name = useSignal("");
  const password = useSignal("");
  const role = useSignal<AnyRole>("none");
  const action = useAction();
  const field = (named: string) => (action.fault?.field === named ? action.fault.message : null);
  const elsewhere = action.fault && !["username", "password"].includes(action.fault.field ?? "") ? action.fault.message : null;
  const submit = () => action.run(async () => {
    const create = () => model.actions.createUser(name.value.trim(), password.value, role.value);
    await (role.value === "none" ? create() : fresh(create));
    onClose();
    say(words.createdToast(name.value.trim()));
  });
  return (
    <Dialog title={words.create} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.createLead}</p>
        <TextField label={words.username} autocomplete="off" maxLength={NAME_CHARS_MAX} value={name.value} onText={(value) => (name.value = value)} fault={field("username")} />
        <PasswordField label={words.password} autocomplete="new-password" hint={words.passwordHint} value={password.value} onText={(value) => (password.value = value)} fault={field("password")} />
        <RoleField role={role.value} onRole={(chosen) => (role.value = chosen)} />
        {elsewhere ? <Fault>{elsewhere}</Fault> : null}
        <SubmitOrCancel submit={words.createSubmit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}

function InviteDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const model = useModel();
  const ending = useEnding("week");
  const made = useSignal<Link | null>(null);
  const action = useAction();
  const submit = () => action.run(async () => {
    const ends = ending.at();
    if (!ends) return action.fail(text.ends.wrong, "ends");
    made.value = await model.actions.makeInvite(ends);
  });
  if (made.value) return <ShownOnce title={words.inviteMade} lead={words.inviteMadeLead} value={made.value.link} name={words.inviteMade} copyLabel={words.copyLink} onClose={onClose} />;
  return (
    <Dialog title={words.inviteTitle} onClose={onClose}>
      <Form onSubmit={() => void submit()}>
        <p class="soft">{words.inviteLead}</p>
        <EndField label={words.inviteEnds} ending={ending} choices={["day", "week", "month"]} fault={action.fault?.message} />
        <SubmitOrCancel submit={words.inviteSubmit} busy={action.busy} onCancel={onClose} />
      </Form>
    </Dialog>
  );
}
