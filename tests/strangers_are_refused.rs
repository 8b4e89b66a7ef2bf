//! A device reaches its own user's topics, and no password but its own lets it in.

use crate::harness::TestServer;
use crate::mqtt::{Client, Version};

#[tokio::test]
async fn a_strangers_topic_is_refused_on_subscribe_and_publish_in_both_versions() {
    let server = TestServer::start();
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let (device, strange) = (ada.device("laptop").await, eve.device("laptop").await);
    let site = ada.approve("https://news.example").await;
    let foreign = [
        device.topics.notifications.clone(),
        site.topic(&ada),
        device.topics.events.clone(),
        format!("u/{}/#", ada.id),
        format!("u/{}/x/#", ada.id),
        "#".to_owned(),
        "u/+/events".to_owned(),
        format!("$share/group/u/{}/#", ada.id),
    ];
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x87)] {
        let mut client = Client::connect(server.mqtt, &strange, version).await;
        for filter in &foreign {
            assert_eq!(
                client.subscribe(filter).await,
                refused,
                "{filter} in {version:?}"
            );
        }
        assert_eq!(client.subscribe(&strange.topics.notifications).await, 1);
        client.disconnect().await;

        for topic in [
            device.topics.seen.clone(),
            format!("u/{}/x/a", ada.id),
            site.topic(&ada),
        ] {
            let mut client = Client::connect(server.mqtt, &strange, version).await;
            let answer = client.publish(&topic, b"{}").await;
            match version {
                Version::V311 => assert!(answer.is_err(), "{topic}: 3.1.1 can only be closed"),
                Version::V5 => assert_eq!(answer.expect("a PUBACK"), 0x87, "{topic}"),
            }
        }
    }
    // Not even one's own user may speak for a site.
    let mut own = Client::connect(server.mqtt, &device, Version::V5).await;
    assert_eq!(
        own.publish(&site.topic(&ada), b"{}")
            .await
            .expect("a PUBACK"),
        0x87
    );
}

#[tokio::test]
async fn a_wrong_password_user_or_client_id_is_refused() {
    let server = TestServer::start();
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let (device, strange) = (ada.device("laptop").await, eve.device("laptop").await);
    let (right, other) = (&device.mqtt, &strange.mqtt);
    for (version, refused) in [(Version::V311, 5), (Version::V5, 0x86)] {
        for (client_id, username, password) in [
            (&right.client_id, &right.username, &other.password),
            (&right.client_id, &other.username, &right.password),
            (&other.client_id, &right.username, &right.password),
        ] {
            let (_, code) =
                Client::try_connect(server.mqtt, version, client_id, username, password)
                    .await
                    .expect("a CONNACK");
            assert_eq!(code, refused);
        }
    }
    ada.server
        .delete_device(device.device_id)
        .await
        .expect("removed");
    let (_, code) = Client::try_connect(
        server.mqtt,
        Version::V5,
        &right.client_id,
        &right.username,
        &right.password,
    )
    .await
    .expect("a CONNACK");
    assert_eq!(code, 0x86, "a removed device is a stranger");
}
