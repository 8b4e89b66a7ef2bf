//! The MQTT 3.1.1 and 5.0 wire, from a server's side: what a client may send is decoded, what a
//! server sends is encoded, and nothing else.
//!
//! It is strict: everything that either specification calls malformed or a protocol error is refused
//! with the right reason. A known-bad first byte is refused before the length is believed, and a
//! length is never allocated for. No I/O, no session state.

mod decode;
mod encode;
mod packet;
mod properties;
mod reader;
mod topic;
pub mod websocket;

#[cfg(test)]
pub(crate) mod tests;

pub use decode::decode;
pub use encode::{encode, encoded_len};
pub use packet::{
    Ack, ClientPacket, ConnAck, ConnAckProperties, Connect, Disconnect, ProtocolVersion, Publish,
    PublishAck, QoS, ReasonCode, RetainHandling, ServerDisconnect, ServerPacket, ServerPublish,
    SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Will, WireStr,
};

/// Why bytes are not a packet that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Cannot be parsed as the specification says (0x81).
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// Parses, but must not be sent (0x82).
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// Larger than this server takes (0x95).
    #[error("the packet is larger than the maximum packet size")]
    PacketTooLarge,
    /// Neither 3.1.1 nor 5.0 (0x84; in 3.1.1 CONNACK 1, which must be sent: [MQTT-3.1.2-2]).
    #[error("the protocol is neither MQTT 3.1.1 nor 5.0")]
    UnsupportedVersion,
    /// An empty 3.1.1 client id without Clean Session (CONNACK 2, which must be sent:
    /// [MQTT-3.1.3-8]).
    #[error("the client identifier is empty")]
    ClientIdentifier,
}

impl WireError {
    /// What is wrong, in words that repeat nothing of the packet.
    pub const fn says(&self) -> &'static str {
        match self {
            Self::Malformed(says) | Self::Protocol(says) => says,
            Self::PacketTooLarge => "a packet is larger than Maximum Packet Size",
            Self::UnsupportedVersion => "the protocol is MQTT 3.1.1 or 5.0",
            Self::ClientIdentifier => "the client identifier is empty",
        }
    }

    /// What a 5.0 client is told.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Malformed(_) => ReasonCode::MalformedPacket,
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::PacketTooLarge => ReasonCode::PacketTooLarge,
            Self::UnsupportedVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientIdentifier => ReasonCode::ClientIdentifierNotValid,
        }
    }
}
