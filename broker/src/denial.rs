//! Why a client is refused: the code, and for 5.0 a sentence that says what would be right.
//!
//! Never what a client sent: a Reason String (MQTT 5.0 §3.4.2.2.2 and its like) ends up in logs.

use crate::inbox::CloseCause;
use crate::wire::{ReasonCode, WireError};
use belfry_store::mailbox::Refusal;

/// A refusal as a client is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// Of 0x80 or more.
    pub reason: ReasonCode,
    /// The Reason String.
    pub says: &'static str,
}

const fn denial(reason: ReasonCode, says: &'static str) -> Denial {
    Denial { reason, says }
}

// CONNACK.
pub(crate) const AUTHENTICATION_METHOD: Denial = denial(
    ReasonCode::BadAuthenticationMethod,
    "there is no authentication method: send user name and password",
);
pub(crate) const CREDENTIALS: Denial = denial(
    ReasonCode::BadUserNameOrPassword,
    "client id, user name and password are the device's id, its user's id and the device's password",
);
pub(crate) const NO_CLIENT_ID: Denial = denial(
    ReasonCode::ClientIdentifierNotValid,
    "no client id is assigned: it is the device's id",
);
pub(crate) const WILL_TOPIC: Denial = denial(
    ReasonCode::NotAuthorized,
    "a will goes to the device's own presence topic or below u/{user}/x/",
);
pub(crate) const SESSION_UNAVAILABLE: Denial = denial(
    ReasonCode::ServerUnavailable,
    "the session cannot be opened now: connect again later",
);
pub(crate) const BANNED: Denial = denial(
    ReasonCode::Banned,
    "this account or address is blocked: signing in over HTTP says why and until when",
);

// PUBACK and PUBREC.
pub(crate) const TOPIC: Denial = denial(
    ReasonCode::NotAuthorized,
    "a device publishes to its own presence and seen topics and below u/{user}/x/",
);
pub(crate) const PRESENCE: Denial = denial(
    ReasonCode::PayloadFormatInvalid,
    "a presence is active or away",
);
pub(crate) const SEEN: Denial = denial(
    ReasonCode::PayloadFormatInvalid,
    r#"what was seen is {"ids":["…"]}"#,
);
pub(crate) const SEEN_COUNT: Denial = denial(
    ReasonCode::QuotaExceeded,
    "at most 1000 ids are seen at once",
);
const PRIVATE_SPACE_FULL: Denial = denial(
    ReasonCode::QuotaExceeded,
    "the private space is full until devices have taken what they are owed of it",
);
const RETAINED_FULL: Denial = denial(
    ReasonCode::QuotaExceeded,
    "there is no more room for retained messages: an empty one removes that of its topic",
);
const ENDED: Denial = denial(
    ReasonCode::NotAuthorized,
    "the session was ended: connect again",
);
const NOT_NOW: Denial = denial(
    ReasonCode::ImplementationSpecificError,
    "the server cannot keep it now: try again later",
);

// SUBACK and UNSUBACK.
pub(crate) const FILTER: Denial = denial(
    ReasonCode::NotAuthorized,
    "filters are u/{user}/# and, below u/{user}/, n/+, n/#, n/{permission}, events and x/…",
);
pub(crate) const PERMISSION: Denial = denial(
    ReasonCode::NotAuthorized,
    "there is no such permission, or it was revoked",
);
pub(crate) const SHARED: Denial = denial(
    ReasonCode::SharedSubscriptionsNotSupported,
    "subscriptions are not shared: leave out $share/{name}/",
);
pub(crate) const FILTERS: Denial = denial(
    ReasonCode::QuotaExceeded,
    "a session, and a SUBSCRIBE, has at most 64 filters",
);
pub(crate) const FILTERS_UNAVAILABLE: Denial = NOT_NOW;

// DISCONNECT.
pub(crate) const ORDER: Denial = denial(
    ReasonCode::ProtocolError,
    "CONNECT comes first and once, and AUTH never",
);
pub(crate) const SILENT: Denial = denial(
    ReasonCode::KeepAliveTimeout,
    "nothing was heard for one and a half keep-alives",
);
pub(crate) const TOPIC_ALIAS: Denial = denial(
    ReasonCode::TopicAliasInvalid,
    "Topic Alias Maximum is 0: send topic names",
);
pub(crate) const RECEIVE_MAXIMUM: Denial = denial(
    ReasonCode::ReceiveMaximumExceeded,
    "more messages wait for their PUBREL than Receive Maximum",
);
pub(crate) const SESSION_EXPIRY: Denial = denial(
    ReasonCode::ProtocolError,
    "a session expiry of 0 in CONNECT cannot be raised by DISCONNECT",
);
pub(crate) const ANSWER_TOO_LARGE: Denial = denial(
    ReasonCode::PacketTooLarge,
    "an answer is larger than the client's Maximum Packet Size",
);
pub(crate) const RELEASE_UNAVAILABLE: Denial = denial(
    ReasonCode::ImplementationSpecificError,
    "the server cannot keep it now: connect again later",
);

impl From<WireError> for Denial {
    fn from(error: WireError) -> Self {
        denial(error.reason(), error.says())
    }
}

impl From<CloseCause> for Denial {
    fn from(cause: CloseCause) -> Self {
        match cause {
            CloseCause::TakenOver => denial(
                ReasonCode::SessionTakenOver,
                "the same device connected again",
            ),
            CloseCause::ShuttingDown => denial(
                ReasonCode::ServerShuttingDown,
                "the server shuts down: connect again in a while",
            ),
            CloseCause::Administrative => denial(
                ReasonCode::AdministrativeAction,
                "the device was removed, or an operator ended the connection",
            ),
            // 0x8A is for CONNACK alone (MQTT 5.0 §3.14.2.1).
            CloseCause::Banned => denial(ReasonCode::AdministrativeAction, BANNED.says),
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PrivateSpaceFull => PRIVATE_SPACE_FULL,
            Refusal::RetainedFull => RETAINED_FULL,
            Refusal::Blocked | Refusal::UnknownSession => ENDED,
            Refusal::UnknownPermission
            | Refusal::Revoked
            | Refusal::IdempotencyMismatch
            | Refusal::UnknownReceipts
            | Refusal::Unavailable => NOT_NOW,
        }
    }
}
