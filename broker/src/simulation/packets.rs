//! MQTT from the device's side, in bytes of its own, so that it shares no mistake with the wire.

use crate::wire::tests::{packet, string};
use bytes::{Buf as _, Bytes};

pub(super) struct Connect<'a> {
    pub(super) version: u8,
    pub(super) client_id: &'a str,
    pub(super) username: &'a str,
    pub(super) password: &'a [u8],
    pub(super) clean: bool,
    /// In 5.0.
    pub(super) expiry_secs: u32,
    /// In 5.0.
    pub(super) receive_maximum: Option<u16>,
}

/// A filter with its QoS and, in 5.0, No Local.
pub(super) struct Asked<'a> {
    pub(super) filter: &'a str,
    pub(super) qos: u8,
    pub(super) no_local: bool,
}

pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: u8,
    pub(super) id: u16,
    pub(super) retain: bool,
    pub(super) dup: bool,
}

/// A packet from the broker.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    ConnAck {
        present: bool,
        code: u8,
    },
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP by its type.
    Ack {
        kind: u8,
        id: u16,
        code: u8,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
    },
    UnsubAck {
        id: u16,
        codes: Vec<u8>,
    },
    PingResp,
    Disconnect,
}

#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) dup: bool,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) topic: String,
    pub(super) id: u16,
    pub(super) payload: Bytes,
}

pub(super) fn connect(connect: &Connect<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    string(b"MQTT", &mut body);
    body.extend([connect.version, 0xc0 | u8::from(connect.clean) << 1]);
    // A device is never silent for its whole keep alive here, save where its stream stalls.
    body.extend(3_600_u16.to_be_bytes());
    if connect.version == 5 {
        let mut properties = vec![0x11];
        properties.extend(connect.expiry_secs.to_be_bytes());
        if let Some(maximum) = connect.receive_maximum {
            properties.push(0x21);
            properties.extend(maximum.to_be_bytes());
        }
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    string(connect.client_id.as_bytes(), &mut body);
    string(connect.username.as_bytes(), &mut body);
    string(connect.password, &mut body);
    packet(0x10, &body)
}

pub(super) fn subscribe(version: u8, id: u16, filters: &[Asked<'_>]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    for asked in filters {
        string(asked.filter.as_bytes(), &mut body);
        body.push(asked.qos | u8::from(asked.no_local && version == 5) << 2);
    }
    packet(0x82, &body)
}

pub(super) fn unsubscribe(version: u8, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    for filter in filters {
        string(filter.as_bytes(), &mut body);
    }
    packet(0xa2, &body)
}

pub(super) fn publish(version: u8, publish: &Outgoing<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    string(publish.topic.as_bytes(), &mut body);
    if publish.qos > 0 {
        body.extend(publish.id.to_be_bytes());
    }
    if version == 5 {
        body.push(0);
    }
    body.extend(publish.payload);
    let flags = u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain);
    packet(0x30 | flags, &body)
}

pub(super) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub(super) fn pubrel(id: u16) -> Vec<u8> {
    packet(0x62, &id.to_be_bytes())
}

pub(super) fn pingreq() -> Vec<u8> {
    vec![0xc0, 0]
}

/// With a new session expiry, in 5.0.
pub(super) fn disconnect(version: u8, expiry_secs: Option<u32>) -> Vec<u8> {
    let Some(expiry_secs) = expiry_secs.filter(|_| version == 5) else {
        return vec![0xe0, 0];
    };
    let mut body = vec![0, 5, 0x11];
    body.extend(expiry_secs.to_be_bytes());
    packet(0xe0, &body)
}

/// The value and how many bytes it takes.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Takes the next whole packet.
pub(super) fn take(bytes: &mut Vec<u8>, version: u8) -> Option<Packet> {
    let (length, header) = variable(bytes.get(1..)?)?;
    if bytes.len() < 1 + header + length {
        return None;
    }
    let whole: Vec<u8> = bytes.drain(..1 + header + length).collect();
    let first = whole[0];
    let mut body = Bytes::from(whole).split_off(1 + header);
    Some(match first >> 4 {
        2 => Packet::ConnAck {
            present: body[0] == 1,
            code: body[1],
        },
        3 => Packet::Publish(received(first, body, version)),
        kind @ 4..=7 => Packet::Ack {
            kind,
            id: body.get_u16(),
            code: body.first().copied().unwrap_or_default(),
        },
        9 => {
            let id = body.get_u16();
            skip_properties(&mut body, version);
            let codes = body.to_vec();
            Packet::SubAck { id, codes }
        }
        11 => {
            let id = body.get_u16();
            skip_properties(&mut body, version);
            let codes = body.to_vec();
            Packet::UnsubAck { id, codes }
        }
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        kind => panic!("a broker sends no packet of type {kind}"),
    })
}

fn skip_properties(body: &mut Bytes, version: u8) {
    if version == 5 {
        let (length, bytes) = variable(body).unwrap();
        body.advance(bytes + length);
    }
}

fn received(first: u8, mut body: Bytes, version: u8) -> Publish {
    let length = usize::from(body.get_u16());
    let topic = String::from_utf8(body.split_to(length).to_vec()).unwrap();
    let qos = first >> 1 & 3;
    let id = if qos > 0 { body.get_u16() } else { 0 };
    skip_properties(&mut body, version);
    Publish {
        dup: first & 8 != 0,
        qos,
        retain: first & 1 != 0,
        topic,
        id,
        payload: body,
    }
}
