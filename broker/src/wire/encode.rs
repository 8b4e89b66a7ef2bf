//! Packets to bytes for a client. A payload is copied once, into what is to be written.

use super::packet::{
    ConnAck, ConnAckProperties, ProtocolVersion, QoS, ReasonCode, ServerPacket, ServerPublish,
};
use super::properties::{
    CONTENT_TYPE, MAXIMUM_PACKET_SIZE, MESSAGE_EXPIRY, REASON_STRING, RECEIVE_MAXIMUM,
    SERVER_KEEP_ALIVE, SESSION_EXPIRY, SHARED_SUBSCRIPTION_AVAILABLE, SUBSCRIPTION_IDENTIFIER,
    TOPIC_ALIAS_MAXIMUM,
};
use bytes::{BufMut, BytesMut};
use std::num::NonZeroU16;

/// Adds the packet to `out`. A DISCONNECT adds nothing in 3.1.1, where servers send none.
pub fn encode(packet: &ServerPacket, version: ProtocolVersion, out: &mut BytesMut) {
    let v5 = version == ProtocolVersion::V5;
    match packet {
        ServerPacket::ConnAck(connack) => connack_packet(connack, v5, out),
        ServerPacket::Publish(publish) => publish_packet(publish, v5, out),
        ServerPacket::PubAck(ack) => {
            ack_packet(0x40, ack.packet_id, ack.reason, ack.detail, v5, out);
        }
        ServerPacket::PubRec(ack) => {
            ack_packet(0x50, ack.packet_id, ack.reason, ack.detail, v5, out);
        }
        ServerPacket::PubRel(ack) => ack_packet(0x62, ack.packet_id, ack.reason, None, v5, out),
        ServerPacket::PubComp(ack) => ack_packet(0x70, ack.packet_id, ack.reason, None, v5, out),
        ServerPacket::SubAck(suback) => {
            let mut body = suback.packet_id.get().to_be_bytes().to_vec();
            if v5 {
                body.extend(reason_string(suback.detail));
                body.extend(suback.codes.iter().map(|code| *code as u8));
            } else {
                // 3.1.1 knows one failure (§3.9.3 there).
                body.extend(suback.codes.iter().map(|code| (*code as u8).min(0x80)));
            }
            whole(0x90, &body, out);
        }
        ServerPacket::UnsubAck(unsuback) => {
            let mut body = unsuback.packet_id.get().to_be_bytes().to_vec();
            if v5 {
                body.extend(reason_string(unsuback.detail));
                body.extend(unsuback.codes.iter().map(|code| *code as u8));
            }
            whole(0xb0, &body, out);
        }
        ServerPacket::PingResp => whole(0xd0, &[], out),
        ServerPacket::Disconnect(disconnect) if v5 => {
            let mut body = vec![disconnect.reason as u8];
            if disconnect.detail.is_some() {
                body.extend(reason_string(disconnect.detail));
            }
            whole(0xe0, &body, out);
        }
        ServerPacket::Disconnect(_) => {}
    }
}

/// The bytes that [`encode`] would add, to keep to the client's Maximum Packet Size.
pub fn encoded_len(packet: &ServerPacket, version: ProtocolVersion) -> usize {
    match packet {
        ServerPacket::Publish(publish) => {
            let body = publish_len(publish, version == ProtocolVersion::V5);
            1 + length_bytes(body) + body
        }
        // The others are small: writing one is the simplest way to measure it.
        other => {
            let mut out = BytesMut::new();
            encode(other, version, &mut out);
            out.len()
        }
    }
}

fn connack_packet(connack: &ConnAck, v5: bool, out: &mut BytesMut) {
    // No session goes with a refusal ([MQTT-3.2.2-6]).
    let present = connack.session_present && connack.reason == ReasonCode::Success;
    let mut body = vec![u8::from(present)];
    if v5 {
        body.push(connack.reason as u8);
        let properties = connack_properties(&connack.properties);
        length(properties.len(), &mut body);
        body.extend(properties);
    } else {
        body.push(match connack.reason {
            ReasonCode::Success => 0,
            ReasonCode::UnsupportedProtocolVersion => 1,
            ReasonCode::ClientIdentifierNotValid => 2,
            ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::QuotaExceeded
            | ReasonCode::ConnectionRateExceeded => 3,
            _ => 5,
        });
    }
    whole(0x20, &body, out);
}

