//! Revoking a permission: 410 on the very next request, nothing of it left, its filter refused.

use crate::harness::{TestServer, marked_body, post};
use crate::mqtt::{Client, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn after_the_answer_nothing_is_accepted_stored_or_subscribed() {
    let mut server = TestServer::start();
    let user = server.user("ada").await;
    let (device, other) = (user.device("laptop").await, user.device("phone").await);
    let site = user.approve("https://news.example").await;
    let kept = user.approve("https://mail.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    client.disconnect().await;
    let mut watching = Client::connect(server.mqtt, &other, Version::V311).await;
    watching.subscribe(&other.topics.events).await;

    let http = reqwest::Client::new();
    for endpoint in [&site.permission.endpoint, &kept.permission.endpoint] {
        assert_eq!(
            post(&http, endpoint, marked_body(1))
                .await
                .expect("an answer")
                .status(),
            201
        );
    }
    user.server
        .revoke_permission(site.permission.permission_id)
        .await
        .expect("revoked");

    let answer = post(&http, &site.permission.endpoint, marked_body(2))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 410);
    let event = watching.next().await.expect("an event").json();
    assert_eq!(event["event"], "permission.revoked");
    assert_eq!(
        event["permission"],
        site.permission.permission_id.to_string()
    );

    let left = user.server.notifications(0, 100).await.expect("a page");
    let permissions: Vec<_> = left
        .iter()
        .map(|entry| entry.notification.permission)
        .collect();
    assert_eq!(permissions, [kept.permission.permission_id]);

    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x87)] {
        let mut client = Client::connect(server.mqtt, &device, version).await;
        assert_eq!(client.subscribe(&site.topic(&user)).await, refused);
        client.disconnect().await;
    }

    server.kill_nine();
    server.restart();
    let http = reqwest::Client::new();
    let answer = post(&http, &site.permission.endpoint, marked_body(3))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 410, "a revocation is durable");
}

#[tokio::test]
async fn no_post_that_began_after_the_answer_is_accepted_however_many_are_posting() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let site = Arc::new(user.approve("https://news.example").await);
    let revoked = Arc::new(AtomicBool::new(false));
    let mut posters = Vec::new();
    for poster in 0..8u64 {
        let (site, revoked) = (Arc::clone(&site), Arc::clone(&revoked));
        posters.push(tokio::spawn(async move {
            let http = reqwest::Client::new();
            let mut accepted = 0;
            for number in 0.. {
                let after = revoked.load(Ordering::SeqCst);
                let body = marked_body(poster << 32 | number);
                let status = post(&http, &site.permission.endpoint, body)
                    .await
                    .expect("an answer")
                    .status();
                match status.as_u16() {
                    201 => {
                        assert!(!after, "accepted after the revocation was answered");
                        accepted += 1;
                    }
                    410 => break,
                    other => panic!("{other}"),
                }
            }
            accepted
        }));
    }
    // Each poster is at full speed once a few dozen entries are there.
    while user
        .server
        .notifications(0, 100)
        .await
        .expect("a page")
        .len()
        < 40
    {}
    user.server
        .revoke_permission(site.permission.permission_id)
        .await
        .expect("revoked");
    revoked.store(true, Ordering::SeqCst);
    let mut accepted = 0;
    for poster in posters {
        accepted += poster.await.expect("the poster's own assertions hold");
    }
    assert!(accepted >= 40);
    assert!(
        user.server
            .notifications(0, 100)
            .await
            .expect("a page")
            .is_empty()
    );
}
