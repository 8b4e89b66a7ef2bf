//! The private space: what is forwarded, to whom, how often, and what there is room for.

use super::device::Connect;
use super::*;
use crate::denial;

/// Resolves when what was published live before this is past, so that no later SUBSCRIBE meets it.
async fn is_past(one: &mut Device) {
    // No other device's, which this one would hear of too.
    static MARKS: AtomicUsize = AtomicUsize::new(0);
    let mark = topic(&format!("x/mark/{}", MARKS.fetch_add(1, Ordering::SeqCst)));
    one.subscribe(&[(&mark, 0)], &[0]).await;
    one.publish(&mark, b"", 0, 0, false).await;
    while one.next().await.topic() != mark {}
}

/// User Properties in an order of their own between all that is forwarded, and a Message Expiry
/// Interval of 70 seconds among them.
const PROPERTIES: &[u8] = b"\x26\0\x01b\0\x011\x01\x01\x02\0\0\0\x46\x03\0\x01t\x26\0\x01a\0\x012\x08\0\x01r\x09\0\x02\0\xff\x26\0\x01b\0\x010\x26\0\x01b\0\x011";
const FORWARDED: &[u8] = b"\x26\0\x01b\0\x011\x01\x01\x03\0\x01t\x26\0\x01a\0\x012\x08\0\x01r\x09\0\x02\0\xff\x26\0\x01b\0\x010\x26\0\x01b\0\x011";

fn is_forwarded(packet: &Packet, to: &str) {
    assert_eq!(
        (packet.topic(), &packet.payload()[..]),
        (topic(to), &b"payload"[..])
    );
    let left = packet.expiry_secs();
    assert!((50..=70).contains(&left), "{left}");
    assert_eq!(&packet.properties()[5..], FORWARDED);
}

#[tokio::test]
async fn what_is_published_is_forwarded_as_it_is() {
    let server = Server::start(Settings::default()).await;
    let mut absent = server.tcp(5).await;
    absent.connect(1, false).await;
    absent.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    absent.disconnect().await;
    let mut passing = server.tcp(5).await;
    passing.connect(2, true).await;
    passing.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let mut older = server.tcp(4).await;
    older.connect(3, true).await;
    older.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let mut publisher = server.tcp(5).await;
    publisher.connect(4, true).await;
    for (first, to) in [(0x30, "x/once"), (0x32, "x/stored"), (0x33, "x/kept")] {
        publisher
            .publish_as(first, &topic(to), b"payload", 1, PROPERTIES)
            .await;
        is_forwarded(&passing.next().await, to);
        let packet = older.next().await;
        assert_eq!(&packet.payload()[..], b"payload");
        if first != 0x30 {
            assert_eq!(publisher.next().await.ack(), (4, 1, 0));
        }
    }
    assert!(absent.reconnect(server.tcp, 1).await);
    for to in ["x/stored", "x/kept"] {
        is_forwarded(&absent.next().await, to);
    }
    publisher.subscribe(&[(&topic("x/kept"), 1)], &[1]).await;
    let packet = publisher.next().await;
    assert!(packet.retain());
    is_forwarded(&packet, "x/kept");
}

