//! Wills: when they come, when they are forgotten, and what they carry.

use super::device::{Connect, Will};
use super::*;

/// A device that hears of the private space at QoS 0.
async fn listening(server: &Server) -> Device {
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    two.subscribe(&[(&topic("x/#"), 0x08)], &[0]).await;
    two
}

/// Nothing came before what the device publishes now.
async fn nothing_came(two: &mut Device) {
    two.publish(&topic("x/mark"), b"", 0, 0, false).await;
    assert_eq!(two.next().await.topic(), topic("x/mark"));
}

async fn with_will(server: &Server, version: u8, delay_secs: u32, clean: bool) -> Device {
    let to = topic("x/will");
    let mut one = server.tcp(version).await;
    let connect = Connect {
        clean,
        will: Some(Will {
            delay_secs,
            ..Will::new(&to, b"gone")
        }),
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    one
}

async fn comes(two: &mut Device) {
    let packet = two.next().await;
    assert_eq!(packet.topic(), topic("x/will"));
    assert_eq!(&packet.payload()[..], b"gone");
}

#[tokio::test]
async fn a_will_is_published_when_the_connection_is_lost() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for version in [4, 5] {
        for clean in [true, false] {
            drop(with_will(&server, version, 0, clean).await);
            comes(&mut two).await;
            server.is_gone(1).await;
        }
    }
}

#[tokio::test]
async fn a_disconnect_in_order_takes_the_will_away() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for version in [4, 5] {
        for clean in [true, false] {
            with_will(&server, version, 0, clean)
                .await
                .disconnect()
                .await;
            server.is_gone(1).await;
            server.pass(10).await;
            nothing_came(&mut two).await;
        }
    }
}

#[tokio::test]
async fn any_other_disconnect_leaves_the_will() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for reason in [0x04, 0x80, 0x83, 0x98] {
        let mut one = with_will(&server, 5, 0, false).await;
        one.disconnect_with(reason, &[]).await;
        one.is_closed().await;
        comes(&mut two).await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn breaking_the_protocol_leaves_the_will() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for version in [4, 5] {
        let mut one = with_will(&server, version, 0, true).await;
        one.send(vec![0xff, 0]).await;
        comes(&mut two).await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_will_waits_for_its_delay() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    drop(with_will(&server, 5, 80, false).await);
    server.is_gone(1).await;
    server.pass(70).await;
    nothing_came(&mut two).await;
    server.pass(11).await;
    comes(&mut two).await;
    server.pass(100).await;
    nothing_came(&mut two).await;
}

#[tokio::test]
async fn a_delay_ends_with_the_session() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    // Its expiry is an hour, unless DISCONNECT says otherwise.
    drop(with_will(&server, 5, 86_400, false).await);
    server.is_gone(1).await;
    server.pass(3_500).await;
    nothing_came(&mut two).await;
    server.pass(101).await;
    comes(&mut two).await;
    let mut one = with_will(&server, 5, 86_400, false).await;
    one.disconnect_with(0x04, &[0x11, 0, 0, 0, 0]).await;
    comes(&mut two).await;
    drop(with_will(&server, 5, 86_400, true).await);
    comes(&mut two).await;
}

#[tokio::test]
async fn a_device_that_comes_back_in_time_leaves_no_will() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    drop(with_will(&server, 5, 80, false).await);
    server.is_gone(1).await;
    let mut one = server.tcp(5).await;
    assert!(one.connect(1, false).await);
    server.pass(81).await;
    nothing_came(&mut two).await;
    one.ping().await;
}

#[tokio::test]
async fn one_that_begins_anew_ends_the_session_and_its_delay() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for stays in [false, true] {
        drop(with_will(&server, 5, 80, false).await);
        server.is_gone(1).await;
        let mut one = server.tcp(5).await;
        let connect = Connect {
            clean: !stays,
            ..Connect::new(1)
        };
        one.connect_as(&connect).await;
        if stays {
            nothing_came(&mut two).await;
        } else {
            comes(&mut two).await;
        }
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_taken_over_connection_leaves_its_will_unless_the_session_goes_on() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for (delay, old_is_clean, new_is_clean, published) in [
        // The connection ended, and there is nothing to wait for.
        (0, false, false, true),
        // The session goes on before the delay is over.
        (80, false, false, false),
        // It does not: the new connection begins anew, or the old one's was to end with it.
        (80, false, true, true),
        (80, true, false, true),
        (80, true, true, true),
    ] {
        let mut old = with_will(&server, 5, delay, old_is_clean).await;
        let mut new = server.tcp(5).await;
        new.connect(1, new_is_clean).await;
        assert_eq!(old.next().await.disconnect_reason(), 0x8e);
        match published {
            true => comes(&mut two).await,
            false => nothing_came(&mut two).await,
        }
        new.disconnect().await;
        server.is_gone(1).await;
        server.pass(81).await;
        nothing_came(&mut two).await;
    }
}

#[tokio::test]
async fn a_pending_will_survives_a_drain_and_a_restart() {
    let server = Server::start(Settings::default()).await;
    drop(with_will(&server, 5, 80, false).await);
    server.is_gone(1).await;
    let server = server.restart().await;
    let mut two = listening(&server).await;
    server.pass(70).await;
    nothing_came(&mut two).await;
    server.pass(11).await;
    comes(&mut two).await;
}

