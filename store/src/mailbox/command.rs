//! What can be asked of a mailbox, and what it answers.

use super::entry::{Entry, Seq};
use super::outbox::{Owner, Receipts};
use super::session::{SessionRow, SubscriptionOptions};
use super::will::{Departure, Will};
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{Filter, PrivateTopic};
use bytes::Bytes;
use std::time::Duration;

/// One change. All are applied in one order, each whole or not at all, and answered after the sync.
#[derive(Debug, Clone)]
pub enum Command {
    /// Stores a notification, or, where its TTL is zero, only tells the listener of it. Answers
    /// [`Outcome::Accepted`], or refuses: the user or site is blocked, the permission unknown or
    /// revoked, the idempotency key used with another body, or no such receipt subscription, judged in
    /// this order. A refusal is not remembered for the key.
    Accept(Box<Accept>),
    /// Stores a QoS 1 message of the private space where a persistent session's filter matches, and
    /// keeps what is to be retained. Answers [`Outcome::Published`], or refuses with
    /// [`Refusal::PrivateSpaceFull`] or [`Refusal::RetainedFull`].
    PublishPrivate(Box<PrivatePublish>),
    /// A session has these entries; those it is not owed are passed over. Answers [`Outcome::Done`], or
    /// refuses with [`Refusal::UnknownSession`].
    Settle {
        user: UserId,
        device: DeviceId,
        seqs: Vec<Seq>,
    },
    /// The same by notification id, from HTTP; unknown ids are passed over. Told of with
    /// [`Commit::Acknowledged`].
    Acknowledge {
        user: UserId,
        device: DeviceId,
        ids: Vec<NotificationId>,
    },
    /// A device showed these: they are owed to no device any more. Answers [`Outcome::Done`].
    Seen {
        user: UserId,
        ids: Vec<NotificationId>,
    },
    /// The site takes an entry back. Answers [`Outcome::Done`] whether or not it was still there.
    Withdraw { user: UserId, seq: Seq },
    /// Creates a permission or changes its state. Answers [`Outcome::Done`]; a revoked one stays
    /// revoked, and is refused as that. Where receipts are no longer allowed, nothing that was accepted
    /// before is told as delivered, also if they are allowed again.
    SetPermission {
        user: UserId,
        permission: PermissionId,
        site: Origin,
        muted: bool,
        /// Whether the site may have receipts.
        receipts: bool,
        /// The hash of the endpoint's secret, by which the site is told of a revocation.
        endpoint: SecretHash,
    },
    /// Revokes a permission: what is stored of it is gone, filters on exactly it are too, later
    /// accepts are refused, and the outbox tells. Answers [`Outcome::Done`], also for one that was
    /// revoked or unknown.
    Revoke {
        user: UserId,
        permission: PermissionId,
    },
    /// Blocks or unblocks a site for all its permissions.
    BlockSite { site: Origin, blocked: bool },
    /// Blocks or unblocks a user: accepts are refused with [`Refusal::Blocked`].
    BlockUser { user: UserId, blocked: bool },
    /// A session connects: a persistent one, or one with a will, which ends with its connection if
    /// `expiry` is zero. Answers [`Outcome::Session`], whose row has the connection's epoch. `clean` ends the old one, with its will; without
    /// it, a will that was not due yet is forgotten.
    OpenSession {
        user: UserId,
        device: DeviceId,
        clean: bool,
        expiry: Duration,
        will: Option<Will>,
    },
    /// A device says whether somebody is at it. Answers [`Outcome::Session`].
    SetPresence {
        user: UserId,
        device: DeviceId,
        presence: Presence,
    },
    /// Adds or replaces filters of a persistent session. Answers [`Outcome::Session`]. Through one that
    /// is lowered to QoS 0 nothing is owed any more. One on exactly a permission that was revoked is
    /// passed over.
    Subscribe {
        user: UserId,
        device: DeviceId,
        filters: Vec<(Filter, SubscriptionOptions)>,
    },
    /// Removes filters. Answers [`Outcome::Session`] with the row that is left.
    Unsubscribe {
        user: UserId,
        device: DeviceId,
        filters: Vec<Filter>,
    },
    /// The connection with this epoch ended, or, without one, whichever has the session; an `expiry` of
    /// zero ends the session too. Answers [`Outcome::Done`], also where there is none, and refuses with
    /// [`Refusal::UnknownSession`] where a later connection has it.
    CloseSession {
        user: UserId,
        device: DeviceId,
        epoch: Option<u64>,
        expiry: Duration,
        departure: Departure,
    },
    /// Remembers a QoS 2 packet id until it is released. Answers [`Outcome::Done`].
    ReceiveQos2 {
        user: UserId,
        device: DeviceId,
        packet_id: u16,
    },
    /// Forgets a QoS 2 packet id.
    ReleaseQos2 {
        user: UserId,
        device: DeviceId,
        packet_id: u16,
    },
    /// The device is gone with its session, whose will is published.
    RemoveDevice { user: UserId, device: DeviceId },
    /// Everything of the user is gone, and nothing comes again: whatever follows finds no permission
    /// and no session, in this batch, in later ones and after a restart. Answers [`Outcome::Done`],
    /// also where it was done before.
    EraseUser { user: UserId },
    /// From now on this owner's log is written, until it is closed. Answers [`Outcome::Done`], also
    /// where it was open. A log that was closed and not yet forgotten goes on with its numbers, without
    /// the rows of before.
    OpenOutbox { owner: Owner },
    /// The log is gone, and nothing is written to it any more. Answers [`Outcome::Done`], also where
    /// there was none.
    CloseOutbox { owner: Owner },
}