/// The Subscription Identifiers that end a PUBLISH's properties.
fn identifiers(packet: &Packet) -> Vec<u8> {
    let properties = packet.properties();
    let mut found: Vec<u8> = properties[5..]
        .chunks(2)
        .map(|pair| {
            assert_eq!(pair[0], 0x0b, "{packet:?}");
            pair[1]
        })
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn overlapping_filters_deliver_once_with_all_their_identifiers() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(4).await;
    two.connect(2, true).await;
    for clean in [true, false] {
        let mut one = server.tcp(5).await;
        one.connect(1, clean).await;
        for (filter, options, identifier) in [
            ("x/#", 0, Some(1)),
            ("x/a/+", 1, Some(2)),
            ("x/a/b", 1, None),
            ("x/other", 1, Some(3)),
        ] {
            let properties = identifier.map(|identifier| [0x0b, identifier]);
            let properties = properties.as_ref().map_or(&[][..], |found| found);
            one.subscribe_with(&[(&topic(filter), options)], properties)
                .await;
            assert_eq!(one.next().await.filter_codes(0x90), [options]);
        }
        let deliver = async |one: &mut Device, two: &mut Device, to: &str| {
            two.publish(&topic(to), b"", 1, 1, false).await;
            assert_eq!(two.next().await.ack(), (4, 1, 0));
            let packet = one.next().await;
            assert_eq!(packet.topic(), topic(to));
            if packet.qos() > 0 {
                one.puback(packet.id()).await;
            }
            (packet.qos(), identifiers(&packet))
        };
        assert_eq!(deliver(&mut one, &mut two, "x/a/b").await, (1, vec![1, 2]));
        assert_eq!(deliver(&mut one, &mut two, "x/a/c").await, (1, vec![1, 2]));
        assert_eq!(
            deliver(&mut one, &mut two, "x/other").await,
            (1, vec![1, 3])
        );
        assert_eq!(deliver(&mut one, &mut two, "x/b").await, (0, vec![1]));
        // The same filter again is the same subscription, with other options.
        one.subscribe_with(&[(&topic("x/a/+"), 0)], &[0x0b, 4])
            .await;
        assert_eq!(one.next().await.filter_codes(0x90), [0]);
        assert_eq!(deliver(&mut one, &mut two, "x/a/c").await, (0, vec![1, 4]));
        one.ping().await;
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn the_lower_qos_of_both_sides_is_used_and_2_is_granted_as_1() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for version in [4, 5] {
        for clean in [true, false] {
            let mut one = server.tcp(version).await;
            one.connect(1, clean).await;
            for (asked, granted) in [(0, 0), (1, 1), (2, 1)] {
                one.subscribe(&[(&topic("x/#"), asked)], &[granted]).await;
                for published in [0, 1, 2] {
                    two.publish(&topic("x/a"), b"", published, 7, false).await;
                    let packet = one.next().await;
                    assert_eq!(packet.qos(), published.min(granted));
                    assert!(!packet.dup());
                    if packet.qos() > 0 {
                        one.puback(packet.id()).await;
                    }
                    if published > 0 {
                        assert_eq!(two.next().await.ack().1, 7);
                    }
                    if published == 2 {
                        two.pubrel(7).await;
                        assert_eq!(two.next().await.ack(), (7, 7, 0));
                    }
                }
            }
            one.ping().await;
            one.disconnect().await;
            server.is_gone(1).await;
        }
    }
}

#[tokio::test]
async fn a_device_does_not_hear_itself_where_it_said_so() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for clean in [true, false] {
        let mut one = server.tcp(5).await;
        one.connect(1, clean).await;
        one.subscribe(&[(&topic("x/#"), 0x05)], &[1]).await;
        for (qos, id) in [(0, 0), (1, 3)] {
            one.publish(&topic("x/own"), b"", qos, id, true).await;
            if qos > 0 {
                assert_eq!(one.next().await.ack(), (4, id, 0));
            }
            two.publish(&topic("x/other"), b"", 0, 0, false).await;
            assert_eq!(one.next().await.topic(), topic("x/other"));
        }
        one.disconnect().await;
        if !clean {
            assert!(one.reconnect(server.tcp, 1).await);
            one.ping().await;
            one.disconnect().await;
        }
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn retain_is_forwarded_where_the_subscription_asks_for_it() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for (version, clean) in [(4, true), (5, true), (5, false)] {
        for as_published in [false, true] {
            if version == 4 && as_published {
                continue;
            }
            let mut one = server.tcp(version).await;
            one.connect(1, clean).await;
            let never = if version == 5 { 0x20 } else { 0 };
            let options = 1 | never | u8::from(as_published) << 3;
            one.subscribe(&[(&topic("x/#"), options)], &[1]).await;
            let check = |packet: Packet, published: bool| {
                assert_eq!(packet.retain(), published && as_published, "{packet:?}");
                packet.id()
            };
            for (qos, retain) in [(0, true), (1, false), (1, true)] {
                two.publish(&topic("x/a"), b"", qos, 1, retain).await;
                if qos > 0 {
                    assert_eq!(two.next().await.ack(), (4, 1, 0));
                }
                let id = check(one.next().await, retain);
                if qos > 0 {
                    one.puback(id).await;
                }
            }
            one.ping().await;
            one.disconnect().await;
            if !clean {
                server.is_gone(1).await;
                for retain in [true, false] {
                    two.publish(&topic("x/a"), b"", 1, 1, retain).await;
                    assert_eq!(two.next().await.ack(), (4, 1, 0));
                }
                assert!(one.reconnect(server.tcp, 1).await);
                for retain in [true, false] {
                    let id = check(one.next().await, retain);
                    one.puback(id).await;
                }
                one.ping().await;
                one.disconnect().await;
            }
            server.is_gone(1).await;
        }
    }
}

#[tokio::test]
async fn levels_may_be_empty_and_begin_with_a_dollar() {
    let server = Server::start(Settings::default()).await;
    let mut two = server.tcp(4).await;
    two.connect(2, true).await;
    two.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    let names = [
        "x/a",
        "x/$a",
        "x//",
        "x/a/",
        "x//a",
        "x/a/b",
        "x/A",
        "x/ a",
        "x/é",
        "x/\u{feff}a",
    ];
    for (filter, matching) in [
        ("x/#", &names[..]),
        ("x/+", &["x/a", "x/$a", "x/A", "x/ a", "x/é", "x/\u{feff}a"]),
        ("x/+/+", &["x//", "x/a/", "x//a", "x/a/b"]),
        ("x//#", &["x//", "x//a"]),
        ("x//", &["x//"]),
        ("x/a/#", &["x/a", "x/a/", "x/a/b"]),
        ("x/$a/#", &["x/$a"]),
        ("x/\u{feff}a", &["x/\u{feff}a"]),
    ] {
        let mut one = server.tcp(5).await;
        one.connect(1, true).await;
        one.subscribe(&[(&topic(filter), 0)], &[0]).await;
        for name in names {
            two.publish(&topic(name), b"", 0, 0, false).await;
        }
        for expected in matching {
            assert_eq!(one.next().await.topic(), topic(expected), "{filter}");
        }
        // Nothing of this is left for the next one.
        for name in names {
            assert_eq!(two.next().await.topic(), topic(name));
        }
        one.ping().await;
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn what_expired_is_neither_delivered_nor_sent_as_retained() {
    let server = Server::start(Settings::default()).await;
    let mut absent = server.tcp(5).await;
    absent.connect(1, false).await;
    absent.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    absent.disconnect().await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for (to, secs) in [("x/short", 70), ("x/long", 200)] {
        two.publish_as(0x33, &topic(to), b"p", 1, &[2, 0, 0, 0, secs])
            .await;
        assert_eq!(two.next().await.ack(), (4, 1, 0));
    }
    server.pass(71).await;
    assert!(absent.reconnect(server.tcp, 1).await);
    assert_eq!(absent.next().await.topic(), topic("x/long"));
    absent.ping().await;
    two.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    assert_eq!(two.next().await.topic(), topic("x/long"));
    two.ping().await;
}

#[tokio::test]
async fn at_the_limit_of_retained_messages_5_0_is_told_and_3_1_1_makes_room() {
    let limits = MailboxLimits {
        retained_topics: 2,
        ..MailboxLimits::default()
    };
    let server = Server::start_limited(limits).await;
    let mut newer = server.tcp(5).await;
    newer.connect(1, true).await;
    // The first goes first.
    for (to, secs, reason) in [
        ("x/a", 60, 0),
        ("x/b", 90, 0),
        ("x/c", 90, 0x97),
        ("x/b", 90, 0),
    ] {
        newer
            .publish_as(0x33, &topic(to), b"p", 1, &[2, 0, 0, 0, secs])
            .await;
        let answer = newer.next().await;
        assert_eq!(answer.ack(), (4, 1, reason), "{to}");
        if reason > 0 {
            let full = denial::Denial::from(belfry_store::mailbox::Refusal::RetainedFull);
            assert_eq!(answer.reason_string(), Some(full.says.to_owned()));
        }
    }
    let kept = async |version, expected: &[&str]| {
        let mut three = server.tcp(version).await;
        three.connect(3, true).await;
        three.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
        let mut found = Vec::new();
        for _ in expected {
            found.push(three.next().await.topic());
        }
        three.ping().await;
        found.sort();
        let expected: Vec<_> = expected.iter().map(|name| topic(name)).collect();
        assert_eq!(found, expected);
        three.disconnect().await;
        server.is_gone(3).await;
    };
    is_past(&mut newer).await;
    kept(5, &["x/a", "x/b"]).await;
    let mut older = server.tcp(4).await;
    older.connect(2, true).await;
    older.publish(&topic("x/d"), b"p", 1, 2, true).await;
    assert_eq!(older.next().await.ack(), (4, 2, 0));
    is_past(&mut older).await;
    kept(4, &["x/b", "x/d"]).await;
    // At QoS 0 there is nobody to be told.
    newer.publish(&topic("x/e"), b"p", 0, 0, true).await;
    is_past(&mut newer).await;
    kept(5, &["x/d", "x/e"]).await;
}

#[tokio::test]
async fn a_packet_may_be_as_large_as_it_was_said() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        one.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
        let name = topic("x/a");
        let no_properties = usize::from(version == 5);
        // A first byte, three of length, and two before the topic.
        let largest = 64 * 1024 - 6 - name.len() - no_properties;
        let payload = vec![7; largest + 1];
        one.publish(&name, &payload[1..], 0, 0, false).await;
        assert_eq!(one.next().await.payload().len(), largest);
        one.publish(&name, &payload, 0, 0, false).await;
        if version == 5 {
            assert_eq!(one.next().await.disconnect_reason(), 0x95);
        }
        one.is_closed().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn no_more_than_twenty_messages_a_second_are_taken_of_a_device() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.beside(version);
        one.connect(1, true).await;
        let begin = std::time::Instant::now();
        for _ in 0..60 {
            one.publish(&topic("x/a"), b"", 0, 0, false).await;
        }
        one.ping().await;
        let took = begin.elapsed();
        // Twenty at once, and then one each twentieth of a second; later, where the machine is busy.
        assert!(took >= Duration::from_millis(1_990), "{took:?}");
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_message_that_nobody_stored_wants_takes_no_room() {
    let limits = MailboxLimits {
        notifications: 4,
        ..MailboxLimits::default()
    };
    let server = Server::start_limited(limits).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let mut once = server.tcp(5).await;
    once.connect(2, false).await;
    once.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    let mut three = server.tcp(5).await;
    let connect = Connect {
        clean: true,
        ..Connect::new(3)
    };
    three.connect_as(&connect).await;
    for id in 1..=8 {
        three.publish(&topic("x/a"), b"", 1, id, false).await;
        assert_eq!(three.next().await.ack(), (4, id, 0));
        let packet = one.next().await;
        assert_eq!(packet.qos(), 1);
        one.puback(packet.id()).await;
        assert_eq!(once.next().await.qos(), 0);
    }
    let heads = Mailbox::heads(&*server.mailbox, vec![user()]).await;
    assert_eq!(heads, Ok(vec![Seq(0)]));
}

/// Holds every notification, whatever the situation.
fn hold_notifications(
    parcel: crate::presence::Parcel,
    _: crate::presence::Situation,
    now: Timestamp,
) -> crate::presence::Release {
    match parcel.urgency {
        Some(_) => crate::presence::Release::HoldUntil(now.plus(Duration::from_secs(600))),
        None => crate::presence::Release::Send,
    }
}

#[tokio::test]
async fn the_private_space_is_never_held() {
    let settings = Settings {
        release: hold_notifications,
        ..Settings::default()
    };
    let server = Server::start(settings).await;
    let mut one = server.tcp(4).await;
    one.connect(1, false).await;
    one.subscribe(&[(&topic("#"), 1)], &[1]).await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for (id, absent) in [(1, false), (2, true)] {
        if absent {
            one.disconnect().await;
        }
        server.post(id.into()).await;
        two.publish(&topic("x/a"), b"", 1, id, false).await;
        assert_eq!(two.next().await.ack(), (4, id, 0));
        if absent {
            assert!(one.reconnect(server.tcp, 1).await);
        }
        let packet = one.next().await;
        assert_eq!((packet.topic(), packet.qos()), (topic("x/a"), 1));
        one.puback(packet.id()).await;
        one.ping().await;
    }
}

#[tokio::test]
async fn what_was_sent_again_comes_as_new() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for dup in [0x08, 0] {
        two.publish_as(0x32 | dup, &topic("x/a"), b"", 1, &[]).await;
        assert_eq!(two.next().await.ack(), (4, 1, 0));
        let packet = one.next().await;
        assert!(!packet.dup());
        one.puback(packet.id()).await;
    }
}

#[tokio::test]
async fn a_message_without_retain_leaves_the_retained_one() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        let to = topic("x/a");
        one.publish(&to, b"kept", 1, 1, true).await;
        assert_eq!(one.next().await.ack(), (4, 1, 0));
        for payload in [&b"passing"[..], b""] {
            for qos in [0, 1] {
                one.publish(&to, payload, qos, 2, false).await;
                if qos > 0 {
                    assert_eq!(one.next().await.ack(), (4, 2, 0));
                }
            }
        }
        is_past(&mut one).await;
        one.subscribe(&[(&to, 0)], &[0]).await;
        assert_eq!(&one.next().await.payload()[..], b"kept");
        one.ping().await;
        one.disconnect().await;
        server.is_gone(1).await;
    }
}

#[tokio::test]
async fn a_handshake_goes_on_for_an_expired_message() {
    let server = Server::start(Settings::default()).await;
    let mut absent = server.tcp(5).await;
    absent.connect(1, false).await;
    absent.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    absent.disconnect().await;
    let mut two = server.tcp(5).await;
    two.connect(2, false).await;
    let seconds = &[2, 0, 0, 0, 60];
    two.publish_as(0x34, &topic("x/a"), b"", 1, seconds).await;
    assert_eq!(two.next().await.ack(), (5, 1, 0));
    server.pass(61).await;
    two.publish_as(0x3c, &topic("x/a"), b"", 1, seconds).await;
    assert_eq!(two.next().await.ack(), (5, 1, 0));
    two.pubrel(1).await;
    assert_eq!(two.next().await.ack(), (7, 1, 0));
    assert!(absent.reconnect(server.tcp, 1).await);
    absent.ping().await;
}
