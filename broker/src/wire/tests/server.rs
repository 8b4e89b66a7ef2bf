//! Packets of a server.

use super::*;
use ProtocolVersion::{V5, V311};
use bytes::Bytes;
use std::num::{NonZeroU16, NonZeroU32};

fn check(packet: &ServerPacket, version: ProtocolVersion, expected: &[u8]) {
    let mut out = BytesMut::from("before".as_bytes());
    encode(packet, version, &mut out);
    assert_eq!(out.split_to(6), "before");
    assert_eq!(&out[..], expected, "{packet:?} {version:?}");
    assert_eq!(encoded_len(packet, version), expected.len(), "{packet:?}");
}

fn id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

#[test]
fn connack() {
    use ReasonCode::*;
    let connack = |session_present, reason, properties| {
        ServerPacket::ConnAck(ConnAck {
            session_present,
            reason,
            properties,
        })
    };
    let none = ConnAckProperties::default;
    check(&connack(true, Success, none()), V311, &[0x20, 2, 1, 0]);
    check(&connack(true, Success, none()), V5, &[0x20, 3, 1, 0, 0]);
    check(
        &connack(true, NotAuthorized, none()),
        V311,
        &[0x20, 2, 0, 5],
    );
    check(
        &connack(true, NotAuthorized, none()),
        V5,
        &[0x20, 3, 0, 0x87, 0],
    );
    let codes = [
        (UnsupportedProtocolVersion, 1),
        (ClientIdentifierNotValid, 2),
        (ServerUnavailable, 3),
        (ServerBusy, 3),
        (ServerShuttingDown, 3),
        (BadUserNameOrPassword, 5),
        (Banned, 5),
    ];
    for (reason, code) in codes {
        check(&connack(false, reason, none()), V311, &[0x20, 2, 0, code]);
    }
    let all = ConnAckProperties {
        session_expiry_secs: Some(1),
        receive_maximum: Some(2),
        maximum_packet_size: Some(3),
        server_keep_alive_secs: Some(4),
        topic_alias_maximum: Some(5),
        shared_subscription_available: Some(false),
        reason_string: Some("r"),
    };
    check(
        &connack(false, Success, all.clone()),
        V311,
        &[0x20, 2, 0, 0],
    );
    let body =
        b"\0\0\x19\x11\0\0\0\x01\x21\0\x02\x27\0\0\0\x03\x22\0\x05\x1f\0\x01r\x2a\0\x13\0\x04";
    check(&connack(false, Success, all), V5, &packet(0x20, body));
}

#[test]
fn publish() {
    let publish = ServerPublish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a".to_owned(),
        packet_id: Some(id(1)),
        message_expiry_secs: Some(1),
        content_type: Some("t"),
        forwardable: Bytes::from_static(b"\x01\x01"),
        subscription_identifiers: vec![NonZeroU32::MIN, NonZeroU32::new(200).unwrap()],
        payload: Bytes::from_static(b"p"),
    };
    let full = ServerPacket::Publish(publish.clone());
    check(&full, V311, b"\x3b\x06\0\x01a\0\x01p");
    let properties = properties(V5, b"\x02\0\0\0\x01\x03\0\x01t\x01\x01\x0b\x01\x0b\xc8\x01");
    let body = [b"\0\x01a\0\x01", properties.as_slice(), b"p"].concat();
    check(&full, V5, &packet(0x3b, &body));
    // Either side of where a length needs one byte more, in each version.
    for length in [
        0, 123, 124, 125, 16_379, 16_380, 16_381, 2_097_147, 2_097_148, 2_097_149,
    ] {
        let bare = ServerPublish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: None,
            message_expiry_secs: None,
            content_type: None,
            forwardable: Bytes::new(),
            subscription_identifiers: Vec::new(),
            payload: vec![7; length].into(),
            ..publish.clone()
        };
        let body = [b"\0\x01a".as_slice(), &bare.payload].concat();
        let body5 = [b"\0\x01a\0".as_slice(), &bare.payload].concat();
        let bare = ServerPacket::Publish(bare);
        check(&bare, V311, &packet(0x30, &body));
        check(&bare, V5, &packet(0x30, &body5));
    }
}

