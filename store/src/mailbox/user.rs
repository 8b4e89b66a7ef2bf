//! One user's mailbox as a pure state: a command in, an outcome and what changed out. No clock, no
//! disk. The engine loads it, applies a batch to it, and writes down what is marked as changed.

mod accept;
mod census;
mod private;
pub(super) mod receipts;
mod sessions;
mod settle;
mod space;
pub(super) mod trace;
mod upkeep;
mod wills;

use super::MailboxLimits;
use super::command::{Command, Commit, Outcome, PrivatePublish, Refusal};
use super::entry::{Content, Entry, EntryMeta, Seq};
use super::outbox::{News, Owner};
use super::rows::IdempotencyRow;
use super::session::SessionRow;
use super::will::Will;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{Filter, PrivateTopic};
use census::Census;
use receipts::AwaitedAll;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;
use trace::{Ended, Traced};

/// How long an idempotency key is remembered.
pub(super) const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(86_400);

/// A permission as the mailbox knows it, so that no insert has to ask the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PermissionRow {
    Given(Given),
    /// Stays for ever: nothing is accepted under it again.
    Revoked,
}

/// A permission in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) muted: bool,
    pub(super) receipts: bool,
    /// The site's log in the outbox.
    pub(super) site: Owner,
    pub(super) endpoint: SecretHash,
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

/// How much is owed to some device, in entries and in posted body bytes, or how that has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Depth {
    pub(super) entries: i64,
    pub(super) bytes: i64,
}

impl Depth {
    fn add(&mut self, meta: &Meta) {
        self.entries += 1;
        self.bytes += i64::from(meta.bytes);
    }

    fn take(&mut self, meta: &Meta) {
        self.entries -= 1;
        self.bytes -= i64::from(meta.bytes);
    }
}

impl std::ops::AddAssign for Depth {
    fn add_assign(&mut self, change: Self) {
        self.entries += change.entries;
        self.bytes += change.bytes;
    }
}

/// What has changed since the last commit.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) head: bool,
    pub(super) metas: BTreeSet<Seq>,
    pub(super) bodies: Vec<Entry>,
    pub(super) sessions: BTreeSet<DeviceId>,
    pub(super) wills: BTreeSet<DeviceId>,
    pub(super) permissions: BTreeSet<PermissionId>,
    pub(super) retained: BTreeMap<PrivateTopic, RetainedWrite>,
    pub(super) idempotency: HashMap<IdempotencyKey, IdempotencyRow>,
    /// Notifications whose outcome came to be awaited, or no longer is.
    pub(super) awaited: BTreeSet<Seq>,
    /// What became of notifications.
    pub(super) traced: BTreeMap<Seq, Traced>,
    /// For the outbox, where its owner's log is open.
    pub(super) told: Vec<(Owner, News)>,
    pub(super) commits: Vec<Commit>,
    pub(super) erased: bool,
    /// Notifications that were still owed and went for want of room.
    pub(super) pushed_out: u32,
    /// Notifications that expired while they were owed.
    pub(super) expired: u32,
    /// What came to be owed, less what ceased to be.
    pub(super) depth: Depth,
}

/// What a command is judged by besides the state.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) limits: &'a MailboxLimits,
    pub(super) site_blocked: bool,
    /// What is on disk for the command's idempotency key.
    pub(super) remembered: Option<IdempotencyRow>,
    pub(super) outbox: Outbox,
}

/// What an accept has to know of the outbox.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outbox {
    /// Whether the log of its site is open.
    pub(super) site: bool,
    /// Whether the receipt subscription that it names is there.
    pub(super) named: bool,
}

#[derive(Debug, Default)]
pub(super) struct UserState {
    pub(super) head: Seq,
    pub(super) blocked: bool,
    /// Nothing of the user is left, and nothing comes again.
    pub(super) erased: bool,
    /// When the next thing of this user is due to go.
    pub(super) due: Option<Timestamp>,
    /// What an engine has as [`Self::due`].
    pub(super) due_kept: Option<Timestamp>,
    /// How long an entry that is owed to nobody is kept.
    pub(super) history: Duration,
    pub(super) metas: BTreeMap<Seq, Meta>,
    pub(super) sessions: BTreeMap<DeviceId, SessionRow>,
    /// Of sessions that there are. Beside their rows, which are written with each acknowledgement.
    pub(super) wills: BTreeMap<DeviceId, Will>,
    pub(super) permissions: HashMap<PermissionId, PermissionRow>,
    /// Notifications whose outcome somebody outside is to be told.
    pub(super) awaited: AwaitedAll,
    /// Bytes and expiry of the retained messages.
    pub(super) retained: BTreeMap<PrivateTopic, (usize, Timestamp)>,
    /// What there is, counted; none where that is not known.
    pub(super) census: Option<Census>,
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

