//! The one thread that changes the mailbox: it drains its queue, applies each command to its user's
//! state, commits all changes with one sync, answers, and tells the listener.

use super::cache::Cache;
use super::disk::{BATCHES_KEY, Disk, ReadError, Shared};
use super::{Clock, OpenError};
use crate::mailbox::MailboxLimits;
use crate::mailbox::command::{Command, Commit, CommitListener, Outcome, Refusal};
use crate::mailbox::entry::Content;
use crate::mailbox::rows::{self, BodyRow, HeadRow, IdempotencyRow, RetainedRow};
use crate::mailbox::user::{Changes, Context, IdempotencyKey, UserState};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use fjall::{OwnedWriteBatch, PersistMode};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Commands committed together at most: what a sync of about a millisecond is worth waiting for.
const BATCH_MAX: usize = 1_024;
/// How often a slice of the users is looked through for what is over.
const PRUNE_EVERY: Duration = Duration::from_secs(1);
/// Head rows looked at in one slice, so that pruning never holds up a post for long.
const PRUNE_SLICE: usize = 4_096;

type Answer = Vec<Result<Outcome, Refusal>>;

/// Work for the writer.
pub(super) enum Job {
    /// Commands of one caller, in their order.
    Apply {
        commands: Vec<Command>,
        answer: oneshot::Sender<Answer>,
    },
    /// Remove all that is over.
    Prune { answer: oneshot::Sender<()> },
    /// Finish what is queued before this, and end.
    Stop,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Option<Disk>,
    limits: MailboxLimits,
    clock: Clock,
    listener: CommitListener,
    users: Cache,
    blocked_sites: HashSet<Origin>,
    /// Changes of blocked sites in this batch.
    site_changes: Vec<(Origin, bool)>,
    batches: u64,
    /// A session without a time of disconnection lost its connection when this process began,
    /// unless it is one of those that have connected since.
    started: Timestamp,
    connected: HashSet<(UserId, DeviceId)>,
    prune_cursor: Option<UserId>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> Result<Self, OpenError> {
        let disk = shared.disk().map_err(|_| OpenError::Unreadable)?;
        let started = clock();
        let mut writer = Self {
            shared,
            disk: None,
            limits,
            clock,
            listener,
            users: Cache::default(),
            blocked_sites: HashSet::new(),
            site_changes: Vec::new(),
            batches: 0,
            started,
            connected: HashSet::new(),
            prune_cursor: None,
        };
        writer.take_up(disk)?;
        Ok(writer)
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut prune_at = Instant::now() + PRUNE_EVERY;
        loop {
            let wait = prune_at.saturating_duration_since(Instant::now());
            let mut next = match jobs.recv_timeout(wait) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = Vec::new();
            let mut commands = 0;
            let mut stop = false;
            while let Some(job) = next.take() {
                match job {
                    Job::Apply {
                        commands: list,
                        answer,
                    } => {
                        commands += list.len();
                        batch.push((list, answer));
                    }
                    Job::Prune { answer } => {
                        self.commit(std::mem::take(&mut batch));
                        self.prune(usize::MAX);
                        let _ = answer.send(());
                    }
                    Job::Stop => {
                        stop = true;
                        break;
                    }
                }
                if commands < BATCH_MAX {
                    next = jobs.try_recv().ok();
                }
            }
            self.commit(batch);
            if stop {
                return;
            }
            if Instant::now() >= prune_at {
                self.prune(PRUNE_SLICE);
                prune_at = Instant::now() + PRUNE_EVERY;
            }
        }
    }

    /// Applies, syncs, answers, tells.
    fn commit(&mut self, batch: Vec<(Vec<Command>, oneshot::Sender<Answer>)>) {
        if batch.is_empty() {
            return;
        }
        let mut answers = Vec::with_capacity(batch.len());
        let mut touched = Vec::new();
        let mut applied = 0u32;
        for (commands, answer) in batch {
            let results: Answer = commands
                .into_iter()
                .map(|command| {
                    applied += 1;
                    self.apply(command, &mut touched)
                })
                .collect();
            answers.push((results, answer));
        }
        metrics::histogram!("belfry_commit_batch_size").record(f64::from(applied));
        let written = self.write(&touched);
        for (results, answer) in answers {
            let results = match written {
                Ok(_) => results,
                Err(Failed) => results.iter().map(|_| Err(Refusal::Unavailable)).collect(),
            };
            // A caller that gave up waiting has its answer in the mailbox.
            let _ = answer.send(results);
        }
        if let Ok(commits) = written
            && !commits.is_empty()
        {
            (self.listener)(commits);
        }
        self.users.shrink(&touched);
    }

