//! A receipt says 204 when a first device has acknowledged, and 410 when that is no longer to come; it
//! says nothing else of the user, and a crash loses none.

use crate::harness::{Approved, PATIENCE, Setup, TestServer, User, marked_body, roomy};
use crate::mqtt::{Client, Version};
use belfry_client::server::PermissionChange;
use belfry_protocol::time::Timestamp;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The longest wait that there is: an answer that comes within [`PATIENCE`] was woken for.
const WAIT: &str = "wait=55";

struct Sender {
    http: reqwest::Client,
}

/// What a post with a receipt was answered.
struct Posted {
    message: String,
    /// As it stands in the answer.
    link: String,
    receipts: String,
    /// Not later than the server had it.
    since: Timestamp,
}

impl Sender {
    fn new() -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build();
        Self {
            http: http.expect("a client"),
        }
    }

    fn request(&self, site: &Approved, ttl_secs: u32) -> reqwest::RequestBuilder {
        let post = self.http.post(&site.permission.endpoint);
        let post = post
            .header("TTL", ttl_secs.to_string())
            .header("Content-Encoding", "crypto-box");
        post.body(marked_body(1))
    }

    async fn post(&self, site: &Approved, ttl_secs: u32) -> reqwest::Response {
        let request = self.request(site, ttl_secs);
        let request = request.header("Prefer", "respond-async");
        request.send().await.expect("an answer")
    }

    async fn ask(&self, site: &Approved, ttl_secs: u32, more: &[(&str, &str)]) -> Posted {
        let mut request = self.request(site, ttl_secs);
        request = request.header("Prefer", "respond-async");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let since = Timestamp::of(SystemTime::now());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 202);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let link = header("link");
        let (receipts, rel) = link.split_once(">; ").expect("a link");
        assert_eq!(rel, "rel=\"urn:ietf:params:push:receipt\"");
        Posted {
            message: header("location"),
            receipts: receipts.trim_start_matches('<').to_owned(),
            link,
            since,
        }
    }

    /// What a page says now, or, with a wait, once it says something.
    async fn page(&self, url: &str, prefer: &str) -> Value {
        let answer = self.http.get(url).header("Prefer", prefer).send().await;
        let answer = answer.expect("an answer in time");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a page");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The receipts of one of whose messages each is known, once there is one.
    async fn wait(&self, url: &str) -> Vec<(String, u64)> {
        told(&self.page(url, WAIT).await)
    }

    async fn now(&self, url: &str) -> Vec<(String, u64)> {
        told(&self.page(url, "").await)
    }
}

fn told(page: &Value) -> Vec<(String, u64)> {
    let items = page["items"].as_array().expect("items").iter();
    items
        .map(|item| {
            let message = item["message"].as_str().expect("a URL").to_owned();
            (message, item["status"].as_u64().expect("a status"))
        })
        .collect()
}

async fn allow_receipts(user: &User, site: &Approved, receipts: bool) {
    let change = PermissionChange {
        receipts: Some(receipts),
        ..PermissionChange::default()
    };
    let changed = user
        .server
        .change_permission(site.permission.permission_id, &change);
    changed.await.expect("changed");
}

/// A user whose site has receipts.
async fn with_receipts(server: &TestServer) -> (User, Approved) {
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    allow_receipts(&user, &site, true).await;
    (user, site)
}

