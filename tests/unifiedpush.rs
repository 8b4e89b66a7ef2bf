//! The promise: what posts for UnifiedPush posts here. An app server as its specification (AND_3.0.0)
//! has it, and the gateways that its older app servers go through.

use crate::harness::{TestServer, User};
use crate::mqtt::{Client, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_client::keys::{PermissionKeys, PushSubscription, Sealing};
use belfry_client::vapid::VapidKey;
use belfry_protocol::push::ContentEncoding;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::SystemTime;

/// The longest endpoint that UnifiedPush takes.
const ENDPOINT_BYTES_MAX: usize = 1_000;
/// The longest text that a push message has room for, as the specification counts it.
const CLEARTEXT_BYTES_MAX: usize = 3_993;

/// What an app gives its app server.
struct Registered {
    endpoint: String,
    keys: PermissionKeys,
}

impl Registered {
    /// As a distributor does it: the app's VAPID key restricts the endpoint.
    async fn new(user: &User, vapid: Option<&VapidKey>) -> Self {
        let new = belfry_client::server::NewPermission {
            site: "https://app.example".parse().expect("an origin"),
            name: None,
            application_server_key: vapid.map(VapidKey::public),
            receipts: false,
        };
        let made = user.server.create_permission(&new).await;
        Self {
            endpoint: made.expect("a permission").endpoint,
            keys: PermissionKeys::generate(),
        }
    }

    fn encrypt(&self, text: &[u8]) -> Vec<u8> {
        let subscription = PushSubscription {
            endpoint: self.endpoint.clone(),
            expiration_time: None,
            keys: self.keys.public(),
        };
        let encrypted = subscription.encrypt(text, Sealing::Aes128gcm);
        encrypted.expect("it has room")
    }
}

async fn post(endpoint: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let mut request = reqwest::Client::new().post(endpoint);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body).send().await;
    answer.expect("an answer")
}

const AS_THE_GATEWAYS: [(&str, &str); 3] = [
    ("TTL", "86400"),
    ("Urgency", "normal"),
    ("Content-Encoding", "aes128gcm"),
];

#[tokio::test]
async fn an_app_server_posts_what_the_app_opens() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let device = user.device("phone").await;
    let vapid = VapidKey::generate();
    let registered = Registered::new(&user, Some(&vapid)).await;
    assert!(registered.endpoint.len() <= ENDPOINT_BYTES_MAX);
    let secret = registered.endpoint.rsplit('/').next().expect("a path");
    let entropy = URL_SAFE_NO_PAD.decode(secret).expect("base64url");
    assert!(entropy.len() >= 20, "160 bits, URL-safe");
    let mut phone = Client::connect(server.mqtt, &device, Version::V311).await;
    assert_eq!(phone.subscribe(&device.topics.notifications).await, 1);

    // That it needs VAPID is said in words of RFC 8292.
    let body = registered.encrypt(b"hello");
    let refused = post(&registered.endpoint, &AS_THE_GATEWAYS, body.clone()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], "vapid");

    let audience = server.url();
    let token = vapid.authorization(&audience, "mailto:ops@app.example", SystemTime::now());
    let mut proven = AS_THE_GATEWAYS.to_vec();
    proven.push(("Authorization", &token));
    let longest = vec![b'x'; CLEARTEXT_BYTES_MAX];
    for text in [b"hello".to_vec(), longest] {
        let answer = post(&registered.endpoint, &proven, registered.encrypt(&text)).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let delivered = phone.next().await.expect("a notification");
        let notification: Value = serde_json::from_slice(&delivered.payload).expect("JSON");
        let body = notification["body"].as_str().expect("a body");
        let body = URL_SAFE_NO_PAD.decode(body).expect("base64url");
        let encoding = ContentEncoding::Aes128gcm;
        let opened = registered.keys.open(encoding, &body, None);
        assert_eq!(opened.expect("it opens"), text);
        phone.acknowledge(&delivered).await.expect("sent");
    }
    let other = VapidKey::generate();
    let token = other.authorization(&audience, "mailto:ops@app.example", SystemTime::now());
    proven[3].1 = &token;
    let refused = post(&registered.endpoint, &proven, body).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_gateway_finds_the_endpoint_and_is_told_when_it_is_gone() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let site = user.approve("https://app.example").await;
    let registered = Registered {
        endpoint: site.permission.endpoint.clone(),
        keys: PermissionKeys::generate(),
    };
    let http = reqwest::Client::new();
    let found = http.get(&registered.endpoint).send().await;
    let found: Value = found.expect("an answer").json().await.expect("JSON");
    assert_eq!(found, json!({"unifiedpush": {"version": 1}}));
    // A page of any origin may ask for it and post: an app may be one.
    let asking = http
        .request(Method::OPTIONS, &registered.endpoint)
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "ttl,content-encoding");
    let asked = asking.send().await.expect("an answer");
    assert_eq!(asked.headers()["access-control-allow-origin"], "*");

    let body = registered.encrypt(b"hello");
    let answer = post(&registered.endpoint, &AS_THE_GATEWAYS, body.clone()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    // A gateway for Matrix says aes128gcm and sends JSON in the clear: never taken.
    let plain = br#"{"notification":{"event_id":"$1","prio":"high"}}"#.to_vec();
    let refused = post(&registered.endpoint, &AS_THE_GATEWAYS, plain).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let revoked = user
        .server
        .revoke_permission(site.permission.permission_id)
        .await;
    revoked.expect("revoked");
    let gone = post(&registered.endpoint, &AS_THE_GATEWAYS, body).await;
    assert_eq!(gone.status(), StatusCode::GONE);
}
