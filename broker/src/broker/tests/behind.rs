//! Connections that are behind the log, and what becomes of it meanwhile.

use super::device::Connect;
use super::*;

/// A connected device that may have one message on its way, subscribed to these filters.
async fn narrow(server: &Server, filters: &[(&str, u8)]) -> Device {
    let mut one = server.tcp(5).await;
    let connect = Connect {
        // Receive Maximum.
        properties: &[0x21, 0, 1],
        ..Connect::new(1)
    };
    one.connect_as(&connect).await;
    let codes = vec![1; filters.len()];
    one.subscribe(filters, &codes).await;
    one
}

#[tokio::test]
async fn one_whose_user_is_erased_still_hears_and_ends() {
    let server = Server::start(Settings::default()).await;
    let mut one = narrow(&server, &[(&topic("n/#"), 1)]).await;
    let mut two = server.subscribed(2, 4).await;
    for number in 1..=3 {
        server.post(number).await;
        gets(&mut two, number).await;
    }
    let id = gets(&mut one, 1).await;
    // The other one has the third, so this one has heard of it.
    one.ping().await;
    server.apply(Command::EraseUser { user: user() }).await;
    one.puback(id).await;
    one.ping().await;
    let cause = CloseCause::Administrative;
    server.broker.disconnect_user(user(), cause);
    assert_eq!(one.next().await.disconnect_reason(), 0x98);
    one.is_closed().await;
    server.broker.drain().await;
}

#[tokio::test]
async fn no_local_holds_for_what_it_published_meanwhile() {
    let server = Server::start(Settings::default()).await;
    let no_local = 4;
    let filters = [(&*topic("n/#"), 1), (&topic("x/#"), 1 | no_local)];
    let mut one = narrow(&server, &filters).await;
    let mut two = server.tcp(5).await;
    two.connect(2, false).await;
    two.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    server.post(1).await;
    let id = gets(&mut one, 1).await;
    one.publish(&topic("x/a"), b"own", 1, 7, false).await;
    assert_eq!(one.next().await.ack(), (4, 7, 0));
    // The other one has it, so this one has heard of it.
    assert_eq!(two.next().await.topic(), topic("x/a"));
    one.ping().await;
    one.puback(id).await;
    // It would come before the second answer at the latest.
    one.ping().await;
    one.ping().await;
}

#[tokio::test]
async fn what_is_read_later_comes_with_the_identifiers_of_its_filters() {
    let server = Server::start(Settings::default()).await;
    let mut one = narrow(&server, &[(&topic("x/first"), 1)]).await;
    for (filter, options, identifier) in [("n/#", 1, 7), ("n/+", 0, 8), ("events", 0, 9)] {
        let properties = [0x0b, identifier];
        one.subscribe_with(&[(&topic(filter), options)], &properties)
            .await;
        assert_eq!(one.next().await.filter_codes(0x90), [options]);
    }
    let mut two = server.subscribed(2, 4).await;
    for number in 1..=3 {
        server.post(number).await;
        gets(&mut two, number).await;
    }
    // The first came as a hint; the others are read from the mailbox.
    for number in 1..=3 {
        let packet = one.next().await;
        assert_eq!((seq(&packet), packet.qos()), (number, 1));
        let properties = packet.properties();
        let end = &properties[properties.len() - 4..];
        assert_eq!(BTreeSet::from([[end[0], end[1]], [end[2], end[3]]]), {
            BTreeSet::from([[0x0b, 7], [0x0b, 8]])
        });
        one.puback(packet.id()).await;
    }
    one.ping().await;
}

#[tokio::test]
async fn one_that_is_behind_misses_only_what_it_takes_at_most_once() {
    let server = Server::start(Settings::default()).await;
    let mut one = narrow(&server, &[(&topic("n/#"), 1)]).await;
    one.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    let mut two = server.tcp(5).await;
    two.connect(2, false).await;
    two.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let mut publisher = server.tcp(5).await;
    publisher.connect(3, false).await;
    for number in 1..=2 {
        server.post(number).await;
    }
    let id = gets(&mut one, 1).await;
    publisher.publish(&topic("x/a"), b"", 1, 7, false).await;
    assert_eq!(publisher.next().await.ack(), (4, 7, 0));
    // The other one has it, so this one has heard of it.
    assert_eq!(two.next().await.topic(), topic("x/a"));
    one.puback(id).await;
    let id = gets(&mut one, 2).await;
    one.puback(id).await;
    one.ping().await;
    // It is with the log again.
    publisher.publish(&topic("x/b"), b"", 1, 8, false).await;
    let packet = one.next().await;
    assert_eq!((packet.topic(), packet.qos()), (topic("x/b"), 0));
}

