//! The embedded engine: fjall, one ordered writer, one sync a batch.
//!
//! Nothing is answered and no reader sees it before the sync has returned: fjall writes the journal,
//! syncs it, and only then puts the batch where reads look.

mod batch;
mod cache;
mod disk;
mod due;
mod outboxes;
#[cfg(feature = "simulation")]
pub mod stepped;
#[cfg(test)]
mod tests;
mod torn;
mod traces;
mod writer;

use super::command::{Accepted, Command, CommitListener, Idempotency, Outcome, Refusal};
use super::entry::{Entry, Seq};
use super::outbox::{OutboxPage, Owner};
use super::session::View;
use super::{HistoryRange, Holding, Mailbox, MailboxLimits, Page, Retained, Trace};
use belfry_acl::limit::Limits;
use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use belfry_protocol::time::Timestamp;
use disk::Shared;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use writer::{Job, Writer};

/// Jobs that may wait for the writer: a second's worth. More are told to come back.
const QUEUE_MAX: usize = 16_384;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why a mailbox cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine refuses the folder.
    #[error("cannot open the mailbox: {0}")]
    Engine(#[from] fjall::Error),
    /// The folder cannot be used.
    #[error("cannot use the mailbox folder: {0}")]
    Folder(#[from] std::io::Error),
    /// Another version of Belfry wrote it.
    #[error(
        "the mailbox has format {found}, this program writes {}",
        super::rows::FORMAT
    )]
    Format {
        /// What was found.
        found: u32,
    },
    /// A row is damaged.
    #[error("a row of the mailbox cannot be read")]
    Unreadable,
}

impl From<super::rows::Unreadable> for OpenError {
    fn from(_: super::rows::Unreadable) -> Self {
        Self::Unreadable
    }
}

/// Whether the mailbox can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// The last that was to be written was.
    Works,
    /// It was not, and neither is anything now.
    Fails,
    /// Nothing is written any more in this process.
    Ended,
}

/// A mailbox in a folder of this machine. Dropping it waits for what is queued.
pub struct EmbeddedMailbox {
    shared: Arc<Shared>,
    clock: Clock,
    queue: SyncSender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedMailbox {
    /// Opens or makes the mailbox in this folder and starts its writer.
    ///
    /// # Errors
    /// The folder is not usable, in use, or of another format. A cut journal is not an error: what
    /// was synced before the cut is there.
    pub fn open(
        folder: &Path,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::open(folder)?);
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let writer = Writer::new(Arc::clone(&shared), limits, Arc::clone(&clock), listener)?;
        let writer = std::thread::Builder::new()
            .name("mailbox-writer".to_owned())
            .spawn(move || writer.run(&jobs))?;
        Ok(Self {
            shared,
            clock,
            queue,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Goes by these limits, where they say other than those at the start, from the next command on.
    ///
    /// # Errors
    /// The mailbox is unavailable.
    pub fn follow(&self, limits: watch::Receiver<Arc<Limits>>) -> Result<(), Refusal> {
        self.enqueue(Job::Follow(limits))
    }

    /// What became of a notification: as long as it is there, and then for as long as history is kept.
    ///
    /// # Errors
    /// The mailbox is unavailable.
    pub async fn trace(&self, user: UserId, seq: Seq) -> Result<Option<Trace>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.trace(user, seq, now)).await
    }

    /// How many notifications, with how many posted bytes, have been owed to nobody for longer than
    /// this, and are kept.
    ///
    /// # Errors
    /// The mailbox is unavailable.
    pub async fn history_over(&self, history: Duration) -> Result<(u64, u64), Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.history_over(history, now))
            .await
    }

    /// Removes what is over now instead of in its time; answers when it is durable.
    ///
    /// # Errors
    /// The mailbox is unavailable.
    pub async fn prune_now(&self) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Job::Prune { answer })?;
        answered.await.map_err(|_| Refusal::Unavailable)
    }

    /// Whether the mailbox can write, answered after all that is queued. It is tried only where the last
    /// write failed, so that asking costs nothing while all is well.
    pub async fn writing(&self) -> Writing {
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Job::Try { answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Writing::Fails,
            Err(TrySendError::Disconnected(_)) => return Writing::Ended,
        }
        match answered.await {
            Ok(true) => Writing::Works,
            Ok(false) => Writing::Fails,
            Err(_) => Writing::Ended,
        }
    }

    /// Ends the writer after what is queued; later commands are refused as unavailable.
    pub fn close(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let _ = self.queue.send(Job::Stop);
            let _ = writer.join();
        }
    }

    fn enqueue(&self, job: Job) -> Result<(), Refusal> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Refusal::Unavailable,
        })
    }

    /// Runs a read off the async threads: a cold one waits for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, disk::ReadError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || read(&shared)).await;
        match read {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot read the mailbox");
                Err(Refusal::Unavailable)
            }
            Err(_) => Err(Refusal::Unavailable),
        }
    }
}

impl Drop for EmbeddedMailbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Mailbox for EmbeddedMailbox {
    async fn apply(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Refusal>> {
        let count = commands.len();
        let (answer, answered) = oneshot::channel();
        let unavailable = || vec![Err(Refusal::Unavailable); count];
        if self.enqueue(Job::Apply { commands, answer }).is_err() {
            return unavailable();
        }
        answered.await.unwrap_or_else(|_| unavailable())
    }

    async fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.owed(user, &view, after, limit, now))
            .await
    }

    async fn entries(&self, user: UserId, seqs: Vec<Seq>) -> Result<Vec<Entry>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.entries(user, &seqs, now))
            .await
    }

    async fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.history(user, range, limit, now))
            .await
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Entry>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.notification(user, id, now))
            .await
    }

    async fn heads(&self, users: Vec<UserId>) -> Result<Vec<Seq>, Refusal> {
        self.read(move |shared| shared.heads(&users)).await
    }

    async fn holdings(&self, users: Vec<UserId>) -> Result<Vec<Holding>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.holdings(&users, now)).await
    }

    async fn idempotent(
        &self,
        user: UserId,
        permission: PermissionId,
        key: Idempotency,
    ) -> Result<Option<Accepted>, Refusal> {
        let now = (self.clock)();
        let row = self
            .read(move |shared| shared.idempotency(user, permission, &key.key))
            .await?;
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
        self.read(move |shared| shared.outbox(owner, after, limit))
            .await
    }

    async fn retained(&self, user: UserId) -> Result<Vec<Retained>, Refusal> {
        let now = (self.clock)();
        self.read(move |shared| shared.retained(user, now)).await
    }
}
