//! The outbox: what somebody outside is told, one durable log an owner. A row is written by the commit
//! of what it tells of, so that neither can be there without the other.
//!
//! A row says nothing of a user but what its message URL or its endpoint already stands for.

use super::entry::Seq;
use belfry_protocol::id::UserId;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;

/// Rows of one owner that are kept at most; the oldest go. A fan-out to 100,000 permissions whose
/// receipts come back to one receipt subscription has room for all of them.
pub const OUTBOX_ROWS_MAX: u64 = if cfg!(test) { 50 } else { 100_000 };

/// Whose log it is: a receipt subscription (RFC 8030 §5.1), or a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner([u8; 16]);

/// Of the first byte: sites have it, receipt subscriptions do not, so that all sites are one range.
const SITE: u8 = 0x80;

impl Owner {
    /// The first of all sites in the order of keys.
    pub(super) const FIRST_SITE: Self = {
        let mut bytes = [0; 16];
        bytes[0] = SITE;
        Self(bytes)
    };

    /// A receipt subscription, from random bytes.
    #[must_use]
    pub const fn receipts(mut random: [u8; 16]) -> Self {
        random[0] &= !SITE;
        Self(random)
    }

    /// A site.
    #[must_use]
    pub fn site(site: &Origin) -> Self {
        let hash = SecretHash::of(site.as_str().as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        bytes[0] |= SITE;
        Self(bytes)
    }

    /// Whether it is a site's.
    #[must_use]
    pub const fn is_site(&self) -> bool {
        self.0[0] & SITE != 0
    }

    /// An owner as it was written down.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, as stores keep them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Where what becomes of a notification is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    /// To a receipt subscription that is made with the notification.
    New(Owner),
    /// To one that there is; where there is none, the notification is refused.
    Named(Owner),
}

impl Receipts {
    /// Whose log it is told in.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self {
            Self::New(owner) | Self::Named(owner) => *owner,
        }
    }
}

/// A stored notification, as its message URL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Whose mailbox it is in.
    pub user: UserId,
    /// Its place there.
    pub seq: Seq,
    /// When it ceases to be owed.
    pub expires: Timestamp,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// To a receipt subscription: a first device has settled it.
    Delivered(Message),
    /// To a receipt subscription: whether a device will have it is not told any more. That it expired,
    /// or that the site took it back, replaced it or lost the permission.
    GivenUp(Message),
    /// To a site: the permission with this endpoint was revoked.
    Revoked {
        /// The hash of the endpoint's secret.
        endpoint: SecretHash,
    },
    /// To a site: it expired before a device had settled it.
    Expired(Message),
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place in its owner's log: the first has 1, and later ones more.
    pub n: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub news: News,
}

/// A part of one owner's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxPage {
    /// In their order.
    pub rows: Vec<Told>,
    /// The place of the newest row ever written, 0 before the first: what a reader who wants only what
    /// comes from now on reads after.
    pub newest: u64,
}