    fn apply(&mut self, command: Command, touched: &mut Vec<UserId>) -> Result<Outcome, Refusal> {
        let now = (self.clock)();
        let user = match &command {
            Command::BlockSite { site, blocked } => {
                let changed = if *blocked {
                    self.blocked_sites.insert(site.clone())
                } else {
                    self.blocked_sites.remove(site)
                };
                if changed {
                    self.site_changes.push((site.clone(), *blocked));
                }
                return Ok(Outcome::Done);
            }
            command => command.user().ok_or(Refusal::Unavailable)?,
        };
        let site_blocked = matches!(&command, Command::Accept(accept) if self.blocked_sites.contains(&accept.envelope.site));
        self.load(user)?;
        let remembered = self.remembered(&command)?;
        let limits = self.limits.clone();
        let Some(state) = self.users.get_mut(user) else {
            return Err(Refusal::Unavailable);
        };
        if state.erased {
            return UserState::after_erasure(&command);
        }
        touched.push(user);
        state.expire_sessions(now);
        let context = Context {
            now,
            limits: &limits,
            site_blocked,
            remembered,
        };
        match command {
            Command::Accept(accept) => state.accept(user, &accept, &context),
            Command::PublishPrivate(publish) => state.publish_private(user, &publish, &context),
            Command::Settle { device, seqs, .. } => state.settle(device, &seqs, now),
            Command::Acknowledge { device, ids, .. } => state.acknowledge(user, device, &ids, now),
            Command::Seen { ids, .. } => Ok(state.seen(user, &ids, now)),
            Command::Withdraw { seq, .. } => Ok(state.withdraw(user, seq)),
            Command::SetPermission {
                permission, muted, ..
            } => state.set_permission(permission, muted),
            Command::Revoke { permission, .. } => Ok(state.revoke(user, permission)),
            Command::BlockUser { blocked, .. } => {
                state.changes.head |= state.blocked != blocked;
                state.blocked = blocked;
                Ok(Outcome::Done)
            }
            Command::OpenSession {
                device,
                clean,
                expiry,
                ..
            } => {
                self.connected.insert((user, device));
                let expiry = expiry.min(limits.session_expiry_max);
                Ok(state.open_session(device, clean, expiry, now))
            }
            Command::Subscribe {
                device, filters, ..
            } => state.subscribe(device, &filters, now),
            Command::Unsubscribe {
                device, filters, ..
            } => state.unsubscribe(device, &filters, now),
            Command::CloseSession { device, expiry, .. } => {
                self.connected.remove(&(user, device));
                let expiry = expiry.min(limits.session_expiry_max);
                Ok(state.close_session(device, expiry, now))
            }
            Command::ReceiveQos2 {
                device, packet_id, ..
            } => state.qos2(device, packet_id, true),
            Command::ReleaseQos2 {
                device, packet_id, ..
            } => state.qos2(device, packet_id, false),
            Command::RemoveDevice { device, .. } => {
                self.connected.remove(&(user, device));
                state.end_session(device, now);
                Ok(Outcome::Done)
            }
            Command::EraseUser { .. } => {
                self.connected.retain(|(theirs, _)| *theirs != user);
                state.erase();
                Ok(Outcome::Done)
            }
            Command::BlockSite { .. } => Ok(Outcome::Done),
        }
    }

    /// What the disk remembers for the command's idempotency key.
    fn remembered(&self, command: &Command) -> Result<Option<IdempotencyRow>, Refusal> {
        let Command::Accept(accept) = command else {
            return Ok(None);
        };
        let Some(idempotency) = accept.idempotency else {
            return Ok(None);
        };
        let row =
            self.shared
                .idempotency(accept.user, accept.envelope.permission, &idempotency.key);
        row.map_err(|error| unavailable(&error))
    }

    fn load(&mut self, user: UserId) -> Result<(), Refusal> {
        if self.users.contains(user) {
            return Ok(());
        }
        let disk = self.disk()?;
        let mut state = disk
            .load(user, self.limits.history)
            .map_err(|error| unavailable(&error))?;
        state.disconnect(self.started, |device| {
            !self.connected.contains(&(user, device))
        });
        self.users.insert(user, state);
        Ok(())
    }

    fn disk(&mut self) -> Result<Disk, Refusal> {
        if self.disk.is_none() {
            let disk = self.shared.reopen().map_err(|error| {
                tracing::error!(%error, "the mailbox cannot be opened again");
                Refusal::Unavailable
            })?;
            self.take_up(disk).map_err(|_| Refusal::Unavailable)?;
        }
        self.disk.clone().ok_or(Refusal::Unavailable)
    }

