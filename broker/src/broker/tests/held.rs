//! What waits for a live session: held while nobody is there, and gone once another way settled it.

use super::device::Connect;
use super::*;

#[tokio::test]
async fn presence_is_what_the_device_last_said() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    assert_eq!(
        server.broker.online(user()),
        [(device(1), Presence::Active)]
    );
    let to = presence_of(1);
    one.publish(&to, b"away", 1, 1, false).await;
    assert_eq!(one.next().await.ack(), (4, 1, 0));
    assert_eq!(server.broker.online(user()), [(device(1), Presence::Away)]);
    one.disconnect().await;
    assert!(one.reconnect(server.tcp, 1).await);
    assert_eq!(server.broker.online(user()), [(device(1), Presence::Away)]);
}

fn hold_normal_while_away(
    parcel: crate::presence::Parcel,
    situation: crate::presence::Situation,
    now: Timestamp,
) -> crate::presence::Release {
    let held = situation.own == Presence::Away && parcel.urgency == Some(Urgency::Normal);
    match held {
        true => crate::presence::Release::HoldUntil(now.plus(Duration::from_secs(600))),
        false => crate::presence::Release::Send,
    }
}

async fn holding() -> Server {
    let settings = Settings {
        release: hold_normal_while_away,
        ..Settings::default()
    };
    Server::start(settings).await
}

/// A server that holds, and a device that is away.
async fn with_one_away() -> (Server, Device) {
    let server = holding().await;
    let mut one = server.subscribed(1, 4).await;
    one.publish(&presence_of(1), b"away", 1, 1, false).await;
    assert_eq!(one.next().await.ack(), (4, 1, 0));
    (server, one)
}

fn presence_of(number: u8) -> String {
    topic(&format!("d/{}/presence", device(number)))
}

#[tokio::test]
async fn a_held_entry_waits_for_its_release_with_its_own_lower_seq() {
    let (server, mut one) = with_one_away().await;
    server.post_as(1, Urgency::Normal).await;
    server.post_as(2, Urgency::High).await;
    let id = gets(&mut one, 2).await;
    one.puback(id).await;
    // Also through a reconnect, where it is read from the mailbox.
    one.disconnect().await;
    assert!(one.reconnect(server.tcp, 1).await);
    server.post_as(3, Urgency::High).await;
    gets(&mut one, 3).await;
    one.publish(&presence_of(1), b"active", 0, 0, false).await;
    gets(&mut one, 1).await;
}

#[tokio::test]
async fn what_expires_while_it_is_held_is_not_released() {
    let (server, mut one) = with_one_away().await;
    let mut short = Server::envelope(1, Urgency::Normal);
    short.expires = short.sent.plus(Duration::from_secs(60));
    server.accept(short).await;
    server.post_as(2, Urgency::Normal).await;
    // What comes later over the same bus is here, so both are held by now.
    server.post_as(3, Urgency::High).await;
    gets(&mut one, 3).await;
    server.pass(61).await;
    one.publish(&presence_of(1), b"active", 0, 0, false).await;
    gets(&mut one, 2).await;
    one.ping().await;
}

#[tokio::test]
async fn what_was_on_its_way_and_acknowledged_over_http_is_not_sent_again() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    for number in 1..=2 {
        server.post(number).await;
        gets(&mut one, number).await;
    }
    let acknowledge = Command::Acknowledge {
        user: user(),
        device: device(1),
        ids: vec![Server::envelope(1, Urgency::Normal).id],
    };
    server.apply(acknowledge).await;
    one.disconnect().await;
    assert!(one.reconnect(server.tcp, 1).await);
    gets(&mut one, 2).await;
    one.ping().await;
}

