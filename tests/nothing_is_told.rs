//! The promise: no answer tells a site whether the user is there, has muted it, has a full mailbox, or
//! shares a mailbox with another endpoint; and no delivery tells a device who proved what.

use crate::harness::{Approved, PASSWORD, Setup, TestServer, User, marked_body, roomy};
use crate::mqtt::{Client, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_client::vapid::VapidKey;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// Notifications that a mailbox of these tests holds.
const MAILBOX: u64 = 16;

fn start() -> TestServer {
    let mut environment = roomy();
    let holds = MAILBOX.to_string();
    environment.push(("BELFRY__LIMITS__MAILBOX_NOTIFICATIONS".to_owned(), holds));
    TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    })
}

/// Of an answer, all that a site sees; the time of day and the message's own URL aside.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    location_bytes: usize,
    body: String,
}

async fn post(site: &Approved, headers: &[(&str, &str)], body: Vec<u8>) -> Seen {
    let mut request = reqwest::Client::new()
        .post(&site.permission.endpoint)
        .header("Content-Encoding", "crypto-box");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let mut headers = answer.headers().clone();
    headers.remove("date");
    let location = headers.remove("location");
    let location_bytes = location.map_or(0, |url| url.len());
    let body = answer.text().await.expect("a body");
    Seen {
        status,
        headers,
        location_bytes,
        body,
    }
}

/// A user with a device that has a session, so that what is posted is owed, and a site.
async fn someone(server: &TestServer, name: &str) -> (User, Approved, Client) {
    let user = server.user(name).await;
    let device = user.device("phone").await;
    let site = user.approve("https://news.example").await;
    let mut phone = Client::connect(server.mqtt, &device, Version::V311).await;
    assert_eq!(phone.subscribe(&device.topics.notifications).await, 1);
    (user, site, phone)
}

async fn mute(server: &TestServer, name: &str, site: &Approved) {
    let http = reqwest::Client::new();
    let signing_in = http
        .post(format!("{}/v1/sessions", server.url()))
        .json(&json!({"username": name, "password": PASSWORD}));
    let signed_in: Value = async { signing_in.send().await?.json().await }
        .await
        .expect("signed in");
    let token = signed_in["access_token"].as_str().expect("a token");
    let id = &site.permission.permission_id;
    let muting = http
        .patch(format!("{}/v1/permissions/{id}", server.url()))
        .bearer_auth(token)
        .json(&json!({"state": "muted"}));
    assert_eq!(muting.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn answers_are_the_same_whoever_is_there_and_whatever_waits() {
    let server = start();
    let (_online, site_of_online, mut phone) = someone(&server, "online").await;
    let (_absent, site_of_absent, gone) = someone(&server, "absent").await;
    gone.disconnect().await;
    let (_muting, site_of_muting, gone) = someone(&server, "muting").await;
    gone.disconnect().await;
    mute(&server, "muting", &site_of_muting).await;
    let (full, site_of_full, gone) = someone(&server, "full").await;
    gone.disconnect().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(full.approve("https://ci.example").await);
    }
    for number in 0..2 * MAILBOX {
        for site in others.iter().chain([&site_of_full]) {
            let posted = post(site, &[("TTL", "86400")], marked_body(number)).await;
            assert_eq!(posted.status, 201);
        }
    }
    let nobody = server.user("nobody").await;
    let site_of_nobody = nobody.approve("https://news.example").await;

    let once = [("TTL", "0")];
    let stored = [("TTL", "60"), ("Urgency", "high"), ("Topic", "a")];
    let named = [("TTL", "60"), ("Idempotency-Key", "one")];
    let malformed = [("TTL", "soon")];
    let (good, long) = (marked_body(1), vec![0; 4_097]);
    for (headers, body, status) in [
        (&once[..], &good, 201),
        (&stored, &good, 201),
        (&stored, &good, 201),
        (&named, &good, 201),
        (&named, &good, 201),
        (&malformed, &good, 400),
        (&stored, &long, 413),
    ] {
        let of_absent = post(&site_of_absent, headers, body.clone()).await;
        assert_eq!(of_absent.status, status, "{headers:?} {}", of_absent.body);
        for (who, site) in [
            ("online", &site_of_online),
            ("muting", &site_of_muting),
            ("full", &site_of_full),
            ("without a device", &site_of_nobody),
        ] {
            let seen = post(site, headers, body.clone()).await;
            assert_eq!(seen, of_absent, "{who}: {headers:?}");
        }
    }
    // It was there all the time.
    assert!(phone.next().await.is_ok());
}

/// Whether two addresses have a run of four bytes in common at the same place. Of random ones hardly
/// any two in a thousand million have.
fn share(one: &[u8], other: &[u8]) -> bool {
    let runs = one.windows(4).zip(other.windows(4));
    runs.into_iter().any(|(one, other)| one == other)
}

#[tokio::test]
async fn endpoints_and_message_urls_have_nothing_in_common() {
    let server = start();
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let mut endpoints = Vec::new();
    let mut messages = Vec::new();
    let http = reqwest::Client::new();
    for number in 0..4 {
        let user = if number < 3 { &ada } else { &eve };
        let site = user.approve("https://news.example").await;
        let endpoint = &site.permission.endpoint;
        let secret = endpoint.rsplit('/').next().expect("a path");
        endpoints.push(URL_SAFE_NO_PAD.decode(secret).expect("base64url"));
        for (count, ttl) in ["0", "60", "60"].into_iter().enumerate() {
            let posting = http.post(endpoint).header("TTL", ttl);
            let posting = posting.header("Content-Encoding", "crypto-box");
            let answer = posting.body(marked_body(count as u64)).send().await;
            let answer = answer.expect("an answer");
            let url = answer.headers()["location"].to_str().expect("text");
            let last = url.rsplit('/').next().expect("a path");
            messages.push(URL_SAFE_NO_PAD.decode(last).expect("base64url"));
        }
    }
    for all in [&endpoints, &messages] {
        let lengths: BTreeSet<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(lengths.len(), 1, "{lengths:?}");
        for (at, one) in all.iter().enumerate() {
            assert!(one.len() * 8 >= 160);
            let mut others = all[at + 1..].iter();
            assert!(others.all(|other| !share(one, other)), "{at}");
        }
    }
    // Nor is the user in any of them.
    for user in [&ada, &eve] {
        let mut all = endpoints.iter().chain(&messages);
        let id = user.id.as_bytes();
        assert!(all.all(|one| one.windows(8).all(|run| !id.windows(8).any(|id| id == run))));
    }
}

#[tokio::test]
async fn a_delivery_has_what_the_envelope_promises_and_nothing_of_the_senders_proof() {
    let server = start();
    let (_user, site, mut phone) = someone(&server, "ada").await;
    let key = VapidKey::generate();
    let proof = key.authorization(&server.url(), "mailto:ops@news.example", SystemTime::now());
    let headers = [("TTL", "60"), ("Topic", "a"), ("Authorization", &proof)];
    let posted = post(&site, &headers, marked_body(1)).await;
    assert_eq!(posted.status, 201);
    let delivered = phone.next().await.expect("a notification");
    let text = String::from_utf8(delivered.payload).expect("UTF-8");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let members: Vec<_> = json.as_object().expect("an object").keys().collect();
    let promised = [
        "body",
        "encoding",
        "expires",
        "id",
        "permission",
        "sent",
        "seq",
        "site",
        "topic",
        "urgency",
    ];
    assert_eq!(members, promised);
    assert_eq!(json["urgency"], "normal", "where the sender says none");
    assert!(!text.contains(&key.public()) && !text.contains("eyJ"));
}
