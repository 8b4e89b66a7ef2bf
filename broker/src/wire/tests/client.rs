//! Good packets of a client.

use super::*;
use ProtocolVersion::{V5, V311};
use bytes::Bytes;
use std::num::{NonZeroU16, NonZeroU32};

fn wire(text: &str) -> WireStr {
    WireStr::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

/// A CONNECT of clean start and nothing else.
fn plain(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 60,
        client_id: wire("c"),
        username: None,
        password: None,
        will: None,
        session_expiry_secs: 0,
        receive_maximum: NonZeroU16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
    }
}

#[test]
fn connect() {
    let check = |body: &[u8], expected: Connect| {
        let ClientPacket::Connect(connect) = taken(&packet(0x10, body), None) else {
            panic!("not a CONNECT")
        };
        assert_eq!(*connect, expected, "{body:x?}");
    };
    check(b"\0\x04MQTT\x04\x02\0\x3c\0\x01c", plain(V311));
    check(b"\0\x04MQTT\x05\x02\0\x3c\0\0\x01c", plain(V5));
    check(
        b"\0\x04MQTT\x05\0\0\0\0\0\0",
        Connect {
            clean_start: false,
            keep_alive_secs: 0,
            client_id: WireStr::default(),
            ..plain(V5)
        },
    );
    check(
        b"\0\x04MQTT\x04\xec\0\x3c\0\x01c\0\x01w\0\x01m\0\x01u\0\x01\0",
        Connect {
            clean_start: false,
            session_expiry_secs: u32::MAX,
            username: Some(wire("u")),
            password: Some(Bytes::from_static(b"\0")),
            will: Some(Will {
                topic: wire("w"),
                payload: Bytes::from_static(b"m"),
                qos: QoS::AtLeastOnce,
                retain: true,
                delay_secs: 0,
                message_expiry_secs: None,
                forwardable: Bytes::new(),
            }),
            ..plain(V311)
        },
    );
    // 5.0 allows a password alone.
    check(
        b"\0\x04MQTT\x05\x42\0\x3c\0\0\x01c\0\x01p",
        Connect {
            password: Some(Bytes::from_static(b"p")),
            ..plain(V5)
        },
    );
    let session = b"\x11\0\0\0\x0a\x21\0\x05\x27\0\0\x10\0\x22\0\x07\x19\x01\x17\0\x26\0\x01k\0\x01v\x26\0\x01k\0\x01v\x15\0\x01m\x16\0\x01d";
    let will = b"\x18\0\0\0\x09\x01\x01\x02\0\0\0\x08\x03\0\x01t\x08\0\x01r\x09\0\x02\0\0\x26\0\x01k\0\x01v";
    let body = [
        b"\0\x04MQTT\x05\x16\0\x3c".as_slice(),
        &properties(V5, session),
        &text("c"),
        &properties(V5, will),
        &text("w"),
        &text(""),
    ];
    check(
        &body.concat(),
        Connect {
            session_expiry_secs: 10,
            receive_maximum: id(5),
            maximum_packet_size: NonZeroU32::new(4096),
            topic_alias_maximum: 7,
            request_response_information: true,
            request_problem_information: false,
            authentication_method: Some(wire("m")),
            will: Some(Will {
                topic: wire("w"),
                payload: Bytes::new(),
                qos: QoS::ExactlyOnce,
                retain: false,
                delay_secs: 9,
                message_expiry_secs: Some(8),
                forwardable: Bytes::from_static(
                    b"\x01\x01\x03\0\x01t\x08\0\x01r\x09\0\x02\0\0\x26\0\x01k\0\x01v",
                ),
            }),
            ..plain(V5)
        },
    );
}

#[test]
fn a_password_is_never_shown() {
    let connect = Connect {
        username: Some(wire("u")),
        password: Some(Bytes::from_static(b"secret")),
        ..plain(V5)
    };
    assert!(!format!("{connect:?}").contains("secret"));
}

