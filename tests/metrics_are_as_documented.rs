//! Promise: what `/metrics` says is in `docs/metrics.md`, with its type and its labels, and what is
//! there without a label is said from the start.

use crate::harness::{PASSWORD, TestServer, marked_body, post};
use crate::mqtt::{Client, Version};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../docs/metrics.md");

/// A metric as the page has it.
struct Documented<'a> {
    kind: &'a str,
    labels: BTreeSet<&'a str>,
}

fn documented() -> BTreeMap<&'static str, Documented<'static>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `belfry_"));
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").map(|label| label.trim_matches('`'));
        let documented = Documented {
            kind: cells[2],
            labels: labels.filter(|label| !label.is_empty()).collect(),
        };
        (cells[1].trim_matches('`'), documented)
    };
    rows.map(row).collect()
}

/// What a page of metrics has: types by name, and the names of labels by sample.
struct Said {
    kinds: BTreeMap<String, String>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Said {
    fn of(page: &str) -> Self {
        let mut said = Self {
            kinds: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        for line in page.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                said.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (sample, _) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
                let labels = labels.trim_end_matches('}').split("\",");
                let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
                let of = said.labels.entry(name.to_owned()).or_default();
                of.extend(labels);
            }
        }
        said
    }

    /// The labels of a metric, without what its type itself adds.
    fn labels_of(&self, name: &str) -> BTreeSet<&str> {
        let parts = ["", "_bucket", "_sum", "_count"].map(|end| format!("{name}{end}"));
        let labels = parts.iter().filter_map(|part| self.labels.get(part));
        labels
            .flatten()
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect()
    }

    fn is_as_documented(&self) {
        let documented = documented();
        for (name, kind) in &self.kinds {
            let metric = documented
                .get(&**name)
                .unwrap_or_else(|| panic!("{name} is not documented"));
            assert_eq!(metric.kind, kind, "{name}");
            assert_eq!(metric.labels, self.labels_of(name), "{name}");
        }
    }
}

async fn metrics(http: &reqwest::Client, server: &TestServer) -> Said {
    let answer = http.get(format!("{}/metrics", server.url())).send().await;
    Said::of(&answer.expect("an answer").text().await.expect("text"))
}

#[tokio::test]
async fn from_the_start_and_after_whatever_happened() {
    let server = TestServer::start();
    let http = reqwest::Client::new();
    let fresh = metrics(&http, &server).await;
    fresh.is_as_documented();
    for (name, metric) in documented() {
        let bare = metric.labels.is_empty();
        assert!(!bare || fresh.kinds.contains_key(name), "{name}");
    }

    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
    client.subscribe(&device.topics.notifications).await;
    let endpoint = &site.permission.endpoint;
    for (body, status) in [(marked_body(1), 201), (Vec::new(), 400)] {
        let answer = post(&http, endpoint, body).await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    let delivered = client.next().await.expect("a delivery");
    client.acknowledge(&delivered).await.expect("sent");
    client.ping().await.expect("a PINGRESP");
    let access = &device.mqtt;
    let refused = Client::try_connect(
        server.mqtt,
        Version::V5,
        &access.client_id,
        &access.username,
        "a guess",
    );
    refused.await.expect("a CONNACK");
    let wrong = server.client().sign_in("ada", "another", None).await;
    assert!(wrong.is_err());
    assert_ne!(PASSWORD, "another");

    let used = metrics(&http, &server).await;
    used.is_as_documented();
    for name in [
        "belfry_refused_total",
        "belfry_connected_devices",
        "belfry_connections_total",
        "belfry_connections_refused_total",
        "belfry_passwords_total",
        "belfry_build_info",
    ] {
        assert!(used.kinds.contains_key(name), "{name}");
    }
}
