//! What the user's API takes and answers, as far as this client uses it. Unknown fields are left
//! alone, so that a newer server can say more.

use belfry_protocol::envelope::Notification;
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::site::Origin;
use serde::{Deserialize, Serialize};

/// A new account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
}

/// A sign-in.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignedIn {
    /// The bearer token.
    pub access_token: String,
    /// Seconds that it lives without being used.
    pub expires_in: u64,
    /// The user.
    pub user_id: UserId,
}

/// What sort of program a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A browser's page.
    Browser,
    /// A browser extension.
    Extension,
    /// An iPhone or iPad.
    Ios,
    /// An Android phone.
    Android,
    /// A desktop program.
    Desktop,
    /// A script or terminal.
    Cli,
}

/// A device as it was just made; the password is not shown again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Device {
    /// The device, its MQTT client id.
    pub device_id: DeviceId,
    /// How it connects.
    pub mqtt: MqttAccess,
    /// Its topics and filters.
    pub topics: Topics,
}

/// How a device connects to MQTT.
#[derive(Clone, Serialize, Deserialize)]
pub struct MqttAccess {
    /// WebSocket, such as `wss://push.example/mqtt`.
    pub url: String,
    /// TCP, such as `push.example:1883` or `mqtts://push.example:8883`, where it is offered.
    #[serde(default)]
    pub tcp: Option<String>,
    /// Client id.
    pub client_id: String,
    /// User name.
    pub username: String,
    /// The device's password.
    pub password: String,
}

/// The topics and filters of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Topics {
    /// Filter of all notifications.
    pub notifications: String,
    /// Filter of what changed.
    pub events: String,
    /// Where this device says whether it is active.
    pub presence: String,
    /// Where this device says what it has shown.
    pub seen: String,
    /// Filter of the user's private space.
    pub private: String,
}

/// A device in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// The device.
    #[serde(alias = "id")]
    pub device_id: DeviceId,
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    #[serde(default)]
    pub online: bool,
    /// When it was connected last, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
}

/// What is asked for at approval.
#[derive(Debug, Clone, Serialize)]
pub struct NewPermission {
    /// The site.
    pub site: Origin,
    /// A name for the user's eyes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Restricts the endpoint to this VAPID key (RFC 8292 §4), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_server_key: Option<String>,
    /// Whether the site may hear what becomes of what it sends.
    pub receipts: bool,
}

/// A permission as it was just made; the endpoint is not shown again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Permission {
    /// The permission.
    pub permission_id: PermissionId,
    /// The site.
    pub site: Origin,
    /// Where the site posts.
    pub endpoint: String,
}

/// Whether a permission's notifications are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionState {
    /// Shown.
    Allowed,
    /// Stored, not shown.
    Muted,
}

/// A permission in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PermissionInfo {
    /// The permission.
    #[serde(alias = "id")]
    pub permission_id: PermissionId,
    /// The site.
    pub site: Origin,
    /// The user's name for it.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is muted.
    pub state: PermissionState,
    /// Whether the site may hear what becomes of what it sends.
    #[serde(default)]
    pub receipts: bool,
}

/// A change of a permission.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PermissionChange {
    /// Mute or allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PermissionState>,
    /// Rename.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Give or take receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
}

/// A notification of the mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxEntry {
    /// As it went to devices.
    #[serde(flatten)]
    pub notification: Notification,
    /// Whether a device has shown it.
    #[serde(default)]
    pub seen: bool,
}

/// The sealed keyring.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The blob.
    pub sealed: Vec<u8>,
    /// Its version, for the next put.
    pub etag: String,
}
