//! The notification as a device receives it: the JSON payload on `u/{user}/n/{permission}`.

use crate::id::{NotificationId, PermissionId};
use crate::push::{CollapseKey, ContentEncoding, Urgency};
use crate::site::Origin;
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// MQTT 5 Content Type of a notification's payload.
pub const NOTIFICATION_CONTENT_TYPE: &str = "application/vnd.belfry.notification+json";

/// A notification before the mailbox has given it its `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Names the notification to devices.
    pub id: NotificationId,
    /// Under which permission it was sent.
    pub permission: PermissionId,
    /// The site of that permission.
    pub site: Origin,
    /// When it was accepted.
    pub sent: Timestamp,
    /// When it ceases to be owed.
    pub expires: Timestamp,
    /// The sender's urgency.
    pub urgency: Urgency,
    /// Web Push's `Topic`.
    pub collapse: Option<CollapseKey>,
    /// How `body` is encrypted.
    pub encoding: ContentEncoding,
    /// The encrypted body as posted.
    pub body: bytes::Bytes,
}

#[derive(Serialize)]
struct Wire<'a> {
    id: NotificationId,
    permission: PermissionId,
    site: &'a Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    sent: Timestamp,
    expires: Timestamp,
    urgency: Urgency,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a CollapseKey>,
    encoding: ContentEncoding,
    body: String,
}

impl Envelope {
    /// The payload, built once and then shared; `seq` is absent for a `TTL: 0` message.
    pub fn to_json(&self, seq: Option<u64>) -> Vec<u8> {
        let wire = Wire {
            id: self.id,
            permission: self.permission,
            site: &self.site,
            seq,
            sent: self.sent,
            expires: self.expires,
            urgency: self.urgency,
            topic: self.collapse.as_ref(),
            encoding: self.encoding,
            body: URL_SAFE_NO_PAD.encode(&self.body),
        };
        serde_json::to_vec(&wire).expect("ids, times and strings always serialise")
    }
}

/// A payload as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Names the notification.
    pub id: NotificationId,
    /// Under which permission it was sent.
    pub permission: PermissionId,
    /// The site of that permission.
    pub site: Origin,
    /// Its place in the user's log; absent for a `TTL: 0` message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seq: Option<u64>,
    /// When it was accepted.
    pub sent: Timestamp,
    /// When it ceases to be owed.
    pub expires: Timestamp,
    /// The sender's urgency.
    pub urgency: Urgency,
    /// Web Push's `Topic`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
    /// How `body` is encrypted.
    pub encoding: ContentEncoding,
    /// The encrypted body, base64url without padding.
    pub body: String,
}

impl Notification {
    /// The encrypted bytes.
    ///
    /// # Errors
    /// The body is not base64url.
    pub fn body_bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        URL_SAFE_NO_PAD.decode(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_reads_what_the_server_writes() {
        let envelope = Envelope {
            id: NotificationId::from_bytes([1; 16]),
            permission: PermissionId::from_bytes([2; 16]),
            site: "https://news.example".parse().expect("valid"),
            sent: Timestamp::from_millis(1_000),
            expires: Timestamp::from_millis(61_000),
            urgency: Urgency::VeryLow,
            collapse: Some("news".parse().expect("valid")),
            encoding: ContentEncoding::CryptoBox,
            body: bytes::Bytes::from_static(&[0, 255, 62]),
        };
        let read: Notification = serde_json::from_slice(&envelope.to_json(Some(7))).expect("reads");
        assert_eq!(read.seq, Some(7));
        assert_eq!(read.topic.as_deref(), Some("news"));
        assert_eq!(read.urgency, Urgency::VeryLow);
        assert_eq!(read.body_bytes().expect("base64url"), [0, 255, 62]);
        let text = String::from_utf8(envelope.to_json(None)).expect("UTF-8");
        assert!(!text.contains("seq"), "{text}");
        assert!(
            text.contains(r#""sent":"1970-01-01T00:00:01.000Z""#),
            "{text}"
        );
    }
}