    /// Whether it is a notification that has been history for longer than this.
    pub(super) fn is_history_over(&self, history: Duration, now: Timestamp) -> bool {
        let over = |done: Timestamp| done.plus(history) <= now;
        self.permission().is_some() && self.done.is_some_and(over)
    }

    fn permission(&self) -> Option<PermissionId> {
        match self.entry.content {
            Content::Notification { permission, .. } => Some(permission),
            Content::Private { .. } => None,
        }
    }
}

impl UserState {
    /// Applies a command of this user: whole, or, where it is refused, not at all.
    pub(super) fn apply(
        &mut self,
        user: UserId,
        command: Command,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if self.erased {
            return Self::after_erasure(&command);
        }
        let now = context.now;
        let expiry_max = context.limits.session_expiry_max;
        self.lapse(user, context);
        match command {
            Command::Accept(accept) => self.accept(user, &accept, context),
            Command::PublishPrivate(publish) => self.publish_private(user, &publish, context),
            Command::Settle { device, seqs, .. } => self.settle(user, device, &seqs, now),
            Command::Acknowledge { device, ids, .. } => self.acknowledge(user, device, &ids, now),
            Command::Seen { ids, .. } => Ok(self.seen(user, &ids, now)),
            Command::Withdraw { seq, .. } => Ok(self.withdraw(user, seq, now)),
            Command::SetPermission {
                permission,
                site,
                muted,
                receipts,
                endpoint,
                ..
            } => {
                let given = Given {
                    muted,
                    receipts,
                    site: Owner::site(&site),
                    endpoint,
                };
                self.set_permission(user, permission, given, now)
            }
            Command::Revoke { permission, .. } => Ok(self.revoke(user, permission, now)),
            Command::BlockUser { blocked, .. } => {
                self.changes.head |= self.blocked != blocked;
                self.blocked = blocked;
                Ok(Outcome::Done)
            }
            Command::OpenSession {
                device,
                clean,
                expiry,
                will,
                ..
            } => {
                let expiry = expiry.min(expiry_max);
                Ok(self.open_session(user, device, clean, expiry, will, context))
            }
            Command::SetPresence {
                device, presence, ..
            } => self.change_session(device, |row| row.presence = presence),
            Command::Subscribe {
                device, filters, ..
            } => self.subscribe(device, &filters, now),
            Command::Unsubscribe {
                device, filters, ..
            } => self.unsubscribe(device, &filters, now),
            Command::CloseSession {
                device,
                epoch,
                expiry,
                departure,
                ..
            } => {
                let row = self.sessions.get(&device);
                if row.is_some_and(|row| epoch.is_some_and(|epoch| epoch < row.epoch)) {
                    return Err(Refusal::UnknownSession);
                }
                let expiry = expiry.min(expiry_max);
                self.close_session(user, device, expiry, departure, context);
                Ok(Outcome::Done)
            }
            Command::ReceiveQos2 {
                device, packet_id, ..
            } => self.qos2(device, packet_id, true),
            Command::ReleaseQos2 {
                device, packet_id, ..
            } => self.qos2(device, packet_id, false),
            Command::RemoveDevice { device, .. } => {
                self.end_session(user, device, context);
                Ok(Outcome::Done)
            }
            Command::EraseUser { .. } => {
                self.erase(user, now);
                Ok(Outcome::Done)
            }
            // Of no user: the engine keeps the blocked sites and the logs of the outbox.
            Command::BlockSite { .. }
            | Command::OpenOutbox { .. }
            | Command::CloseOutbox { .. } => Ok(Outcome::Done),
        }
    }