#[tokio::test]
async fn what_another_device_has_shown_is_not_released() {
    let (server, mut one) = with_one_away().await;
    let mut two = server.subscribed(2, 4).await;
    for number in 1..=2 {
        server.post(number).await;
        let packet_id = gets(&mut two, number).await;
        two.puback(packet_id).await;
    }
    let id = Server::envelope(1, Urgency::Normal).id;
    let to = topic(&format!("d/{}/seen", device(2)));
    let seen = format!(r#"{{"ids":["{id}"]}}"#);
    two.publish(&to, seen.as_bytes(), 1, 5, false).await;
    assert_eq!(two.next().await.ack(), (4, 5, 0));
    one.publish(&presence_of(1), b"active", 0, 0, false).await;
    gets(&mut one, 2).await;
    one.ping().await;
}

#[tokio::test]
async fn what_was_acknowledged_over_http_is_not_sent_any_more() {
    let (server, mut one) = with_one_away().await;
    for number in 1..=3 {
        server.post_as(number, Urgency::Normal).await;
    }
    let acknowledge = Command::Acknowledge {
        user: user(),
        device: device(1),
        ids: vec![Server::envelope(2, Urgency::Normal).id],
    };
    server.apply(acknowledge).await;
    // What comes later over the same bus is here, so the acknowledgement is too.
    server.post_as(4, Urgency::High).await;
    gets(&mut one, 4).await;
    one.publish(&presence_of(1), b"active", 0, 0, false).await;
    gets(&mut one, 1).await;
    gets(&mut one, 3).await;
    one.publish(&presence_of(1), b"active", 1, 2, false).await;
    assert_eq!(one.next().await.ack(), (4, 2, 0), "and nothing else");
}

#[tokio::test]
async fn one_that_is_held_below_what_was_on_its_way_is_not_forgotten() {
    let server = holding().await;
    let connect = Connect {
        // Receive Maximum.
        properties: &[0x21, 0, 2],
        ..Connect::new(1)
    };
    let mut one = server.tcp(5).await;
    one.connect_as(&connect).await;
    one.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
    one.publish(&presence_of(1), b"away", 1, 1, false).await;
    assert_eq!(one.next().await.ack(), (4, 1, 0));
    for (number, urgency) in [(1, Urgency::High), (2, Urgency::Normal), (3, Urgency::High)] {
        server.post_as(number, urgency).await;
    }
    gets(&mut one, 1).await;
    gets(&mut one, 3).await;
    one.disconnect().await;
    // The window is full again before anything is read.
    let mut one = server.tcp(5).await;
    assert!(one.connect_as(&connect).await);
    let first = gets(&mut one, 1).await;
    let third = gets(&mut one, 3).await;
    one.puback(third).await;
    one.puback(first).await;
    one.ping().await;
    one.publish(&presence_of(1), b"active", 0, 0, false).await;
    gets(&mut one, 2).await;
    one.ping().await;
}

#[tokio::test]
async fn a_grace_is_told_to_who_is_connected_and_read_again_where_that_is_lost() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let server = Server::start(Settings::default()).await;
    let graces = |grace| *server.directory.away_grace.lock().unwrap() = grace;
    graces(Some(HOUR));
    let mut here = server.subscribed(1, 4).await;
    let mut away = server.subscribed(2, 5).await;
    let presence = topic(&format!("d/{}/presence", device(2)));
    away.publish(&presence, b"away", 1, 1, false).await;
    assert_eq!(away.next().await.ack(), (4, 1, 0));
    for number in [1, 4] {
        server.post_as(number, Urgency::Normal).await;
        server.post_as(number + 1, Urgency::High).await;
        gets(&mut here, number).await;
        gets(&mut here, number + 1).await;
        gets(&mut away, number + 1).await;
        away.ping().await;
        if number == 1 {
            server.broker.set_away_grace(user(), Some(Duration::ZERO));
        } else {
            graces(Some(Duration::ZERO));
            server.broker.0.hub.missed(user());
        }
        gets(&mut away, number).await;
        server.broker.set_away_grace(user(), Some(HOUR));
        graces(Some(HOUR));
        server.post_as(number + 2, Urgency::High).await;
        gets(&mut away, number + 2).await;
        gets(&mut here, number + 2).await;
    }
}

#[tokio::test]
async fn what_is_below_the_devices_minimum_waits_until_it_is_lowered() {
    let server = Server::start(Settings::default()).await;
    let minimum = |urgency| {
        let mut known = server.directory.urgency_min.lock().unwrap();
        known.insert(device(1), urgency);
    };
    minimum(Urgency::High);
    let mut picky = server.subscribed(1, 4).await;
    let mut other = server.subscribed(2, 4).await;
    for (number, urgency) in [(1, Urgency::Normal), (2, Urgency::High)] {
        server.post_as(number, urgency).await;
        gets(&mut other, number).await;
    }
    let second = gets(&mut picky, 2).await;
    picky.puback(second).await;
    // It is owed all the same, and held on the next connection too.
    picky.disconnect().await;
    assert!(picky.reconnect(server.tcp, 1).await);
    picky.ping().await;
    minimum(Urgency::Normal);
    let lowered = |urgency| server.broker.set_urgency_min(user(), device(1), urgency);
    lowered(Urgency::Normal);
    let first = gets(&mut picky, 1).await;
    picky.puback(first).await;
    minimum(Urgency::High);
    lowered(Urgency::High);
    for (number, urgency) in [(3, Urgency::Normal), (4, Urgency::High)] {
        server.post_as(number, urgency).await;
        gets(&mut other, number).await;
    }
    gets(&mut picky, 4).await;
    // Where what is told is lost, it is read again.
    minimum(Urgency::VeryLow);
    server.broker.0.hub.missed(user());
    gets(&mut picky, 3).await;
}
