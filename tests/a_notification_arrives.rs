//! A site's notification reaches a device: at once, or after any time away, in order.

use crate::harness::{Setup, TestServer, mark_of, marked_body, post, roomy};
use crate::mqtt::{Client, Delivered, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) fn mark(delivered: &Delivered) -> u64 {
    let json = delivered.json();
    let body = json["body"].as_str().expect("a body");
    mark_of(&URL_SAFE_NO_PAD.decode(body).expect("base64url"))
}

/// An endpoint, headers, a body, and the status that must come.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16);

fn seq(delivered: &Delivered) -> u64 {
    delivered.json()["seq"].as_u64().expect("a seq")
}

#[tokio::test]
async fn a_connected_device_has_it_at_once_with_everything_the_envelope_promises() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    for version in [Version::V311, Version::V5] {
        let mut client = Client::connect(server.mqtt, &device, version).await;
        assert_eq!(client.subscribe(&device.topics.notifications).await, 1);
        let answer = post(
            &reqwest::Client::new(),
            &site.permission.endpoint,
            marked_body(7),
        )
        .await
        .expect("an answer");
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["ttl"], "86400");
        let location = answer.headers()["location"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(location.starts_with(&server.url()), "{location}");

        let delivered = client.next().await.expect("a delivery");
        assert_eq!(delivered.topic, site.topic(&user));
        assert_eq!(mark(&delivered), 7);
        let json = delivered.json();
        assert_eq!(json["site"], "https://news.example");
        assert_eq!(json["urgency"], "normal");
        assert_eq!(json["encoding"], "crypto-box");
        assert!(
            !location.contains(json["id"].as_str().expect("an id")),
            "the URL is not the id"
        );
        client.acknowledge(&delivered).await.expect("sent");
        assert_eq!(client.ping().await.expect("PINGRESP"), []);
        client.disconnect().await;
    }
}

#[tokio::test]
async fn a_device_that_was_away_gets_all_of_it_in_order_and_only_once() {
    let mut server = TestServer::start();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V311).await;
    client.subscribe(&device.topics.notifications).await;
    client.disconnect().await;

    let http = reqwest::Client::new();
    for number in 0..100 {
        let answer = post(&http, &site.permission.endpoint, marked_body(number))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201);
    }
    assert!(server.terminate().success());
    server.restart();

    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    assert!(client.session_present, "the session outlives the server");
    let mut last = 0;
    for number in 0..100 {
        let delivered = client.next().await.expect("a delivery");
        assert_eq!(mark(&delivered), number);
        assert!(seq(&delivered) > last);
        last = seq(&delivered);
        client.acknowledge(&delivered).await.expect("sent");
    }
    assert_eq!(client.ping().await.expect("PINGRESP"), []);
    client.disconnect().await;

    assert!(server.terminate().success());
    server.restart();
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    assert_eq!(
        client.ping().await.expect("PINGRESP"),
        [],
        "what was settled stays settled"
    );
}

#[tokio::test]
async fn a_withdrawn_or_replaced_notification_is_not_delivered() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    client.disconnect().await;

    let http = reqwest::Client::new();
    let withdrawn = post(&http, &site.permission.endpoint, marked_body(1))
        .await
        .expect("an answer");
    let location = withdrawn.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        http.delete(&location)
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    for number in [2, 3] {
        let answer = http
            .post(&site.permission.endpoint)
            .header("TTL", "60")
            .header("Topic", "score")
            .header("Content-Encoding", "crypto-box")
            .body(marked_body(number))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201);
    }

    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    let delivered = client.next().await.expect("a delivery");
    assert_eq!(mark(&delivered), 3);
    client.acknowledge(&delivered).await.expect("sent");
    assert_eq!(client.ping().await.expect("PINGRESP"), []);
}

#[tokio::test]
async fn what_one_device_has_seen_is_owed_to_no_other() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let (laptop, phone) = (user.device("laptop").await, user.device("phone").await);
    let site = user.approve("https://news.example").await;
    let mut away = Client::connect(server.mqtt, &phone, Version::V311).await;
    away.subscribe(&phone.topics.notifications).await;
    away.disconnect().await;

    let mut client = Client::connect(server.mqtt, &laptop, Version::V5).await;
    client.subscribe(&laptop.topics.notifications).await;
    let http = reqwest::Client::new();
    for number in [1, 2] {
        post(&http, &site.permission.endpoint, marked_body(number))
            .await
            .expect("an answer");
    }
    let first = client.next().await.expect("a delivery");
    let second = client.next().await.expect("a delivery");
    client.acknowledge(&first).await.expect("sent");
    client.acknowledge(&second).await.expect("sent");
    let seen = serde_json::json!({"ids": [first.json()["id"]]}).to_string();
    assert_eq!(
        client
            .publish(&laptop.topics.seen, seen.as_bytes())
            .await
            .expect("a PUBACK"),
        0
    );

    let mut phone_client = Client::connect(server.mqtt, &phone, Version::V311).await;
    let delivered = phone_client.next().await.expect("a delivery");
    assert_eq!(mark(&delivered), 2);
    phone_client.acknowledge(&delivered).await.expect("sent");
    assert_eq!(phone_client.ping().await.expect("PINGRESP"), []);
}

#[tokio::test]
async fn the_defaults_limit_a_permission_and_say_when_to_come_back() {
    let server = TestServer::start_with_defaults();
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    let mut refused = None;
    for number in 0..40 {
        let answer = post(&http, &site.permission.endpoint, marked_body(number))
            .await
            .expect("an answer");
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 201);
    }
    let refused = refused.expect("a burst of 40 is over every default");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn each_malformed_post_is_told_what_would_be_right() {
    let server = TestServer::start_with(Setup {
        environment: roomy(),
        ..Setup::default()
    });
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    let endpoint = &site.permission.endpoint;
    let good = || vec![("TTL", "60"), ("Content-Encoding", "crypto-box")];
    let with = |name, value| {
        let mut headers = good();
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value));
        headers
    };
    let unknown = format!("{}/push/{}", server.url(), "A".repeat(32));
    let body = marked_body(1);
    let cases: Vec<Case<'_>> = vec![
        (endpoint, good(), body.clone(), 201),
        (&unknown, good(), body.clone(), 404),
        (
            endpoint,
            vec![("Content-Encoding", "crypto-box")],
            body.clone(),
            400,
        ),
        (endpoint, with("TTL", "soon"), body.clone(), 400),
        (endpoint, with("Urgency", "urgent"), body.clone(), 400),
        (endpoint, with("Topic", "a b"), body.clone(), 400),
        (
            endpoint,
            with("Content-Encoding", "gzip"),
            body.clone(),
            415,
        ),
        (
            endpoint,
            with("Content-Encoding", "aesgcm"),
            body.clone(),
            415,
        ),
        (endpoint, vec![("TTL", "60")], body.clone(), 415),
        (endpoint, good(), vec![0; 4097], 413),
        (endpoint, good(), Vec::new(), 400),
        (
            endpoint,
            with("Authorization", "vapid t=a.b.c,k=AAAA"),
            body,
            403,
        ),
    ];
    for (endpoint, headers, body, expected) in cases {
        let mut request = http.post(endpoint).body(body);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), expected, "{headers:?}");
        if expected >= 400 {
            assert_eq!(
                answer.headers()["content-type"],
                "application/problem+json",
                "{headers:?}"
            );
            let problem: serde_json::Value = answer.json().await.expect("JSON");
            assert_eq!(problem["status"], expected);
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty())
            );
        }
    }
}
