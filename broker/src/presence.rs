//! Who is at a device, and what that means for when an entry goes out.
//!
//! Pure: the rule sees an entry's urgency and the user's devices, never a clock or a connection.

pub use belfry_protocol::presence::Presence;
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Content, EntryMeta};
use std::time::Duration;

/// The state of a user's devices as one of them is about to be sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The device it would go to.
    pub own: Presence,
    /// Whether any connected device of the user is active.
    pub any_active: bool,
    /// How long the user's active devices have what is of normal urgency to themselves.
    pub away_grace: Duration,
    /// The lowest urgency that the device takes (RFC 8030 §5.3).
    pub urgency_min: Urgency,
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
    /// Not while the situation is this one.
    Hold,
}

/// The shape of [`release`], so that a delivery can be given another rule.
pub type ReleaseRule = fn(Parcel, Situation, Timestamp) -> Release;

/// The away rule of the contract, for what is urgent enough for the device at all.
///
/// `high`, and the private space, go out at once, and so does everything to an active device. An away
/// one has `normal` after the grace, or at once while no device is active; for `low` and `very-low` it
/// waits to be active itself, at most until half of the time that they may wait.
pub fn release(parcel: Parcel, situation: Situation, now: Timestamp) -> Release {
    let enough = |urgency| urgency >= situation.urgency_min;
    if !parcel.urgency.is_none_or(enough) {
        return Release::Hold;
    }
    let wait = match (parcel.urgency, situation.own) {
        (None | Some(Urgency::High), _) | (_, Presence::Active) => return Release::Send,
        (Some(Urgency::Normal), Presence::Away) if !situation.any_active => return Release::Send,
        (Some(Urgency::Normal), Presence::Away) => situation.away_grace,
        (Some(Urgency::Low | Urgency::VeryLow), Presence::Away) => {
            parcel.expires.since(parcel.sent) / 2
        }
    };
    match parcel.sent.plus(wait) {
        until if until > now => Release::HoldUntil(until),
        _ => Release::Send,
    }
}

#[cfg(test)]
mod tests;