    /// The answer to a command about a user who was erased: there is nothing to take away, and
    /// nothing is added again.
    fn after_erasure(command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::Accept(_) | Command::SetPermission { .. } => Err(Refusal::UnknownPermission),
            Command::PublishPrivate(_)
            | Command::Settle { .. }
            | Command::Acknowledge { .. }
            | Command::OpenSession { .. }
            | Command::SetPresence { .. }
            | Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::ReceiveQos2 { .. }
            | Command::ReleaseQos2 { .. } => Err(Refusal::UnknownSession),
            Command::Seen { .. }
            | Command::Withdraw { .. }
            | Command::Revoke { .. }
            | Command::BlockSite { .. }
            | Command::OpenOutbox { .. }
            | Command::CloseOutbox { .. }
            | Command::BlockUser { .. }
            | Command::CloseSession { .. }
            | Command::RemoveDevice { .. }
            | Command::EraseUser { .. } => Ok(Outcome::Done),
        }
    }

    /// Forgets everything, for ever; who is told of a revocation is told.
    fn erase(&mut self, user: UserId, now: Timestamp) {
        for (permission, row) in std::mem::take(&mut self.permissions) {
            self.tell_revoked(user, permission, Some(row), now);
        }
        let told = std::mem::take(&mut self.changes.told);
        let mut depth = self.changes.depth;
        let owed = self.metas.values().filter(|meta| meta.done.is_none());
        owed.for_each(|meta| depth.take(meta));
        *self = Self {
            erased: true,
            ..Self::default()
        };
        self.changes.erased = true;
        self.changes.depth = depth;
        self.changes.told = told;
    }

    fn set_permission(
        &mut self,
        user: UserId,
        permission: PermissionId,
        given: Given,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let before = self.permissions.get(&permission).copied();
        if before == Some(PermissionRow::Revoked) {
            return Err(Refusal::Revoked);
        }
        let row = PermissionRow::Given(given);
        if before != Some(row) {
            self.permissions.insert(permission, row);
            self.changes.permissions.insert(permission);
        }
        if !given.receipts {
            self.silence(user, permission, now);
        }
        Ok(Outcome::Done)
    }

    fn revoke(&mut self, user: UserId, permission: PermissionId, now: Timestamp) -> Outcome {
        let before = self.permissions.insert(permission, PermissionRow::Revoked);
        if before == Some(PermissionRow::Revoked) {
            return Outcome::Done;
        }
        self.tell_revoked(user, permission, before, now);
        self.changes.permissions.insert(permission);
        let theirs = self
            .metas
            .values()
            .filter(|meta| meta.permission() == Some(permission));
        let theirs: Vec<Seq> = theirs.map(|meta| meta.entry.seq).collect();
        for seq in theirs {
            if let Some(removed) = self.remove(seq) {
                self.trace_end(&removed, Ended::Revoked, now);
            }
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
        context: &Context<'_>,
    ) {
        let done = (!self.is_owed(&entry.meta, context.now)).then_some(context.now);
        let meta = Meta {
            entry: entry.meta.clone(),
            bytes,
            collapse,
            done,
            delivered: false,
        };
        self.due_at(self.gone_at(&meta));
        if done.is_none() {
            self.changes.depth.add(&meta);
        }
        self.changes.metas.insert(entry.meta.seq);
        self.changes.bodies.push(entry.clone());
        if let Some(census) = &mut self.census {
            census.add(&meta);
        }
        self.metas.insert(entry.meta.seq, meta);
        self.changes.commits.push(Commit::Stored { user, entry });
    }

    /// Whether a session is owed this entry now.
    fn is_owed(&self, entry: &EntryMeta, now: Timestamp) -> bool {
        self.sessions.values().any(|row| row.owes(entry, now))
    }

    fn remove(&mut self, seq: Seq) -> Option<Meta> {
        let removed = self.metas.remove(&seq)?;
        if let Some(census) = &mut self.census {
            census.take(&removed);
        }
        if removed.done.is_none() {
            self.changes.depth.take(&removed);
        }
        self.changes.metas.insert(seq);
        Some(removed)
    }

    /// Where these notifications are, as far as they are. One look at the log for all of them: a
    /// command names as many as a full mailbox holds.
    fn seqs_of(&self, ids: &[NotificationId]) -> HashMap<NotificationId, Seq> {
        let wanted: HashSet<NotificationId> = ids.iter().copied().collect();
        let found = self.metas.values().filter_map(|meta| {
            let id = match meta.entry.content {
                Content::Notification { id, .. } => id,
                Content::Private { .. } => return None,
            };
            wanted.contains(&id).then_some((id, meta.entry.seq))
        });
        found.collect()
    }
}
