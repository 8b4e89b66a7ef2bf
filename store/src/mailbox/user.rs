//! One user's mailbox as a pure state: a command in, an outcome and what changed out. No clock, no
//! disk. The engine loads it, applies a batch to it, and writes down what is marked as changed.

mod sessions;
mod space;
mod upkeep;

use super::MailboxLimits;
use super::command::{Accept, Accepted, Command, Commit, Outcome, PrivatePublish, Refusal};
use super::entry::{Content, Entry, EntryMeta, Seq};
use super::rows::IdempotencyRow;
use super::session::SessionRow;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{Filter, PrivateTopic, Topic};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How long an idempotency key is remembered.
pub(super) const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(86_400);

/// A permission as the mailbox knows it, so that no insert has to ask the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PermissionRow {
    Allowed,
    Muted,
    /// Stays for ever: nothing is accepted under it again.
    Revoked,
}

/// An entry with what only the mailbox needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) entry: EntryMeta,
    /// Posted body bytes.
    pub(super) bytes: u32,
    pub(super) collapse: Option<String>,
    /// Since when it is owed to nobody: history from then on.
    pub(super) done: Option<Timestamp>,
    /// Whether a first device has settled it.
    pub(super) delivered: bool,
}

/// An idempotency key by its hash, under its permission.
pub(super) type IdempotencyKey = (PermissionId, [u8; 32]);

/// A retained message on its way to the disk; `None` removes it.
pub(super) type RetainedWrite = Option<PrivatePublish>;

/// What has changed since the last commit.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) head: bool,
    pub(super) metas: BTreeSet<Seq>,
    pub(super) bodies: Vec<Entry>,
    pub(super) sessions: BTreeSet<DeviceId>,
    pub(super) permissions: BTreeSet<PermissionId>,
    pub(super) retained: BTreeMap<PrivateTopic, RetainedWrite>,
    pub(super) idempotency: HashMap<IdempotencyKey, IdempotencyRow>,
    /// Idempotency keys that are over.
    pub(super) forgotten: Vec<IdempotencyKey>,
    pub(super) commits: Vec<Commit>,
    pub(super) erased: bool,
    /// Notifications that were still owed and went for want of room.
    pub(super) pushed_out: u32,
    /// Notifications that expired while they were owed.
    pub(super) expired: u32,
}

/// What a command is judged by besides the state.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) limits: &'a MailboxLimits,
    pub(super) site_blocked: bool,
    /// What is on disk for the command's idempotency key.
    pub(super) remembered: Option<IdempotencyRow>,
}

#[derive(Debug, Default)]
pub(super) struct UserState {
    pub(super) head: Seq,
    pub(super) blocked: bool,
    /// Nothing of the user is left, and nothing comes again.
    pub(super) erased: bool,
    /// When the next thing of this user is due to go.
    pub(super) due: Option<Timestamp>,
    /// How long an entry that is owed to nobody is kept.
    pub(super) history: Duration,
    pub(super) metas: BTreeMap<Seq, Meta>,
    pub(super) sessions: BTreeMap<DeviceId, SessionRow>,
    pub(super) permissions: HashMap<PermissionId, PermissionRow>,
    /// Bytes and expiry of the retained messages.
    pub(super) retained: BTreeMap<PrivateTopic, (usize, Timestamp)>,
    pub(super) changes: Changes,
}

impl SessionRow {
    /// Whether this entry is owed to the session now.
    fn owes(&self, entry: &EntryMeta, now: Timestamp) -> bool {
        super::session::owes(&self.filters, self.acked, &self.holes, entry, now)
    }
}

impl Meta {
    fn live(&self, now: Timestamp) -> bool {
        self.entry.expires > now
    }

    fn permission(&self) -> Option<PermissionId> {
        match self.entry.content {
            Content::Notification { permission, .. } => Some(permission),
            Content::Private { .. } => None,
        }
    }
}

