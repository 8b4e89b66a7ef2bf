//! What a session is told of as it begins, and what stays of it.

use super::device::Connect;
use super::*;

#[tokio::test]
async fn session_present_says_whether_there_was_one() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        for (clean, present) in [
            (false, false),
            (false, true),
            (true, false),
            // A clean one ends with its connection.
            (false, false),
            (false, true),
        ] {
            let mut one = server.tcp(version).await;
            assert_eq!(one.connect(version, clean).await, present, "{version}");
            one.disconnect().await;
            server.is_gone(version).await;
        }
    }
}

#[tokio::test]
async fn a_client_is_told_the_limits_that_it_did_not_ask_for() {
    let server = Server::start(Settings::default()).await;
    // Receive Maximum, Maximum Packet Size, Shared Subscription Available.
    let always: &[u8] = &[0x21, 0, 32, 0x27, 0, 1, 0, 0];
    let never: &[u8] = &[0x2a, 0];
    let days_30: &[u8] = &[0x11, 0, 0x27, 0x8d, 0];
    for (keep_alive_secs, expiry, first, last) in [
        (60, None, &[][..], &[][..]),
        (3_600, None, &[], &[]),
        // Server Keep Alive.
        (0, None, &[], &[0x13, 0x0e, 0x10]),
        (3_601, None, &[], &[0x13, 0x0e, 0x10]),
        (60, Some(u32::MAX), days_30, &[]),
        (60, Some(30 * 86_400), &[], &[]),
        (60, Some(30 * 86_400 + 1), days_30, &[]),
    ] {
        let mut one = server.tcp(5).await;
        let connect = Connect {
            keep_alive_secs,
            expiry_secs: expiry,
            ..Connect::new(1)
        };
        one.send_connect_as(&connect).await;
        let answer = one.next().await;
        assert_eq!(answer.connack_code(), 0);
        let expected = [first, always, never, last].concat();
        assert_eq!(
            answer.properties(),
            expected,
            "{keep_alive_secs} {expiry:?}"
        );
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_session_ends_when_its_expiry_has_passed() {
    let server = Server::start(Settings::default()).await;
    for (version, expiry_secs, changed, lasts) in [
        (5, 100, None, 100),
        (5, 100, Some(200), 200),
        (5, 200, Some(100), 100),
        // Thirty days, though it asked for more or could ask for none.
        (5, u32::MAX, None, 30 * 86_400),
        (4, 0, None, 30 * 86_400),
    ] {
        for (passes, present) in [(lasts - 5, true), (lasts + 1, false)] {
            let mut one = server.tcp(version).await;
            let connect = Connect {
                expiry_secs: Some(expiry_secs),
                ..Connect::new(1)
            };
            one.connect_as(&connect).await;
            match changed {
                None => one.disconnect().await,
                Some(secs) => {
                    let secs: u32 = secs;
                    let properties = [&[0x11][..], &secs.to_be_bytes()].concat();
                    one.disconnect_with(0, &properties).await;
                    one.is_closed().await;
                }
            }
            server.is_gone(1).await;
            server.pass(passes).await;
            let mut one = server.tcp(version).await;
            let again = one.connect_as(&connect).await;
            assert_eq!(again, present, "{expiry_secs} {changed:?} after {passes}");
            one.disconnect().await;
            server.is_gone(1).await;
        }
    }
}

#[tokio::test]
async fn a_session_and_what_it_is_owed_outlive_the_server() {
    let mut server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        one.connect(version, false).await;
        one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
        let mut two = server.tcp(4).await;
        two.connect(2, true).await;
        for number in 1..=3 {
            two.publish(&topic("x/a"), &[number], 1, 1, false).await;
            assert_eq!(two.next().await.ack(), (4, 1, 0));
        }
        let packet = one.next().await;
        one.puback(packet.id()).await;
        // On its way as the server goes, and not acknowledged.
        for _ in 2..=3 {
            one.next().await;
        }
        one.ping().await;
        server = server.restart().await;
        assert!(one.reconnect(server.tcp, version).await);
        for number in 2..=3 {
            let packet = one.next().await;
            assert_eq!(&packet.payload()[..], [number]);
            one.puback(packet.id()).await;
        }
        one.ping().await;
        one.disconnect().await;
        server.is_gone(version).await;
    }
}

#[tokio::test]
async fn a_qos_2_message_comes_once_whatever_lies_between_its_packets() {
    let mut server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut two = server.tcp(5).await;
        two.connect(2, false).await;
        two.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
        two.disconnect().await;
        let mut one = server.tcp(version).await;
        one.connect(version, false).await;
        let to = topic("x/a");
        one.publish(&to, b"1", 2, 9, false).await;
        assert_eq!(one.next().await.ack(), (5, 9, 0));
        // A reconnect, and a restart of the server.
        for restarts in [false, true] {
            one.disconnect().await;
            if restarts {
                server = server.restart().await;
            }
            assert!(one.reconnect(server.tcp, version).await);
            one.publish(&to, b"1", 2, 9, false).await;
            assert_eq!(one.next().await.ack(), (5, 9, 0));
        }
        one.pubrel(9).await;
        assert_eq!(one.next().await.ack(), (7, 9, 0));
        let unknown = if version == 5 { 0x92 } else { 0 };
        one.pubrel(9).await;
        assert_eq!(one.next().await.ack(), (7, 9, unknown));
        // The id is free for another message, also after a refusal (in 5.0).
        if version == 5 {
            one.publish(&topic("events"), b"", 2, 9, false).await;
            assert_eq!(one.next().await.ack(), (5, 9, 0x87));
        }
        one.publish(&to, b"2", 2, 9, false).await;
        assert_eq!(one.next().await.ack(), (5, 9, 0));
        assert!(two.reconnect(server.tcp, 2).await);
        for expected in [b"1", b"2"] {
            let packet = two.next().await;
            assert_eq!(&packet.payload()[..], expected);
            two.puback(packet.id()).await;
        }
        two.ping().await;
        two.disconnect().await;
        server.is_gone(2).await;
    }
}

