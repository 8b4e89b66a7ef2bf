//! What a session leaves for when its connection ends without a word (MQTT 5.0 §3.1.2.5).

use belfry_protocol::presence::Presence;
use belfry_protocol::topic::PrivateTopic;
use bytes::Bytes;
use std::time::Duration;

/// A will. It lives as long as its connection, and then until it is published or forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// How long it waits after the end of the connection, at most until the session ends.
    pub delay: Duration,
    /// What happens then.
    pub last_word: LastWord,
}

/// What a will says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWord {
    /// The device's presence from then on.
    Presence(Presence),
    /// A message in the private space. Nobody is left to be told if there is no room for it, so it
    /// makes room.
    Private {
        /// Where.
        topic: PrivateTopic,
        /// Forwardable properties, as in [`super::entry::Content::Private`].
        properties: Bytes,
        /// The payload.
        payload: Bytes,
        /// Whether it also becomes the retained message of its topic.
        retain: bool,
        /// Whether it is at least once.
        at_least_once: bool,
        /// How long it is owed once it is published.
        expiry: Duration,
    },
}

impl LastWord {
    /// The bytes that it keeps in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Presence(_) => 0,
            Self::Private {
                properties,
                payload,
                ..
            } => properties.len() + payload.len(),
        }
    }
}

/// How a connection ended, as far as its will goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// In order: its will is forgotten.
    InOrder,
    /// In any other way, or asking for it: its will is due after its delay.
    Unannounced,
}
