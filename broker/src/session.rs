//! The MQTT session of one connection, from CONNECT to DISCONNECT: a pure state machine.
//!
//! It is told packets and times and says what is to be done; it knows neither the socket nor the
//! mailbox nor which topics there are. What it guards: the order of packets, packet ids, the window
//! of unacknowledged messages (MQTT 5.0 §4.9), the QoS 2 handshake of what the client publishes
//! (§4.3.3), keep-alive (§3.1.2.10), and the client's own packet size.

use crate::denial::{self, Denial};
use crate::inbox::CloseCause;
use crate::wire::{
    Ack, ClientPacket, Connect, Disconnect, ProtocolVersion, Publish, PublishAck, QoS, ReasonCode,
    ServerPacket, ServerPublish, Subscribe, Unsubscribe, encoded_len,
};
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Departure, Seq};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

/// QoS 2 publishes of a client that may wait for their PUBREL, announced as Receive Maximum.
pub const INBOUND_QOS2_MAX: u16 = 32;

/// What a packet id stands for until it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// An entry of the log.
    Entry {
        /// Its place.
        seq: Seq,
        /// When a notification was accepted; none for a private message, which is not counted.
        accepted: Option<Timestamp>,
    },
    /// A message outside the log: a retained one, or one for a session that is not stored.
    Unlogged,
}

impl InFlight {
    /// The place of an entry.
    pub fn seq(self) -> Option<Seq> {
        match self {
            Self::Entry { seq, .. } => Some(seq),
            Self::Unlogged => None,
        }
    }
}

/// What the session wants done about a packet.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Write this.
    Send(ServerPacket),
    /// Check who this is, open the session, then [`Session::accept`] it or refuse it.
    Connect(Box<Connect>),
    /// Publish, then answer with [`Session::published`].
    Publish(Box<Publish>),
    /// The client has this.
    Settled(InFlight),
    /// Make these filters, then send their SUBACK.
    Subscribe(Subscribe),
    /// Remove these filters, then send their UNSUBACK.
    Unsubscribe(Unsubscribe),
    /// Forget this QoS 2 packet id, then answer it with PUBCOMP.
    Release(NonZeroU16),
    /// End the connection.
    End(Ending),
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said so.
    Client {
        /// Whether its will is due all the same: for any reason but 0x00 (MQTT 5.0 §3.14.4).
        with_will: bool,
    },
    /// The client broke the protocol or a limit.
    Refused(Denial),
    /// The server ends it.
    Server(CloseCause),
    /// The stream ended, or failed.
    Lost,
}

impl Ending {
    /// What a 5.0 client is told in a DISCONNECT, where it is told anything.
    pub fn denial(self) -> Option<Denial> {
        match self {
            Self::Client { .. } | Self::Lost => None,
            Self::Refused(denial) => Some(denial),
            Self::Server(cause) => Some(cause.into()),
        }
    }

    /// What it means for the will.
    pub fn departure(self) -> Departure {
        match self {
            Self::Client { with_will: false } => Departure::InOrder,
            _ => Departure::Unannounced,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    AwaitingConnect,
    Connecting,
    Connected,
    Ended,
}

/// The limits that a session keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// As [`crate::Settings::window`].
    pub window: NonZeroU16,
    /// As [`crate::Settings::keep_alive_secs_max`].
    pub keep_alive_secs_max: NonZeroU16,
    /// As [`crate::Settings::session_expiry_max`], in seconds.
    pub session_expiry_secs_max: u32,
    /// As [`crate::Settings::connect_timeout`].
    pub connect_timeout: Duration,
}

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    version: ProtocolVersion,
    window: u16,
    client_packet_bytes_max: Option<u32>,
    /// Whether the client takes Reason Strings.
    explains: bool,
    in_flight: Vec<(NonZeroU16, InFlight)>,
    next_packet_id: NonZeroU16,
    inbound_qos2: Vec<NonZeroU16>,
    expiry_secs: u32,
    keep_alive: Option<Duration>,
    deadline: Option<Instant>,
    limits: Limits,
}