#[tokio::test]
async fn qos_1_packets_with_the_same_id_are_messages_of_their_own() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        one.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
        for payload in [b"1", b"1"] {
            one.publish(&topic("x/a"), payload, 1, 5, false).await;
            for _ in 0..2 {
                let packet = one.next().await;
                match packet.kind() {
                    4 => assert_eq!(packet.ack(), (4, 5, 0)),
                    _ => assert_eq!(&packet.payload()[..], payload),
                }
            }
        }
        one.ping().await;
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn no_more_wait_for_their_pubrel_than_receive_maximum_says() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        for id in 1..=32 {
            one.publish(&topic("x/a"), b"", 2, id, false).await;
            assert_eq!(one.next().await.ack(), (5, id, 0));
        }
        // One that waits may be sent again, and QoS 1 is answered at once.
        one.publish(&topic("x/a"), b"", 2, 7, false).await;
        assert_eq!(one.next().await.ack(), (5, 7, 0));
        one.publish(&topic("x/a"), b"", 1, 33, false).await;
        assert_eq!(one.next().await.ack(), (4, 33, 0));
        one.publish(&topic("x/a"), b"", 2, 34, false).await;
        if version == 5 {
            assert_eq!(one.next().await.disconnect_reason(), 0x93);
        }
        one.is_closed().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn an_acknowledgement_with_an_error_is_one() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 5).await;
    for number in 1..=2 {
        server.post(number).await;
    }
    let first = gets(&mut one, 1).await;
    let second = gets(&mut one, 2).await;
    one.acknowledge(0x40, first, 0x80).await;
    // Nothing is sent at QoS 2, so this answers nothing, and neither does what was never sent.
    one.acknowledge(0x50, second, 0).await;
    assert_eq!(one.next().await.ack(), (6, second, 0x92));
    one.acknowledge(0x70, second, 0x92).await;
    one.acknowledge(0x40, 999, 0).await;
    one.ping().await;
    one.disconnect().await;
    assert!(one.reconnect(server.tcp, 1).await);
    let packet = one.next().await;
    assert_eq!((seq(&packet), packet.id()), (2, second));
    one.ping().await;
}

#[tokio::test]
async fn what_a_device_said_of_itself_holds_across_a_restart() {
    let mut server = Server::start(Settings::default()).await;
    let presence = topic(&format!("d/{}/presence", device(1)));
    let mut one = server.tcp(4).await;
    one.connect(1, false).await;
    for said in [Presence::Away, Presence::Active] {
        let payload: &[u8] = match said {
            Presence::Away => b"away",
            Presence::Active => b"active",
        };
        one.publish(&presence, payload, 1, 1, false).await;
        assert_eq!(one.next().await.ack(), (4, 1, 0));
        server = server.restart().await;
        assert!(server.broker.online(user()).is_empty());
        assert!(one.reconnect(server.tcp, 1).await);
        assert_eq!(server.broker.online(user()), [(device(1), said)]);
    }
    one.publish(&presence, b"away", 1, 1, false).await;
    assert_eq!(one.next().await.ack(), (4, 1, 0));
    one.disconnect().await;
    server.is_gone(1).await;
    // A new session has said nothing yet.
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    assert_eq!(
        server.broker.online(user()),
        [(device(1), Presence::Active)]
    );
}

#[tokio::test]
async fn what_a_full_window_holds_up_comes_to_a_session_that_is_not_stored_too() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(4).await;
    two.connect(2, true).await;
    let mut one = server.tcp(5).await;
    let connect = Connect {
        clean: true,
        // Receive Maximum.
        properties: &[0x21, 0, 2],
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let publish = async |two: &mut Device, number: u8| {
        two.publish(&topic("x/a"), &[number], 1, 1, false).await;
        assert_eq!(two.next().await.ack(), (4, 1, 0));
    };
    let mut ids = Vec::new();
    for number in 1..=2 {
        publish(&mut two, number).await;
        let packet = one.next().await;
        assert_eq!(&packet.payload()[..], [number]);
        ids.push(packet.id());
    }
    one.ping().await;
    for number in 3..=10 {
        publish(&mut two, number).await;
    }
    // What is at most once is not held up by the window.
    two.publish(&topic("x/b"), b"", 0, 0, false).await;
    assert_eq!(one.next().await.topic(), topic("x/b"));
    for number in 3..=10 {
        one.puback(ids.remove(0)).await;
        let packet = one.next().await;
        assert_eq!((&packet.payload()[..], packet.qos()), (&[number][..], 1));
        ids.push(packet.id());
    }
}
