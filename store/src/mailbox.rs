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
pub mod outbox;
mod rows;
pub mod session;
mod user;
pub mod will;

use belfry_acl::limit::Name;
use belfry_protocol::id::{NotificationId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::PrivateTopic;
pub use command::{
    Accept, Accepted, Command, Commit, CommitListener, Outcome, PrivatePublish, Refusal, WhenFull,
};
pub use entry::{Content, Entry, EntryMeta, Seq};
pub use outbox::{Message, News, OutboxPage, Owner, Receipts, Told};
pub use session::{SessionRow, SubscribedFilter, SubscriptionOptions, View};
pub use user::trace::Ended;
pub use will::{Departure, LastWord, Will};

/// An engine that keeps mailboxes. Two implement it: the embedded one, and PostgreSQL in a cluster.
///
/// What every engine holds, and the conformance suite tries:
///
/// - **Order.** The commands of one user take effect one after another, those of one call in their
///   order. What follows a [`Command::Revoke`], [`Command::BlockUser`] or [`Command::EraseUser`] is
///   judged by it, also within a call. The n-th entry ever stored for a user has the seq n; a seq is
///   never given twice, whatever becomes of its entry.
/// - **Whole or not at all.** A command that is answered with a [`Refusal`] has changed nothing. One
///   that is refused does not hold back the others of its call.
/// - **Durable before answered.** `Ok` comes after the sync that covers the command: neither the end of
///   the process nor a power loss takes it back. What was not answered may or may not be there
///   afterwards, each command whole. Settling is durable when it is answered, as all else is; that it
///   may be up to 200 ms late is its caller's doing.
/// - **Read your answers.** A read that begins after an answer sees what was answered, and never what
///   is not durable yet. One read sees one moment.
/// - **Told in order.** The [`CommitListener`] is told of each commit once, in commit order, after the
///   sync; not before the answer, and not at all if the process ends in between. It is a hint: the
///   mailbox is the truth.
/// - **Wills.** A will is published once, after the end of its connection whichever way it came, the
///   end of the process too; unless it was forgotten ([`Departure::InOrder`], or a connection that went
///   on with the session before it was due). It is due to the second, not to the millisecond.
/// - **Outbox.** Each row is written by the commit of what it tells of, to logs that are open then. What
///   becomes of a notification whose receipts are asked for and allowed is told once: as delivered when
///   a first device settles it, as given up when the site takes it back, replaces it or loses the
///   permission, and at its expiry in every other case, not before: that it was pushed out, or seen
///   without being settled, is not to be told. A permission has as many of them waiting as it may have
///   notifications; for one more the oldest is given up, which tells only what the site did. Rows are
///   kept for [`MailboxLimits::history`] and, of one owner, the newest [`outbox::OUTBOX_ROWS_MAX`]. The
///   log of a receipt subscription ends that long after its last row.
/// - **Time.** An entry is live until its `expires` and not at it, whether or not it has been cleared
///   away. The engine's clock decides, not the caller.
/// - **Bounded.** [`MailboxLimits`] hold for each user by themselves: history goes first, then the
///   oldest of the permission that is over its quarter, then of the permission that holds most. The
///   private space has a quarter, and takes nothing from the history of notifications.
///
/// "Unavailable" ([`Refusal::Unavailable`]) is distinct from every refusal: it says nothing about
/// the command, which may be tried again. Reads have no other error but where they name one. A future
/// that is dropped leaves the command to be applied or not.
pub trait Mailbox: Send + Sync + 'static {
    /// Applies commands in their order and answers each, in the same order, once all are on stable
    /// storage.
    ///
    /// Each answer is the [`Outcome`] that its command names, or why it was turned away. There are as
    /// many as commands.
    fn apply(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Vec<Result<Outcome, Refusal>>> + Send;

    /// The first entries after `after` that the view owes, in `seq` order, at most `limit` and about
    /// [`PAGE_BYTES_MAX`] of payload, but one if there is one; with the user's head as of that read.
    ///
    /// Nothing up to [`Page::considered`] is owed beyond what this page and those before it hold, so
    /// reading on from there until it equals [`Page::head`] finds each owed entry exactly once. The
    /// view need not be stored: it is judged by itself, against every entry that is still kept.
    fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// Entries by their place, in the order asked for, as far as they are still live (not expired,
    /// withdrawn, replaced, pushed out or revoked), seen or not. Others are left out.
    fn entries(
        &self,
        user: UserId,
        seqs: Vec<Seq>,
    ) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// A page of the live notifications, seen or not, owed or history: newest first with
    /// [`HistoryRange::Before`], oldest first with [`HistoryRange::After`]. Fewer than `limit` means
    /// that there are no more. The private space is no part of it.
    fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// One live notification of this user; `None` also for another's.
    fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> impl Future<Output = Result<Option<Entry>, Refusal>> + Send;

    /// The heads of these users, in their order: the seq of the newest entry ever stored, 0 before the
    /// first, and 0 again for a user who was erased.
    fn heads(&self, users: Vec<UserId>) -> impl Future<Output = Result<Vec<Seq>, Refusal>> + Send;

    /// How much the mailboxes of these users hold that is still owed to some device, in their order.
    /// Each is counted anew, entry by entry: ask for a page of users, not for all.
    fn holdings(
        &self,
        users: Vec<UserId>,
    ) -> impl Future<Output = Result<Vec<Holding>, Refusal>> + Send;

    /// The answer remembered for an idempotency key under a permission, so that a repeat costs no
    /// quota; `None` for one that is not known, or a day old. It says nothing about whether a post
    /// would be accepted now. An accept that is under way is not seen: only its commit is, and
    /// [`Self::apply`] settles who was first.
    ///
    /// # Errors
    /// [`Refusal::IdempotencyMismatch`] where the key was used with another body.
    fn idempotent(
        &self,
        user: UserId,
        permission: belfry_protocol::id::PermissionId,
        key: command::Idempotency,
    ) -> impl Future<Output = Result<Option<Accepted>, Refusal>> + Send;

    /// The first rows of an owner's log after the n-th, in their order, at most `limit`; `None` where
    /// no log is open. A [`Commit::Told`] says when to look again.
    fn outbox(
        &self,
        owner: Owner,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Option<OutboxPage>, Refusal>> + Send;

    /// The retained messages of a user's private space that have not expired, in no order: at most
    /// [`MailboxLimits::retained_topics`].
    fn retained(&self, user: UserId)
    -> impl Future<Output = Result<Vec<Retained>, Refusal>> + Send;
}

/// The limits of one user's mailbox.
#[derive(Debug, Clone)]
pub struct MailboxLimits {
    /// Entries owed at a time, notifications and private messages; history is bounded alike, apart
    /// from them. A quarter of it is the most of one permission, and of the private space.
    pub notifications: usize,
    /// Their posted body bytes, divided alike.
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

impl MailboxLimits {
    /// The same with what can be changed at run time as this says, which is told what it is now.
    #[must_use]
    pub(crate) fn with(&self, value: impl Fn(Name, u64) -> u64) -> Self {
        let count = value(Name::MailboxNotifications, self.notifications as u64);
        let history = value(Name::History, self.history.as_secs());
        Self {
            notifications: usize::try_from(count).unwrap_or(usize::MAX),
            bytes: value(Name::MailboxBytes, self.bytes),
            history: std::time::Duration::from_secs(history),
            ..self.clone()
        }
    }
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

/// What a mailbox holds that is owed to some device, private messages included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// How many entries.
    pub entries: u64,
    /// Posted body bytes.
    pub bytes: u64,
}

/// Which part of the log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// Later than this, oldest first.
    After(Seq),
    /// Earlier than this, newest first.
    Before(Seq),
}

/// What became of a notification, with nothing of what it says, of whose it is or of where it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Under which permission.
    pub permission: belfry_protocol::id::PermissionId,
    /// As its site had it; not known once it is gone.
    pub urgency: Option<belfry_protocol::push::Urgency>,
    /// Posted body bytes.
    pub bytes: u32,
    /// When it was accepted, and with that stored.
    pub sent: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// When a first device had it.
    pub delivered: Option<Timestamp>,
    /// Why and when it went.
    pub ended: Option<(Ended, Timestamp)>,
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
