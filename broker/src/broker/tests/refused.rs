//! What a client that is refused is told, and where it is told nothing.

use super::device::{Connect, Will};
use super::*;
use crate::denial::{self, Denial};

/// Request Problem Information: 0.
const NO_PROBLEMS: &[u8] = &[0x17, 0];

fn says(denial: Denial) -> Option<String> {
    Some(denial.says.to_owned())
}

/// What a 5.0 client with these CONNECT properties is told: on PUBACK, PUBREC, SUBACK and
/// DISCONNECT.
async fn told(server: &Server, properties: &[u8]) -> [Option<String>; 4] {
    let mut one = server.tcp(5).await;
    let connect = Connect {
        properties,
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    one.publish(&topic("events"), b"", 1, 1, false).await;
    let puback = one.next().await;
    assert_eq!(puback.ack(), (4, 1, 0x87));
    let presence = topic(&format!("d/{}/presence", device(1)));
    one.publish(&presence, b"asleep", 2, 2, false).await;
    let pubrec = one.next().await;
    assert_eq!(pubrec.ack(), (5, 2, 0x99));
    one.subscribe_with(&[(&topic("x/#"), 0), ("#", 0)], &[])
        .await;
    let suback = one.next().await;
    assert_eq!(suback.filter_codes(0x90), [0, 0x87]);
    one.publish_with(&topic("x/a"), b"", 1, &[0x23, 0, 1]).await;
    let disconnect = one.next().await;
    assert_eq!(disconnect.disconnect_reason(), 0x94);
    one.is_closed().await;
    [puback, pubrec, suback, disconnect].map(|packet| packet.reason_string())
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let server = Server::start(Settings::default()).await;
    let right = [
        denial::TOPIC,
        denial::PRESENCE,
        denial::FILTER,
        denial::TOPIC_ALIAS,
    ];
    assert_eq!(told(&server, &[]).await, right.map(says));
}

#[tokio::test]
async fn one_who_asks_for_no_problem_information_is_told_codes_alone() {
    let server = Server::start(Settings::default()).await;
    assert_eq!(told(&server, NO_PROBLEMS).await, [const { None }; 4]);
    for (properties, expected) in [(&[][..], says(denial::CREDENTIALS)), (NO_PROBLEMS, None)] {
        let mut one = server.tcp(5).await;
        let connect = Connect {
            password: b"wrong",
            properties,
            ..Connect::new(1)
        };
        one.send_connect_as(&connect).await;
        let answer = one.next().await;
        assert_eq!(answer.connack_code(), 0x86);
        assert_eq!(answer.reason_string(), expected);
        one.is_closed().await;
    }
}

#[tokio::test]
async fn words_that_make_an_answer_too_large_are_left_out() {
    let server = Server::start(Settings::default()).await;
    // Maximum Packet Size.
    assert_eq!(
        told(&server, &[0x27, 0, 0, 0, 30]).await,
        [const { None }; 4]
    );
    let longest = 5 + 4 + denial::FILTER.says.len() as u8;
    let [_, _, suback, _] = told(&server, &[0x27, 0, 0, 0, longest + 2]).await;
    assert_eq!(suback, says(denial::FILTER));
    let [_, _, suback, _] = told(&server, &[0x27, 0, 0, 0, longest - 1]).await;
    assert_eq!(suback, None);
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_let_go() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    let connect = |bytes_max: &'static [u8]| Connect {
        properties: bytes_max,
        ..Connect::new(1)
    };
    one.connect_as(&connect(&[0x27, 0, 0, 0, 24])).await;
    let many = vec![("#", 0); 40];
    one.subscribe_with(&many, &[]).await;
    assert_eq!(one.next().await.disconnect_reason(), 0x95);
    one.is_closed().await;
    // Not even a CONNACK, before which there is no DISCONNECT.
    let mut one = server.tcp(5).await;
    one.send_connect_as(&connect(&[0x27, 0, 0, 0, 10])).await;
    one.is_closed().await;
}

