//! Who may connect, and what those are told who may not.

use super::device::{Answer, Connect, upgrade};
use super::*;
use crate::figures::ledger::Ledger;

/// One opening at a time, and nobody waits for it.
fn narrow() -> Settings {
    Settings {
        connections_opening: 1,
        connections_waiting: 0,
        ..Settings::default()
    }
}

/// A device of this version is refused with this code, 5.0 with words, and the connection ends.
async fn is_told(server: &Server, version: u8, code: u8, words: &str) {
    let mut one = server.tcp(version).await;
    one.send_connect_as(&Connect::new(9)).await;
    let answer = one.next().await;
    assert_eq!(answer.connack_code(), code);
    let told = answer
        .body()
        .windows(words.len())
        .any(|part| part == words.as_bytes());
    assert_eq!(told, version == 5, "{answer:?}");
    one.is_closed().await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let server = Server::start(Settings {
        connections_per_address: 1,
        ..Settings::default()
    })
    .await;
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    is_told(&server, 4, 3, "this address").await;
    is_told(&server, 5, 0x97, "this address").await;
    one.ping().await;
}

#[tokio::test]
async fn the_server_has_only_so_many_connections() {
    let server = Server::start(Settings {
        connections: 1,
        ..Settings::default()
    })
    .await;
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    is_told(&server, 4, 3, "connect again").await;
    is_told(&server, 5, 0x89, "connect again").await;
    let (_, Answer { head, body }) = upgrade(server.http, "GET", &[]).await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(head.contains("retry-after: "), "{head}");
    assert!(body.contains("connect again"), "{body}");
    one.ping().await;
}

#[tokio::test]
async fn while_too_many_connect_others_are_told_that_the_server_is_busy() {
    let server = Server::start(narrow()).await;
    let mut established = server.subscribed(1, 5).await;
    let opening = server.tcp(5).await;
    server.is_accepted(2).await;
    is_told(&server, 4, 3, "connect again").await;
    is_told(&server, 5, 0x89, "connect again").await;
    let (_, Answer { head, body }) = upgrade(server.http, "GET", &[]).await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(body.contains("connect again"), "{body}");
    // Who is connected does not notice.
    server.post(1).await;
    let id = gets(&mut established, 1).await;
    established.puback(id).await;
    established.ping().await;
    drop(opening);
    server.is_accepted(1).await;
    let mut one = server.tcp(5).await;
    one.connect(2, true).await;
}

#[tokio::test]
async fn whoever_waits_is_served_when_another_has_opened() {
    let server = Server::start(Settings {
        connections_waiting: 1,
        ..narrow()
    })
    .await;
    let mut first = server.tcp(4).await;
    server.is_accepted(1).await;
    let mut second = server.tcp(5).await;
    second.send_connect_as(&Connect::new(2)).await;
    server.is_accepted(2).await;
    is_told(&server, 5, 0x89, "connect again").await;
    first.connect(1, true).await;
    assert_eq!(second.next().await.connack_code(), 0);
    // The same over WebSocket: the upgrade waits.
    let first = server.tcp(4).await;
    server.is_accepted(3).await;
    let waiting = tokio::spawn(async move {
        let mut third = Device::open(server.http, 5, Via::WebSocket).await;
        third.connect(3, true).await;
    });
    drop(first);
    waiting.await.unwrap();
}

#[tokio::test]
async fn whoever_is_turned_away_and_says_nothing_is_closed() {
    let server = Server::start(Settings {
        connections_per_address: 1,
        connect_timeout: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    server.tcp(4).await.is_closed().await;
    let mut other = server.tcp(4).await;
    other.send(vec![0xc0, 0]).await;
    other.is_closed().await;
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let ledger = Ledger::default();
    let _here = metrics::set_default_local_recorder(&ledger);
    let server = Server::start(Settings {
        connections_per_address: 2,
        ..narrow()
    })
    .await;
    let refused =
        |reason: &str| ledger.sum(&format!("belfry_connections_refused_total reason={reason}"));
    let mut stranger = server.tcp(5).await;
    stranger.send_connect(1, b"wrong", true, &[]).await;
    assert_eq!(stranger.next().await.connack_code(), 0x86);
    stranger.is_closed().await;
    assert_eq!(refused("credentials"), 1.0);
    server.is_accepted(0).await;
    let one = server.tcp(5).await;
    server.is_accepted(1).await;
    is_told(&server, 5, 0x89, "connect again").await;
    assert_eq!((refused("busy"), refused("address")), (1.0, 0.0));
    drop(one);
    server.is_accepted(0).await;
    let mut first = server.tcp(5).await;
    first.connect(1, true).await;
    let mut second = server.tcp(5).await;
    second.connect(2, true).await;
    is_told(&server, 5, 0x97, "this address").await;
    assert_eq!((refused("busy"), refused("address")), (1.0, 1.0));
}
