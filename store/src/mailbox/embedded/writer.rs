//! The one thread that changes the mailbox: it drains its queue, applies each command to its user's
//! state, commits all changes with one sync, answers, and tells the listener.

use super::batch::put;
use super::cache::Cache;
use super::disk::{BATCHES_KEY, DEPTH_KEY, Disk, ReadError, Shared};
use super::due::{due_users, idempotency_over, outbox_over, traces_over};
use super::outboxes::{self, Outboxes};
use super::traces::{self, Place};
use super::{Clock, OpenError};
use crate::mailbox::MailboxLimits;
use crate::mailbox::command::{Command, Commit, CommitListener, Outcome, Refusal};
use crate::mailbox::outbox::Receipts;
use crate::mailbox::rows::{self, IdempotencyRow};
use crate::mailbox::user::trace::Traced;
use crate::mailbox::user::{Context, Depth, Outbox};
use belfry_acl::limit::{Limits, Whose};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use fjall::PersistMode;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Commands committed together at most: what a sync of about a millisecond is worth waiting for.
const BATCH_MAX: usize = 1_024;
/// How often what is over is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(1);
/// The same where a slice left some.
const PRUNE_AGAIN: Duration = Duration::from_millis(50);

/// How much of what is over is removed at a time.
pub(super) struct Slice {
    users: usize,
    idempotency_keys: usize,
    outbox_rows: usize,
    /// No user is begun after this long.
    time: Duration,
}

impl Slice {
    pub(super) const ALL: Self = Self {
        users: usize::MAX,
        idempotency_keys: usize::MAX,
        outbox_rows: usize::MAX,
        time: Duration::MAX,
    };
    /// So that removing never holds up a post for long.
    const SHORT: Self = Self {
        users: 256,
        idempotency_keys: 1_024,
        outbox_rows: 1_024,
        time: Duration::from_millis(5),
    };
}

/// From when on there can be rows of something that is over. Those before are gone, and to look for
/// them costs more the more of them there were.
#[derive(Clone, Copy)]
struct Since {
    due: Timestamp,
    idempotency: Timestamp,
    outbox: Timestamp,
    traces: Timestamp,
}

impl Since {
    const EVER: Self = Self {
        due: Timestamp::from_millis(0),
        idempotency: Timestamp::from_millis(0),
        outbox: Timestamp::from_millis(0),
        traces: Timestamp::from_millis(0),
    };
}

pub(super) type Answer = Vec<Result<Outcome, Refusal>>;

/// Work for the writer.
pub(super) enum Job {
    /// Commands of one caller, in their order.
    Apply {
        commands: Vec<Command>,
        answer: oneshot::Sender<Answer>,
    },
    /// Go by these limits from now on, and by those that come after them.
    Follow(watch::Receiver<Arc<Limits>>),
    /// Remove all that is over.
    Prune { answer: oneshot::Sender<()> },
    /// Say whether writing works.
    Try { answer: oneshot::Sender<bool> },
    /// Finish what is queued before this, and end.
    Stop,
}

