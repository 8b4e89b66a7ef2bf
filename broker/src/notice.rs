//! What travels on the bus to the connections of one user.

pub(crate) mod codec;

use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::Topic;
use belfry_store::mailbox::{Entry, Seq};
use bytes::Bytes;
use std::time::Duration;

/// "Look now", with what there is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// An entry became durable.
    Stored { user: UserId, entry: Entry },
    /// Something that is never stored.
    Live { user: UserId, message: Live },
    /// Exact filters on this permission are to go.
    Forget {
        user: UserId,
        permission: PermissionId,
    },
    /// A device acknowledged over HTTP; what its session has settled is now this.
    Acknowledged {
        user: UserId,
        device: DeviceId,
        acked: Seq,
        holes: Vec<Seq>,
    },
    /// These notifications are owed to nobody any more: seen, withdrawn or replaced.
    Unowed {
        user: UserId,
        ids: Vec<NotificationId>,
    },
    /// The user's active devices have notifications to themselves for so many whole seconds
    /// from now on.
    AwayGrace { user: UserId, grace: Duration },
    /// A device takes what is at least this urgent, from now on.
    UrgencyMin {
        user: UserId,
        device: DeviceId,
        urgency_min: Urgency,
    },
}

impl Notice {
    /// Whose connections it is for.
    pub(crate) fn user(&self) -> UserId {
        match self {
            Self::Stored { user, .. }
            | Self::Live { user, .. }
            | Self::Forget { user, .. }
            | Self::Acknowledged { user, .. }
            | Self::Unowed { user, .. }
            | Self::AwayGrace { user, .. }
            | Self::UrgencyMin { user, .. } => *user,
        }
    }

    /// The bytes that it keeps alive while it waits.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Stored { entry, .. } => entry.payload.len(),
            Self::Live { message, .. } => message.payload.len() + message.properties.len(),
            Self::Forget { .. } | Self::AwayGrace { .. } | Self::UrgencyMin { .. } => 0,
            Self::Acknowledged { holes, .. } => holes.len() * size_of::<Seq>(),
            Self::Unowed { ids, .. } => ids.len() * size_of::<NotificationId>(),
        }
    }
}

/// A message for who is connected now: an event, a `TTL: 0` notification, or what the private space
/// does not store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Where.
    pub(crate) topic: Topic,
    /// Forwardable properties.
    pub(crate) properties: Bytes,
    /// What.
    pub(crate) payload: Bytes,
    /// Who published it, for No Local.
    pub(crate) publisher: Option<DeviceId>,
    /// Whether it was published with RETAIN, for Retain As Published; on a message that answers a
    /// SUBSCRIBE it is sent as it is.
    pub(crate) retain: bool,
    /// Whether a QoS 1 filter gets it at QoS 1.
    pub(crate) at_least_once: bool,
    /// The urgency of a notification, for the away rule.
    pub(crate) urgency: Option<Urgency>,
    /// When it is no use any more.
    pub(crate) expires: Option<Timestamp>,
}
