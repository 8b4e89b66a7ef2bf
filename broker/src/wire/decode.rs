//! Bytes from a client to packets.

use super::WireError;
use super::packet::{
    Ack, ClientPacket, Connect, Disconnect, ProtocolVersion, Publish, QoS, ReasonCode,
    RetainHandling, Subscribe, SubscribeFilter, Unsubscribe, Will, WireStr,
};
use super::properties::{self, Place};
use super::reader::Reader;
use super::topic;
use bytes::{Buf as _, Bytes, BytesMut};
use std::num::NonZeroU16;

/// Takes the next packet from the front of `buf`; `None` until all of it is there.
///
/// Without a version the packet must be CONNECT, and with one it must not. A packet is at most
/// `packet_bytes_max` long, which bounds everything in it: in 64 KiB there is room for 16,000
/// filters or 13,000 user properties. What is returned refers to the bytes it came in and keeps
/// them allocated as long as it lives; only a will, which lives as long as its connection, is
/// copied.
///
/// # Errors
/// The connection cannot go on; `buf` is then of no more use.
pub fn decode(
    buf: &mut BytesMut,
    version: Option<ProtocolVersion>,
    packet_bytes_max: u32,
) -> Result<Option<ClientPacket>, WireError> {
    let Some(&first) = buf.first() else {
        return Ok(None);
    };
    check_first_byte(first, version)?;
    let Some(length) = remaining_length(buf)? else {
        return Ok(None);
    };
    if version == Some(ProtocolVersion::V5) {
        length.check_minimal()?;
    }
    check_length(first, version, length.value)?;
    let whole = length.header + length.value;
    if u32::try_from(whole).map_or(true, |whole| whole > packet_bytes_max) {
        return Err(WireError::PacketTooLarge);
    }
    if buf.len() < whole {
        return Ok(None);
    }
    let mut packet = buf.split_to(whole);
    packet.advance(length.header);
    let mut reader = Reader::new(packet.freeze());
    let packet = match version {
        None => connect(&mut reader, &length)?,
        Some(version) => other(first, version, &mut reader)?,
    };
    if !reader.is_empty() {
        return Err(WireError::Malformed("bytes after the end of the packet"));
    }
    Ok(Some(packet))
}

/// What the first byte alone forbids (§2.1.2, §2.1.3).
fn check_first_byte(first: u8, version: Option<ProtocolVersion>) -> Result<(), WireError> {
    const RESERVED: Result<(), WireError> = Err(WireError::Malformed("reserved flags are set"));
    let (kind, flags) = (first >> 4, first & 0x0f);
    match (kind, version) {
        (1, None) if flags == 0 => Ok(()),
        (1, None) => RESERVED,
        (_, None) => Err(WireError::Protocol("the first packet is CONNECT")),
        (1, Some(_)) => Err(WireError::Protocol("a second CONNECT")),
        (3, _) if flags & 0b0110 == 0b0110 => Err(WireError::Malformed("there is no QoS 3")),
        (3, _) if flags & 0b1110 == 0b1000 => Err(WireError::Malformed("DUP is for QoS 1 and 2")),
        (3, _) => Ok(()),
        (6 | 8 | 10, _) if flags == 0b0010 => Ok(()),
        (4 | 5 | 7 | 12 | 14, _) if flags == 0 => Ok(()),
        (15, Some(ProtocolVersion::V5)) if flags == 0 => Ok(()),
        (4..=8 | 10 | 12 | 14, _) | (15, Some(ProtocolVersion::V5)) => RESERVED,
        (0, _) | (15, _) => Err(WireError::Malformed("a reserved packet type")),
        _ => Err(WireError::Protocol("a packet that a client does not send")),
    }
}

/// What the length alone forbids: no packet is waited for that cannot be one.
fn check_length(
    first: u8,
    version: Option<ProtocolVersion>,
    length: usize,
) -> Result<(), WireError> {
    let v311 = version == Some(ProtocolVersion::V311);
    let fits = match first >> 4 {
        // A client identifier after ten bytes.
        1 => length >= 12,
        4..=7 if v311 => length == 2,
        3..=8 | 10 => length >= 2,
        12 => length == 0,
        14 if v311 => length == 0,
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(WireError::Malformed(
            "a length that this packet cannot have",
        ))
    }
}

