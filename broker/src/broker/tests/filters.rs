//! SUBSCRIBE and UNSUBSCRIBE, and how many filters there may be.

use super::*;
use belfry_protocol::topic::Filter;

fn private(number: usize) -> String {
    topic(&format!("x/{number}"))
}

#[tokio::test]
async fn a_packet_and_a_session_have_only_so_many_filters() {
    let server = Server::start(Settings::default()).await;
    for (version, refused) in [(4, 0x80), (5, 0x97)] {
        let mut one = server.tcp(version).await;
        one.connect(1, true).await;
        // More than there may be in a packet, and the same ones again.
        let names: Vec<_> = (0..100).map(|number| private(number % 40)).collect();
        let asked: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let codes: Vec<_> = (0..100)
            .map(|at| if at < 64 { 1 } else { refused })
            .collect();
        one.subscribe(&asked, &codes).await;
        // The session has 40, and room for 24.
        let names: Vec<_> = (40..80).map(private).collect();
        let asked: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let codes: Vec<_> = (40..80)
            .map(|at| if at < 64 { 0 } else { refused })
            .collect();
        one.subscribe(&asked, &codes).await;
        // One that it has may still change.
        one.subscribe(&[(&private(3), 0), (&private(90), 0)], &[0, refused])
            .await;
    }
}

#[tokio::test]
async fn the_directory_is_not_asked_for_more_than_a_session_could_have() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    let exact = topic(&format!("n/{}", PermissionId::from_bytes([8; 16])));
    let codes: Vec<_> = (0..500)
        .map(|at| if at < 64 { 0x87 } else { 0x97 })
        .collect();
    one.subscribe(&vec![(exact.as_str(), 1); 500], &codes).await;
    assert_eq!(server.directory.asked.load(Ordering::SeqCst), 64);
}

#[tokio::test]
async fn unsubscribing_ends_it_and_tells_what_was_none() {
    let server = Server::start(Settings::default()).await;
    for (version, codes) in [(4, &[][..]), (5, &[0, 0x11, 0x11, 0x11])] {
        let mut one = server.tcp(version).await;
        one.connect(version, false).await;
        let (all, other) = (topic("n/#"), topic("x/never"));
        one.subscribe(&[(&all, 1)], &[1]).await;
        one.unsubscribe(&[&all, &all, &other, "not/a/users"], codes)
            .await;
        server.post(version.into()).await;
        one.ping().await;
        one.disconnect().await;
        assert!(one.reconnect(server.tcp, version).await);
        one.ping().await;
    }
}

#[tokio::test]
async fn a_packet_without_filters_breaks_the_protocol() {
    let server = Server::start(Settings::default()).await;
    for first in [0x82, 0xa2] {
        let mut one = server.tcp(5).await;
        one.connect(1, true).await;
        one.send(vec![first, 3, 0, 9, 0]).await;
        assert_eq!(one.next().await.disconnect_reason(), 0x82);
        one.is_closed().await;
        let mut one = server.tcp(4).await;
        one.connect(1, true).await;
        one.send(vec![first, 2, 0, 9]).await;
        one.is_closed().await;
    }
}

#[tokio::test]
async fn the_mailbox_s_revocation_holds_before_the_directory_s() {
    let server = Server::start(Settings::default()).await;
    let (user, permission) = (user(), permission());
    server.apply(Command::Revoke { user, permission }).await;
    let (exact, all) = (topic(&format!("n/{permission}")), topic("n/#"));
    for (version, refused) in [(4, 0x80), (5, 0x87)] {
        let mut one = server.tcp(version).await;
        one.connect(version, false).await;
        // The directory still says that it is the user's.
        one.subscribe(&[(&exact, 1), (&all, 1)], &[refused, 1])
            .await;
        let row = server.row(version).await.unwrap();
        let filters: Vec<_> = row.filters.into_iter().map(|made| made.filter).collect();
        assert_eq!(filters, [Filter::Notifications]);
    }
}