#[tokio::test]
async fn a_drain_leaves_wills_that_are_due_and_keeps_the_others() {
    let server = Server::start(Settings::default()).await;
    let mut absent = server.tcp(4).await;
    absent.connect(3, false).await;
    absent.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    absent.disconnect().await;
    let to = topic("x/will");
    let mut devices = Vec::new();
    for (number, delay_secs) in [(1, 0), (2, 80)] {
        let mut one = server.tcp(5).await;
        let payload = [number];
        let connect = Connect {
            will: Some(Will {
                qos: 1,
                delay_secs,
                ..Will::new(&to, &payload)
            }),
            ..Connect::new(number)
        };
        one.connect_as(&connect).await;
        devices.push(one);
    }
    let server = server.restart().await;
    let expect = async |server: &Server, expected: u8| {
        let mut three = server.tcp(4).await;
        assert!(three.connect(3, false).await);
        let packet = three.next().await;
        assert_eq!(&packet.payload()[..], [expected]);
        three.puback(packet.id()).await;
        three.ping().await;
        three.disconnect().await;
    };
    expect(&server, 1).await;
    server.pass(81).await;
    expect(&server, 2).await;
}

#[tokio::test]
async fn a_will_may_be_retained() {
    let server = Server::start(Settings::default()).await;
    let mut listener = listening(&server).await;
    let to = topic("x/last");
    for version in [4, 5] {
        for retain in [true, false] {
            let mut one = server.tcp(version).await;
            let payload = [version, u8::from(retain)];
            let connect = Connect {
                will: Some(Will {
                    retain,
                    ..Will::new(&to, &payload)
                }),
                ..Connect::new(1)
            };
            one.connect_as(&connect).await;
            drop(one);
            assert_eq!(listener.next().await.retain(), retain, "as published");
            server.is_gone(1).await;
        }
        let mut three = server.tcp(version).await;
        three.connect(3, true).await;
        three.subscribe(&[(&to, 0)], &[0]).await;
        let packet = three.next().await;
        assert!(packet.retain());
        assert_eq!(&packet.payload()[..], [version, 1]);
        three.disconnect().await;
        server.is_gone(3).await;
    }
}

#[tokio::test]
async fn a_will_carries_its_properties_in_their_order_and_its_own_time() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(5).await;
    two.connect(2, false).await;
    two.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let to = topic("x/will");
    let forwarded = b"\x26\0\x01b\0\x011\x01\x01\x03\0\x01t\x26\0\x01a\0\x012\x26\0\x01b\0\x010";
    let properties = [&[0x02, 0, 0, 0, 70][..], forwarded].concat();
    for qos in [0, 1, 2] {
        let mut one = server.tcp(5).await;
        let connect = Connect {
            will: Some(Will {
                qos,
                properties: &properties,
                ..Will::new(&to, b"gone")
            }),
            ..Connect::new(1)
        };
        one.connect_as(&connect).await;
        drop(one);
        let packet = two.next().await;
        assert_eq!(packet.qos(), qos.min(1));
        let left = packet.expiry_secs();
        assert!((50..=70).contains(&left), "{left}");
        assert_eq!(&packet.properties()[5..], forwarded);
        if qos > 0 {
            two.puback(packet.id()).await;
        }
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_will_may_say_that_nobody_is_at_the_device() {
    let server = Server::start(Settings::default()).await;
    let presence = topic(&format!("d/{}/presence", device(1)));
    let leaving = |payload| Connect {
        will: Some(Will::new(&presence, payload)),
        ..Connect::new(1)
    };
    let mut one = server.tcp(4).await;
    one.connect_as(&leaving(b"away")).await;
    drop(one);
    server.is_gone(1).await;
    let mut one = server.tcp(4).await;
    assert!(one.connect(1, false).await);
    assert_eq!(server.broker.online(user()), [(device(1), Presence::Away)]);
    for (version, code) in [(4, 5), (5, 0x99)] {
        let mut one = server.tcp(version).await;
        one.send_connect_as(&leaving(b"asleep")).await;
        let answer = one.next().await;
        assert_eq!(answer.connack_code(), code);
        one.is_closed().await;
    }
}

#[tokio::test]
async fn a_removed_device_leaves_its_will() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    let mut one = with_will(&server, 5, 80, false).await;
    let (user, device) = (user(), device(1));
    server.apply(Command::RemoveDevice { user, device }).await;
    server
        .broker
        .disconnect_device(user, device, CloseCause::Administrative);
    assert_eq!(one.next().await.disconnect_reason(), 0x98);
    comes(&mut two).await;
    server.is_gone(1).await;
    server.pass(81).await;
    nothing_came(&mut two).await;
}

#[tokio::test]
async fn without_a_will_nothing_is_published() {
    let server = Server::start(Settings::default()).await;
    let mut two = listening(&server).await;
    for version in [4, 5] {
        for clean in [true, false] {
            let mut one = server.tcp(version).await;
            one.connect(1, clean).await;
            drop(one);
            server.is_gone(1).await;
            server.pass(1).await;
            nothing_came(&mut two).await;
        }
    }
}
