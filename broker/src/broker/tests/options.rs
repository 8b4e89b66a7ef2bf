//! What a client may ask for in CONNECT, SUBSCRIBE, PUBLISH and DISCONNECT.

use super::device::Connect;
use super::*;

#[tokio::test]
async fn a_packet_that_is_too_large_for_the_client_is_settled_without_it() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    let connect = Connect {
        // Maximum Packet Size.
        properties: &[0x27, 0, 0, 0, 200],
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    one.subscribe(&[(&topic("n/#"), 1), (&topic("x/#"), 1)], &[1, 1])
        .await;
    server.post(1).await;
    one.publish(&topic("x/a"), b"small", 1, 1, false).await;
    for _ in 0..2 {
        let packet = one.next().await;
        if packet.kind() == 3 {
            assert_eq!(packet.topic(), topic("x/a"), "and not the large one");
            one.puback(packet.id()).await;
        }
    }
    one.disconnect().await;
    assert!(one.reconnect(server.tcp, 1).await);
    one.ping().await;
}

#[tokio::test]
async fn no_more_is_on_its_way_than_the_client_receives_at_once() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    let connect = Connect {
        // Receive Maximum.
        properties: &[0x21, 0, 2],
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    one.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
    for number in 1..=4 {
        server.post(number).await;
    }
    let first = gets(&mut one, 1).await;
    gets(&mut one, 2).await;
    one.ping().await;
    one.puback(first).await;
    gets(&mut one, 3).await;
    one.ping().await;
}

#[tokio::test]
async fn a_topic_alias_was_never_offered() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    one.publish_with(&topic("x/a"), b"", 1, &[0x23, 0, 1]).await;
    assert_eq!(one.next().await.disconnect_reason(), 0x94);
    one.is_closed().await;
}

#[tokio::test]
async fn the_time_that_is_left_goes_with_a_message() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, false).await;
    one.subscribe(&[(&topic("#"), 1)], &[1]).await;
    let check = |packet: &Packet, secs: u32| {
        let left = packet.expiry_secs();
        assert!((secs - 20..=secs).contains(&left), "{left} of {secs}");
    };
    let mut envelope = Server::envelope(1, Urgency::Normal);
    let now = envelope.sent.as_millis();
    envelope.sent = Timestamp::from_millis(now - 100_000);
    envelope.expires = Timestamp::from_millis(now + 50_000);
    server.accept(envelope).await;
    check(&one.next().await, 50);
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    two.publish_with(&topic("x/a"), b"", 1, &[2, 0, 0, 0, 70])
        .await;
    check(&one.next().await, 70);
}

#[tokio::test]
async fn a_disconnect_may_end_the_session_at_once() {
    let server = Server::start(Settings::default()).await;
    for (properties, kept) in [(&[][..], true), (&[0x11, 0, 0, 0, 0], false)] {
        let mut one = server.subscribed(1, 5).await;
        one.disconnect_with(0, properties).await;
        one.is_closed().await;
        assert_eq!(one.reconnect(server.tcp, 1).await, kept, "{properties:?}");
        one.disconnect().await;
    }
}

#[tokio::test]
async fn retained_messages_come_as_the_subscription_asks_and_go_with_an_empty_one() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    let (to, mark) = (topic("x/kept"), topic("x/mark"));
    one.subscribe(&[(&mark, 0)], &[0]).await;
    one.publish(&to, b"kept", 1, 1, true).await;
    assert_eq!(one.next().await.ack(), (4, 1, 0));
    // What was published live is past when this is here.
    one.publish(&mark, b"", 0, 0, false).await;
    assert_eq!(one.next().await.topic(), mark);
    let comes = async |one: &mut Device| {
        let packet = one.next().await;
        assert!(packet.retain());
        assert_eq!((packet.topic(), packet.qos()), (to.clone(), 0));
    };
    let (always, if_new, never) = (0, 0x10, 0x20);
    one.subscribe(&[(&to, if_new)], &[0]).await;
    comes(&mut one).await;
    one.subscribe(&[(&to, if_new)], &[0]).await;
    one.ping().await;
    one.subscribe(&[(&to, always)], &[0]).await;
    comes(&mut one).await;
    one.subscribe(&[(&to, never)], &[0]).await;
    one.ping().await;

    // As it is published it is not a retained one, unless the subscription asks to know.
    let mut two = server.tcp(4).await;
    two.connect(2, true).await;
    two.publish(&to, b"newer", 0, 0, true).await;
    assert!(!one.next().await.retain());
    let as_published = 0x08 | never;
    one.subscribe(&[(&to, as_published)], &[0]).await;
    two.publish(&to, b"", 0, 0, true).await;
    assert!(one.next().await.retain());
    one.subscribe(&[(&to, always)], &[0]).await;
    one.ping().await;
}

#[tokio::test]
async fn large_messages_that_waited_come_in_order_whatever_is_written_at_once() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(4).await;
    one.connect(1, false).await;
    one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    one.disconnect().await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    for number in 1..=16 {
        two.publish(&topic("x/a"), &[number; 60_000], 1, number.into(), false)
            .await;
        assert_eq!(two.next().await.ack(), (4, number.into(), 0));
    }
    assert!(one.reconnect(server.tcp, 1).await);
    for number in 1..=16 {
        let packet = one.next().await;
        assert_eq!(packet.payload(), vec![number; 60_000]);
    }
    one.ping().await;
}