#[test]
fn acknowledgements() {
    type Make = fn(Ack) -> ServerPacket;
    fn answer(ack: Ack, detail: Option<&'static str>) -> PublishAck {
        PublishAck {
            packet_id: ack.packet_id,
            reason: ack.reason,
            detail,
        }
    }
    let kinds: [(u8, Make); 4] = [
        (0x40, |ack| ServerPacket::PubAck(answer(ack, None))),
        (0x50, |ack| ServerPacket::PubRec(answer(ack, None))),
        (0x62, ServerPacket::PubRel),
        (0x70, ServerPacket::PubComp),
    ];
    let refused = Ack {
        packet_id: id(0x0102),
        reason: ReasonCode::QuotaExceeded,
    };
    let explained = answer(refused, Some("x"));
    for (first, packet) in [
        (0x40, ServerPacket::PubAck(explained)),
        (0x50, ServerPacket::PubRec(explained)),
    ] {
        check(&packet, V311, &[first, 2, 1, 2]);
        let v5 = [first, 8, 1, 2, 0x97, 4, 0x1f, 0, 1, b'x'];
        check(&packet, V5, &v5);
    }
    for (first, make) in kinds {
        let ack = |reason| make(Ack { reason, ..refused });
        for version in BOTH {
            check(&ack(ReasonCode::Success), version, &[first, 2, 1, 2]);
        }
        let refused = ack(ReasonCode::QuotaExceeded);
        check(&refused, V311, &[first, 2, 1, 2]);
        check(&refused, V5, &[first, 3, 1, 2, 0x97]);
    }
}

#[test]
fn suback_and_unsuback() {
    use ReasonCode::*;
    let suback = ServerPacket::SubAck(SubAck {
        packet_id: id(1),
        codes: vec![Success, GrantedQoS1, NotAuthorized, QuotaExceeded],
        detail: None,
    });
    check(&suback, V311, &[0x90, 6, 0, 1, 0, 1, 0x80, 0x80]);
    check(&suback, V5, &[0x90, 7, 0, 1, 0, 0, 1, 0x87, 0x97]);
    let unsuback = ServerPacket::UnsubAck(UnsubAck {
        packet_id: id(1),
        codes: vec![Success, NoSubscriptionExisted],
        detail: None,
    });
    check(&unsuback, V311, &[0xb0, 2, 0, 1]);
    check(&unsuback, V5, &[0xb0, 5, 0, 1, 0, 0, 0x11]);
    let (packet_id, codes, detail) = (id(1), vec![NotAuthorized], Some("x"));
    let explained = SubAck {
        packet_id,
        codes: codes.clone(),
        detail,
    };
    let explained = ServerPacket::SubAck(explained);
    check(&explained, V311, &[0x90, 3, 0, 1, 0x80]);
    check(&explained, V5, &[0x90, 8, 0, 1, 4, 0x1f, 0, 1, b'x', 0x87]);
    let explained = UnsubAck {
        packet_id,
        codes,
        detail,
    };
    let explained = ServerPacket::UnsubAck(explained);
    check(&explained, V311, &[0xb0, 2, 0, 1]);
    check(&explained, V5, &[0xb0, 8, 0, 1, 4, 0x1f, 0, 1, b'x', 0x87]);
}

#[test]
fn pingresp_and_disconnect() {
    let goodbye = |detail| {
        ServerPacket::Disconnect(ServerDisconnect {
            reason: ReasonCode::SessionTakenOver,
            detail,
        })
    };
    for version in BOTH {
        check(&ServerPacket::PingResp, version, &[0xd0, 0]);
    }
    check(&goodbye(Some("x")), V311, &[]);
    check(&goodbye(None), V5, &[0xe0, 1, 0x8e]);
    check(
        &goodbye(Some("x")),
        V5,
        &[0xe0, 6, 0x8e, 4, 0x1f, 0, 1, b'x'],
    );
}

#[test]
fn reason_codes_have_their_numbers() {
    let known = (0..=255).filter_map(ReasonCode::from_u8);
    assert_eq!(known.clone().count(), 43);
    for number in 0..=255 {
        if let Some(code) = ReasonCode::from_u8(number) {
            assert_eq!(code as u8, number);
        }
    }
}
