//! What changed, as `u/{user}/events` tells a user's devices: QoS 0, never stored.

use crate::id::{DeviceId, NotificationId, PermissionId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One change. After a reconnect a client re-reads over HTTP instead of relying on these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// A site was approved.
    #[serde(rename = "permission.granted")]
    PermissionGranted {
        /// The new permission.
        permission: PermissionId,
    },
    /// A permission was muted.
    #[serde(rename = "permission.muted")]
    PermissionMuted {
        /// The permission.
        permission: PermissionId,
    },
    /// A muted permission was allowed again.
    #[serde(rename = "permission.allowed")]
    PermissionAllowed {
        /// The permission.
        permission: PermissionId,
    },
    /// A permission was revoked: what is stored of it is gone.
    #[serde(rename = "permission.revoked")]
    PermissionRevoked {
        /// The permission.
        permission: PermissionId,
    },
    /// A device showed these notifications to the user: the others take them away.
    #[serde(rename = "notification.seen")]
    NotificationSeen {
        /// The notifications.
        ids: Vec<NotificationId>,
    },
    /// The site took this notification back.
    #[serde(rename = "notification.withdrawn")]
    NotificationWithdrawn {
        /// The notification.
        id: NotificationId,
    },
    /// The sealed keyring was replaced.
    #[serde(rename = "keyring.changed")]
    KeyringChanged,
    /// A device was added.
    #[serde(rename = "device.added")]
    DeviceAdded {
        /// The device.
        device: DeviceId,
    },
    /// A device was removed.
    #[serde(rename = "device.removed")]
    DeviceRemoved {
        /// The device.
        device: DeviceId,
    },
    /// A device was not connected for long, and will be removed unless it is.
    #[serde(rename = "device.idle")]
    DeviceIdle {
        /// The device.
        device: DeviceId,
        /// When.
        removed: Timestamp,
    },
    /// Nobody was at the account for long, and it will be erased unless somebody comes back.
    #[serde(rename = "account.idle")]
    AccountIdle {
        /// When.
        removed: Timestamp,
    },
}

impl Event {
    /// The event as it goes out.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("ids and strings always serialise")
    }
}
