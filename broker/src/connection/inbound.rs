//! What a device publishes: its presence, what it has shown, and the private space.

use super::{Client, Connection, steady_clock, wall_clock};
use crate::broker::Broker;
use crate::denial::{self, Denial};
use crate::mailbox::apply_one;
use crate::notice::{Live, Notice};
use crate::presence::Presence;
use crate::session::Ending;
use crate::wire::{Ack, ProtocolVersion, Publish, QoS, ReasonCode, ServerPacket, Will};
use belfry_protocol::id::{DeviceId, NotificationId, UserId};
use belfry_protocol::topic::{PrivateTopic, Topic};
use belfry_store::mailbox::{Command, Outcome, PrivatePublish, Refusal, WhenFull};
use bytes::Bytes;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

/// Notifications that one message on the seen topic may name: a full mailbox.
const SEEN_IDS_MAX: usize = 1_000;
/// The longest that a will is put off.
const WILL_DELAY_MAX: Duration = Duration::from_secs(3_600);

/// How many messages a device may publish now: refilled evenly, a second's worth at most.
///
/// A device over its rate is read more slowly rather than refused, which works alike for each QoS
/// and in both versions.
#[derive(Debug)]
pub(super) struct Allowance {
    /// When it will be full.
    full_at: Instant,
    each: Duration,
}

impl Allowance {
    pub(super) fn full(now: Instant, per_second: u32) -> Self {
        Self {
            full_at: now,
            each: Duration::from_secs(1) / per_second.max(1),
        }
    }

    /// Takes one, and says how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        self.full_at = self.full_at.max(now) + self.each;
        let missing = self.full_at.saturating_duration_since(now);
        missing.saturating_sub(Duration::from_secs(1))
    }
}

#[derive(serde::Deserialize)]
struct Seen {
    ids: Vec<NotificationId>,
}

impl Connection {
    /// Publishes, and says how it went.
    pub(super) async fn publish(&mut self, publish: Publish) -> Result<(), Denial> {
        let client = self.client.as_mut().ok_or(denial::TOPIC)?;
        let own = client.device;
        let topic = Topic::parse(client.user, publish.topic.as_str());
        let topic = topic.map_err(|_| denial::TOPIC)?;
        let wait = client.allowance.take(steady_clock());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match topic {
            Topic::Presence(device) if device == own => self.presence(&publish).await,
            Topic::Seen(device) if device == own => self.seen(&publish).await,
            Topic::Private(topic) => {
                let qos2 = qos2_id(client, &publish);
                let message = Message {
                    properties: Bytes::copy_from_slice(&publish.forwardable),
                    payload: Bytes::copy_from_slice(&publish.payload),
                    at_least_once: publish.qos != QoS::AtMostOnce,
                    retain: publish.retain,
                    expiry_secs: publish.message_expiry_secs,
                    qos2,
                    when_full: match self.session.version() {
                        Some(ProtocolVersion::V5) => WhenFull::Refuse,
                        _ => WhenFull::DropOldest,
                    },
                };
                publish_private(&self.broker, client.user, own, topic, message).await?;
                Ok(())
            }
            _ => Err(denial::TOPIC),
        }
    }

    /// PUBREL: the QoS 2 message is over. PUBCOMP follows the commit.
    pub(super) async fn release(&mut self, packet_id: NonZeroU16) -> Option<Ending> {
        if let Some(client) = self.client.as_ref().filter(|client| client.persistent) {
            let command = Command::ReleaseQos2 {
                user: client.user,
                device: client.device,
                packet_id: packet_id.get(),
            };
            let released = apply_one(&*self.broker.0.mailbox, command).await;
            if matches!(released, Err(Refusal::Unavailable)) {
                return Some(Ending::Refused(denial::RELEASE_UNAVAILABLE));
            }
        }
        self.answer(ServerPacket::PubComp(Ack {
            packet_id,
            reason: ReasonCode::Success,
        }));
        None
    }

    async fn presence(&mut self, publish: &Publish) -> Result<(), Denial> {
        let presence = Presence::parse(&publish.payload).ok_or(denial::PRESENCE)?;
        let client = self.client.as_ref().ok_or(denial::TOPIC)?;
        let hub = &self.broker.0.hub;
        hub.set_presence(client.user, client.inbox(), presence);
        self.apply_with_qos2(None, publish).await
    }

    async fn seen(&mut self, publish: &Publish) -> Result<(), Denial> {
        let user = self.client.as_ref().ok_or(denial::TOPIC)?.user;
        let Seen { ids } = serde_json::from_slice(&publish.payload).map_err(|_| denial::SEEN)?;
        if ids.len() > SEEN_IDS_MAX {
            return Err(denial::SEEN_COUNT);
        }
        self.apply_with_qos2(Some(Command::Seen { user, ids }), publish)
            .await
    }

