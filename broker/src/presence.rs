//! Who is at a device, and what that means for when an entry goes out.
//!
//! Pure: the rule sees an entry's urgency and the user's devices, never a clock or a connection.

pub use belfry_protocol::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Content, EntryMeta};

/// The state of a user's devices as one of them is about to be sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The device it would go to.
    pub own: Presence,
    /// Whether any connected device of the user is active.
    pub any_active: bool,
}

/// What is to be delivered, as far as the rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    /// The urgency; `None` for the private space, which is never held.
    pub urgency: Option<Urgency>,
    /// When it was accepted.
    pub sent: Timestamp,
    /// When it ceases to be owed.
    pub expires: Timestamp,
}

impl From<&EntryMeta> for Parcel {
    fn from(meta: &EntryMeta) -> Self {
        let urgency = match &meta.content {
            Content::Notification { muted: true, .. } => Some(Urgency::VeryLow),
            Content::Notification { urgency, .. } => Some(*urgency),
            Content::Private { .. } => None,
        };
        Self {
            urgency,
            sent: meta.sent,
            expires: meta.expires,
        }
    }
}

/// When something goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Now.
    Send,
    /// Not before this, unless the situation changes first.
    HoldUntil(Timestamp),
}

/// The shape of [`release`], so that a delivery can be given another rule.
pub type ReleaseRule = fn(Parcel, Situation, Timestamp) -> Release;

/// Everything goes to every device at once.
pub fn release(_parcel: Parcel, _situation: Situation, _now: Timestamp) -> Release {
    Release::Send
}