fn connack_properties(properties: &ConnAckProperties) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(seconds) = properties.session_expiry_secs {
        out.push(SESSION_EXPIRY);
        out.extend(seconds.to_be_bytes());
    }
    if let Some(maximum) = properties.receive_maximum {
        out.push(RECEIVE_MAXIMUM);
        out.extend(maximum.to_be_bytes());
    }
    if let Some(bytes) = properties.maximum_packet_size {
        out.push(MAXIMUM_PACKET_SIZE);
        out.extend(bytes.to_be_bytes());
    }
    if let Some(maximum) = properties.topic_alias_maximum {
        out.push(TOPIC_ALIAS_MAXIMUM);
        out.extend(maximum.to_be_bytes());
    }
    if let Some(reason) = properties.reason_string {
        out.push(REASON_STRING);
        text(reason, &mut out);
    }
    if let Some(available) = properties.shared_subscription_available {
        out.extend([SHARED_SUBSCRIPTION_AVAILABLE, u8::from(available)]);
    }
    if let Some(seconds) = properties.server_keep_alive_secs {
        out.push(SERVER_KEEP_ALIVE);
        out.extend(seconds.to_be_bytes());
    }
    out
}

fn publish_packet(publish: &ServerPublish, v5: bool, out: &mut BytesMut) {
    let qos = match publish.qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    };
    let body = publish_len(publish, v5);
    out.reserve(1 + length_bytes(body) + body);
    out.put_u8(0x30 | u8::from(publish.dup) << 3 | qos << 1 | u8::from(publish.retain));
    length(body, out);
    text(&publish.topic, out);
    if let Some(id) = publish.packet_id {
        out.put_u16(id.get());
    }
    if v5 {
        length(publish_properties_len(publish), out);
        if let Some(seconds) = publish.message_expiry_secs {
            out.put_u8(MESSAGE_EXPIRY);
            out.put_u32(seconds);
        }
        if let Some(kind) = publish.content_type {
            out.put_u8(CONTENT_TYPE);
            text(kind, out);
        }
        out.put_slice(&publish.forwardable);
        for identifier in &publish.subscription_identifiers {
            out.put_u8(SUBSCRIPTION_IDENTIFIER);
            length(identifier.get() as usize, out);
        }
    }
    out.put_slice(&publish.payload);
}

/// The remaining length of a PUBLISH.
fn publish_len(publish: &ServerPublish, v5: bool) -> usize {
    let id = if publish.packet_id.is_some() { 2 } else { 0 };
    let properties = if v5 {
        let properties = publish_properties_len(publish);
        length_bytes(properties) + properties
    } else {
        0
    };
    text_len(&publish.topic) + id + properties + publish.payload.len()
}

fn publish_properties_len(publish: &ServerPublish) -> usize {
    let expiry = publish.message_expiry_secs.map_or(0, |_| 1 + 4);
    let kind = publish.content_type.map_or(0, |kind| 1 + text_len(kind));
    let identifiers = publish.subscription_identifiers.iter();
    let identifiers = identifiers.map(|identifier| 1 + length_bytes(identifier.get() as usize));
    expiry + kind + publish.forwardable.len() + identifiers.sum::<usize>()
}

fn ack_packet(
    first: u8,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    detail: Option<&str>,
    v5: bool,
    out: &mut BytesMut,
) {
    let mut body = packet_id.get().to_be_bytes().to_vec();
    if v5 && reason != ReasonCode::Success {
        body.push(reason as u8);
        if detail.is_some() {
            body.extend(reason_string(detail));
        }
    }
    whole(first, &body, out);
}

/// Properties that are a Reason String alone, or none.
fn reason_string(detail: Option<&str>) -> Vec<u8> {
    let mut properties = Vec::new();
    if let Some(detail) = detail {
        properties.push(REASON_STRING);
        text(detail, &mut properties);
    }
    let mut out = Vec::new();
    length(properties.len(), &mut out);
    out.extend(properties);
    out
}

fn whole(first: u8, body: &[u8], out: &mut BytesMut) {
    out.put_u8(first);
    length(body.len(), out);
    out.put_slice(body);
}

/// A Variable Byte Integer (§1.5.5). What does not fit four bytes is never encoded: packets to
/// clients are bounded by the mailbox's body limit.
fn length(mut value: usize, out: &mut impl BufMut) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn length_bytes(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

/// A UTF-8 Encoded String; what is longer than its length field can say is cut off.
fn text(value: &str, out: &mut impl BufMut) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(
        value
            .as_bytes()
            .get(..usize::from(length))
            .unwrap_or_default(),
    );
}

fn text_len(value: &str) -> usize {
    2 + value.len().min(usize::from(u16::MAX))
}
