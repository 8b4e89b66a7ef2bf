//! Properties of all bytes, and of all good packets.

use super::*;
use ProtocolVersion::{V5, V311};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Feeds bytes piece by piece, as they might come from a connection, until one is refused.
fn fed(
    pieces: &[&[u8]],
    version: Option<ProtocolVersion>,
) -> (Vec<ClientPacket>, Option<WireError>) {
    let (mut buf, mut packets, mut version) = (BytesMut::new(), Vec::new(), version);
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match decode(&mut buf, version, MAX) {
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

fn version() -> impl Strategy<Value = ProtocolVersion> {
    prop_oneof![Just(V311), Just(V5)]
}

/// Forwardable properties in some order, other ones before, between or after them, and only the
/// forwardable ones.
fn publish_properties() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let texts = "[a-z é]{0,5}";
    let property = prop_oneof![
        Just(b"\x01\x01".to_vec()),
        texts.prop_map(|value| [b"\x03".to_vec(), text(&value)].concat()),
        "[a-z/]{1,5}".prop_map(|value| [b"\x08".to_vec(), text(&value)].concat()),
        (texts, texts)
            .prop_map(|(key, value)| [b"\x26".to_vec(), text(&key), text(&value)].concat()),
        Just(b"\x02\0\0\0\x09".to_vec()),
        Just(b"\x23\0\x01".to_vec()),
    ];
    vec(property, 0..6).prop_map(|mut all| {
        let mut seen = Vec::new();
        all.retain(|property| {
            let first = !seen.contains(&property[0]);
            seen.push(property[0]);
            first || property[0] == 0x26
        });
        let forwardable = all
            .iter()
            .filter(|property| !matches!(property[0], 0x02 | 0x23));
        (all.concat(), forwardable.flatten().copied().collect())
    })
}

fn connect() -> impl Strategy<Value = Vec<u8>> {
    let will = proptest::option::of((0u8..3, any::<bool>(), "[a-z/]{1,5}", vec(any::<u8>(), 0..9)));
    (
        version(),
        any::<bool>(),
        any::<u16>(),
        "[a-z]{1,9}",
        will,
        proptest::option::of("[a-z]{0,5}"),
    )
        .prop_map(|(version, clean, keep_alive, client, will, user)| {
            let mut flags = u8::from(clean) << 1;
            let mut body = properties(version, b"\x21\0\x14");
            body.extend(text(&client));
            if let Some((qos, retain, topic, payload)) = will {
                flags |= 0x04 | qos << 3 | u8::from(retain) << 5;
                body.extend(properties(version, b"\x18\0\0\0\x01"));
                body.extend(text(&topic));
                body.extend((payload.len() as u16).to_be_bytes());
                body.extend(payload);
            }
            if let Some(user) = user {
                flags |= 0x80;
                body.extend(text(&user));
            }
            let level = if version == V5 { 5 } else { 4 };
            let head = [
                b"\0\x04MQTT".as_slice(),
                &[level, flags],
                &keep_alive.to_be_bytes(),
            ]
            .concat();
            packet(0x10, &[head, body].concat())
        })
}

/// A good packet other than CONNECT.
fn other() -> impl Strategy<Value = (Vec<u8>, ProtocolVersion)> {
    let publish = publish_properties();
    let kind = 0u8..9;
    (
        version(),
        "[a-z/]{1,8}",
        1u16..,
        vec(any::<u8>(), 0..300),
        publish,
        kind,
    )
        .prop_map(|(version, topic, id, payload, (publish, _), kind)| {
            let none = properties(version, b"");
            let publish = properties(version, &publish);
            let (topic, id) = (text(&topic), id.to_be_bytes());
            let bytes = match kind {
                0 => packet(0x31, &[topic, publish, payload].concat()),
                1 => packet(0x3a, &[&topic[..], &id, &publish, &payload].concat()),
                2 => packet(0x40, &id),
                3 => packet(0x62, &id),
                4 => packet(0x82, &[&id[..], &none, &topic, &[1], &topic, &[2]].concat()),
                5 => packet(0xa2, &[&id[..], &none, &topic].concat()),
                6 => packet(0xc0, &[]),
                7 => packet(0xe0, &[]),
                _ => packet(0x34, &[&topic[..], &id, &publish].concat()),
            };
            (bytes, version)
        })
}

proptest! {
    #[test]
    fn any_bytes_say_the_same_however_they_are_cut(
        first in any::<u8>(),
        bytes in vec(any::<u8>(), 0..200),
        framed in any::<bool>(),
        cut in any::<Index>(),
    ) {
        let bytes = if framed { packet(first, &bytes) } else { bytes };
        let (one, two) = bytes.split_at(cut.index(bytes.len() + 1));
        for version in [None, Some(V311), Some(V5)] {
            prop_assert_eq!(fed(&[one, two], version), fed(&[&bytes], version));
        }
    }

    #[test]
    fn good_packets_are_taken_and_mutated_ones_do_no_harm(
        connect in connect(),
        (other, version) in other(),
        cut in any::<Index>(),
        at in any::<Index>(),
        to in any::<u8>(),
    ) {
        for (bytes, version) in [(connect, None), (other, Some(version))] {
            let (packets, error) = fed(&[&bytes], version);
            prop_assert_eq!((packets.len(), error), (1, None), "{:x?}", bytes);
            let mut mutated = bytes.clone();
            mutated[at.index(bytes.len())] = to;
            let (one, two) = mutated.split_at(cut.index(bytes.len()));
            prop_assert_eq!(fed(&[one, two], version), fed(&[&mutated], version));
            // A packet is never taken to be whole before its end.
            let whole = decoded(&bytes[..cut.index(bytes.len())], version);
            prop_assert_eq!(whole, Ok(None));
        }
    }

    #[test]
    fn what_a_client_publishes_reaches_another_unaltered(
        topic in "[a-z/é]{1,20}",
        (properties5, forwardable) in publish_properties(),
        payload in vec(any::<u8>(), 0..300),
        qos in 0u8..3,
        retain in any::<bool>(),
        id in 1u16..,
    ) {
        let id = if qos > 0 { id.to_be_bytes().to_vec() } else { Vec::new() };
        let first = 0x30 | qos << 1 | u8::from(retain);
        for version in BOTH {
            let body = [text(&topic), id.clone(), properties(version, &properties5), payload.clone()];
            let bytes = packet(first, &body.concat());
            let ClientPacket::Publish(publish) = taken(&bytes, Some(version)) else {
                panic!("not a PUBLISH")
            };
            prop_assert_eq!(&*publish.topic, &*topic);
            prop_assert_eq!(&publish.payload[..], &payload[..]);
            if version == V5 {
                prop_assert_eq!(&publish.forwardable[..], &forwardable[..]);
            }
            let again = ServerPacket::Publish(ServerPublish {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                topic: publish.topic.to_string(),
                packet_id: publish.packet_id,
                message_expiry_secs: None,
                content_type: None,
                forwardable: publish.forwardable.clone(),
                subscription_identifiers: Vec::new(),
                payload: publish.payload.clone(),
            });
            let mut out = BytesMut::new();
            encode(&again, version, &mut out);
            prop_assert_eq!(out.len(), encoded_len(&again, version));
            let expected = Publish {
                message_expiry_secs: None,
                topic_alias: None,
                ..*publish
            };
            let expected = ClientPacket::Publish(Box::new(expected));
            prop_assert_eq!(taken(&out, Some(version)), expected);
        }
    }
}