/// A remaining length, and how many bytes the fixed header takes with it.
struct Length {
    value: usize,
    header: usize,
    minimal: bool,
}

impl Length {
    /// 5.0 wants the fewest bytes ([MQTT-1.5.5-1]); 3.1.1 does not say.
    fn check_minimal(&self) -> Result<(), WireError> {
        if self.minimal {
            Ok(())
        } else {
            Err(WireError::Malformed("a length in more bytes than it needs"))
        }
    }
}

/// The remaining length, once it is complete (§2.1.4).
fn remaining_length(buf: &[u8]) -> Result<Option<Length>, WireError> {
    let mut value = 0usize;
    for (at, byte) in buf.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(Length {
                value,
                header: at + 2,
                minimal: at == 0 || *byte != 0,
            }));
        }
        if at == 3 {
            return Err(WireError::Malformed("a length of more than four bytes"));
        }
    }
    Ok(None)
}

fn connect(reader: &mut Reader, length: &Length) -> Result<ClientPacket, WireError> {
    match reader.binary()?.as_ref() {
        b"MQTT" => {}
        b"MQIsdp" => return Err(WireError::UnsupportedVersion),
        _ => return Err(WireError::Protocol("the protocol is not MQTT")),
    }
    let version = match reader.u8()? {
        4 => ProtocolVersion::V311,
        5 => ProtocolVersion::V5,
        _ => return Err(WireError::UnsupportedVersion),
    };
    let v5 = version == ProtocolVersion::V5;
    if v5 {
        length.check_minimal()?;
    }
    let flags = ConnectFlags::read(reader.u8()?, version)?;
    let keep_alive_secs = reader.u16()?;
    let properties = if v5 {
        properties::read(reader, Place::Connect)?
    } else {
        properties::Properties::default()
    };
    let client_id = reader.string()?;
    if client_id.is_empty() && !v5 && !flags.clean_start {
        return Err(WireError::ClientIdentifier);
    }
    let will = flags
        .will
        .map(|(qos, retain)| will(reader, version, qos, retain))
        .transpose()?;
    let username = flags.username.then(|| reader.string()).transpose()?;
    let password = flags.password.then(|| reader.binary()).transpose()?;
    let session_expiry_secs = match version {
        ProtocolVersion::V5 => properties.session_expiry_secs.unwrap_or(0),
        ProtocolVersion::V311 if flags.clean_start => 0,
        ProtocolVersion::V311 => u32::MAX,
    };
    Ok(ClientPacket::Connect(Box::new(Connect {
        version,
        clean_start: flags.clean_start,
        keep_alive_secs,
        client_id,
        username,
        password,
        will,
        session_expiry_secs,
        receive_maximum: properties.receive_maximum.unwrap_or(NonZeroU16::MAX),
        maximum_packet_size: properties.maximum_packet_size,
        topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
        request_response_information: properties.request_response.unwrap_or(false),
        request_problem_information: properties.request_problem.unwrap_or(true),
        authentication_method: properties.authentication_method,
    })))
}

struct ConnectFlags {
    clean_start: bool,
    will: Option<(QoS, bool)>,
    username: bool,
    password: bool,
}

impl ConnectFlags {
    fn read(flags: u8, version: ProtocolVersion) -> Result<Self, WireError> {
        let bit = |bit: u8| flags & (1 << bit) != 0;
        if bit(0) {
            return Err(WireError::Malformed("the reserved connect flag is set"));
        }
        let qos = qos((flags >> 3) & 3)?;
        let will = match (bit(2), bit(5)) {
            (true, retain) => Some((qos, retain)),
            (false, false) if qos == QoS::AtMostOnce => None,
            _ => return Err(WireError::Malformed("will flags without a will")),
        };
        let (username, password) = (bit(7), bit(6));
        if password && !username && version == ProtocolVersion::V311 {
            return Err(WireError::Malformed("a password without a user name"));
        }
        Ok(Self {
            clean_start: bit(1),
            will,
            username,
            password,
        })
    }
}