impl Command {
    /// Whose mailbox it changes; `None` for what concerns all.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Accept(accept) => Some(accept.user),
            Self::PublishPrivate(publish) => Some(publish.user),
            Self::BlockSite { .. } | Self::OpenOutbox { .. } | Self::CloseOutbox { .. } => None,
            Self::Settle { user, .. }
            | Self::Acknowledge { user, .. }
            | Self::Seen { user, .. }
            | Self::Withdraw { user, .. }
            | Self::SetPermission { user, .. }
            | Self::Revoke { user, .. }
            | Self::BlockUser { user, .. }
            | Self::OpenSession { user, .. }
            | Self::SetPresence { user, .. }
            | Self::Subscribe { user, .. }
            | Self::Unsubscribe { user, .. }
            | Self::CloseSession { user, .. }
            | Self::ReceiveQos2 { user, .. }
            | Self::ReleaseQos2 { user, .. }
            | Self::RemoveDevice { user, .. }
            | Self::EraseUser { user } => Some(*user),
        }
    }
}

/// A notification to store.
#[derive(Debug, Clone)]
pub struct Accept {
    /// Whose mailbox.
    pub user: UserId,
    /// The notification; `expires` is already capped. One that expires as it is sent (`TTL: 0`) is
    /// judged like any other, takes no place in the log and is never stored.
    pub envelope: Envelope,
    /// The sender's idempotency key, hashed with nothing else, and the digest of the request.
    pub idempotency: Option<Idempotency>,
    /// Where the sender wants to be told what becomes of it; heeded where the user allowed receipts and
    /// it is stored.
    pub receipts: Option<Receipts>,
}

/// What makes two posts the same one. Kept a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the key.
    pub key: [u8; 32],
    /// SHA-256 of what must be the same: the body.
    pub digest: [u8; 32],
}

/// The answer to an accept; an idempotent repeat has the first one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the log; 0 for one with `TTL: 0`.
    pub seq: Seq,
    /// Its id.
    pub id: NotificationId,
    /// When it was accepted.
    pub sent: Timestamp,
    /// When it ceases to be owed.
    pub expires: Timestamp,
    /// Whether this repeats an earlier answer, so that it costs no quota.
    pub repeated: bool,
    /// How many notifications that were still owed went to make room for it.
    pub pushed_out: u32,
    /// In whose log it is told what becomes of it; `None` where it is not told.
    pub receipts: Option<Owner>,
}

