//! Taking notifications in.

use super::receipts::Awaited;
use super::trace::Ended;
use super::{Context, Given, IDEMPOTENCY_KEPT, PermissionRow, UserState};
use crate::mailbox::command::{Accept, Accepted, Commit, Outcome, Refusal};
use crate::mailbox::entry::{Content, Entry, EntryMeta, Seq};
use crate::mailbox::outbox::{Owner, Receipts};
use crate::mailbox::rows::IdempotencyRow;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use bytes::Bytes;

impl UserState {
    pub(super) fn accept(
        &mut self,
        user: UserId,
        accept: &Accept,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let envelope = &accept.envelope;
        if self.blocked || context.site_blocked {
            return Err(Refusal::Blocked);
        }
        let given = match self.permissions.get(&envelope.permission) {
            None => return Err(Refusal::UnknownPermission),
            Some(PermissionRow::Revoked) => return Err(Refusal::Revoked),
            Some(PermissionRow::Given(given)) => *given,
        };
        if let Some(idempotency) = accept.idempotency {
            let pending = self
                .changes
                .idempotency
                .get(&(envelope.permission, idempotency.key));
            let remembered = pending.copied().or(context.remembered);
            if let Some(row) = remembered.filter(|row| row.until > context.now.as_millis()) {
                if row.digest != idempotency.digest {
                    return Err(Refusal::IdempotencyMismatch);
                }
                return Ok(Outcome::Accepted(row.answer()));
            }
        }
        if let Some(Receipts::Named(_)) = accept.receipts
            && !context.outbox.named
        {
            return Err(Refusal::UnknownReceipts);
        }
        let stored = envelope.expires > envelope.sent;
        let receipts = accept.receipts.filter(|_| stored && given.receipts);
        let receipts = receipts.map(|receipts| receipts.owner());
        let collapse = envelope.collapse.as_ref();
        let collapse = collapse.map(|key| key.as_str().to_owned());
        // Also by what is not stored itself (RFC 8030 §5.4).
        self.replace(user, envelope.permission, collapse.as_deref(), context.now);
        let (seq, pushed_out) = if stored {
            let (seq, pushed_out) = self.store(user, envelope, collapse, given.muted, context);
            self.await_accepted(user, envelope, seq, receipts, given, context);
            (seq, pushed_out)
        } else {
            self.changes.commits.push(Commit::Transient {
                user,
                envelope: Box::new(envelope.clone()),
                urgency: urgency(envelope, given.muted),
            });
            (Seq(0), 0)
        };
        let accepted = Accepted {
            seq,
            id: envelope.id,
            sent: envelope.sent,
            expires: envelope.expires,
            repeated: false,
            pushed_out,
            receipts,
        };
        if let Some(idempotency) = accept.idempotency {
            let until = context.now.plus(IDEMPOTENCY_KEPT);
            let row = IdempotencyRow {
                digest: idempotency.digest,
                seq: seq.0,
                id: *envelope.id.as_bytes(),
                sent: envelope.sent.as_millis(),
                expires: envelope.expires.as_millis(),
                until: until.as_millis(),
                receipts: receipts.map(|owner| *owner.as_bytes()),
            };
            self.changes
                .idempotency
                .insert((envelope.permission, idempotency.key), row);
        }
        Ok(Outcome::Accepted(accepted))
    }

    /// Remembers whom to tell what becomes of a notification that was stored.
    fn await_accepted(
        &mut self,
        user: UserId,
        envelope: &Envelope,
        seq: Seq,
        receipts: Option<Owner>,
        given: Given,
        context: &Context<'_>,
    ) {
        let site = (given.receipts && context.outbox.site).then_some(given.site);
        if receipts.is_none() && site.is_none() {
            return;
        }
        let collapse = envelope.collapse.as_ref();
        let awaited = Awaited {
            permission: envelope.permission,
            expires: envelope.expires,
            collapse: collapse.map(|key| key.as_str().to_owned()),
            receipts,
            delivery: true,
            site,
        };
        let awaited_max = (context.limits.notifications / 4).max(1);
        self.await_outcome(user, seq, awaited, awaited_max, context.now);
    }

    fn store(
        &mut self,
        user: UserId,
        envelope: &Envelope,
        collapse: Option<String>,
        muted: bool,
        context: &Context<'_>,
    ) -> (Seq, u32) {
        let bytes = u32::try_from(envelope.body.len()).unwrap_or(u32::MAX);
        let seq = self.next_seq();
        let meta = EntryMeta {
            seq,
            content: Content::Notification {
                id: envelope.id,
                permission: envelope.permission,
                urgency: urgency(envelope, muted),
                muted,
            },
            sent: envelope.sent,
            expires: envelope.expires,
            seen: false,
        };
        let pushed_out = if self.is_owed(&meta, context.now) {
            self.make_room(Some(envelope.permission), bytes, context)
        } else {
            self.make_history_room(bytes, context);
            0
        };
        let payload = Bytes::from(envelope.to_json(Some(seq.0)));
        let entry = Entry { meta, payload };
        self.insert(user, entry, bytes, collapse, context);
        (seq, pushed_out)
    }

    /// Takes away what a new notification with this collapse key replaces: one still owed.
    fn replace(
        &mut self,
        user: UserId,
        permission: PermissionId,
        collapse: Option<&str>,
        now: Timestamp,
    ) {
        let Some(collapse) = collapse else { return };
        self.give_up_replaced(user, permission, collapse, now);
        let older = self.metas.values().filter(|meta| {
            meta.done.is_none()
                && meta.permission() == Some(permission)
                && meta.collapse.as_deref() == Some(collapse)
        });
        let older: Vec<Seq> = older.map(|meta| meta.entry.seq).collect();
        for seq in older {
            let removed = self.remove(seq);
            if let Some(removed) = &removed {
                self.trace_end(removed, Ended::Replaced, now);
            }
            if let Some(Content::Notification { id, .. }) = removed.map(|meta| meta.entry.content) {
                self.changes.commits.push(Commit::Withdrawn {
                    user,
                    id,
                    replaced: true,
                });
            }
        }
    }
}

impl IdempotencyRow {
    /// The first answer again.
    pub(in crate::mailbox) fn answer(&self) -> Accepted {
        Accepted {
            seq: Seq(self.seq),
            id: NotificationId::from_bytes(self.id),
            sent: Timestamp::from_millis(self.sent),
            expires: Timestamp::from_millis(self.expires),
            repeated: true,
            pushed_out: 0,
            receipts: self.receipts.map(Owner::from_bytes),
        }
    }
}

/// What the away rule goes by: what is muted never presses.
fn urgency(envelope: &Envelope, muted: bool) -> Urgency {
    if muted {
        Urgency::VeryLow
    } else {
        envelope.urgency
    }
}