#[test]
fn publish() {
    let check = |version, first, body: &[u8], expected: Publish| {
        let publish = taken(&packet(first, body), Some(version));
        let expected = ClientPacket::Publish(Box::new(expected));
        assert_eq!(publish, expected, "{body:x?}");
    };
    let plain = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: wire("a/b"),
        packet_id: None,
        topic_alias: None,
        message_expiry_secs: None,
        forwardable: Bytes::new(),
        payload: Bytes::from_static(b"p"),
    };
    for version in BOTH {
        let none = properties(version, b"");
        let body = [text("a/b").as_slice(), &none, b"p"].concat();
        check(version, 0x30, &body, plain.clone());
        for (first, qos) in [(0x3b, QoS::AtLeastOnce), (0x3d, QoS::ExactlyOnce)] {
            let body = [text("a/b").as_slice(), b"\xff\xff", &none].concat();
            let expected = Publish {
                dup: true,
                qos,
                retain: true,
                packet_id: NonZeroU16::new(u16::MAX),
                payload: Bytes::new(),
                ..plain.clone()
            };
            check(version, first, &body, expected);
        }
    }
    let alias = Publish {
        topic: WireStr::default(),
        topic_alias: NonZeroU16::new(9),
        ..plain.clone()
    };
    check(V5, 0x30, b"\0\0\x03\x23\0\x09p", alias);
    // What is forwarded stays in its order, also around what is not.
    let topic = text("a/b");
    let body = [
        topic.as_slice(),
        &properties(
            V5,
            b"\x26\0\x01k\0\x01v\x02\0\0\0\x3c\x03\0\x01t\x26\0\x01k\0\x01u\x01\x01",
        ),
        b"p",
    ];
    let expected = Publish {
        message_expiry_secs: Some(60),
        forwardable: Bytes::from_static(b"\x26\0\x01k\0\x01v\x03\0\x01t\x26\0\x01k\0\x01u\x01\x01"),
        ..plain
    };
    check(V5, 0x30, &body.concat(), expected);
}

#[test]
fn what_is_forwarded_is_not_copied() {
    let properties = properties(V5, b"\x02\0\0\0\x09\x01\x01\x26\0\x01k\0\x01v");
    let bytes = packet(0x30, &[text("t").as_slice(), &properties, b"p"].concat());
    let mut buf = BytesMut::from(bytes.as_slice());
    let from = buf.as_ptr_range();
    let packet = decode(&mut buf, Some(V5), MAX).unwrap();
    let Some(ClientPacket::Publish(publish)) = packet else {
        panic!("not a PUBLISH")
    };
    assert_eq!(publish.forwardable.len(), 9);
    assert!(from.contains(&publish.forwardable.as_ptr()));
    assert!(from.contains(&publish.payload.as_ptr()));
}

#[test]
fn acknowledgements() {
    use ReasonCode::*;
    type Make = fn(Ack) -> ClientPacket;
    let kinds: [(u8, Make, ReasonCode); 4] = [
        (0x40, ClientPacket::PubAck, QuotaExceeded),
        (0x50, ClientPacket::PubRec, NoMatchingSubscribers),
        (0x62, ClientPacket::PubRel, PacketIdentifierNotFound),
        (0x70, ClientPacket::PubComp, PacketIdentifierNotFound),
    ];
    for (first, make, other) in kinds {
        let check = |version, rest: &[u8], reason| {
            let bytes = packet(first, &[b"\x01\x02", rest].concat());
            let packet_id = id(0x0102);
            assert_eq!(
                taken(&bytes, Some(version)),
                make(Ack { packet_id, reason })
            );
        };
        check(V311, b"", Success);
        check(V5, b"", Success);
        check(V5, b"\0", Success);
        check(V5, b"\0\0", Success);
        check(V5, &[other as u8], other);
        check(V5, &[other as u8, 4, 0x1f, 0, 1, b'r'], other);
        check(V5, b"\0\x0e\x26\0\x01k\0\x01v\x26\0\x01k\0\x01v", Success);
    }
}

#[test]
fn subscribe() {
    let check =
        |version, body: &[u8], identifier, filters: &[(&str, QoS, bool, bool, RetainHandling)]| {
            let filters = filters
                .iter()
                .map(
                    |(filter, qos, no_local, published, handling)| SubscribeFilter {
                        filter: wire(filter),
                        qos: *qos,
                        no_local: *no_local,
                        retain_as_published: *published,
                        retain_handling: *handling,
                    },
                );
            let expected = ClientPacket::Subscribe(Subscribe {
                packet_id: id(7),
                identifier: NonZeroU32::new(identifier),
                filters: filters.collect(),
            });
            assert_eq!(taken(&packet(0x82, body), Some(version)), expected);
        };
    use QoS::*;
    use RetainHandling::*;
    for version in BOTH {
        let none = properties(version, b"");
        let body = [b"\0\x07", none.as_slice(), b"\0\x03a/#\x02\0\x01+\0"];
        let filters = [
            ("a/#", ExactlyOnce, false, false, SendAlways),
            ("+", AtMostOnce, false, false, SendAlways),
        ];
        check(version, &body.concat(), 0, &filters);
    }
    let identified = properties(V5, b"\x0b\xff\xff\xff\x7f\x26\0\x01k\0\x01v");
    let body = [b"\0\x07", identified.as_slice(), b"\0\x01a\x1d\0\x01b\x21"];
    let filters = [
        ("a", AtLeastOnce, true, true, SendIfNew),
        ("b", AtLeastOnce, false, false, DoNotSend),
    ];
    check(V5, &body.concat(), 268_435_455, &filters);
}