#[tokio::test]
async fn no_client_id_is_assigned() {
    let server = Server::start(Settings::default()).await;
    for (version, clean, code, words) in [
        (4, true, 2, None),
        (4, false, 2, None),
        (5, true, 0x85, says(denial::NO_CLIENT_ID)),
        (5, false, 0x85, says(denial::NO_CLIENT_ID)),
    ] {
        let mut one = server.tcp(version).await;
        let connect = Connect {
            client_id: Some(""),
            clean,
            ..Connect::new(1)
        };
        one.send_connect_as(&connect).await;
        let answer = one.next().await;
        assert_eq!(answer.connack_code(), code);
        assert_eq!(answer.reason_string(), words);
        assert!(!answer.session_present());
        one.is_closed().await;
    }
}

#[tokio::test]
async fn a_client_id_that_is_no_device_s_is_a_wrong_one() {
    let server = Server::start(Settings::default()).await;
    for (version, code) in [(4, 5), (5, 0x86)] {
        for client_id in ["a", "0123456789abcdefghijABC", "ö", "device 1"] {
            let mut one = server.tcp(version).await;
            let connect = Connect {
                client_id: Some(client_id),
                ..Connect::new(1)
            };
            one.send_connect_as(&connect).await;
            assert_eq!(one.next().await.connack_code(), code);
            one.is_closed().await;
        }
    }
}

#[tokio::test]
async fn an_authentication_method_is_refused() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    let connect = Connect {
        properties: b"\x15\0\x01m",
        ..Connect::new(1)
    };
    one.send_connect_as(&connect).await;
    let answer = one.next().await;
    assert_eq!(answer.connack_code(), 0x8c);
    assert_eq!(answer.reason_string(), says(denial::AUTHENTICATION_METHOD));
    one.is_closed().await;
    // Nor may it begin later.
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    one.send(b"\xf0\x06\x19\x04\x15\0\x01m".to_vec()).await;
    assert_eq!(one.next().await.disconnect_reason(), 0x82);
    one.is_closed().await;
}

#[tokio::test]
async fn a_will_to_another_s_topic_is_refused() {
    let server = Server::start(Settings::default()).await;
    let stranger = UserId::from_bytes([9; 16]);
    for to in [
        format!("u/{stranger}/x/a"),
        topic("events"),
        topic(&format!("n/{}", permission())),
        topic(&format!("d/{}/seen", device(1))),
        topic(&format!("d/{}/presence", device(2))),
        "a".to_owned(),
    ] {
        for (version, code) in [(4, 5), (5, 0x87)] {
            let mut one = server.tcp(version).await;
            let connect = Connect {
                will: Some(Will::new(&to, b"away")),
                ..Connect::new(1)
            };
            one.send_connect_as(&connect).await;
            let answer = one.next().await;
            assert_eq!(answer.connack_code(), code, "{to}");
            if version == 5 {
                assert_eq!(answer.reason_string(), says(denial::WILL_TOPIC));
            }
            one.is_closed().await;
        }
    }
    assert!(server.broker.online(user()).is_empty());
}

#[tokio::test]
async fn subscriptions_are_not_shared() {
    let server = Server::start(Settings::default()).await;
    let shared = format!("$share/group/{}", topic("x/#"));
    for (version, code) in [(4, 0x80), (5, 0x9e)] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        one.subscribe_with(&[(&shared, 1)], &[]).await;
        let answer = one.next().await;
        assert_eq!(answer.filter_codes(0x90), [code]);
        if version == 5 {
            assert_eq!(answer.reason_string(), says(denial::SHARED));
        }
        // It is none that could be ended.
        let codes: &[u8] = if version == 5 { &[0x11] } else { &[] };
        one.unsubscribe(&[&shared], codes).await;
    }
}

