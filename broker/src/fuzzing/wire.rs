//! The wire: MQTT packets of both versions, and WebSocket frames around them.

use crate::wire::websocket::{Control, FrameDecoder, FrameError};
use crate::wire::{self, ClientPacket, ProtocolVersion, ServerPacket, ServerPublish, WireError};
use bytes::{BufMut as _, BytesMut};

const PACKET_BYTES_MAX: u32 = 64 * 1024;

/// The first byte of an input says what the rest is, the second where it is cut in two: that may not
/// change what comes out.
pub fn wire(input: &[u8]) {
    let [kind, cut, bytes @ ..] = input else {
        return;
    };
    let (one, two) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    let version = match kind % 4 {
        0 => None,
        1 => Some(ProtocolVersion::V311),
        2 => Some(ProtocolVersion::V5),
        _ => {
            assert_eq!(unframed(&[one, two]), unframed(&[bytes]));
            return;
        }
    };
    let whole = packets(&[bytes], version);
    assert_eq!(packets(&[one, two], version), whole);
    for packet in &whole.0 {
        if let ClientPacket::Publish(publish) = packet {
            comes_back(publish);
        }
    }
}

/// The packets that bytes are, until one is refused.
fn packets(
    pieces: &[&[u8]],
    mut version: Option<ProtocolVersion>,
) -> (Vec<ClientPacket>, Option<WireError>) {
    let (mut buf, mut packets) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match wire::decode(&mut buf, version, PACKET_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    if let ClientPacket::Connect(connect) = &packet {
                        version = Some(connect.version);
                    }
                    packets.push(packet);
                }
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

/// What a client published is a PUBLISH again when it is sent on.
fn comes_back(publish: &wire::Publish) {
    let packet = ServerPacket::Publish(ServerPublish {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic.to_string(),
        packet_id: publish.packet_id,
        message_expiry_secs: publish.message_expiry_secs,
        content_type: None,
        forwardable: publish.forwardable.clone(),
        subscription_identifiers: Vec::new(),
        payload: publish.payload.clone(),
    });
    if publish.topic.is_empty() {
        return;
    }
    let mut out = BytesMut::new();
    wire::encode(&packet, ProtocolVersion::V5, &mut out);
    assert_eq!(out.len(), wire::encoded_len(&packet, ProtocolVersion::V5));
    let again = wire::decode(&mut out, Some(ProtocolVersion::V5), u32::MAX);
    let Ok(Some(ClientPacket::Publish(again))) = again else {
        panic!("{publish:?} became {again:?}");
    };
    let expected = wire::Publish {
        topic_alias: None,
        ..publish.clone()
    };
    assert_eq!(*again, expected);
}

/// What frames hold, until one is refused.
pub(crate) fn unframed(pieces: &[&[u8]]) -> (BytesMut, Vec<Control>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new();
    let (mut frames, mut packets, mut controls) = (BytesMut::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        frames.put_slice(piece);
        loop {
            match decoder.decode(&mut frames, &mut packets) {
                Ok(Some(control)) => controls.push(control),
                Ok(None) => break,
                Err(error) => return (packets, controls, Some(error)),
            }
        }
        assert!(frames.len() < 140, "{} bytes are kept", frames.len());
    }
    (packets, controls, None)
}

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    super::replay("wire", 30_000, wire);
}
