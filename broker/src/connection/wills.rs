//! The will of a CONNECT: where it may go, and what the mailbox is to keep of it.

use crate::denial::{self, Denial};
use crate::wire::{self, QoS};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::presence::Presence;
use belfry_protocol::topic::Topic;
use belfry_store::mailbox::{LastWord, Will};
use bytes::Bytes;
use std::time::Duration;

/// A device leaves a message in the private space, or says what its presence is from then on.
pub(super) fn will(
    user: UserId,
    device: DeviceId,
    will: &wire::Will,
    ttl_max: Duration,
) -> Result<Will, Denial> {
    let last_word = match Topic::parse(user, will.topic.as_str()) {
        Ok(Topic::Private(topic)) => LastWord::Private {
            topic,
            properties: Bytes::copy_from_slice(&will.forwardable),
            payload: Bytes::copy_from_slice(&will.payload),
            retain: will.retain,
            at_least_once: will.qos != QoS::AtMostOnce,
            expiry: expiry(will.message_expiry_secs, ttl_max),
        },
        Ok(Topic::Presence(own)) if own == device => {
            LastWord::Presence(Presence::parse(&will.payload).ok_or(denial::PRESENCE)?)
        }
        _ => return Err(denial::WILL_TOPIC),
    };
    Ok(Will {
        delay: Duration::from_secs(will.delay_secs.into()),
        last_word,
    })
}

/// How long a private message is owed.
pub(super) fn expiry(asked_secs: Option<u32>, ttl_max: Duration) -> Duration {
    let asked = asked_secs.map(|secs| Duration::from_secs(secs.into()));
    asked.unwrap_or(ttl_max).min(ttl_max)
}
