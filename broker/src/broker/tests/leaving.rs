//! What a connection leaves behind, also where it cannot be kept at once.

use super::*;

/// Only a failing test waits for this long.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_the_mailbox_refuses_at_the_end_of_a_connection_is_kept_later() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    server.post(1).await;
    let id = gets(&mut one, 1).await;
    server.gate.refuse(true);
    one.puback(id).await;
    one.disconnect().await;
    while !server.broker.online(user()).is_empty() {
        tokio::task::yield_now().await;
    }
    let left = server.row(1).await.unwrap();
    assert_eq!((left.acked, left.disconnected), (Seq(0), None));
    server.gate.refuse(false);
    let kept = async {
        loop {
            let row = server.row(1).await.unwrap();
            if row.disconnected.is_some() {
                return row;
            }
        }
    };
    let kept = tokio::time::timeout(PATIENCE, kept).await.unwrap();
    assert_eq!(kept.acked, Seq(1), "and what it had acknowledged before");
}

#[tokio::test]
async fn an_end_that_is_kept_later_is_not_that_of_a_newer_connection() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    server.gate.refuse(true);
    one.disconnect().await;
    while !server.broker.online(user()).is_empty() {
        tokio::task::yield_now().await;
    }
    // It is tried again only when the device is back.
    server.gate.hold_ends(true);
    server.gate.refuse(false);
    assert!(one.reconnect(server.tcp, 1).await);
    server.gate.hold_ends(false);
    server.broker.0.settler.flush().await;
    assert_eq!(server.row(1).await.unwrap().disconnected, None);
}
