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
