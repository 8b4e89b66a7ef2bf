//! The mailbox: one durable, ordered log of notifications a user, and what each of the user's
//! sessions is still owed of it.
//!
//! Everything that changes it is a [`Command`] in one order: a single writer drains the queue,
//! commits the batch once, syncs, answers all who wait, and only then tells the
//! [`CommitListener`]. Reads see what was committed.

pub mod command;
#[cfg(test)]
mod conformance;
pub mod embedded;
pub mod entry;
mod rows;
pub mod session;
mod user;

use belfry_protocol::id::{NotificationId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::PrivateTopic;
pub use command::{
    Accept, Accepted, Command, Commit, CommitListener, Outcome, PrivatePublish, Refusal, WhenFull,
};
pub use entry::{Content, Entry, EntryMeta, Seq};
pub use session::{SessionRow, SubscribedFilter, SubscriptionOptions, View};

/// An engine that keeps mailboxes. Two implement it: the embedded one, and PostgreSQL in a cluster.
///
/// "Unavailable" ([`Refusal::Unavailable`]) is distinct from every refusal: it says nothing about
/// the command, which may be tried again.
pub trait Mailbox: Send + Sync + 'static {
    /// Applies commands in their order and answers each once it is on stable storage.
    fn apply(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Vec<Result<Outcome, Refusal>>> + Send;

    /// The first entries after `after` that the view owes, in `seq` order, at most `limit` and about
    /// [`PAGE_BYTES_MAX`] of payload; with the user's head as of that read.
    fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// Entries by their place that are still live (not expired, withdrawn, replaced or revoked),
    /// seen or not.
    fn entries(
        &self,
        user: UserId,
        seqs: Vec<Seq>,
    ) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// A page of the log with its history, newest first when `before` is given, else oldest first.
    fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// One notification of the log.
    fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> impl Future<Output = Result<Option<Entry>, Refusal>> + Send;

    /// The heads of these users, in their order.
    fn heads(&self, users: Vec<UserId>) -> impl Future<Output = Result<Vec<Seq>, Refusal>> + Send;

    /// The answer remembered for an idempotency key, so that a repeat costs no quota.
    fn idempotent(
        &self,
        user: UserId,
        permission: belfry_protocol::id::PermissionId,
        key: command::Idempotency,
    ) -> impl Future<Output = Result<Option<Accepted>, Refusal>> + Send;

    /// The retained messages of a user's private space.
    fn retained(&self, user: UserId)
    -> impl Future<Output = Result<Vec<Retained>, Refusal>> + Send;
}

/// The limits of one user's mailbox.
#[derive(Debug, Clone)]
pub struct MailboxLimits {
    /// Notifications owed at a time; history is bounded alike, apart from them.
    pub notifications: usize,
    /// Their posted body bytes.
    pub bytes: u64,
    /// How long an entry that every device has is kept.
    pub history: std::time::Duration,
    /// Retained messages of the private space.
    pub retained_topics: usize,
    /// Their bytes.
    pub retained_bytes: usize,
    /// How long a session may outlive its connection.
    pub session_expiry_max: std::time::Duration,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            notifications: 1_000,
            bytes: 4 * 1024 * 1024,
            history: std::time::Duration::from_secs(7 * 86_400),
            retained_topics: 1_000,
            retained_bytes: 1024 * 1024,
            session_expiry_max: std::time::Duration::from_secs(30 * 86_400),
        }
    }
}

/// Payload bytes after which a page ends, so that a backlog takes bounded memory a connection.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// A part of what is owed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Owed entries, in `seq` order.
    pub entries: Vec<Entry>,
    /// Everything up to here was considered: read on after it. Equal to `head` when done.
    pub considered: Seq,
    /// The user's head when it was read.
    pub head: Seq,
}

/// Which part of the log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// Later than this, oldest first.
    After(Seq),
    /// Earlier than this, newest first.
    Before(Seq),
}

/// A retained message of the private space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// Its topic.
    pub topic: PrivateTopic,
    /// Forwardable properties.
    pub properties: bytes::Bytes,
    /// The payload.
    pub payload: bytes::Bytes,
    /// Whether it was published at QoS 1.
    pub at_least_once: bool,
    /// When it goes.
    pub expires: Timestamp,
}
