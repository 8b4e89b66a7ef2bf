//! One user's mailbox as a pure state: a command in, an outcome and what changed out. No clock, no
//! disk. The engine loads it, applies a batch to it, and writes down what is marked as changed.

use super::MailboxLimits;
use super::command::{Accept, Accepted, Commit, Outcome, PrivatePublish, Refusal};
use super::entry::{Content, Entry, EntryMeta, Seq};
use super::rows::IdempotencyRow;
use super::session::{SessionRow, SubscribedFilter, SubscriptionOptions};
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
}

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
    pub(super) idempotency: HashMap<(PermissionId, [u8; 32]), IdempotencyRow>,
    pub(super) commits: Vec<Commit>,
    pub(super) erased: bool,
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
        let collapse = envelope
            .collapse
            .as_ref()
            .map(|key| key.as_str().to_owned());
        self.replace(user, envelope.permission, collapse.as_deref());
        let bytes = u32::try_from(envelope.body.len()).unwrap_or(u32::MAX);
        self.make_room(envelope.permission, bytes, context);
        let seq = self.next_seq();
        let content = Content::Notification {
            id: envelope.id,
            permission: envelope.permission,
            urgency: if muted {
                Urgency::VeryLow
            } else {
                envelope.urgency
            },
            muted,
        };
        let meta = EntryMeta {
            seq,
            content,
            sent: envelope.sent,
            expires: envelope.expires,
            seen: false,
        };
        let payload = Bytes::from(envelope.to_json(Some(seq.0)));
        self.insert(
            user,
            Entry { meta, payload },
            bytes,
            collapse,
            None,
            context,
        );
        let accepted = Accepted {
            seq,
            id: envelope.id,
            expires: envelope.expires,
            repeated: false,
        };
        if let Some(idempotency) = accept.idempotency {
            let until = context.now.plus(IDEMPOTENCY_KEPT);
            let row = IdempotencyRow {
                digest: idempotency.digest,
                seq: seq.0,
                id: *envelope.id.as_bytes(),
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
        if wanted && !self.private_fits(bytes, context) {
            return Err(Refusal::PrivateSpaceFull);
        }
        if publish.retain
            && !publish.payload.is_empty()
            && !self.retained_fits(publish, bytes, context)
        {
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
        if !settled.is_empty() {
            self.changes.sessions.insert(device);
            self.finish_unowed(settled.into_iter(), now);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn acknowledge(
        &mut self,
        device: DeviceId,
        ids: &[NotificationId],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let seqs: Vec<Seq> = ids.iter().filter_map(|id| self.seq_of(*id)).collect();
        self.settle(device, &seqs, now)
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
            metrics::counter!("belfry_withdrawn_total").increment(1);
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

    pub(super) fn open_session(
        &mut self,
        device: DeviceId,
        clean: bool,
        expiry: Duration,
        now: Timestamp,
    ) -> Outcome {
        if clean {
            self.end_session(device, now);
        }
        let old = self.sessions.remove(&device);
        let present = old.is_some();
        let mut row = old.clone().unwrap_or_else(|| SessionRow {
            acked: self.head,
            ..SessionRow::default()
        });
        row.expiry = expiry;
        row.disconnected = None;
        if old.as_ref() != Some(&row) {
            self.changes.sessions.insert(device);
        }
        self.sessions.insert(device, row.clone());
        Outcome::Session {
            row,
            present,
            head: self.head,
        }
    }

    pub(super) fn subscribe(
        &mut self,
        device: DeviceId,
        filters: &[(Filter, SubscriptionOptions)],
    ) -> Result<Outcome, Refusal> {
        let head = self.head;
        self.change_session(device, |row| {
            for (filter, options) in filters {
                let known = row
                    .filters
                    .iter_mut()
                    .find(|subscribed| subscribed.filter == *filter);
                match known {
                    Some(known) => {
                        if options.at_least_once && !known.options.at_least_once {
                            known.start = head;
                        }
                        known.options = *options;
                    }
                    None => row.filters.push(SubscribedFilter {
                        filter: filter.clone(),
                        options: *options,
                        start: head,
                    }),
                }
            }
        })
    }

    pub(super) fn unsubscribe(
        &mut self,
        device: DeviceId,
        filters: &[Filter],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let outcome = self.change_session(device, |row| {
            row.filters.retain(|kept| !filters.contains(&kept.filter))
        })?;
        self.finish_all_unowed(now);
        Ok(outcome)
    }

    pub(super) fn close_session(
        &mut self,
        device: DeviceId,
        expiry: Duration,
        now: Timestamp,
    ) -> Outcome {
        if expiry.is_zero() {
            self.end_session(device, now);
        } else if let Some(row) = self.sessions.get_mut(&device) {
            row.expiry = expiry;
            row.disconnected = Some(now);
            self.changes.sessions.insert(device);
            self.due_at(now.plus(expiry));
        }
        Outcome::Done
    }

    /// Notes the end of connections that were lost without a word. It is written down, or each
    /// restart would give those sessions their whole time again.
    pub(super) fn disconnect(&mut self, at: Timestamp, lost: impl Fn(DeviceId) -> bool) {
        let mut ends = None;
        for (device, row) in &mut self.sessions {
            if row.disconnected.is_none() && lost(*device) {
                row.disconnected = Some(at);
                self.changes.sessions.insert(*device);
                let end = at.plus(row.expiry);
                ends = Some(ends.map_or(end, |first: Timestamp| first.min(end)));
            }
        }
        if let Some(end) = ends {
            self.due_at(end);
        }
    }

    pub(super) fn end_session(&mut self, device: DeviceId, now: Timestamp) {
        if self.sessions.remove(&device).is_some() {
            self.changes.sessions.insert(device);
            self.finish_all_unowed(now);
        }
    }

    pub(super) fn qos2(
        &mut self,
        device: DeviceId,
        packet_id: u16,
        held: bool,
    ) -> Result<Outcome, Refusal> {
        self.change_session(device, |row| {
            row.inbound_qos2.retain(|id| *id != packet_id);
            if held {
                row.inbound_qos2.push(packet_id);
            }
        })
    }

    /// Removes what is over: expired entries, sessions and retained messages, and old history. Gives
    /// the number of entries that expired while still owed.
    pub(super) fn prune(&mut self, now: Timestamp) -> u64 {
        self.expire_sessions(now);
        let over = self.metas.values().filter(|meta| self.gone_at(meta) <= now);
        let over: Vec<(Seq, bool)> = over
            .map(|meta| (meta.entry.seq, meta.done.is_none()))
            .collect();
        let mut expired = 0;
        for (seq, owed) in over {
            self.remove(seq);
            expired += u64::from(owed);
        }
        let stale = self
            .retained
            .iter()
            .filter(|(_, (_, expires))| *expires <= now);
        let stale: Vec<PrivateTopic> = stale.map(|(topic, _)| topic.clone()).collect();
        for topic in stale {
            self.retained.remove(&topic);
            self.changes.retained.insert(topic, None);
        }
        let entries = self.metas.values().map(|meta| self.gone_at(meta));
        let sessions = self
            .sessions
            .values()
            .filter_map(|row| Some(row.disconnected?.plus(row.expiry)));
        let retained = self.retained.values().map(|(_, expires)| *expires);
        self.due = entries.chain(sessions).chain(retained).min();
        self.changes.head = true;
        expired
    }

    /// Ends the sessions whose time is over.
    pub(super) fn expire_sessions(&mut self, now: Timestamp) {
        let over = |row: &SessionRow| {
            row.disconnected
                .is_some_and(|at| at.plus(row.expiry) <= now)
        };
        let over: Vec<DeviceId> = self
            .sessions
            .iter()
            .filter(|(_, row)| over(row))
            .map(|(device, _)| *device)
            .collect();
        for device in over {
            self.end_session(device, now);
        }
    }

    fn change_session(
        &mut self,
        device: DeviceId,
        change: impl FnOnce(&mut SessionRow),
    ) -> Result<Outcome, Refusal> {
        let row = self
            .sessions
            .get_mut(&device)
            .ok_or(Refusal::UnknownSession)?;
        let before = row.clone();
        change(row);
        if *row != before {
            self.changes.sessions.insert(device);
        }
        Ok(Outcome::Session {
            row: row.clone(),
            present: true,
            head: self.head,
        })
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

    /// Makes room for one more notification: history goes first, then the oldest of the permission
    /// itself where it holds its share, then the oldest of whichever holds most.
    fn make_room(&mut self, permission: PermissionId, bytes: u32, context: &Context<'_>) {
        let limits = context.limits;
        let share = (limits.notifications / 4).max(1);
        let all: u64 = self.metas.values().map(|meta| u64::from(meta.bytes)).sum();
        if self.metas.len() < share && all + u64::from(bytes) <= limits.bytes / 4 {
            return;
        }
        let expired = self.metas.values().filter(|meta| !meta.live(context.now));
        let expired: Vec<Seq> = expired.map(|meta| meta.entry.seq).collect();
        for seq in expired {
            self.remove(seq);
        }
        let mut history = Tally::default();
        let mut owed = Tally::default();
        let mut each: BTreeMap<Option<PermissionId>, Tally> = BTreeMap::new();
        for meta in self.metas.values() {
            if meta.done.is_some() {
                history.add(meta);
            } else {
                owed.add(meta);
                each.entry(meta.permission()).or_default().add(meta);
            }
        }
        while history.over(limits.notifications, limits.bytes, 0) {
            let Some(seq) = history.seqs.pop_front() else {
                break;
            };
            history.take(self.remove(seq));
        }
        let mine = each.entry(Some(permission)).or_default();
        while mine.over(share - 1, limits.bytes / 4, bytes) {
            let Some(seq) = mine.seqs.pop_front() else {
                break;
            };
            let removed = self.remove(seq);
            owed.take(removed.clone());
            mine.take(removed);
        }
        while owed.over(limits.notifications - 1, limits.bytes, bytes) {
            let fullest = each
                .iter_mut()
                .filter(|(holder, _)| holder.is_some())
                .max_by_key(|(_, tally)| tally.count);
            let Some((_, fullest)) = fullest else { break };
            let Some(seq) = fullest.seqs.pop_front() else {
                break;
            };
            let removed = self.remove(seq);
            owed.take(removed.clone());
            fullest.take(removed);
        }
    }

    fn private_fits(&self, bytes: usize, context: &Context<'_>) -> bool {
        let mut private = Tally::default();
        let owed = |meta: &&Meta| {
            meta.permission().is_none() && meta.done.is_none() && meta.live(context.now)
        };
        for meta in self.metas.values().filter(owed) {
            private.add(meta);
        }
        let share = (context.limits.notifications / 4).max(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        !private.over(share - 1, context.limits.bytes / 4, bytes)
    }

    fn retained_fits(&self, publish: &PrivatePublish, bytes: usize, context: &Context<'_>) -> bool {
        let others = self
            .retained
            .iter()
            .filter(|(topic, _)| **topic != publish.topic);
        let (count, used) = others.fold((0, 0), |(count, used), (_, (bytes, _))| {
            (count + 1, used + bytes)
        });
        count < context.limits.retained_topics && used + bytes <= context.limits.retained_bytes
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

    fn finish_all_unowed(&mut self, now: Timestamp) {
        let owed: Vec<Seq> = self
            .metas
            .values()
            .filter(|meta| meta.done.is_none())
            .map(|m| m.entry.seq)
            .collect();
        self.finish_unowed(owed.into_iter(), now);
    }

    /// What of these no session is owed any more becomes history.
    fn finish_unowed(&mut self, seqs: impl Iterator<Item = Seq>, now: Timestamp) {
        let mut finished = false;
        for seq in seqs {
            let Some(meta) = self.metas.get_mut(&seq) else {
                continue;
            };
            if meta.done.is_none() && !self.sessions.values().any(|row| row.owes(&meta.entry, now))
            {
                meta.done = Some(now);
                self.changes.metas.insert(seq);
                finished = true;
            }
        }
        if finished {
            self.due_at(now.plus(self.history));
        }
    }

    /// When an entry is to be removed: at its expiry, or after its time as history.
    fn gone_at(&self, meta: &Meta) -> Timestamp {
        let history = meta
            .done
            .map_or(Timestamp::NEVER, |done| done.plus(self.history));
        meta.entry.expires.min(history)
    }

    fn due_at(&mut self, at: Timestamp) {
        if self.due.is_none_or(|due| at < due) {
            self.due = Some(at);
            self.changes.head = true;
        }
    }
}

impl IdempotencyRow {
    /// The first answer again.
    pub(super) fn answer(&self) -> Accepted {
        Accepted {
            seq: Seq(self.seq),
            id: NotificationId::from_bytes(self.id),
            expires: Timestamp::from_millis(self.expires),
            repeated: true,
        }
    }
}

/// Entries counted, oldest first.
#[derive(Default)]
struct Tally {
    seqs: std::collections::VecDeque<Seq>,
    count: usize,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, meta: &Meta) {
        self.seqs.push_back(meta.entry.seq);
        self.count += 1;
        self.bytes += u64::from(meta.bytes);
    }

    fn take(&mut self, removed: Option<Meta>) {
        if let Some(meta) = removed {
            self.count -= 1;
            self.bytes -= u64::from(meta.bytes);
        }
    }

    fn over(&self, count: usize, bytes: u64, more: u32) -> bool {
        self.count > count || self.bytes + u64::from(more) > bytes
    }
}