    /// Applies a command, and remembers a QoS 2 packet id in the same commit.
    async fn apply_with_qos2(
        &mut self,
        command: Option<Command>,
        publish: &Publish,
    ) -> Result<(), Denial> {
        let mut commands: Vec<_> = command.into_iter().collect();
        if let Some(client) = &self.client {
            let packet_id = qos2_id(client, publish);
            commands.extend(packet_id.map(|packet_id| Command::ReceiveQos2 {
                user: client.user,
                device: client.device,
                packet_id,
            }));
        }
        if commands.is_empty() {
            return Ok(());
        }
        let answers = self.broker.0.mailbox.apply(commands).await;
        let refused = answers.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}

/// A message to the private space.
struct Message {
    properties: Bytes,
    payload: Bytes,
    at_least_once: bool,
    retain: bool,
    expiry_secs: Option<u32>,
    qos2: Option<u16>,
    when_full: WhenFull,
}

async fn publish_private(
    broker: &Broker,
    user: UserId,
    device: DeviceId,
    topic: PrivateTopic,
    message: Message,
) -> Result<(), Refusal> {
    let ttl_max = broker.0.settings.ttl_max;
    let asked = message
        .expiry_secs
        .map(|secs| Duration::from_secs(secs.into()));
    let expires = wall_clock().plus(asked.unwrap_or(ttl_max).min(ttl_max));
    if message.at_least_once || message.retain {
        let command = Command::PublishPrivate(Box::new(PrivatePublish {
            user,
            device,
            topic: topic.clone(),
            properties: message.properties.clone(),
            payload: message.payload.clone(),
            retain: message.retain,
            at_least_once: message.at_least_once,
            expires,
            qos2: message.qos2,
            when_full: message.when_full,
        }));
        let published = apply_one(&*broker.0.mailbox, command).await?;
        if let Outcome::Published(Some(_)) = published {
            // It comes back as a commit.
            return Ok(());
        }
    }
    broker.0.hub.publish(Notice::Live {
        user,
        message: Live {
            topic: Topic::Private(topic),
            properties: message.properties,
            payload: message.payload,
            publisher: Some(device),
            retain: message.retain,
            at_least_once: message.at_least_once,
            urgency: None,
            expires: Some(expires),
        },
    });
    Ok(())
}

/// Publishes the will of a device whose connection ended so that it is due, after its delay.
pub(super) async fn leave_will(
    broker: &Broker,
    user: UserId,
    device: DeviceId,
    will: Will,
    expiry: Duration,
) {
    let Ok(Topic::Private(topic)) = Topic::parse(user, will.topic.as_str()) else {
        return;
    };
    let message = Message {
        properties: Bytes::copy_from_slice(&will.forwardable),
        payload: Bytes::copy_from_slice(&will.payload),
        at_least_once: will.qos != QoS::AtMostOnce,
        retain: will.retain,
        expiry_secs: will.message_expiry_secs,
        qos2: None,
        // Nobody is left to be told.
        when_full: WhenFull::DropOldest,
    };
    // The session's end is the latest time (MQTT 5.0 §3.1.3.2.2).
    let delay = Duration::from_secs(will.delay_secs.into());
    let delay = delay.min(expiry).min(WILL_DELAY_MAX);
    let later = broker.clone();
    let publish = async move {
        if publish_private(&later, user, device, topic, message)
            .await
            .is_err()
        {
            tracing::warn!(device.id = %device, "a will could not be published");
        }
    };
    if delay.is_zero() {
        publish.await;
        return;
    }
    let broker = broker.clone();
    let connections = broker.0.connections.clone();
    connections.spawn(async move {
        let draining = broker.0.draining.clone();
        if draining
            .run_until_cancelled(tokio::time::sleep(delay))
            .await
            .is_none()
        {
            return;
        }
        let online = broker.0.hub.online(user);
        if online.iter().all(|(connected, _)| *connected != device) {
            publish.await;
        }
    });
}

/// The packet id that a stored session is to remember.
fn qos2_id(client: &Client, publish: &Publish) -> Option<u16> {
    let qos2 = client.persistent && publish.qos == QoS::ExactlyOnce;
    publish.packet_id.filter(|_| qos2).map(NonZeroU16::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_messages_is_free_and_then_they_come_evenly() {
        let now = Instant::now();
        let mut allowance = Allowance::full(now, 20);
        for _ in 0..20 {
            assert_eq!(allowance.take(now), Duration::ZERO);
        }
        assert_eq!(allowance.take(now), Duration::from_millis(50));
        assert_eq!(
            allowance.take(now + Duration::from_millis(200)),
            Duration::ZERO
        );
    }
}