#[test]
fn filters_have_wildcards_where_they_may_stand() {
    let check = |filter: &str, old, new| {
        for (version, good) in [(V311, old), (V5, new)] {
            let body = [
                b"\0\x07",
                properties(version, b"").as_slice(),
                &text(filter),
            ]
            .concat();
            let unsubscribe = decoded(&packet(0xa2, &body), Some(version));
            assert_eq!(unsubscribe.is_ok(), good, "{filter} {version:?}");
            let subscribe = decoded(
                &packet(0x82, &[&body, [0].as_slice()].concat()),
                Some(version),
            );
            assert_eq!(subscribe.is_ok(), good, "{filter} {version:?}");
        }
    };
    for good in [
        "a", "/", "//", "#", "+", "/#", "+/+/#", "a/+/b", "$SYS/#", "a b", "\u{feff}", "$share",
    ] {
        check(good, true, true);
    }
    for bad in [
        "", "a#", "#/a", "a/#/b", "##", "a+", "+a", "a/b+/c", "++", "a/#a",
    ] {
        check(bad, false, false);
    }
    for good in ["$share/g/a", "$share/g//", "$share/g/#"] {
        check(good, true, true);
    }
    for bad in ["$share/", "$share/g", "$share/g/", "$share//a"] {
        check(bad, true, false);
    }
    for bad in ["$share/+/a", "$share/g#/a", "$share/g/a#"] {
        check(bad, bad == "$share/+/a", false);
    }
}

#[test]
fn unsubscribe() {
    for (version, none) in [
        (V311, properties(V311, b"")),
        (V5, properties(V5, b"\x26\0\0\0\0")),
    ] {
        let body = [b"\0\x07", none.as_slice(), b"\0\x03a/#\0\x01b"].concat();
        let expected = ClientPacket::Unsubscribe(Unsubscribe {
            packet_id: id(7),
            filters: vec![wire("a/#"), wire("b")],
        });
        assert_eq!(taken(&packet(0xa2, &body), Some(version)), expected);
    }
}

#[test]
fn the_short_ones() {
    let disconnect = |reason, session_expiry_secs| {
        ClientPacket::Disconnect(Disconnect {
            reason,
            session_expiry_secs,
        })
    };
    let check = |bytes: &[u8], version, expected| assert_eq!(taken(bytes, Some(version)), expected);
    for version in BOTH {
        check(b"\xc0\0", version, ClientPacket::PingReq);
        check(b"\xe0\0", version, disconnect(ReasonCode::Success, None));
    }
    let with_will = ReasonCode::DisconnectWithWillMessage;
    check(b"\xe0\x01\x04", V5, disconnect(with_will, None));
    check(b"\xe0\x02\x04\0", V5, disconnect(with_will, None));
    let until = disconnect(ReasonCode::Success, Some(5));
    check(b"\xe0\x07\0\x05\x11\0\0\0\x05", V5, until);
    check(b"\xf0\x06\x18\x04\x15\0\x01m", V5, ClientPacket::Auth);
    check(
        b"\xf0\x0a\x19\x08\x15\0\x01m\x16\0\x01d",
        V5,
        ClientPacket::Auth,
    );
}

#[test]
fn only_3_1_1_takes_a_length_in_more_bytes_than_it_needs() {
    check_padded(b"\xc0\x80\0", Some(V311), Ok(Some(ClientPacket::PingReq)));
    let connect = |level| {
        [
            b"\x10\x8d\0\0\x04MQTT",
            [level].as_slice(),
            b"\x02\0\0\0\x01c",
        ]
        .concat()
    };
    assert!(matches!(decoded(&connect(4), None), Ok(Some(_))));
    let padded = WireError::Malformed("a length in more bytes than it needs");
    check_padded(b"\xc0\x80\0", Some(V5), Err(padded));
    check_padded(&connect(5), None, Err(padded));
    // In properties it always counts.
    let body = b"\0\x01t\x80\0";
    assert!(decoded(&packet(0x30, body), Some(V5)).is_err());
}

fn check_padded(
    bytes: &[u8],
    version: Option<ProtocolVersion>,
    expected: Result<Option<ClientPacket>, WireError>,
) {
    assert_eq!(decoded(bytes, version), expected, "{bytes:x?}");
}
