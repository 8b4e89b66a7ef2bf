//! Promise: what the server does is shown to its operators as it happens and over time, also after a
//! restart; of sites by their origin, and of users nothing.

use crate::admins::AdminApi;
use crate::harness::{PATIENCE, TestServer, marked_body, post};
use crate::mqtt::{Client, Version};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const SITE: &str = "https://news.example";
const SITE_ENCODED: &str = "https%3A%2F%2Fnews.example";

/// An event stream, by its events.
struct Feed {
    answer: reqwest::Response,
    read: String,
}

impl Feed {
    async fn open(admin: &AdminApi) -> Self {
        let request = admin
            .request(reqwest::Method::GET, "/live")
            .timeout(2 * PATIENCE);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            read: String::new(),
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                let Some(event) = event.strip_prefix("event: ") else {
                    continue;
                };
                let (name, data) = event.split_once("\ndata: ").expect("data");
                let data = serde_json::from_str(data).expect("JSON");
                return Some((name.to_owned(), data));
            }
            let read = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let read = read.expect("something in time").expect("a part")?;
            self.read.push_str(&String::from_utf8_lossy(&read));
        }
    }

    /// The first event that is what is looked for.
    async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().await.expect("it goes on");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}

/// The sum of what a series says, and its steps.
async fn sum(admin: &AdminApi, query: &str, metric: &str) -> (f64, Value) {
    let (status, series) = admin.get(&format!("/series?{query}")).await;
    assert_eq!(status, 200, "{series}");
    let values = series["values"][metric].as_array().expect("values").iter();
    let step = series["step_seconds"].as_f64().expect("a number");
    assert_eq!(step, 10.0);
    let sum: f64 = values.filter_map(Value::as_f64).sum();
    (sum, series)
}

#[tokio::test]
async fn live_over_time_and_after_a_restart() {
    let mut server = TestServer::start();
    let admin = server.admin_as("viewer");
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve(SITE).await;
    let mut feed = Feed::open(&admin).await;
    let (name, first) = feed.next().await.expect("one at once");
    assert_eq!(name, "figures");
    assert_eq!(first["accepted"], 0.0, "{first}");

    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let http = reqwest::Client::new();
    for number in 0..5 {
        let endpoint = &site.permission.endpoint;
        let answer = post(&http, endpoint, marked_body(number)).await;
        assert_eq!(answer.expect("an answer").status(), 201);
        let answer = post(&http, endpoint, Vec::new()).await;
        assert_eq!(answer.expect("an answer").status(), 400);
        let delivered = client.next().await.expect("a delivery");
        client.acknowledge(&delivered).await.expect("sent");
    }
    let live = feed
        .until(|name, data| name == "figures" && data["refused_by"]["malformed"] == 5)
        .await;
    let number = |name: &str| live[name].as_f64().expect(name);
    assert!(
        number("accepted") > 0.0 && number("refused") > 0.0,
        "{live}"
    );
    assert!(number("commit_p99_ms") > 0.0, "{live}");
    let devices = json!([{"transport": "tcp", "version": "5.0", "count": 1}]);
    assert_eq!(live["devices"], devices);
    feed.until(|name, data| name == "figures" && !data["delivery_p50_ms"].is_null())
        .await;

    let all = "metric=accepted&metric=refused.*&metric=devices&metric=commit_p99_ms";
    let of_site = format!("metric=accepted&metric=refused&site={SITE_ENCODED}");
    let (accepted, series) = sum(&admin, all, "accepted").await;
    assert!(accepted > 0.0, "{series}");
    assert!(series["values"]["refused.malformed"].is_array(), "{series}");
    assert!(!series.to_string().contains(&user.id), "{series}");

    assert!(server.terminate().success());
    server.restart();
    let admin = server.admin_as("viewer");
    let (accepted, series) = sum(&admin, all, "accepted").await;
    assert!(accepted > 0.0, "{series}");
    for metric in ["accepted", "refused"] {
        let (posts, series) = sum(&admin, &of_site, metric).await;
        assert!(posts > 0.0, "{metric}: {series}");
    }
    let other = "metric=accepted&site=https%3A%2F%2Fother.example";
    assert_eq!(sum(&admin, other, "accepted").await.0, 0.0);
}

#[tokio::test]
async fn changes_are_told_and_whoever_may_not_look_on_any_more_is_told_that() {
    let server = TestServer::start();
    let (admin, looker) = (server.admin(), server.admin_as("viewer"));
    let mut feed = Feed::open(&looker).await;
    let path = format!("/tokens/{}", looker.token_id);
    let (status, _) = admin.delete(&path).await;
    assert_eq!(status, 204);
    let ended = feed.until(|name, _| name == "ended").await;
    assert_eq!(ended["why"], "signed-out");
    assert_eq!(feed.next().await, None);
    let mut feed = Feed::open(&admin).await;
    let (status, _) = admin
        .post("/tokens", json!({"name": "other", "role": "viewer"}))
        .await;
    assert_eq!(status, 201);
    let changed = feed.until(|name, _| name == "changed").await;
    assert_eq!(changed["what"], json!(["audit", "tokens"]));
}

#[tokio::test]
async fn so_many_look_on_at_a_time_and_the_end_of_the_server_waits_for_none() {
    let mut server = TestServer::start();
    let admin = server.admin();
    let mut feeds = Vec::new();
    for _ in 0..8 {
        feeds.push(Feed::open(&admin).await);
    }
    let (status, problem) = admin.get("/live").await;
    assert_eq!(status, 429, "{problem}");
    drop(feeds.pop());
    let opens = async {
        loop {
            let again = admin.request(reqwest::Method::GET, "/live").send().await;
            if again.expect("an answer").status() == 200 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, opens)
        .await
        .expect("room again");
    assert!(server.terminate().success());
    let mut rest = feeds.remove(0).answer.bytes_stream();
    while let Some(Ok(_)) = rest.next().await {}
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_this_server_is_the_only_node() {
    let server = TestServer::start();
    let admin = server.admin_as("viewer");
    for (query, field) in [
        ("metric=users", "metric"),
        ("", "metric"),
        ("metric=devices&site=https%3A%2F%2Fnews.example", "metric"),
        ("metric=accepted&from=then", "from"),
    ] {
        let (status, problem) = admin.get(&format!("/series?{query}")).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{query}");
    }
    let (status, nodes) = admin.get("/nodes").await;
    assert_eq!(status, 200);
    let node = &nodes["items"][0];
    assert_eq!(
        (&node["self"], &node["ready"]),
        (&json!(true), &json!(true))
    );
    assert!(node["memory_bytes"].as_u64() > Some(1 << 20), "{node}");
    assert!(node["disk_free_bytes"].as_u64() > Some(0), "{node}");
    assert_eq!(node["checks"].as_array().expect("checks").len(), 4);
    for path in ["/series?metric=accepted", "/nodes", "/live"] {
        let url = format!("{}/admin/v1{path}", server.url());
        let answer = reqwest::get(url).await.expect("an answer");
        assert_eq!(answer.status(), 401, "{path}");
    }
}