/// A QoS 1 message of the private space.
#[derive(Debug, Clone)]
pub struct PrivatePublish {
    /// Whose.
    pub user: UserId,
    /// Who publishes, for No Local.
    pub device: DeviceId,
    /// Where.
    pub topic: PrivateTopic,
    /// Forwardable properties, as in [`super::entry::Content::Private`].
    pub properties: Bytes,
    /// The payload; empty with `retain` removes the retained message.
    pub payload: Bytes,
    /// Whether it also becomes the retained message of its topic.
    pub retain: bool,
    /// Whether it is at least once: QoS 0 is never stored, save as retained.
    pub at_least_once: bool,
    /// When it ceases to be owed.
    pub expires: Timestamp,
    /// A QoS 2 packet id to remember in the same commit; a duplicate stores nothing.
    pub qos2: Option<u16>,
    /// What to do where the private space has no room for it.
    pub when_full: WhenFull,
}

/// What a full private space, or one with as many retained messages as there may be, does with one
/// more. What is larger than the whole space is refused either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses it: the publisher can be told (MQTT 5.0).
    Refuse,
    /// Drops the oldest, of retained messages those that would go first: the publisher could not be
    /// told, or only be disconnected (MQTT 3.1.1).
    DropOldest,
}

/// Why a command was turned away; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such permission.
    #[error("no such permission")]
    UnknownPermission,
    /// The permission was revoked.
    #[error("the permission was revoked")]
    Revoked,
    /// The site or the user is blocked.
    #[error("the site or the user is blocked")]
    Blocked,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used with another body")]
    IdempotencyMismatch,
    /// The receipt subscription that the notification names is not there, or has ended.
    #[error("there is no such receipt subscription")]
    UnknownReceipts,
    /// The private space is full (5.0: PUBACK 0x97).
    #[error("the private space is full")]
    PrivateSpaceFull,
    /// There are as many retained messages as may be (5.0: PUBACK 0x97).
    #[error("the retained messages are at their limit")]
    RetainedFull,
    /// The session does not exist (it was ended or removed meanwhile).
    #[error("no such session")]
    UnknownSession,
    /// The store cannot commit now; try again.
    #[error("the mailbox is unavailable")]
    Unavailable,
}

/// What a command did.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// To [`Command::Accept`].
    Accepted(Accepted),
    /// To [`Command::PublishPrivate`]: its place, or `None` where nobody persistent wants it.
    Published(Option<Seq>),
    /// To the session commands: the row as it now is, whether it was there before, and the user's
    /// head at that point of the order.
    Session {
        row: SessionRow,
        present: bool,
        head: Seq,
    },
    /// To everything else.
    Done,
}

/// What became durable, in commit order, for live delivery and events.
#[derive(Debug, Clone)]
pub enum Commit {
    /// A new entry.
    Stored { user: UserId, entry: Entry },
    /// A notification with `TTL: 0` was accepted; the away rule goes by this urgency.
    Transient {
        user: UserId,
        envelope: Box<Envelope>,
        urgency: Urgency,
    },
    /// These were seen.
    Seen {
        user: UserId,
        ids: Vec<NotificationId>,
    },
    /// This was withdrawn or, by a later one with its collapse key, replaced.
    Withdrawn {
        user: UserId,
        id: NotificationId,
        replaced: bool,
    },
    /// A first device settled an entry that was accepted then.
    Delivered { sent: Timestamp },
    /// A device acknowledged over HTTP, and this is what its session has settled now, as in
    /// [`SessionRow`].
    Acknowledged {
        user: UserId,
        device: DeviceId,
        acked: Seq,
        holes: Vec<Seq>,
        /// When each notification that this settled was accepted.
        accepted: Vec<Timestamp>,
    },
    /// A will was published that no stored session is owed.
    Will { message: Box<PrivatePublish> },
    /// This permission was revoked.
    Revoked {
        user: UserId,
        permission: PermissionId,
    },
    /// This owner's log has a new row, or is closed.
    Told { owner: Owner },
}

/// Told of each commit on the writer's thread, after the sync; it must not block.
pub type CommitListener = Box<dyn Fn(Vec<Commit>) + Send + Sync>;