#[tokio::test]
async fn a_broken_packet_ends_the_connection_with_its_reason() {
    let server = Server::start(Settings::default()).await;
    for (bytes, reason) in [
        // Reserved flags, a reserved type, QoS 3, a wildcard in a name, U+0000 in a name.
        (&b"\x61\x02\0\x01"[..], 0x81),
        (b"\0\0", 0x81),
        (b"\x36\x05\0\x01a\0\x01", 0x81),
        (b"\x30\x04\0\x01#\0", 0x81),
        (b"\x30\x04\0\x01\0\0", 0x81),
        // Reserved subscription options, and Retain Handling 3.
        (b"\x82\x07\0\x09\0\0\x01a\xc0", 0x81),
        (b"\x82\x07\0\x09\0\0\x01a\x30", 0x82),
        // A property twice, a packet id of 0, and a second CONNECT.
        (b"\x30\x08\0\x01a\x04\x01\0\x01\0", 0x82),
        (b"\x32\x06\0\x01a\0\0\0", 0x82),
        (b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0", 0x82),
        // A Subscription Identifier is the server's to add.
        (b"\x30\x06\0\x01a\x02\x0b\x01", 0x82),
        // A packet of 16 MiB.
        (b"\x30\x80\x80\x80\x08", 0x95),
        // An expiry that may not be raised any more: the session was to end.
        (b"\xe0\x07\0\x05\x11\0\0\0\x05", 0x82),
    ] {
        let mut one = server.tcp(5).await;
        one.connect(1, true).await;
        one.send(bytes.to_vec()).await;
        let answer = one.next().await;
        assert_eq!(answer.disconnect_reason(), reason, "{bytes:?}");
        assert!(answer.reason_string().is_some(), "{bytes:?}");
        one.is_closed().await;
    }
}

#[tokio::test]
async fn what_is_not_mqtt_is_told_the_version_or_nothing() {
    let server = Server::start(Settings::default()).await;
    for (bytes, code) in [
        // Levels 3 and 6, and the name of 3.1.
        (&b"\x10\x0d\0\x04MQTT\x03\x02\0\0\0\x01a"[..], Some(1)),
        (b"\x10\x0d\0\x04MQTT\x06\x02\0\0\0\x01a", Some(1)),
        (b"\x10\x0f\0\x06MQIsdp\x03\x02\0\0\0\x01a", Some(1)),
        // Another name, and the reserved flag.
        (b"\x10\x0d\0\x04MQTX\x04\x02\0\0\0\x01a", None),
        (b"\x10\x0d\0\x04MQTT\x04\x03\0\0\0\x01a", None),
    ] {
        let mut one = server.tcp(4).await;
        one.send(bytes.to_vec()).await;
        if let Some(code) = code {
            assert_eq!(one.next().await.connack_code(), code, "{bytes:?}");
        }
        one.is_closed().await;
    }
}

#[tokio::test]
async fn what_a_client_is_told_arrives_whatever_it_still_sends() {
    let server = Server::start(Settings::default()).await;
    for connected in [true, false] {
        let mut one = server.tcp(5).await;
        let mut bytes = vec![0xff; 1024 * 1024];
        if connected {
            one.connect(1, true).await;
        } else {
            let connect = Connect {
                password: b"wrong",
                ..Connect::new(1)
            };
            bytes.splice(..0, one.connect_bytes(&connect));
        }
        one.send(bytes).await;
        let answer = one.next().await;
        match connected {
            true => assert_eq!(answer.disconnect_reason(), 0x81),
            false => assert_eq!(answer.connack_code(), 0x86),
        }
        one.is_closed().await;
    }
}

#[tokio::test]
async fn nothing_is_done_for_a_client_that_was_refused() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(4).await;
    two.connect(2, true).await;
    two.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        // In one piece with what follows, so that both are there.
        let connect = Connect {
            password: b"wrong",
            ..Connect::new(1)
        };
        let mut bytes = one.connect_bytes(&connect);
        let to = topic("x/a");
        bytes.extend([0x30, 2 + to.len() as u8 + u8::from(version == 5), 0]);
        bytes.push(to.len() as u8);
        bytes.extend(to.as_bytes());
        bytes.extend((version == 5).then_some(0));
        one.send(bytes).await;
        assert!(one.next().await.connack_code() > 0);
        one.is_closed().await;
    }
    two.publish(&topic("x/mark"), b"", 0, 0, false).await;
    assert_eq!(two.next().await.topic(), topic("x/mark"));
}