#[tokio::test]
async fn one_that_cannot_read_for_a_while_gets_everything_in_order_afterwards() {
    let server = Server::start(Settings::default()).await;
    let mut one = narrow(&server, &[(&topic("n/#"), 1)]).await;
    let mut two = server.subscribed(2, 4).await;
    for number in 1..=3 {
        server.post(number).await;
        gets(&mut two, number).await;
    }
    let id = gets(&mut one, 1).await;
    one.ping().await;
    server.gate.refuse(true);
    one.puback(id).await;
    // It is served while the mailbox is unavailable, and tries again by itself.
    one.ping().await;
    one.ping().await;
    server.gate.refuse(false);
    for number in 2..=3 {
        let id = gets(&mut one, number).await;
        one.puback(id).await;
    }
    server.post(4).await;
    gets(&mut one, 4).await;
    one.ping().await;
}

#[tokio::test]
async fn what_was_taken_back_on_its_way_does_not_come_again_and_keeps_no_room() {
    let server = Server::start(Settings::default()).await;
    let connect = Connect {
        // Receive Maximum.
        properties: &[0x21, 0, 3],
        ..Connect::new(1)
    };
    let mut one = server.tcp(5).await;
    one.connect_as(&connect).await;
    one.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
    let mut short = Server::envelope(3, Urgency::Normal);
    short.expires = short.sent.plus(Duration::from_secs(600));
    for number in [1, 2] {
        server.post(number).await;
    }
    server.accept(short).await;
    for number in 4..=6 {
        server.post(number).await;
    }
    for number in 1..=3 {
        gets(&mut one, number).await;
    }
    one.disconnect_reading().await;
    server.is_gone(1).await;
    // Of what was on its way one is withdrawn and one expires, and of what was not, one is seen.
    let (user, seq) = (user(), Seq(1));
    server.apply(Command::Withdraw { user, seq }).await;
    let ids = vec![Server::envelope(5, Urgency::Normal).id];
    server.apply(Command::Seen { user, ids }).await;
    server.pass(601).await;
    let mut one = server.tcp(5).await;
    assert!(one.connect_as(&connect).await);
    let again = one.next().await;
    assert_eq!((super::seq(&again), again.dup()), (2, true));
    for number in [4, 6] {
        let id = gets(&mut one, number).await;
        one.puback(id).await;
    }
    one.puback(again.id()).await;
    one.ping().await;
}

#[tokio::test]
async fn a_resumed_window_may_be_smaller_than_what_is_on_its_way() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 5).await;
    for number in 1..=4 {
        server.post(number).await;
        gets(&mut one, number).await;
    }
    one.disconnect().await;
    let mut one = server.tcp(5).await;
    let connect = Connect {
        // Receive Maximum.
        properties: &[0x21, 0, 2],
        ..Connect::new(1)
    };
    assert!(one.connect_as(&connect).await);
    let mut ids = Vec::new();
    for number in 1..=2 {
        ids.push(gets(&mut one, number).await);
    }
    one.ping().await;
    // The later one first: what lies between is still to come.
    for id in ids.into_iter().rev() {
        one.puback(id).await;
    }
    for number in 3..=4 {
        let id = gets(&mut one, number).await;
        one.puback(id).await;
    }
    one.ping().await;
}

#[tokio::test]
async fn one_that_is_removed_with_a_backlog_comes_back_to_nothing() {
    let server = Server::start(Settings::default()).await;
    let mut one = narrow(&server, &[(&topic("n/#"), 1)]).await;
    for number in 1..=3 {
        server.post(number).await;
    }
    let id = gets(&mut one, 1).await;
    let (user, device) = (user(), device(1));
    server.apply(Command::RemoveDevice { user, device }).await;
    one.puback(id).await;
    let cause = CloseCause::Administrative;
    server.broker.disconnect_device(user, device, cause);
    while one.next().await.kind() != 14 {}
    one.is_closed().await;
    server.is_gone(1).await;
    assert!(server.row(1).await.is_none(), "and its end made none");
    let mut one = server.tcp(5).await;
    assert!(!one.connect(1, false).await);
    one.ping().await;
}

#[tokio::test]
async fn a_resumed_session_goes_on_when_all_that_was_on_its_way_is_acknowledged_at_once() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    for number in 1..=100 {
        server.post(number).await;
    }
    for number in 1..=32 {
        gets(&mut one, number).await;
    }
    one.disconnect().await;
    server.is_gone(1).await;
    let mut one = server.tcp(4).await;
    assert!(one.connect(1, false).await);
    let mut acknowledgements = Vec::new();
    for number in 1..=32 {
        let packet = one.next().await;
        assert_eq!((seq(&packet), packet.dup()), (number, true));
        acknowledgements.extend([0x40, 2]);
        acknowledgements.extend(packet.id().to_be_bytes());
    }
    one.send(acknowledgements).await;
    for number in 33..=64 {
        gets(&mut one, number).await;
    }
}
