//! MQTT 5.0 properties (§2.2.2) of what a client sends.

use super::WireError;
use super::packet::WireStr;
use super::reader::Reader;
use super::topic;
use bytes::Bytes;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;

/// In which packet properties stand: each allows some of them (§2.2.2.2, table 2-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Connect,
    Will,
    Publish,
    Ack,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE: u8 = 0x19;
pub(super) const REASON_STRING: u8 = 0x1f;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER_PROPERTY: u8 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(super) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2a;

/// What was found, as far as a server goes by it.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) message_expiry_secs: Option<u32>,
    pub(super) subscription_identifier: Option<NonZeroU32>,
    pub(super) session_expiry_secs: Option<u32>,
    pub(super) authentication_method: Option<WireStr>,
    pub(super) request_problem: Option<bool>,
    pub(super) will_delay_secs: Option<u32>,
    pub(super) request_response: Option<bool>,
    pub(super) receive_maximum: Option<NonZeroU16>,
    pub(super) topic_alias_maximum: Option<u16>,
    pub(super) topic_alias: Option<NonZeroU16>,
    pub(super) maximum_packet_size: Option<NonZeroU32>,
    /// The encoded properties that are forwarded unaltered.
    pub(super) forwardable: Bytes,
}

impl Place {
    fn allows(self, identifier: u8) -> bool {
        use Place::{Ack, Auth, Connect, Disconnect, Publish, Subscribe, Will};
        match identifier {
            PAYLOAD_FORMAT | MESSAGE_EXPIRY | CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION_DATA => {
                matches!(self, Publish | Will)
            }
            SUBSCRIPTION_IDENTIFIER => self == Subscribe,
            SESSION_EXPIRY => matches!(self, Connect | Disconnect),
            AUTHENTICATION_METHOD | AUTHENTICATION_DATA => matches!(self, Connect | Auth),
            REQUEST_PROBLEM | REQUEST_RESPONSE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM
            | MAXIMUM_PACKET_SIZE => self == Connect,
            WILL_DELAY => self == Will,
            REASON_STRING => matches!(self, Ack | Disconnect | Auth),
            TOPIC_ALIAS => self == Publish,
            USER_PROPERTY => true,
            _ => false,
        }
    }
}

/// Reads the length and the properties.
pub(super) fn read(reader: &mut Reader, place: Place) -> Result<Properties, WireError> {
    let length = reader.variable_integer()? as usize;
    let whole = reader.take(length)?;
    let mut reader = Reader::new(whole.clone());
    let mut found = Properties::default();
    let mut seen = 0u64;
    // Neighbours are one run, so that what came in one piece is not copied.
    let mut runs: Vec<Range<usize>> = Vec::new();
    while !reader.is_empty() {
        let start = whole.len() - reader.len();
        let identifier = reader.u8()?;
        if place == Place::Publish && identifier == SUBSCRIPTION_IDENTIFIER {
            // [MQTT-3.3.4-6]: it is the server's to add.
            return Err(WireError::Protocol(
                "a Subscription Identifier from a client",
            ));
        }
        if !place.allows(identifier) {
            return Err(WireError::Malformed(
                "a property that this packet cannot have",
            ));
        }
        if identifier != USER_PROPERTY {
            // Every identifier that is allowed is below 64.
            let bit = 1u64 << (identifier & 0x3f);
            if seen & bit != 0 {
                return Err(WireError::Protocol("a property stands there twice"));
            }
            seen |= bit;
        }
        let forwarded = read_one(&mut reader, identifier, &mut found)?;
        if forwarded {
            let end = whole.len() - reader.len();
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                _ => runs.push(start..end),
            }
        }
    }
    if seen & (1 << AUTHENTICATION_DATA) != 0 && found.authentication_method.is_none() {
        return Err(WireError::Protocol(
            "Authentication Data without Authentication Method",
        ));
    }
    found.forwardable = match runs.as_slice() {
        [] => Bytes::new(),
        [run] => whole.slice(run.clone()),
        runs => {
            let runs = runs.iter().map(|run| &whole[run.clone()]);
            runs.collect::<Vec<_>>().concat().into()
        }
    };
    Ok(found)
}

/// Reads one property's value; true if it is forwarded unaltered.
fn read_one(
    reader: &mut Reader,
    identifier: u8,
    found: &mut Properties,
) -> Result<bool, WireError> {
    match identifier {
        PAYLOAD_FORMAT => {
            reader.boolean()?;
            return Ok(true);
        }
        CONTENT_TYPE => {
            reader.string()?;
            return Ok(true);
        }
        RESPONSE_TOPIC => {
            // [MQTT-3.3.2-14]
            let name = reader.string()?;
            topic::check_name(&name)
                .map_err(|_| WireError::Protocol("a Response Topic is a topic name"))?;
            return Ok(true);
        }
        CORRELATION_DATA => {
            reader.binary()?;
            return Ok(true);
        }
        USER_PROPERTY => {
            reader.string()?;
            reader.string()?;
            return Ok(true);
        }
        MESSAGE_EXPIRY => found.message_expiry_secs = Some(reader.u32()?),
        SUBSCRIPTION_IDENTIFIER => {
            let identifier = NonZeroU32::new(reader.variable_integer()?);
            found.subscription_identifier =
                Some(identifier.ok_or(WireError::Protocol("a Subscription Identifier is not 0"))?);
        }
        SESSION_EXPIRY => found.session_expiry_secs = Some(reader.u32()?),
        AUTHENTICATION_METHOD => found.authentication_method = Some(reader.string()?),
        AUTHENTICATION_DATA => {
            reader.binary()?;
        }
        REQUEST_PROBLEM => found.request_problem = Some(reader.boolean()?),
        WILL_DELAY => found.will_delay_secs = Some(reader.u32()?),
        REQUEST_RESPONSE => found.request_response = Some(reader.boolean()?),
        REASON_STRING => {
            reader.string()?;
        }
        RECEIVE_MAXIMUM => {
            let maximum = NonZeroU16::new(reader.u16()?);
            found.receive_maximum =
                Some(maximum.ok_or(WireError::Protocol("Receive Maximum is not 0"))?);
        }
        TOPIC_ALIAS_MAXIMUM => found.topic_alias_maximum = Some(reader.u16()?),
        TOPIC_ALIAS => {
            let alias = NonZeroU16::new(reader.u16()?);
            found.topic_alias = Some(alias.ok_or(WireError::Protocol("a Topic Alias is not 0"))?);
        }
        MAXIMUM_PACKET_SIZE => {
            let maximum = NonZeroU32::new(reader.u32()?);
            found.maximum_packet_size =
                Some(maximum.ok_or(WireError::Protocol("Maximum Packet Size is not 0"))?);
        }
        _ => return Err(WireError::Malformed("an unknown property")),
    }
    Ok(false)
}