#[tokio::test]
async fn it_is_204_once_a_first_device_has_acknowledged_and_not_before() {
    let server = TestServer::start();
    let (user, site) = with_receipts(&server).await;
    let sender = Sender::new();
    let mut clients = Vec::new();
    for (name, version) in [("laptop", Version::V5), ("phone", Version::V311)] {
        let device = user.device(name).await;
        let mut client = Client::connect(server.mqtt, &device, version).await;
        client.subscribe(&device.topics.notifications).await;
        clients.push(client);
    }
    let posted = sender.ask(&site, 3_600, &[]).await;
    let (mut first, mut second) = (clients.remove(0), clients.remove(0));
    let delivered = first.next().await.expect("a notification");
    let other = second.next().await.expect("a notification");
    first.ping().await.expect("the server has seen all so far");
    assert_eq!(sender.now(&posted.receipts).await, [], "no PUBACK yet");

    // Two wait, and both hear of it.
    let acknowledge = first.acknowledge(&delivered);
    let (one, two, sent) = tokio::join!(
        sender.wait(&posted.receipts),
        sender.wait(&posted.receipts),
        acknowledge
    );
    sent.expect("sent");
    let expected = [(posted.message.clone(), 204)];
    assert_eq!((&one[..], &two[..]), (&expected[..], &expected[..]));

    // Once, whatever comes after, and under a muted permission too.
    second.acknowledge(&other).await.expect("sent");
    let change = PermissionChange {
        state: Some(belfry_client::server::PermissionState::Muted),
        ..PermissionChange::default()
    };
    let permission = site.permission.permission_id;
    let muted = user.server.change_permission(permission, &change);
    muted.await.expect("muted");
    let muted = sender.ask(&site, 3_600, &[("Link", &posted.link)]).await;
    assert_eq!(muted.receipts, posted.receipts);
    let delivered = first.next().await.expect("a notification");
    first.acknowledge(&delivered).await.expect("sent");
    let later = format!("{}?after=1", posted.receipts);
    assert_eq!(sender.wait(&later).await, [(muted.message, 204)]);
}

#[tokio::test]
async fn it_is_410_at_the_expiry_whatever_became_of_it_before() {
    let mut environment = roomy();
    let few = ("BELFRY__LIMITS__MAILBOX_NOTIFICATIONS", "8");
    environment.push((few.0.to_owned(), few.1.to_owned()));
    let server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let (user, site) = with_receipts(&server).await;
    let device = user.device("laptop").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let sender = Sender::new();
    let ttl = Duration::from_secs(3);
    let waits = sender.ask(&site, 3, &[]).await;
    let pushed_out = sender.ask(&site, 3, &[]).await;
    let seen = client.next().await.expect("a notification").json();
    let seen = serde_json::json!({"ids": [seen["id"]]}).to_string();
    let said = client.publish(&device.topics.seen, seen.as_bytes()).await;
    assert_eq!(said.expect("a PUBACK"), 0);
    for _ in 0..20 {
        let answer = sender.request(&site, 3_600).send().await;
        assert_eq!(answer.expect("an answer").status(), 201);
    }
    let left = user.server.notifications(0, 100).await.expect("a page");
    let mut seqs = left.iter().map(|entry| entry.notification.seq);
    assert!(!seqs.any(|seq| seq == Some(2)), "the mailbox was full");
    for posted in [waits, pushed_out] {
        let page = sender.page(&posted.receipts, WAIT).await;
        assert_eq!(told(&page), [(posted.message, 410)]);
        let at: Timestamp = page["items"][0]["at"]
            .as_str()
            .and_then(|at| at.parse().ok())
            .expect("a time");
        // As it is written, to the second.
        let at = at.plus(Duration::from_secs(1));
        assert!(at >= posted.since.plus(ttl), "{at} of {}", posted.since);
    }
}

#[tokio::test]
async fn it_is_410_at_once_where_the_site_takes_it_back_or_loses_the_permission() {
    let server = TestServer::start();
    let (user, site) = with_receipts(&server).await;
    let device = user.device("laptop").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    client.disconnect().await;
    let sender = Sender::new();

    let withdrawn = sender.ask(&site, 3_600, &[]).await;
    let receipts = &withdrawn.receipts;
    let link = ("Link", &*withdrawn.link);
    let waiting = sender.wait(receipts);
    let withdraw = sender.http.delete(&withdrawn.message).send();
    let (heard, answer) = tokio::join!(waiting, withdraw);
    assert_eq!(answer.expect("an answer").status(), 204);
    assert_eq!(heard, [(withdrawn.message.clone(), 410)]);

    let topic = ("Topic", "news");
    let replaced = sender.ask(&site, 3_600, &[link, topic]).await;
    let revoked = sender.ask(&site, 3_600, &[link, topic]).await;
    let heard = sender.now(&format!("{receipts}?after=1")).await;
    assert_eq!(heard, [(replaced.message, 410)]);

    let permission = site.permission.permission_id;
    let end = user.server.revoke_permission(permission);
    end.await.expect("revoked");
    let heard = sender.now(&format!("{receipts}?after=2")).await;
    assert_eq!(heard, [(revoked.message, 410)]);
}