fn will(
    reader: &mut Reader,
    version: ProtocolVersion,
    qos: QoS,
    retain: bool,
) -> Result<Will, WireError> {
    let properties = match version {
        ProtocolVersion::V5 => properties::read(reader, Place::Will)?,
        ProtocolVersion::V311 => properties::Properties::default(),
    };
    let topic = reader.string()?;
    topic::check_name(&topic)?;
    Ok(Will {
        topic: topic.detached(),
        payload: Bytes::copy_from_slice(&reader.binary()?),
        qos,
        retain,
        delay_secs: properties.will_delay_secs.unwrap_or(0),
        message_expiry_secs: properties.message_expiry_secs,
        forwardable: Bytes::copy_from_slice(&properties.forwardable),
    })
}

fn other(
    first: u8,
    version: ProtocolVersion,
    reader: &mut Reader,
) -> Result<ClientPacket, WireError> {
    Ok(match first >> 4 {
        3 => ClientPacket::Publish(Box::new(publish(first, version, reader)?)),
        4 => ClientPacket::PubAck(ack(reader, version, PUBACK_REASONS)?),
        5 => ClientPacket::PubRec(ack(reader, version, PUBACK_REASONS)?),
        6 => ClientPacket::PubRel(ack(reader, version, PUBREL_REASONS)?),
        7 => ClientPacket::PubComp(ack(reader, version, PUBREL_REASONS)?),
        8 => ClientPacket::Subscribe(subscribe(reader, version)?),
        10 => ClientPacket::Unsubscribe(unsubscribe(reader, version)?),
        12 => ClientPacket::PingReq,
        14 => ClientPacket::Disconnect(disconnect(reader, version)?),
        15 => auth(reader)?,
        _ => return Err(WireError::Protocol("a packet that a client does not send")),
    })
}

fn publish(first: u8, version: ProtocolVersion, reader: &mut Reader) -> Result<Publish, WireError> {
    let qos = qos((first >> 1) & 3)?;
    let topic = reader.string()?;
    if !topic.is_empty() || version == ProtocolVersion::V311 {
        topic::check_name(&topic)?;
    }
    let packet_id = (qos != QoS::AtMostOnce)
        .then(|| reader.packet_id())
        .transpose()?;
    let properties = match version {
        ProtocolVersion::V5 => properties::read(reader, Place::Publish)?,
        ProtocolVersion::V311 => properties::Properties::default(),
    };
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(WireError::Protocol("neither a topic nor an alias"));
    }
    Ok(Publish {
        dup: first & 0b1000 != 0,
        qos,
        retain: first & 1 != 0,
        topic,
        packet_id,
        topic_alias: properties.topic_alias,
        message_expiry_secs: properties.message_expiry_secs,
        forwardable: properties.forwardable,
        payload: reader.take_rest(),
    })
}

/// Reasons of PUBACK and PUBREC (§3.4.2.1, §3.5.2.1).
const PUBACK_REASONS: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::NoMatchingSubscribers,
    ReasonCode::UnspecifiedError,
    ReasonCode::ImplementationSpecificError,
    ReasonCode::NotAuthorized,
    ReasonCode::TopicNameInvalid,
    ReasonCode::PacketIdentifierInUse,
    ReasonCode::QuotaExceeded,
    ReasonCode::PayloadFormatInvalid,
];

/// Reasons of PUBREL and PUBCOMP (§3.6.2.1, §3.7.2.1).
const PUBREL_REASONS: &[ReasonCode] = &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound];

/// Reasons that a client may give in DISCONNECT (§3.14.2.1).
const DISCONNECT_REASONS: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::DisconnectWithWillMessage,
    ReasonCode::UnspecifiedError,
    ReasonCode::MalformedPacket,
    ReasonCode::ProtocolError,
    ReasonCode::ImplementationSpecificError,
    ReasonCode::TopicNameInvalid,
    ReasonCode::ReceiveMaximumExceeded,
    ReasonCode::TopicAliasInvalid,
    ReasonCode::PacketTooLarge,
    ReasonCode::MessageRateTooHigh,
    ReasonCode::QuotaExceeded,
    ReasonCode::AdministrativeAction,
    ReasonCode::PayloadFormatInvalid,
];