impl UserState {
    /// The answer to a command about a user who was erased: there is nothing to take away, and
    /// nothing is added again.
    pub(super) fn after_erasure(command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::Accept(_) | Command::SetPermission { .. } => Err(Refusal::UnknownPermission),
            Command::PublishPrivate(_)
            | Command::Settle { .. }
            | Command::Acknowledge { .. }
            | Command::OpenSession { .. }
            | Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::ReceiveQos2 { .. }
            | Command::ReleaseQos2 { .. } => Err(Refusal::UnknownSession),
            Command::Seen { .. }
            | Command::Withdraw { .. }
            | Command::Revoke { .. }
            | Command::BlockSite { .. }
            | Command::BlockUser { .. }
            | Command::CloseSession { .. }
            | Command::RemoveDevice { .. }
            | Command::EraseUser { .. } => Ok(Outcome::Done),
        }
    }

    /// Forgets everything, for ever.
    pub(super) fn erase(&mut self) {
        *self = Self {
            erased: true,
            ..Self::default()
        };
        self.changes.erased = true;
    }

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
        let muted = match self.permissions.get(&envelope.permission) {
            None => return Err(Refusal::UnknownPermission),
            Some(PermissionRow::Revoked) => return Err(Refusal::Revoked),
            Some(PermissionRow::Muted) => true,
            Some(PermissionRow::Allowed) => false,
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
        let (seq, pushed_out) = if envelope.expires > envelope.sent {
            self.store(user, envelope, muted, context)
        } else {
            // What is never shown and never kept is for nobody.
            if !muted {
                let envelope = Box::new(envelope.clone());
                let transient = Commit::Transient { user, envelope };
                self.changes.commits.push(transient);
            }
            (Seq(0), 0)
        };
        let accepted = Accepted {
            seq,
            id: envelope.id,
            sent: envelope.sent,
            expires: envelope.expires,
            repeated: false,
            pushed_out,
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
            };
            self.changes
                .idempotency
                .insert((envelope.permission, idempotency.key), row);
            self.due_at(until);
        }
        Ok(Outcome::Accepted(accepted))
    }

    fn store(
        &mut self,
        user: UserId,
        envelope: &Envelope,
        muted: bool,
        context: &Context<'_>,
    ) -> (Seq, u32) {
        let collapse = envelope.collapse.as_ref();
        let collapse = collapse.map(|key| key.as_str().to_owned());
        self.replace(user, envelope.permission, collapse.as_deref());
        let bytes = u32::try_from(envelope.body.len()).unwrap_or(u32::MAX);
        let pushed_out = self.make_room(Some(envelope.permission), bytes, context);
        let seq = self.next_seq();
        let urgency = if muted {
            Urgency::VeryLow
        } else {
            envelope.urgency
        };
        let meta = EntryMeta {
            seq,
            content: Content::Notification {
                id: envelope.id,
                permission: envelope.permission,
                urgency,
                muted,
            },
            sent: envelope.sent,
            expires: envelope.expires,
            seen: false,
        };
        let payload = Bytes::from(envelope.to_json(Some(seq.0)));
        let entry = Entry { meta, payload };
        self.insert(user, entry, bytes, collapse, None, context);
        (seq, pushed_out)
    }

    pub(super) fn publish_private(
        &mut self,
        user: UserId,
        publish: &PrivatePublish,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if let Some(id) = publish.qos2 {
            let session = self.sessions.get(&publish.device);
            if session.is_some_and(|row| row.inbound_qos2.contains(&id)) {
                return Ok(Outcome::Published(None));
            }
        }
        let bytes = publish.payload.len() + publish.properties.len();
        let wanted = publish.at_least_once && self.anyone_wants(publish, context.now);
        if publish.retain
            && !publish.payload.is_empty()
            && !self.retained_fits(publish, bytes, context)
        {
            return Err(Refusal::PrivateSpaceFull);
        }
        if wanted && !self.make_private_room(bytes, context, publish.when_full) {
            return Err(Refusal::PrivateSpaceFull);
        }
        if let (Some(id), Some(session)) = (publish.qos2, self.sessions.get_mut(&publish.device)) {
            session.inbound_qos2.push(id);
            self.changes.sessions.insert(publish.device);
        }
        if publish.retain {
            let kept = !publish.payload.is_empty();
            if kept {
                self.retained
                    .insert(publish.topic.clone(), (bytes, publish.expires));
                self.due_at(publish.expires);
            } else {
                self.retained.remove(&publish.topic);
            }
            self.changes
                .retained
                .insert(publish.topic.clone(), kept.then(|| publish.clone()));
        }
        if !wanted {
            return Ok(Outcome::Published(None));
        }
        let seq = self.next_seq();
        let content = Content::Private {
            topic: publish.topic.clone(),
            properties: publish.properties.clone(),
        };
        let meta = EntryMeta {
            seq,
            content,
            sent: context.now,
            expires: publish.expires,
            seen: false,
        };
        let entry = Entry {
            meta,
            payload: publish.payload.clone(),
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.insert(user, entry, bytes, None, Some(publish.device), context);
        if !self.may_echo(publish) && self.sessions.contains_key(&publish.device) {
            self.settle(publish.device, &[seq], context.now)?;
        }
        Ok(Outcome::Published(Some(seq)))
    }

    pub(super) fn settle(
        &mut self,
        device: DeviceId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        self.settle_entries(device, seqs, now)?;
        Ok(Outcome::Done)
    }

    /// Settles, and says when the notifications that this settled were accepted.
    fn settle_entries(
        &mut self,
        device: DeviceId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Vec<Timestamp>, Refusal> {
        let Some(mut row) = self.sessions.remove(&device) else {
            return Err(Refusal::UnknownSession);
        };
        let mut settled = Vec::new();
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        for seq in seqs {
            if let Ok(at) = row.holes.binary_search(&seq) {
                row.holes.remove(at);
            } else if seq > row.acked
                && self
                    .metas
                    .get(&seq)
                    .is_some_and(|meta| row.owes(&meta.entry, now))
            {
                let after = Seq(row.acked.0 + 1);
                let passed = self
                    .metas
                    .range(after..seq)
                    .filter(|(_, meta)| row.owes(&meta.entry, now));
                let passed: Vec<Seq> = passed.map(|(seq, _)| *seq).collect();
                row.holes.extend(passed);
                row.acked = seq;
            } else {
                continue;
            }
            settled.push(seq);
        }
        self.sessions.insert(device, row);
        let notifications = settled.iter().filter_map(|seq| self.metas.get(seq));
        let notifications = notifications.filter(|meta| meta.permission().is_some());
        let accepted = notifications.map(|meta| meta.entry.sent).collect();
        if !settled.is_empty() {
            self.changes.sessions.insert(device);
            self.note_delivered(&settled);
            self.finish_unowed(settled.iter().copied(), now);
        }
        Ok(accepted)
    }

    /// Tells of the notifications that no device had settled before.
    fn note_delivered(&mut self, settled: &[Seq]) {
        for seq in settled {
            let first = |meta: &&mut Meta| !meta.delivered && meta.permission().is_some();
            let Some(meta) = self.metas.get_mut(seq).filter(first) else {
                continue;
            };
            meta.delivered = true;
            let sent = meta.entry.sent;
            self.changes.metas.insert(*seq);
            self.changes.commits.push(Commit::Delivered { sent });
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        user: UserId,
        device: DeviceId,
        ids: &[NotificationId],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let seqs: Vec<Seq> = ids.iter().filter_map(|id| self.seq_of(*id)).collect();
        let accepted = self.settle_entries(device, &seqs, now)?;
        if let Some(row) = self.sessions.get(&device) {
            self.changes.commits.push(Commit::Acknowledged {
                user,
                device,
                acked: row.acked,
                holes: row.holes.clone(),
                accepted,
            });
        }
        Ok(Outcome::Done)
    }

    pub(super) fn seen(&mut self, user: UserId, ids: &[NotificationId], now: Timestamp) -> Outcome {
        let mut seen = Vec::new();
        for id in ids {
            let Some(meta) = self.seq_of(*id).and_then(|seq| self.metas.get_mut(&seq)) else {
                continue;
            };
            if !meta.entry.seen {
                meta.entry.seen = true;
                meta.done.get_or_insert(now);
                self.changes.metas.insert(meta.entry.seq);
                seen.push(*id);
            }
        }
        if !seen.is_empty() {
            self.due_at(now.plus(self.history));
            self.changes.commits.push(Commit::Seen { user, ids: seen });
        }
        Outcome::Done
    }

    pub(super) fn withdraw(&mut self, user: UserId, seq: Seq) -> Outcome {
        if let Some(Content::Notification { id, .. }) =
            self.remove(seq).map(|meta| meta.entry.content)
        {
            self.changes.commits.push(Commit::Withdrawn {
                user,
                id,
                replaced: false,
            });
        }
        Outcome::Done
    }

    pub(super) fn set_permission(
        &mut self,
        permission: PermissionId,
        muted: bool,
    ) -> Result<Outcome, Refusal> {
        if self.permissions.get(&permission) == Some(&PermissionRow::Revoked) {
            return Err(Refusal::Revoked);
        }
        let row = if muted {
            PermissionRow::Muted
        } else {
            PermissionRow::Allowed
        };
        if self.permissions.insert(permission, row) != Some(row) {
            self.changes.permissions.insert(permission);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn revoke(&mut self, user: UserId, permission: PermissionId) -> Outcome {
        if self.permissions.insert(permission, PermissionRow::Revoked)
            == Some(PermissionRow::Revoked)
        {
            return Outcome::Done;
        }
        self.changes.permissions.insert(permission);
        let theirs = self
            .metas
            .values()
            .filter(|meta| meta.permission() == Some(permission));
        let theirs: Vec<Seq> = theirs.map(|meta| meta.entry.seq).collect();
        for seq in theirs {
            self.remove(seq);
        }
        for (device, row) in &mut self.sessions {
            let before = row.filters.len();
            row.filters
                .retain(|subscribed| subscribed.filter != Filter::Notification(permission));
            if row.filters.len() != before {
                self.changes.sessions.insert(*device);
            }
        }
        self.changes
            .commits
            .push(Commit::Revoked { user, permission });
        Outcome::Done
    }

    fn next_seq(&mut self) -> Seq {
        self.head.0 += 1;
        self.changes.head = true;
        self.head
    }

    fn insert(
        &mut self,
        user: UserId,
        entry: Entry,
        bytes: u32,
        collapse: Option<String>,
        publisher: Option<DeviceId>,
        context: &Context<'_>,
    ) {
        let owed = self
            .sessions
            .values()
            .any(|row| row.owes(&entry.meta, context.now));
        let done = (!owed).then_some(context.now);
        let meta = Meta {
            entry: entry.meta.clone(),
            bytes,
            collapse,
            done,
            delivered: false,
        };
        self.due_at(self.gone_at(&meta));
        self.changes.metas.insert(entry.meta.seq);
        self.changes.bodies.push(entry.clone());
        self.metas.insert(entry.meta.seq, meta);
        self.changes.commits.push(Commit::Stored {
            user,
            entry,
            publisher,
        });
    }

    fn remove(&mut self, seq: Seq) -> Option<Meta> {
        let removed = self.metas.remove(&seq)?;
        self.changes.metas.insert(seq);
        Some(removed)
    }

    /// Takes away what a new notification with this collapse key replaces: one still owed.
    fn replace(&mut self, user: UserId, permission: PermissionId, collapse: Option<&str>) {
        let Some(collapse) = collapse else { return };
        let older = self.metas.values().filter(|meta| {
            meta.done.is_none()
                && meta.permission() == Some(permission)
                && meta.collapse.as_deref() == Some(collapse)
        });
        let older: Vec<Seq> = older.map(|meta| meta.entry.seq).collect();
        for seq in older {
            if let Some(Content::Notification { id, .. }) =
                self.remove(seq).map(|meta| meta.entry.content)
            {
                self.changes.commits.push(Commit::Withdrawn {
                    user,
                    id,
                    replaced: true,
                });
            }
        }
    }

    fn anyone_wants(&self, publish: &PrivatePublish, now: Timestamp) -> bool {
        let content = Content::Private {
            topic: publish.topic.clone(),
            properties: Bytes::new(),
        };
        let seq = Seq(self.head.0 + 1);
        let entry = EntryMeta {
            seq,
            content,
            sent: now,
            expires: publish.expires,
            seen: false,
        };
        self.sessions.iter().any(|(device, row)| {
            row.filters.iter().any(|subscribed| {
                subscribed.options.at_least_once
                    && subscribed.filter.matches(&entry.topic())
                    && !(subscribed.options.no_local && *device == publish.device)
            })
        })
    }

    /// Whether the publisher wants its own message: not where No Local is on each filter that
    /// matches (MQTT 5.0 §3.8.3.1).
    fn may_echo(&self, publish: &PrivatePublish) -> bool {
        let topic = Topic::Private(publish.topic.clone());
        self.sessions.get(&publish.device).is_some_and(|row| {
            row.filters.iter().any(|subscribed| {
                subscribed.options.at_least_once
                    && !subscribed.options.no_local
                    && subscribed.filter.matches(&topic)
            })
        })
    }

    fn seq_of(&self, id: NotificationId) -> Option<Seq> {
        let wanted = |meta: &&Meta| matches!(meta.entry.content, Content::Notification { id: theirs, .. } if theirs == id);
        self.metas
            .values()
            .rev()
            .find(wanted)
            .map(|meta| meta.entry.seq)
    }
}

impl IdempotencyRow {
    /// The first answer again.
    pub(super) fn answer(&self) -> Accepted {
        Accepted {
            seq: Seq(self.seq),
            id: NotificationId::from_bytes(self.id),
            sent: Timestamp::from_millis(self.sent),
            expires: Timestamp::from_millis(self.expires),
            repeated: true,
            pushed_out: 0,
        }
    }
}