impl Session {
    /// A connection was made.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            phase: Phase::AwaitingConnect,
            version: ProtocolVersion::V311,
            window: limits.window.get(),
            client_packet_bytes_max: None,
            explains: false,
            in_flight: Vec::new(),
            next_packet_id: NonZeroU16::MIN,
            inbound_qos2: Vec::new(),
            expiry_secs: 0,
            keep_alive: None,
            deadline: now.checked_add(limits.connect_timeout),
            limits,
        }
    }

    /// The version that its CONNECT named; none before it.
    pub fn version(&self) -> Option<ProtocolVersion> {
        (self.phase != Phase::AwaitingConnect).then_some(self.version)
    }

    /// When to call [`Session::overdue`], unless a packet comes first.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the session outlives the connection, in seconds; 0 for one that is not stored.
    pub fn expiry_secs(&self) -> u32 {
        self.expiry_secs
    }

    /// The messages on their way, in the order in which they were sent.
    pub fn in_flight(&self) -> &[(NonZeroU16, InFlight)] {
        &self.in_flight
    }

    /// Whether this entry is on its way.
    pub fn is_in_flight(&self, seq: Seq) -> bool {
        self.in_flight
            .iter()
            .any(|(_, what)| what.seq() == Some(seq))
    }

    /// How many more QoS 1 messages may be sent now.
    pub fn window_free(&self) -> usize {
        usize::from(self.window).saturating_sub(self.in_flight.len())
    }

    /// A packet came.
    pub fn receive(&mut self, packet: ClientPacket, now: Instant) -> Action {
        match (self.phase, packet) {
            (Phase::Ended, _) => Action::Nothing,
            (Phase::AwaitingConnect, ClientPacket::Connect(connect)) => self.connect(connect),
            (Phase::AwaitingConnect, _) | (_, ClientPacket::Connect(_)) => {
                self.refuse(denial::ORDER)
            }
            // Nothing may be processed before it is known who sent it.
            (Phase::Connecting, _) => self.refuse(denial::CREDENTIALS),
            (Phase::Connected, packet) => {
                self.deadline = self.keep_alive.and_then(|keep| now.checked_add(keep));
                self.connected(packet)
            }
        }
    }

    /// The deadline passed: no CONNECT in time, or the keep-alive is over.
    pub fn overdue(&mut self, now: Instant) -> Action {
        match (self.phase, self.deadline) {
            (Phase::Ended, _) | (_, None) => Action::Nothing,
            (_, Some(deadline)) if now < deadline => Action::Nothing,
            (Phase::Connected, _) => self.refuse(denial::SILENT),
            _ => self.end(Ending::Lost),
        }
    }

    /// The session is open. `resumed` are the messages that an earlier connection of it left
    /// unacknowledged; they keep their packet ids and are to be sent again with DUP.
    pub fn accept(
        &mut self,
        resumed: Vec<(NonZeroU16, InFlight)>,
        inbound_qos2: &[u16],
        now: Instant,
    ) {
        if self.phase != Phase::Connecting {
            return;
        }
        self.phase = Phase::Connected;
        self.in_flight = resumed;
        self.in_flight.truncate(usize::from(self.window));
        let ids = inbound_qos2.iter().copied();
        self.inbound_qos2 = ids.filter_map(NonZeroU16::new).collect();
        self.deadline = self.keep_alive.and_then(|keep| now.checked_add(keep));
    }

    /// A QoS 1 message is to go out: its packet id, or none while the window is full.
    pub fn send(&mut self, what: InFlight) -> Option<NonZeroU16> {
        if self.phase != Phase::Connected || self.window_free() == 0 {
            return None;
        }
        // The window is below 65,535, so an id that is free comes up.
        while self.is_taken(self.next_packet_id) {
            self.next_packet_id = following(self.next_packet_id);
        }
        let id = self.next_packet_id;
        self.next_packet_id = following(id);
        self.in_flight.push((id, what));
        Some(id)
    }

    /// A message on its way is not wanted any more; its packet id is free again.
    pub fn withdraw(&mut self, id: NonZeroU16) {
        self.in_flight.retain(|(sent, _)| *sent != id);
    }

    /// Whether the client takes a packet of this size (MQTT 5.0 §3.1.2.11.4).
    pub fn fits(&self, publish: &ServerPacket) -> bool {
        self.client_packet_bytes_max.is_none_or(|max| {
            u32::try_from(encoded_len(publish, self.version)).is_ok_and(|bytes| bytes <= max)
        })
    }

    /// Whether a refusal is to say what would be right: not to one who asked for no problem
    /// information (MQTT 5.0 §3.1.2.11.7), which leaves it to CONNACK and DISCONNECT at most.
    pub fn explains(&self) -> bool {
        self.explains
    }

    /// The answer to a PUBLISH that was dealt with, or why it was not.
    pub fn published(
        &mut self,
        qos: QoS,
        packet_id: Option<NonZeroU16>,
        published: Result<(), Denial>,
    ) -> Action {
        // 3.1.1 has no way to refuse a message: a foreign topic ends the connection (§3.3.5).
        if let (Err(denial), ProtocolVersion::V311) = (published, self.version) {
            return self.refuse(denial);
        }
        let answer = |packet_id| match published {
            Ok(()) => received(packet_id),
            Err(Denial { reason, says }) => PublishAck {
                packet_id,
                reason,
                detail: Some(says),
            },
        };
        match (qos, packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => {
                Action::Send(ServerPacket::PubAck(answer(packet_id)))
            }
            (QoS::ExactlyOnce, Some(packet_id)) => {
                if published.is_ok() {
                    self.inbound_qos2.push(packet_id);
                }
                Action::Send(ServerPacket::PubRec(answer(packet_id)))
            }
            _ => Action::Nothing,
        }
    }

    /// The server ends the connection.
    pub fn end(&mut self, ending: Ending) -> Action {
        self.phase = Phase::Ended;
        self.deadline = None;
        Action::End(ending)
    }

    fn refuse(&mut self, denial: Denial) -> Action {
        self.end(Ending::Refused(denial))
    }

    fn connect(&mut self, connect: Box<Connect>) -> Action {
        self.phase = Phase::Connecting;
        self.version = connect.version;
        self.window = self.window.min(connect.receive_maximum.get());
        self.client_packet_bytes_max = connect.maximum_packet_size.map(std::num::NonZeroU32::get);
        self.explains =
            connect.version == ProtocolVersion::V5 && connect.request_problem_information;
        let max = self.limits.session_expiry_secs_max;
        self.expiry_secs = match connect.version {
            ProtocolVersion::V5 => connect.session_expiry_secs.min(max),
            // A 3.1.1 session that is not clean has no end of its own.
            ProtocolVersion::V311 if connect.clean_start => 0,
            ProtocolVersion::V311 => max,
        };
        let keep_alive_max = self.limits.keep_alive_secs_max.get();
        let keep_alive = match (connect.version, connect.keep_alive_secs) {
            (ProtocolVersion::V5, 0) => keep_alive_max,
            (ProtocolVersion::V5, asked) => asked.min(keep_alive_max),
            (ProtocolVersion::V311, asked) => asked,
        };
        // One and a half times what was agreed (MQTT 5.0 §3.1.2.10).
        self.keep_alive =
            (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1_500));
        Action::Connect(connect)
    }

    fn connected(&mut self, packet: ClientPacket) -> Action {
        match packet {
            ClientPacket::Connect(_) | ClientPacket::Auth => self.refuse(denial::ORDER),
            ClientPacket::Publish(publish) => self.publish(publish),
            ClientPacket::PubAck(ack) => self.acknowledged(ack.packet_id),
            // Nothing is sent at QoS 2, so these answer nothing.
            ClientPacket::PubRec(Ack { packet_id, .. }) if self.version == ProtocolVersion::V5 => {
                Action::Send(ServerPacket::PubRel(Ack {
                    packet_id,
                    reason: ReasonCode::PacketIdentifierNotFound,
                }))
            }
            ClientPacket::PubRec(_) | ClientPacket::PubComp(_) => Action::Nothing,
            ClientPacket::PubRel(ack) => self.release(ack.packet_id),
            ClientPacket::Subscribe(subscribe) => Action::Subscribe(subscribe),
            ClientPacket::Unsubscribe(unsubscribe) => Action::Unsubscribe(unsubscribe),
            ClientPacket::PingReq => Action::Send(ServerPacket::PingResp),
            ClientPacket::Disconnect(disconnect) => self.disconnect(&disconnect),
        }
    }

    fn publish(&mut self, publish: Box<Publish>) -> Action {
        // No alias was ever offered (MQTT 5.0 §3.3.2.3.4).
        if publish.topic_alias.is_some() {
            return self.refuse(denial::TOPIC_ALIAS);
        }
        let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            return Action::Publish(publish);
        };
        if self.inbound_qos2.contains(&packet_id) {
            return Action::Send(ServerPacket::PubRec(received(packet_id)));
        }
        if self.inbound_qos2.len() >= usize::from(INBOUND_QOS2_MAX) {
            return self.refuse(denial::RECEIVE_MAXIMUM);
        }
        Action::Publish(publish)
    }

    fn acknowledged(&mut self, packet_id: NonZeroU16) -> Action {
        let found = self.in_flight.iter().position(|(id, _)| *id == packet_id);
        match found {
            Some(index) => Action::Settled(self.in_flight.remove(index).1),
            // It may answer a message of an earlier connection that this process knows nothing of.
            None => Action::Nothing,
        }
    }

    fn release(&mut self, packet_id: NonZeroU16) -> Action {
        let found = self.inbound_qos2.iter().position(|id| *id == packet_id);
        match (found, self.version) {
            (Some(index), _) => {
                self.inbound_qos2.remove(index);
                Action::Release(packet_id)
            }
            (None, version) => Action::Send(ServerPacket::PubComp(Ack {
                packet_id,
                reason: match version {
                    ProtocolVersion::V5 => ReasonCode::PacketIdentifierNotFound,
                    ProtocolVersion::V311 => ReasonCode::Success,
                },
            })),
        }
    }

    fn disconnect(&mut self, disconnect: &Disconnect) -> Action {
        if let Some(expiry) = disconnect.session_expiry_secs {
            // MQTT 5.0 §3.14.2.2.2: a session that was to end cannot be kept after all.
            if self.expiry_secs == 0 && expiry != 0 {
                return self.refuse(denial::SESSION_EXPIRY);
            }
            self.expiry_secs = expiry.min(self.limits.session_expiry_secs_max);
        }
        let with_will = disconnect.reason != ReasonCode::Success;
        self.end(Ending::Client { with_will })
    }

    fn is_taken(&self, id: NonZeroU16) -> bool {
        self.in_flight.iter().any(|(taken, _)| *taken == id)
    }
}

/// The packet with DUP set, as it goes out again on a resumed session.
pub fn again(mut publish: ServerPublish) -> ServerPublish {
    publish.dup = true;
    publish
}

/// A PUBLISH arrived.
fn received(packet_id: NonZeroU16) -> PublishAck {
    PublishAck {
        packet_id,
        reason: ReasonCode::Success,
        detail: None,
    }
}

fn following(id: NonZeroU16) -> NonZeroU16 {
    id.checked_add(1).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests;
