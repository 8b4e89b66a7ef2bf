//! What a user's log holds.

use belfry_protocol::id::{DeviceId, NotificationId, PermissionId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{PrivateTopic, Topic};
use bytes::Bytes;

/// A place in one user's log. The first entry has 1; 0 is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// What kind of entry it is, with what its kind alone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A notification under a permission.
    Notification {
        /// Its id.
        id: NotificationId,
        /// Its permission.
        permission: PermissionId,
        /// What the away rule goes by; a muted permission's entries are kept as `very-low`.
        urgency: Urgency,
        /// Whether the permission was muted when it was accepted.
        muted: bool,
    },
    /// A QoS 1 message in the private space.
    Private {
        /// Its topic below `u/{user}/x/`.
        topic: PrivateTopic,
        /// The forwardable PUBLISH properties as they came in, encoded as MQTT 5.0 §2.2.2 without
        /// the length and without Message Expiry Interval; empty from a 3.1.1 publisher.
        properties: Bytes,
        /// Whether it was published with RETAIN, for Retain As Published (§3.8.3.1).
        retain: bool,
        /// Who published it, for No Local (§3.8.3.1).
        publisher: DeviceId,
    },
}

/// An entry without its payload: enough to decide who is owed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryMeta {
    /// Its place.
    pub seq: Seq,
    /// What it is.
    pub content: Content,
    /// When it was accepted.
    pub sent: Timestamp,
    /// From when on it is owed to nobody.
    pub expires: Timestamp,
    /// Whether a device has marked it seen.
    pub seen: bool,
}

impl EntryMeta {
    /// The topic it is published on.
    pub fn topic(&self) -> Topic {
        match &self.content {
            Content::Notification { permission, .. } => Topic::Notification(*permission),
            Content::Private { topic, .. } => Topic::Private(topic.clone()),
        }
    }

    /// The device that published it, where one did.
    pub fn publisher(&self) -> Option<DeviceId> {
        match self.content {
            Content::Notification { .. } => None,
            Content::Private { publisher, .. } => Some(publisher),
        }
    }
}

/// An entry with the payload that goes to every device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub meta: EntryMeta,
    /// The MQTT payload, built once.
    pub payload: Bytes,
}
