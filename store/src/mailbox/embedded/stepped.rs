//! The embedded engine without its thread: what waits is committed when its owner says so, so that a
//! simulation decides when, in which batches, whether a write fails, and when the process ends.
//!
//! Writer, rows and reads are the engine's own. What is durable is what its files hold; a process that
//! ends takes with it what waits, and every state in memory.

use super::super::command::{Accepted, Command, CommitListener, Idempotency, Outcome, Refusal};
use super::super::entry::{Entry, Seq};
use super::super::outbox::{OutboxPage, Owner};
use super::super::session::View;
use super::super::{HistoryRange, Holding, Mailbox, MailboxLimits, Page, Retained};
use super::disk::{ReadError, Shared};
use super::writer::{Answer, Slice, Writer};
use super::{Clock, OpenError};
use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A mailbox that is told when to write.
pub struct SteppedMailbox {
    shared: Arc<Shared>,
    limits: MailboxLimits,
    clock: Clock,
    /// None once the process has ended.
    writer: Mutex<Option<Writer>>,
    queue: Mutex<VecDeque<(Vec<Command>, oneshot::Sender<Answer>)>>,
}

/// What becomes of the jobs of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are durable and answered.
    Answered,
    /// They are durable, and the process ends before anybody hears of it.
    Unheard,
    /// The write fails: they are answered as unavailable.
    Failed,
}

/// The commands of one caller with their answers.
pub type Applied = (Vec<Command>, Vec<Result<Outcome, Refusal>>);

impl SteppedMailbox {
    /// Opens or makes the mailbox in this folder.
    ///
    /// # Errors
    /// As [`super::EmbeddedMailbox::open`].
    pub fn open(
        folder: &Path,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> Result<Self, OpenError> {
        Self::over(Arc::new(Shared::open(folder)?), limits, clock, listener)
    }

    /// This process ends, and a new one finds what is in the same files.
    ///
    /// # Errors
    /// As [`super::EmbeddedMailbox::open`].
    pub fn restarted(&self, listener: CommitListener) -> Result<Self, OpenError> {
        let (limits, clock) = (self.limits.clone(), Arc::clone(&self.clock));
        *self.writer() = None;
        if self.shared.disk().is_err() {
            self.shared.reopen()?;
        }
        Self::over(Arc::clone(&self.shared), limits, clock, listener)
    }

    fn over(
        shared: Arc<Shared>,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> Result<Self, OpenError> {
        let writer = Writer::new(
            Arc::clone(&shared),
            limits.clone(),
            Arc::clone(&clock),
            listener,
        )?;
        Ok(Self {
            shared,
            limits,
            clock,
            writer: Mutex::new(Some(writer)),
            queue: Mutex::default(),
        })
    }

    /// Leaves commands to be written.
    pub fn enqueue(&self, commands: Vec<Command>) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        self.queue().push_back((commands, answer));
        answered
    }

    /// How many callers wait.
    pub fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// Writes the first `jobs` of those that wait as one batch, and gives what was asked and answered.
    pub fn commit(&self, jobs: usize, fate: Fate) -> Vec<Applied> {
        let (mut batch, mut askers) = (Vec::new(), Vec::new());
        {
            let mut queue = self.queue();
            let jobs = jobs.min(queue.len());
            for (commands, asker) in queue.drain(..jobs) {
                let (answer, answered) = oneshot::channel();
                batch.push((commands.clone(), answer));
                askers.push((commands, answered, asker));
            }
        }
        if let Some(writer) = &mut *self.writer() {
            writer.fails = fate == Fate::Failed && !batch.is_empty();
            writer.commit(batch);
        }
        let mut applied = Vec::new();
        for (commands, mut answered, asker) in askers {
            let answers = answered.try_recv().unwrap_or_default();
            match fate {
                // Its caller is never woken.
                Fate::Unheard => std::mem::forget(asker),
                Fate::Answered | Fate::Failed => {
                    let _ = asker.send(answers.clone());
                }
            }
            applied.push((commands, answers));
        }
        applied
    }

    /// Removes all that is over.
    pub fn prune(&self) {
        if let Some(writer) = &mut *self.writer() {
            writer.prune(Slice::ALL);
        }
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(Vec<Command>, oneshot::Sender<Answer>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(_: ReadError) -> Refusal {
    Refusal::Unavailable
}

impl Mailbox for SteppedMailbox {
    async fn apply(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Refusal>> {
        let count = commands.len();
        let answered = self.enqueue(commands).await;
        answered.unwrap_or_else(|_| vec![Err(Refusal::Unavailable); count])
    }

    async fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let now = (self.clock)();
        let page = self.shared.owed(user, &view, after, limit, now);
        page.map_err(unavailable)
    }

    async fn entries(&self, user: UserId, seqs: Vec<Seq>) -> Result<Vec<Entry>, Refusal> {
        let now = (self.clock)();
        self.shared.entries(user, &seqs, now).map_err(unavailable)
    }

    async fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        let now = (self.clock)();
        let entries = self.shared.history(user, range, limit, now);
        entries.map_err(unavailable)
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Entry>, Refusal> {
        let now = (self.clock)();
        self.shared.notification(user, id, now).map_err(unavailable)
    }

    async fn heads(&self, users: Vec<UserId>) -> Result<Vec<Seq>, Refusal> {
        self.shared.heads(&users).map_err(unavailable)
    }

    async fn holdings(&self, users: Vec<UserId>) -> Result<Vec<Holding>, Refusal> {
        let now = (self.clock)();
        self.shared.holdings(&users, now).map_err(unavailable)
    }

    async fn idempotent(
        &self,
        user: UserId,
        permission: PermissionId,
        key: Idempotency,
    ) -> Result<Option<Accepted>, Refusal> {
        let now = (self.clock)();
        let row = self.shared.idempotency(user, permission, &key.key);
        let row = row.map_err(unavailable)?;
        match row.filter(|row| row.until > now.as_millis()) {
            None => Ok(None),
            Some(row) if row.digest == key.digest => Ok(Some(row.answer())),
            Some(_) => Err(Refusal::IdempotencyMismatch),
        }
    }

    async fn outbox(
        &self,
        owner: Owner,
        after: u64,
        limit: usize,
    ) -> Result<Option<OutboxPage>, Refusal> {
        let page = self.shared.outbox(owner, after, limit);
        page.map_err(unavailable)
    }

    async fn retained(&self, user: UserId) -> Result<Vec<Retained>, Refusal> {
        let now = (self.clock)();
        self.shared.retained(user, now).map_err(unavailable)
    }
}