#[tokio::test]
async fn nothing_is_told_that_the_user_does_not_allow() {
    let server = TestServer::start();
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let device = user.device("laptop").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let sender = Sender::new();
    let none = sender.post(&site, 60).await;
    assert_eq!(none.status(), 201);
    assert!(!none.headers().contains_key("link"));

    allow_receipts(&user, &site, true).await;
    let posted = sender.ask(&site, 3, &[]).await;
    allow_receipts(&user, &site, false).await;
    for _ in 0..2 {
        let delivered = client.next().await.expect("a notification");
        client.acknowledge(&delivered).await.expect("sent");
    }
    // Also where it is allowed again: it is told at its expiry, as if nobody had taken it.
    allow_receipts(&user, &site, true).await;
    let heard = sender.wait(&posted.receipts).await;
    assert_eq!(heard, [(posted.message, 410)]);
}

#[tokio::test]
async fn a_crash_between_the_delivery_and_the_reading_loses_no_receipt() {
    let mut server = TestServer::start();
    let (user, site) = with_receipts(&server).await;
    let device = user.device("laptop").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let sender = Sender::new();
    let delivered = sender.ask(&site, 3_600, &[]).await;
    let id = client.next().await.expect("a notification").json()["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    // Answered once it is durable.
    let ids = [id];
    let acknowledged = user.server.acknowledge(&device.mqtt, &ids);
    acknowledged.await.expect("acknowledged");
    let link = ("Link", &*delivered.link);
    let withdrawn = sender.ask(&site, 3_600, &[link]).await;
    let withdraw = sender.http.delete(&withdrawn.message).send();
    assert_eq!(withdraw.await.expect("an answer").status(), 204);
    let expires = sender.ask(&site, 1, &[link]).await;
    server.kill_nine();
    server.restart();
    let sender = Sender::new();
    let mut heard = sender.wait(&delivered.receipts).await;
    if heard.len() < 3 {
        let later = format!("{}?after=2", delivered.receipts);
        heard.extend(sender.wait(&later).await);
    }
    let expected = [
        (delivered.message, 204),
        (withdrawn.message, 410),
        (expires.message, 410),
    ];
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_let_go_in_order_when_the_server_stops() {
    let mut server = TestServer::start();
    let (_user, site) = with_receipts(&server).await;
    let sender = Sender::new();
    let posted = sender.ask(&site, 3_600, &[]).await;
    let streamed = sender.http.get(&posted.receipts);
    let streamed = streamed.header("Accept", "text/event-stream").send().await;
    let mut streamed = streamed.expect("a stream");
    assert_eq!(streamed.headers()["content-type"], "text/event-stream");
    let url = posted.receipts.clone();
    let waits = tokio::spawn(async move { Sender::new().wait(&url).await });
    let withdraw = sender.http.delete(&posted.message).send();
    assert_eq!(withdraw.await.expect("an answer").status(), 204);
    let event = streamed.chunk().await.expect("whole").expect("an event");
    let event = String::from_utf8(event.to_vec()).expect("text");
    let data = event.strip_prefix("id: 1\nevent: receipt\ndata: ");
    let data: Value = serde_json::from_str(data.expect("an event")).expect("JSON");
    assert_eq!(data["message"], posted.message);
    assert_eq!(waits.await.expect("it ends").len(), 1);

    let status = tokio::task::block_in_place(|| server.terminate());
    assert_eq!(status.code(), Some(0));
    let rest = streamed.chunk().await.expect("it ends as it should");
    assert!(rest.is_none_or(|rest| rest.starts_with(b":")));
}