    fn take_up(&mut self, disk: Disk) -> Result<(), OpenError> {
        self.batches = disk.batches().map_err(|_| OpenError::Unreadable)?;
        self.blocked_sites.clear();
        for row in disk.blocked_sites.iter() {
            let site = String::from_utf8(row.key()?.to_vec()).map_err(|_| OpenError::Unreadable)?;
            self.blocked_sites
                .insert(site.parse().map_err(|_| OpenError::Unreadable)?);
        }
        self.disk = Some(disk);
        Ok(())
    }

    /// Writes what changed and syncs it. On failure nothing of the batch counts.
    fn write(&mut self, touched: &[UserId]) -> Result<Vec<Commit>, Failed> {
        let disk = self.disk().map_err(|_| self.give_up())?;
        let mut batch = disk.database.batch().durability(Some(PersistMode::SyncAll));
        let mut commits = Vec::new();
        let (mut pushed_out, mut expired) = (0, 0);
        for user in touched {
            if let Some(state) = self.users.get_mut(*user) {
                let changes = std::mem::take(&mut state.changes);
                if put(&mut batch, &disk, *user, state, &changes).is_err() {
                    return Err(self.give_up());
                }
                commits.extend(changes.commits);
                pushed_out += u64::from(changes.pushed_out);
                expired += u64::from(changes.expired);
            }
        }
        for (site, blocked) in std::mem::take(&mut self.site_changes) {
            if blocked {
                batch.insert(&disk.blocked_sites, site.as_str(), Vec::new());
            } else {
                batch.remove(&disk.blocked_sites, site.as_str());
            }
        }
        if batch.is_empty() {
            return Ok(commits);
        }
        let batches = self.batches + 1;
        batch.insert(&disk.about, BATCHES_KEY, rows::encode(&batches));
        let began = Instant::now();
        if let Err(error) = batch.commit() {
            tracing::error!(%error, "the mailbox cannot write; what was posted is refused and it is opened anew");
            return Err(self.give_up());
        }
        metrics::histogram!("belfry_commit_seconds").record(began.elapsed().as_secs_f64());
        self.batches = batches;
        self.shared.note_batches(batches);
        let taken_back = |commit: &&Commit| {
            matches!(
                commit,
                Commit::Withdrawn {
                    replaced: false,
                    ..
                }
            )
        };
        let withdrawn = commits.iter().filter(taken_back).count();
        metrics::counter!("belfry_withdrawn_total").increment(withdrawn as u64);
        metrics::counter!("belfry_pushed_out_total").increment(pushed_out);
        metrics::counter!("belfry_expired_total").increment(expired);
        Ok(commits)
    }

    /// Forgets everything in memory: the next command reads what is really on the disk.
    fn give_up(&mut self) -> Failed {
        self.users.clear();
        self.site_changes.clear();
        self.disk = None;
        Failed
    }

    /// Looks through up to `slice` users for what is over, and removes it.
    fn prune(&mut self, slice: usize) {
        let now = (self.clock)();
        let Ok(disk) = self.disk() else { return };
        let due = match due_users(&disk, self.prune_cursor, slice, now) {
            Ok((due, cursor)) => {
                self.prune_cursor = cursor;
                due
            }
            Err(error) => {
                tracing::error!(%error, "cannot look for what has expired");
                return;
            }
        };
        let mut pruned = Vec::new();
        for user in due {
            let Ok((forgotten, idempotency_due)) = idempotency_over(&disk, user, now) else {
                tracing::error!("cannot look for old idempotency keys");
                break;
            };
            if self.load(user).is_err() {
                break;
            }
            if let Some(state) = self.users.get_mut(user) {
                state.changes.forgotten = forgotten;
                state.prune(now, idempotency_due);
                pruned.push(user);
            }
        }
        if pruned.is_empty() {
            return;
        }
        if let Ok(commits) = self.write(&pruned)
            && !commits.is_empty()
        {
            (self.listener)(commits);
        }
        self.users.shrink(&pruned);
    }
}

struct Failed;

fn unavailable(error: &ReadError) -> Refusal {
    tracing::error!(%error, "cannot read the mailbox");
    Refusal::Unavailable
}