/// Reasons that a client may give in AUTH (§3.15.2.1).
const AUTH_REASONS: &[ReasonCode] = &[
    ReasonCode::ContinueAuthentication,
    ReasonCode::ReAuthenticate,
];

fn ack(
    reader: &mut Reader,
    version: ProtocolVersion,
    allowed: &[ReasonCode],
) -> Result<Ack, WireError> {
    let packet_id = reader.packet_id()?;
    // Without more, in 5.0 too, it means success.
    if version == ProtocolVersion::V311 || reader.is_empty() {
        return Ok(Ack {
            packet_id,
            reason: ReasonCode::Success,
        });
    }
    let reason = reader.reason(allowed)?;
    if !reader.is_empty() {
        properties::read(reader, Place::Ack)?;
    }
    Ok(Ack { packet_id, reason })
}

fn subscribe(reader: &mut Reader, version: ProtocolVersion) -> Result<Subscribe, WireError> {
    let packet_id = reader.packet_id()?;
    let v5 = version == ProtocolVersion::V5;
    let identifier = if v5 {
        properties::read(reader, Place::Subscribe)?.subscription_identifier
    } else {
        None
    };
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let filter = topic_filter(reader, version)?;
        let options = reader.u8()?;
        let reserved = if v5 { 0b1100_0000 } else { 0b1111_1100 };
        if options & reserved != 0 {
            return Err(WireError::Malformed(
                "reserved bits of the subscription options are set",
            ));
        }
        let no_local = options & 0b100 != 0;
        if no_local && topic::shared(&filter).is_some() {
            return Err(WireError::Protocol("No Local on a shared subscription"));
        }
        filters.push(SubscribeFilter {
            filter,
            qos: qos(options & 3)?,
            no_local,
            retain_as_published: options & 0b1000 != 0,
            retain_handling: match options >> 4 {
                0 => RetainHandling::SendAlways,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(WireError::Protocol("there is no Retain Handling 3")),
            },
        });
    }
    if filters.is_empty() {
        return Err(WireError::Protocol("SUBSCRIBE without a filter"));
    }
    Ok(Subscribe {
        packet_id,
        identifier,
        filters,
    })
}

fn unsubscribe(reader: &mut Reader, version: ProtocolVersion) -> Result<Unsubscribe, WireError> {
    let packet_id = reader.packet_id()?;
    if version == ProtocolVersion::V5 {
        properties::read(reader, Place::Unsubscribe)?;
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(topic_filter(reader, version)?);
    }
    if filters.is_empty() {
        return Err(WireError::Protocol("UNSUBSCRIBE without a filter"));
    }
    Ok(Unsubscribe { packet_id, filters })
}

fn disconnect(reader: &mut Reader, version: ProtocolVersion) -> Result<Disconnect, WireError> {
    if version == ProtocolVersion::V311 || reader.is_empty() {
        return Ok(Disconnect {
            reason: ReasonCode::Success,
            session_expiry_secs: None,
        });
    }
    let reason = reader.reason(DISCONNECT_REASONS)?;
    let mut session_expiry_secs = None;
    if !reader.is_empty() {
        session_expiry_secs = properties::read(reader, Place::Disconnect)?.session_expiry_secs;
    }
    Ok(Disconnect {
        reason,
        session_expiry_secs,
    })
}

/// Without a reason it would mean success, which only a server says (§3.15.2.1).
fn auth(reader: &mut Reader) -> Result<ClientPacket, WireError> {
    const METHOD: WireError = WireError::Protocol("AUTH without an Authentication Method");
    if reader.is_empty() {
        return Err(METHOD);
    }
    reader.reason(AUTH_REASONS)?;
    if reader.is_empty() {
        return Err(METHOD);
    }
    let properties = properties::read(reader, Place::Auth)?;
    properties.authentication_method.ok_or(METHOD)?;
    Ok(ClientPacket::Auth)
}

fn qos(bits: u8) -> Result<QoS, WireError> {
    match bits {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        2 => Ok(QoS::ExactlyOnce),
        _ => Err(WireError::Malformed("there is no QoS 3")),
    }
}

fn topic_filter(reader: &mut Reader, version: ProtocolVersion) -> Result<WireStr, WireError> {
    let filter = reader.string()?;
    topic::check_filter(&filter, version)?;
    Ok(filter)
}
