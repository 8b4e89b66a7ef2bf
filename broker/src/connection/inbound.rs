//! What a device publishes: its presence, what it has shown, and the private space.

use super::{Client, Connection, steady_clock, wall_clock, wills};
use crate::denial::{self, Denial};
use crate::hub::private;
use crate::mailbox::apply_one;
use crate::presence::Presence;
use crate::session::Ending;
use crate::wire::{Ack, ProtocolVersion, Publish, QoS, ReasonCode, ServerPacket};
use belfry_protocol::id::NotificationId;
use belfry_protocol::topic::Topic;
use belfry_store::mailbox::{Command, Outcome, PrivatePublish, Refusal, WhenFull};
use bytes::Bytes;
use std::num::NonZeroU16;

/// Notifications that one message on the seen topic may name: a full mailbox.
const SEEN_IDS_MAX: usize = 1_000;

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
        let per_second = self.broker.0.settings.private_publishes_per_second;
        client.publishes.take(1, per_second, steady_clock());
        match topic {
            Topic::Presence(device) if device == own => self.presence(&publish).await,
            Topic::Seen(device) if device == own => self.seen(&publish).await,
            Topic::Private(topic) => {
                let ttl_max = self.broker.ttl_max();
                let expiry = wills::expiry(publish.message_expiry_secs, ttl_max);
                let message = PrivatePublish {
                    user: client.user,
                    device: own,
                    topic,
                    properties: Bytes::copy_from_slice(&publish.forwardable),
                    payload: Bytes::copy_from_slice(&publish.payload),
                    retain: publish.retain,
                    at_least_once: publish.qos != QoS::AtMostOnce,
                    expires: wall_clock().plus(expiry),
                    qos2: qos2_id(client, &publish),
                    // At QoS 0 nobody is told either.
                    when_full: match (self.session.version(), publish.qos) {
                        (Some(ProtocolVersion::V5), QoS::AtLeastOnce | QoS::ExactlyOnce) => {
                            WhenFull::Refuse
                        }
                        _ => WhenFull::DropOldest,
                    },
                };
                self.publish_private(message).await
            }
            _ => Err(denial::TOPIC),
        }
    }

    async fn publish_private(&mut self, message: PrivatePublish) -> Result<(), Denial> {
        let broker = &self.broker.0;
        if message.at_least_once || message.retain {
            let command = Command::PublishPrivate(Box::new(message.clone()));
            let published = apply_one(&*broker.mailbox, command).await?;
            if let Outcome::Published(Some(_)) = published {
                // It comes back as a commit.
                return Ok(());
            }
        }
        broker.hub.publish(private(message));
        Ok(())
    }

    /// PUBREL: the QoS 2 message is over. PUBCOMP follows the commit.
    pub(super) async fn release(&mut self, packet_id: NonZeroU16) -> Option<Ending> {
        if let Some(client) = self.client.as_ref().filter(|client| client.persistent()) {
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
        let command = client.persistent().then_some(Command::SetPresence {
            user: client.user,
            device: client.device,
            presence,
        });
        self.apply_with_qos2(command, publish).await?;
        if let Some(client) = &self.client {
            let hub = &self.broker.0.hub;
            hub.set_presence(client.user, client.inbox(), presence);
        }
        Ok(())
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

/// The packet id that a stored session is to remember.
fn qos2_id(client: &Client, publish: &Publish) -> Option<u16> {
    let qos2 = client.persistent() && publish.qos == QoS::ExactlyOnce;
    publish.packet_id.filter(|_| qos2).map(NonZeroU16::get)
}
