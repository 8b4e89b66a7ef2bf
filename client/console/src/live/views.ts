//! The SDK's words as the console's: what a page needs of a message, a permission, a device, and what
//! this device caught the server at.

import type { Device as SdkDevice, KeyringInfo, Message, Permission, Unopened } from "@belfry/client";
import type { Alarm, AlarmKind, Device, Item, Site } from "../model.ts";

export function itemOf(message: Message): Item {
  const { content } = message;
  return {
    id: message.id,
    seq: message.seq,
    permission: message.permission,
    site: message.site,
    name: message.name ?? "",
    sent: message.sent,
    urgency: message.urgency,
    seen: message.seen,
    dismissed: message.dismissed,
    title: content.title,
    body: content.body ?? "",
    icon: content.icon ?? undefined,
    url: content.url ?? undefined,
    tag: content.tag ?? undefined,
    actions: content.actions.map(({ title, url }) => ({ title, url: url ?? undefined })),
  };
}

interface Stats {
  readonly permissions: Readonly<Record<string, { unseen: number; perDay: number[] }>>;
}

export function siteOf(permission: Permission, stats: Stats, days: number): Site {
  const own = stats.permissions[permission.id];
  return {
    permission: permission.id,
    site: permission.site,
    name: permission.name ?? "",
    state: permission.state,
    accepted: permission.accepted,
    lastUsed: permission.lastUsed,
    created: permission.created,
    receipts: permission.receipts,
    renew: permission.renew,
    pinned: permission.siteKey !== null,
    hasKeys: permission.known,
    unseen: own?.unseen ?? 0,
    perDay: own?.perDay ?? new Array<number>(days).fill(0),
  };
}

export function deviceOf(device: SdkDevice): Device {
  return {
    id: device.id,
    name: device.name,
    kind: device.kind,
    online: device.online,
    presence: device.presence,
    lastSeen: device.lastSeen,
    urgencyMin: device.urgencyMin,
    self: device.current,
    trusted: device.trusted,
    fingerprint: device.fingerprint ?? "",
  };
}

/** Of what does not open, these are somebody's doing; the others are accidents, and only counted. */
const DONE_BY_SOMEBODY: Partial<Record<Unopened["reason"], AlarmKind>> = {
  "another-site": "another-site",
  downgraded: "downgraded",
  replayed: "replayed",
};

export function alarmsOf(keyring: KeyringInfo | null, devices: readonly SdkDevice[], permissions: readonly Permission[], unopened: readonly Unopened[]): Alarm[] {
  const alarms: Alarm[] = [];
  if (keyring?.alarm) alarms.push({ kind: `keyring-${keyring.alarm}`, about: null, count: 1 });
  for (const device of devices) if (device.keyMismatch) alarms.push({ kind: "device-key", about: device.name, count: 1 });
  for (const permission of permissions) if (permission.siteMismatch) alarms.push({ kind: "site-mismatch", about: permission.site, count: 1 });
  for (const { reason, count } of unopened) {
    const kind = DONE_BY_SOMEBODY[reason];
    if (kind && count > 0) alarms.push({ kind, about: null, count });
  }
  return alarms;
}
