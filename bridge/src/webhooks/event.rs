//! An event as a site is told it, whichever way.

use crate::message::SealingKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{News, Told};
use serde::Serialize;
use utoipa::ToSchema;

/// What happened, as a webhook is sent it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Event {
    /// `permission.revoked` or `notification.expired`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When.
    timestamp: Timestamp,
    data: EventData,
}

/// To what it happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct EventData {
    /// Of a permission that the user revoked: SHA-256 of what follows `/push/` in its endpoint,
    /// base64url. Drop the subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Of a notification that no device had when it expired, where the user allows the site receipts:
    /// its message URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Event {
    /// What a row of a site's log says; nothing of one that is no site's.
    pub(super) fn of(told: &Told, sealing: &SealingKey, public_url: &str) -> Option<Self> {
        let (kind, endpoint, message) = match &told.news {
            News::Revoked { endpoint } => {
                let endpoint = URL_SAFE_NO_PAD.encode(endpoint.as_bytes());
                ("permission.revoked", Some(endpoint), None)
            }
            News::Expired(message) => {
                let url = format!("{public_url}/push/message/{}", sealing.seal(*message)?);
                ("notification.expired", None, Some(url))
            }
            News::Delivered(_) | News::GivenUp(_) => return None,
        };
        Some(Self {
            kind,
            timestamp: told.at,
            data: EventData { endpoint, message },
        })
    }

    /// Its name: the same however often and whichever way it is told, and no other's of the site.
    pub(super) fn id(told: &Told) -> String {
        // A log that was closed and opened again may count from the beginning.
        format!("evt_{}_{}", told.n, told.at.as_millis())
    }
}