/// What a batch does to a connection.
enum Change {
    Begun,
    Ended(Timestamp),
    Removed,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Option<Disk>,
    /// What holds for all.
    limits: MailboxLimits,
    /// What was said at the start.
    configured: MailboxLimits,
    /// What goes over that.
    set: Arc<Limits>,
    following: Option<watch::Receiver<Arc<Limits>>>,
    clock: Clock,
    listener: CommitListener,
    users: Cache,
    blocked_sites: HashSet<Origin>,
    /// Changes of blocked sites in this batch.
    site_changes: Vec<(Origin, bool)>,
    /// Idempotency keys to forget with the next batch, as [`idempotency_over`] gives them.
    forgotten: Vec<(Vec<u8>, bool)>,
    /// Traces to write with the next batch.
    traces_due: Vec<(Place, Traced)>,
    /// Ends of traces that are over, to forget with the next batch.
    traces_over: Vec<Vec<u8>>,
    /// What is over of the outbox, to forget with the next batch.
    told_over: Vec<outboxes::Over>,
    outboxes: Outboxes,
    /// Whether a state of this batch has changed and the outbox has not.
    spoilt: bool,
    batches: u64,
    /// Whether the last write failed.
    failing: bool,
    /// How much is owed in all mailboxes.
    depth: Depth,
    /// A session without a time of disconnection lost its connection when this process began,
    /// unless it is one of those that have connected since: they are here, with when they ended where
    /// that could not be written.
    started: Timestamp,
    connections: HashMap<(UserId, DeviceId), Option<Timestamp>>,
    /// Changes of connections in this batch.
    connection_changes: Vec<((UserId, DeviceId), Change)>,
    /// Users who had a will as this process began: if its connection was lost then, nothing else says
    /// that it is due. And those of [`Self::reckoned`].
    to_look_at: Vec<UserId>,
    /// How far the users are looked through whose history is kept for another time than before; nothing
    /// where they need not be.
    reckoned: Option<Vec<u8>>,
    over_since: Since,
    /// Whether the next write is to fail.
    #[cfg(feature = "simulation")]
    pub(super) fails: bool,
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
        let with_wills = disk.with_wills().map_err(|_| OpenError::Unreadable)?;
        let mut writer = Self {
            shared,
            disk: None,
            configured: limits.clone(),
            limits,
            set: Arc::default(),
            following: None,
            clock,
            listener,
            users: Cache::default(),
            blocked_sites: HashSet::new(),
            site_changes: Vec::new(),
            forgotten: Vec::new(),
            traces_due: Vec::new(),
            traces_over: Vec::new(),
            told_over: Vec::new(),
            outboxes: Outboxes::default(),
            spoilt: false,
            batches: 0,
            failing: false,
            depth: Depth::default(),
            started,
            connections: HashMap::new(),
            connection_changes: Vec::new(),
            to_look_at: with_wills,
            reckoned: None,
            over_since: Since::EVER,
            #[cfg(feature = "simulation")]
            fails: false,
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
                        self.prune(Slice::ALL);
                        let _ = answer.send(());
                    }
                    Job::Follow(limits) => {
                        self.commit(std::mem::take(&mut batch));
                        self.set = limits.borrow().clone();
                        self.following = Some(limits);
                        self.take_over_limits();
                    }
                    Job::Try { answer } => {
                        self.commit(std::mem::take(&mut batch));
                        // Nobody may want to know any more.
                        let _ = answer.send(self.works());
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
                self.traces_due = self.shared.traces.first(usize::MAX);
                // What cannot be written now would have been no promise.
                let _ = self.write(&[]);
                return;
            }
            if Instant::now() >= prune_at {
                let more = self.prune(Slice::SHORT);
                prune_at = Instant::now() + if more { PRUNE_AGAIN } else { PRUNE_EVERY };
            }
        }
    }

    /// Applies, syncs, answers, tells.
    pub(super) fn commit(&mut self, batch: Vec<(Vec<Command>, oneshot::Sender<Answer>)>) {
        if batch.is_empty() {
            return;
        }
        self.follow_limits();
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
        // After a failed write, what is blocked is read anew before it is asked or changed.
        if self.disk.is_none() {
            self.disk()?;
        }
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
            Command::OpenOutbox { owner } => {
                let disk = self.disk()?;
                let opened = self.outboxes.open(&disk, *owner);
                opened.map_err(|error| unavailable(&error))?;
                return Ok(Outcome::Done);
            }
            Command::CloseOutbox { owner } => {
                let disk = self.disk()?;
                let end = now.plus(self.limits.history);
                let closed = self.outboxes.close(&disk, *owner, end);
                closed.map_err(|error| unavailable(&error))?;
                return Ok(Outcome::Done);
            }
            command => command.user().ok_or(Refusal::Unavailable)?,
        };
        let site_blocked = matches!(&command, Command::Accept(accept) if self.blocked_sites.contains(&accept.envelope.site));
        self.load(user)?;
        let remembered = self.remembered(&command)?;
        let outbox = self.outbox_of(&command)?;
        let connection = match &command {
            Command::OpenSession { device, .. } => Some((*device, Change::Begun)),
            Command::CloseSession { device, .. } => Some((*device, Change::Ended(now))),
            Command::RemoveDevice { device, .. } => Some((*device, Change::Removed)),
            _ => None,
        };
        let own = self.own_limits(user);
        let context = Context {
            now,
            limits: own.as_ref().unwrap_or(&self.limits),
            site_blocked,
            remembered,
            outbox,
        };
        let state = self.users.get_mut(user).ok_or(Refusal::Unavailable)?;
        touched.push(user);
        let outcome = state.apply(user, command, &context)?;
        if let Outcome::Accepted(accepted) = &outcome
            && let Some(owner) = accepted.receipts
            && !accepted.repeated
        {
            self.keep_log(|outboxes, disk| outboxes.await_outcome(disk, owner));
        }
        self.tell(user, now);
        if let Some((device, change)) = connection {
            self.connection_changes.push(((user, device), change));
        }
        Ok(outcome)
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

    /// What the outbox says to the command.
    fn outbox_of(&mut self, command: &Command) -> Result<Outbox, Refusal> {
        let Command::Accept(accept) = command else {
            return Ok(Outbox::default());
        };
        let named = match accept.receipts {
            Some(Receipts::Named(owner)) => {
                let disk = self.disk()?;
                let open = self.outboxes.is_open(&disk, owner);
                open.map_err(|error| unavailable(&error))?
            }
            Some(Receipts::New(_)) | None => false,
        };
        let site = self.outboxes.has_site(&accept.envelope.site);
        Ok(Outbox { site, named })
    }

    /// Puts what a user's state has told into the logs that are open.
    fn tell(&mut self, user: UserId, now: Timestamp) {
        let state = self.users.get_mut(user);
        let told = state.map(|state| std::mem::take(&mut state.changes.told));
        let kept = self.limits.history;
        for (owner, news) in told.unwrap_or_default() {
            self.keep_log(|outboxes, disk| outboxes.tell(disk, owner, news, now, kept));
        }
    }

    /// Changes the outbox together with a state that has changed already: where that cannot be, nothing
    /// of the batch counts.
    fn keep_log(&mut self, change: impl FnOnce(&mut Outboxes, &Disk) -> Result<(), ReadError>) {
        let changed = match &self.disk {
            Some(disk) => change(&mut self.outboxes, disk),
            None => Err(ReadError::Closed),
        };
        if let Err(error) = changed {
            tracing::error!(%error, "cannot read the outbox");
            self.spoilt = true;
        }
    }

    fn load(&mut self, user: UserId) -> Result<(), Refusal> {
        if self.users.contains(user) {
            return Ok(());
        }
        let disk = self.disk()?;
        let mut state = disk
            .load(user, self.limits.history)
            .map_err(|error| unavailable(&error))?;
        state.disconnect(|device| match self.connections.get(&(user, device)) {
            Some(ended) => *ended,
            None => Some(self.started),
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
        self.depth = disk.depth().map_err(|_| OpenError::Unreadable)?;
        self.show_depth();
        self.blocked_sites.clear();
        for row in disk.blocked_sites.iter() {
            let site = String::from_utf8(row.key()?.to_vec()).map_err(|_| OpenError::Unreadable)?;
            self.blocked_sites
                .insert(site.parse().map_err(|_| OpenError::Unreadable)?);
        }
        self.outboxes = Outboxes::take_up(&disk).map_err(|_| OpenError::Unreadable)?;
        self.disk = Some(disk);
        Ok(())
    }

    /// Writes what changed and syncs it. On failure nothing of the batch counts.
    fn write(&mut self, touched: &[UserId]) -> Result<Vec<Commit>, Failed> {
        #[cfg(feature = "simulation")]
        if std::mem::take(&mut self.fails) {
            return Err(self.fail());
        }
        if self.spoilt {
            return Err(self.give_up());
        }
        let disk = self.disk().map_err(|_| self.give_up())?;
        let mut batch = disk.database.batch().durability(Some(PersistMode::SyncAll));
        let mut commits = Vec::new();
        let (mut pushed_out, mut expired) = (0, 0);
        let mut depth = self.depth;
        let mut erased = Vec::new();
        let mut traced = Vec::new();
        let traces_due = std::mem::take(&mut self.traces_due);
        for due in &traces_due {
            match traces::put(&mut batch, &disk, due, self.limits.history) {
                Ok(Some(until)) => self.over_since.traces = self.over_since.traces.min(until),
                Ok(None) => {}
                Err(_) => return Err(self.give_up()),
            }
        }
        for user in touched {
            if let Some(state) = self.users.get_mut(*user) {
                let changes = std::mem::take(&mut state.changes);
                if put(&mut batch, &disk, *user, state, &changes).is_err() {
                    return Err(self.give_up());
                }
                if let Some(due) = state.due_kept {
                    self.over_since.due = self.over_since.due.min(due);
                }
                let of_user = changes.traced.into_iter();
                traced.extend(of_user.map(|(seq, it)| ((*user, seq), it)));
                if changes.erased {
                    erased.push(*user);
                }
                commits.extend(changes.commits);
                pushed_out += u64::from(changes.pushed_out);
                expired += u64::from(changes.expired);
                depth += changes.depth;
            }
        }
        for (site, blocked) in std::mem::take(&mut self.site_changes) {
            if blocked {
                batch.insert(&disk.blocked_sites, site.as_str(), Vec::new());
            } else {
                batch.remove(&disk.blocked_sites, site.as_str());
            }
        }
        for (end, over) in std::mem::take(&mut self.forgotten) {
            if over && let Ok(key) = rows::idempotency_of(&end) {
                batch.remove(&disk.idempotency, key.to_vec());
            }
            batch.remove(&disk.idempotency_ends, end);
        }
        for end in std::mem::take(&mut self.traces_over) {
            if let Ok(key) = rows::trace_of(&end) {
                batch.remove(&disk.traces, key.to_vec());
            }
            batch.remove(&disk.trace_ends, end);
        }
        Outboxes::forget(&mut batch, &disk, std::mem::take(&mut self.told_over));
        let kept = self.limits.history;
        let news = self.outboxes.news();
        match self.outboxes.put(&mut batch, &disk, kept) {
            Ok(told) => commits.extend(told),
            Err(_) => return Err(self.give_up()),
        }
        // After a write that failed the next one is to show that there can be one.
        if batch.is_empty() && !self.failing {
            self.note_connections(&erased);
            return Ok(commits);
        }
        let batches = self.batches + 1;
        batch.insert(&disk.about, BATCHES_KEY, rows::encode(&batches));
        if depth != self.depth {
            batch.insert(&disk.about, DEPTH_KEY, rows::encode(&depth));
        }
        let began = Instant::now();
        if let Err(error) = batch.commit() {
            tracing::error!(%error, "the mailbox cannot write; what was posted is refused and it is opened anew");
            return Err(self.give_up());
        }
        metrics::histogram!("belfry_commit_seconds").record(began.elapsed().as_secs_f64());
        self.failing = false;
        self.batches = batches;
        self.depth = depth;
        self.show_depth();
        self.shared.note_batches(batches);
        self.note_connections(&erased);
        self.shared.traces.written(&traces_due);
        self.shared.traces.forget(&erased);
        self.shared.traces.note(traced);
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
        for news in news {
            metrics::counter!("belfry_told_total", "news" => news).increment(1);
        }
        metrics::counter!("belfry_withdrawn_total").increment(withdrawn as u64);
        metrics::counter!("belfry_pushed_out_total").increment(pushed_out);
        metrics::counter!("belfry_expired_total").increment(expired);
        Ok(commits)
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    fn show_depth(&self) {
        metrics::gauge!("belfry_mailbox_depth").set(self.depth.entries as f64);
        metrics::gauge!("belfry_mailbox_bytes").set(self.depth.bytes as f64);
    }

    /// Whether it can be written; after a failure that is tried.
    fn works(&mut self) -> bool {
        !self.failing || self.write(&[]).is_ok()
    }

    /// Forgets everything in memory: the next command reads what is really on the disk.
    fn give_up(&mut self) -> Failed {
        metrics::counter!("belfry_commit_failures_total").increment(1);
        self.failing = true;
        self.users.clear();
        self.site_changes.clear();
        self.forgotten.clear();
        self.traces_due.clear();
        self.traces_over.clear();
        self.told_over.clear();
        self.outboxes = Outboxes::default();
        self.spoilt = false;
        self.over_since = Since::EVER;
        for (connection, change) in std::mem::take(&mut self.connection_changes) {
            // Who came was told that it could not be; who left has left, written or not.
            if let Change::Ended(at) = change {
                self.connections.insert(connection, Some(at));
            }
        }
        self.disk = None;
        Failed
    }

    /// A write that fails because it is told to: the files are as they were, and need not be opened
    /// again.
    #[cfg(feature = "simulation")]
    fn fail(&mut self) -> Failed {
        let disk = self.disk.take();
        let failed = self.give_up();
        if let Some(disk) = disk
            && self.take_up(disk).is_err()
        {
            self.disk = None;
        }
        failed
    }

    /// The batch is written, and with it how its connections began and ended.
    fn note_connections(&mut self, erased: &[UserId]) {
        for (connection, change) in std::mem::take(&mut self.connection_changes) {
            match change {
                Change::Begun => self.connections.insert(connection, None),
                Change::Ended(_) | Change::Removed => self.connections.remove(&connection),
            };
        }
        for user in erased {
            self.connections.retain(|(theirs, _), _| theirs != user);
        }
    }

    /// Goes by other limits where they have changed. Not to be called while a state has changes that are
    /// not written.
    fn follow_limits(&mut self) {
        let Some(following) = &mut self.following else {
            return;
        };
        // Who sets them may be gone; what they last said holds.
        if following.has_changed().unwrap_or(false) {
            self.set = Arc::clone(&following.borrow_and_update());
            self.take_over_limits();
        }
    }

    fn take_over_limits(&mut self) {
        let history = self.limits.history;
        self.limits = self
            .configured
            .with(|name, value| self.set.for_all(name, value));
        if self.limits.history != history {
            // What each user keeps, and when the next of it goes, is reckoned anew.
            self.users.clear();
            self.reckoned = Some(Vec::new());
        }
    }

    /// What holds for a user who has limits of their own.
    fn own_limits(&self, user: UserId) -> Option<MailboxLimits> {
        let own = |name| self.set.own_of_user(user, name);
        self.set
            .has_own(&Whose::User(user))
            .then(|| self.limits.with(|name, value| own(name).unwrap_or(value)))
    }

    /// The next users whose dues are to be reckoned anew.
    fn reckon(&mut self, disk: &Disk, users_max: usize) -> Result<(), ReadError> {
        let Some(after) = &mut self.reckoned else {
            return Ok(());
        };
        let users = disk.users_after(after, users_max)?;
        match users.last() {
            Some(last) => *after = last.as_bytes().to_vec(),
            None => self.reckoned = None,
        }
        self.to_look_at.extend(users);
        Ok(())
    }

    /// Removes a slice of what is over, and says whether there is more.
    pub(super) fn prune(&mut self, slice: Slice) -> bool {
        let began = Instant::now();
        let now = (self.clock)();
        self.follow_limits();
        let Ok(disk) = self.disk() else { return false };
        if self.to_look_at.is_empty()
            && let Err(error) = self.reckon(&disk, slice.users)
        {
            tracing::error!(%error, "cannot look through the users");
            return false;
        }
        let (due, forgotten, told_over, traces_over) = match self.over(&disk, now, &slice) {
            Ok(over) => over,
            Err(error) => {
                tracing::error!(%error, "cannot look for what is over");
                return false;
            }
        };
        let full = due.len() == slice.users
            || forgotten.len() == slice.idempotency_keys
            || told_over.len() == slice.outbox_rows
            || traces_over.len() == slice.idempotency_keys;
        let mut since = self.over_since;
        if let Some((end, _)) = forgotten.last()
            && let Ok(until) = rows::until_of(end)
        {
            since.idempotency = until;
        }
        self.forgotten = forgotten;
        if let Some(end) = traces_over.last()
            && let Ok(until) = rows::until_of(end)
        {
            since.traces = until;
        }
        self.traces_over = traces_over;
        self.traces_due = self.shared.traces.first(slice.idempotency_keys);
        let full = full || self.traces_due.len() == slice.idempotency_keys;
        if let Some(last) = told_over.last()
            && let Ok((at, ..)) = rows::outbox_due_of(&last.due)
        {
            since.outbox = at;
        }
        self.told_over = told_over;
        let mut pruned = Vec::new();
        let in_time = || began.elapsed() < slice.time;
        let users: Vec<UserId> = due.iter().map(|(_, user)| *user).collect();
        let done = self.prune_users(&users, now, in_time, &mut pruned);
        if let Some(last) = done.checked_sub(1) {
            since.due = due[last].0;
        }
        let rest = self.to_look_at.len().saturating_sub(slice.users);
        let to_look_at = self.to_look_at[rest..].to_vec();
        let looked_at = self.prune_users(&to_look_at, now, in_time, &mut pruned);
        let more = full
            || rest > 0
            || self.reckoned.is_some()
            || done < users.len()
            || looked_at < to_look_at.len();
        let nothing = self.forgotten.is_empty()
            && self.told_over.is_empty()
            && self.traces_over.is_empty()
            && self.traces_due.is_empty();
        if pruned.is_empty() && nothing {
            return more;
        }
        self.over_since = since;
        if let Ok(commits) = self.write(&pruned) {
            let pruned: HashSet<_> = pruned.iter().collect();
            self.to_look_at.retain(|user| !pruned.contains(user));
            if !commits.is_empty() {
                (self.listener)(commits);
            }
        }
        self.users.shrink(&pruned);
        more
    }

    /// Users with something due, and idempotency keys and rows of the outbox that are over.
    fn over(&self, disk: &Disk, now: Timestamp, slice: &Slice) -> Result<Over, ReadError> {
        let until = now.plus(Duration::from_millis(1));
        let Since {
            due,
            idempotency,
            outbox,
            traces,
        } = self.over_since;
        Ok((
            due_users(disk, due..until, slice.users)?,
            idempotency_over(disk, idempotency..until, slice.idempotency_keys)?,
            outbox_over(disk, outbox..until, slice.outbox_rows)?,
            traces_over(disk, traces..until, slice.idempotency_keys)?,
        ))
    }

    /// Prunes these in their order for as long as it is `in_time`, and gives how many of them had their
    /// turn: one that cannot be read, which was logged, keeps no other from its own.
    fn prune_users(
        &mut self,
        users: &[UserId],
        now: Timestamp,
        in_time: impl Fn() -> bool,
        pruned: &mut Vec<UserId>,
    ) -> usize {
        for (done, user) in users.iter().enumerate() {
            if !in_time() {
                return done;
            }
            if self.load(*user).is_err() {
                continue;
            }
            let own = self.own_limits(*user);
            let context = Context {
                now,
                limits: own.as_ref().unwrap_or(&self.limits),
                site_blocked: false,
                remembered: None,
                outbox: Outbox::default(),
            };
            if let Some(state) = self.users.get_mut(*user) {
                state.prune(*user, &context);
                pruned.push(*user);
            }
            self.tell(*user, now);
        }
        users.len()
    }
}

/// What [`due_users`], [`idempotency_over`], [`outbox_over`] and [`traces_over`] find.
type Over = (
    Vec<(Timestamp, UserId)>,
    Vec<(Vec<u8>, bool)>,
    Vec<outboxes::Over>,
    Vec<Vec<u8>>,
);

struct Failed;

fn unavailable(error: &ReadError) -> Refusal {
    tracing::error!(%error, "cannot read the mailbox");
    Refusal::Unavailable
}

#[cfg(test)]
mod tests;