/// Users with something due, from after the cursor on, and where to go on next time.
fn due_users(
    disk: &Disk,
    cursor: Option<UserId>,
    slice: usize,
    now: Timestamp,
) -> Result<(Vec<UserId>, Option<UserId>), ReadError> {
    let from = cursor.map_or(std::ops::Bound::Unbounded, |user| {
        std::ops::Bound::Excluded(user.as_bytes().to_vec())
    });
    let mut due = Vec::new();
    let mut seen = 0;
    for row in disk
        .heads
        .range::<Vec<u8>, _>((from, std::ops::Bound::Unbounded))
    {
        let (key, value) = row.into_inner()?;
        let user = rows::user_of(&key)?;
        let head: HeadRow = rows::decode(&value)?;
        if head.due <= now.as_millis() {
            due.push(user);
        }
        seen += 1;
        if seen == slice {
            return Ok((due, Some(user)));
        }
    }
    Ok((due, None))
}

/// A user's idempotency keys that are over, and when the next one is.
fn idempotency_over(
    disk: &Disk,
    user: UserId,
    now: Timestamp,
) -> Result<(Vec<IdempotencyKey>, Option<Timestamp>), ReadError> {
    let mut over = Vec::new();
    let mut next = None;
    for row in disk.idempotency.prefix(user.as_bytes()) {
        let (key, value) = row.into_inner()?;
        let row: IdempotencyRow = rows::decode(&value)?;
        if row.until <= now.as_millis() {
            over.push(rows::idempotency_of(&key)?);
        } else if next.is_none_or(|next| row.until < next) {
            next = Some(row.until);
        }
    }
    Ok((over, next.map(Timestamp::from_millis)))
}

fn put(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    user: UserId,
    state: &mut UserState,
    changes: &Changes,
) -> Result<(), ReadError> {
    if changes.erased {
        let spaces = [
            &disk.heads,
            &disk.metas,
            &disk.bodies,
            &disk.sessions,
            &disk.permissions,
            &disk.retained,
            &disk.idempotency,
        ];
        for space in spaces {
            for row in space.prefix(user.as_bytes()) {
                batch.remove(space, row.key()?);
            }
        }
        batch.insert(&disk.erased, user.as_bytes().to_vec(), Vec::new());
        return Ok(());
    }
    for entry in &changes.bodies {
        if !state.metas.contains_key(&entry.meta.seq) {
            continue;
        }
        let properties = match &entry.meta.content {
            Content::Private { properties, .. } => properties.as_ref(),
            Content::Notification { .. } => &[],
        };
        let row = BodyRow {
            properties,
            payload: &entry.payload,
        };
        batch.insert(
            &disk.bodies,
            rows::seq_key(user, entry.meta.seq),
            rows::encode(&row),
        );
    }
    for seq in &changes.metas {
        let key = rows::seq_key(user, *seq);
        match state.metas.get(seq) {
            Some(meta) => batch.insert(&disk.metas, key, rows::encode_meta(meta)),
            None => {
                batch.remove(&disk.metas, key.clone());
                batch.remove(&disk.bodies, key);
            }
        }
    }
    for device in &changes.sessions {
        let key = rows::key(user, device.as_bytes());
        match state.sessions.get_mut(device) {
            Some(row) => {
                let metas = &state.metas;
                row.holes.retain(|hole| metas.contains_key(hole));
                batch.insert(&disk.sessions, key, rows::encode_session(row));
            }
            None => batch.remove(&disk.sessions, key),
        }
    }
    for permission in &changes.permissions {
        if let Some(row) = state.permissions.get(permission) {
            let key = rows::key(user, permission.as_bytes());
            batch.insert(&disk.permissions, key, rows::encode_permission(row));
        }
    }
    for (topic, message) in &changes.retained {
        let key = rows::key(user, topic.as_str().as_bytes());
        match message {
            None => batch.remove(&disk.retained, key),
            Some(message) => {
                let row = RetainedRow {
                    properties: message.properties.to_vec(),
                    payload: message.payload.to_vec(),
                    at_least_once: message.at_least_once,
                    expires: message.expires.as_millis(),
                };
                batch.insert(&disk.retained, key, rows::encode(&row));
            }
        }
    }
    for (permission, key) in &changes.forgotten {
        let key = rows::idempotency_key(user, *permission, key);
        batch.remove(&disk.idempotency, key);
    }
    for ((permission, key), row) in &changes.idempotency {
        batch.insert(
            &disk.idempotency,
            rows::idempotency_key(user, *permission, key),
            rows::encode(row),
        );
    }
    if changes.head {
        let due = state.due.map_or(u64::MAX, Timestamp::as_millis);
        let row = HeadRow {
            head: state.head.0,
            blocked: state.blocked,
            due,
        };
        batch.insert(&disk.heads, user.as_bytes().to_vec(), rows::encode(&row));
    }
    Ok(())
}
