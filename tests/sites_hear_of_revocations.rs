//! Promise: a site is told that a user took a permission back: by its webhook, signed so that the
//! library of Standard Webhooks verifies it, in order and however often receiver or server fail in
//! between; or when it asks.

use crate::harness::{Approved, Certificate, Setup, TestServer, User, peers, roomy};
use crate::sites::{Publisher, admin_site};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The foreign receiver.
struct Receiver {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Receiver {
    fn start(certificate: &Certificate, port: u16) -> Self {
        let mut process = Command::new("node")
            .arg("webhook_receiver.mjs")
            .args([certificate.path("cert.pem"), certificate.path("key.pem")])
            .arg(port.to_string())
            .current_dir(peers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs; ./dev test installs the foreign clients");
        let stdout = process.stdout.take().expect("piped");
        let mut receiver = Self {
            process,
            lines: BufReader::new(stdout),
            port: 0,
        };
        let port = receiver.next()["port"].as_u64().expect("a port");
        receiver.port = port.try_into().expect("a port");
        receiver
    }

    fn knows(&mut self, secret: &str) {
        let stdin = self.process.stdin.as_mut().expect("piped");
        writeln!(stdin, "{secret}").expect("written");
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON, not {line:?}"))
    }

    /// The next that verified.
    fn taken(&mut self) -> Value {
        let next = self.next();
        assert!(next.get("refused").is_none(), "{next}");
        next
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server_for(certificate: &Certificate) -> TestServer {
    let mut environment = roomy();
    let authority = certificate.path("cert.pem");
    for (key, value) in [
        ("WEBHOOKS__ALLOW", "127.0.0.1"),
        ("WEBHOOKS__AUTHORITY", authority.as_str()),
    ] {
        environment.push((format!("BELFRY__{key}"), value.to_owned()));
    }
    TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    })
}

impl Publisher {
    /// Asks as the site; the status and the JSON, if any.
    async fn ask(
        &self,
        server: &TestServer,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", server.url()))
            .bearer_auth(&self.key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn set_webhook(&self, server: &TestServer, url: &str) -> Value {
        let body = Some(json!({ "url": url }));
        let path = "/v1/site/webhook";
        let (status, answer) = self.ask(server, reqwest::Method::PUT, path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn get(&self, server: &TestServer, path: &str) -> Value {
        let (status, answer) = self.ask(server, reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

async fn revoke(user: &User, site: &Approved) {
    let revoked = user.server.revoke_permission(site.permission.permission_id);
    revoked.await.expect("revoked");
}

/// What a site is told instead of the endpoint.
fn told(site: &Approved) -> String {
    let (_, secret) = site.permission.endpoint.rsplit_once('/').expect("a secret");
    let hash = belfry_protocol::secret::SecretHash::of(secret.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_bytes())
}

fn check(event: &Value, site: &Approved) {
    assert_eq!(event["type"], "permission.revoked", "{event}");
    assert_eq!(event["data"], json!({ "endpoint": told(site) }));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_revocation_comes_once_in_order_whatever_fails_in_between() {
    let certificate = Certificate::make();
    let mut server = server_for(&certificate);
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let mut sites = Vec::new();
    for _ in 0..6 {
        sites.push(user.approve(&publisher.web.origin).await);
    }
    let elsewhere = user.approve("https://other.example").await;
    // Before there was a webhook.
    revoke(&user, &sites[0]).await;
    let mut receiver = Receiver::start(&certificate, 0);
    let url = format!("https://127.0.0.1:{}/hooks", receiver.port);
    let set = publisher.set_webhook(&server, &url).await;
    assert_eq!(
        (&set["url"], &set["state"]),
        (&url.as_str().into(), &"ok".into())
    );
    let secret = set["secret"].as_str().expect("a secret");
    receiver.knows(secret);
    revoke(&user, &elsewhere).await;
    revoke(&user, &sites[1]).await;
    let first = receiver.taken();
    check(&first["event"], &sites[1]);

    // It says so before its answer has arrived.
    while publisher.get(&server, "/v1/site/webhook").await["after"] == set["after"] {
        tokio::task::yield_now().await;
    }

    // The receiver is down, and then the server is killed.
    let port = receiver.port;
    drop(receiver);
    for site in &sites[2..5] {
        revoke(&user, site).await;
    }
    while publisher.get(&server, "/v1/site/webhook").await["state"] != "retrying" {
        tokio::task::yield_now().await;
    }
    server.kill_nine();
    server.restart();
    let mut receiver = Receiver::start(&certificate, port);
    receiver.knows(secret);
    let mut ids = vec![first["id"].clone()];
    for site in &sites[2..5] {
        let taken = receiver.taken();
        check(&taken["event"], site);
        assert!(!ids.contains(&taken["id"]), "{taken}");
        ids.push(taken["id"].clone());
    }
    // Another secret, with which what was signed with the former is verified still.
    let second = publisher.set_webhook(&server, &url).await;
    assert_ne!(second["secret"], secret);
    revoke(&user, &sites[5]).await;
    check(&receiver.taken()["event"], &sites[5]);

    let events = publisher.get(&server, "/v1/site/events").await;
    let items = events["items"].as_array().expect("events");
    assert_eq!(items.len(), 5);
    for (item, id) in items.iter().zip(&ids) {
        assert_eq!(&item["id"], id, "the same names as over the webhook");
    }
}

#[tokio::test]
async fn a_site_may_ask_instead() {
    let server = TestServer::start();
    let publisher = Publisher::of(&server).await;
    let user = server.user("ada").await;
    let mut sites = Vec::new();
    for _ in 0..3 {
        sites.push(user.approve(&publisher.web.origin).await);
    }
    let none = publisher.get(&server, "/v1/site/events").await;
    assert_eq!(none, json!({ "items": [], "next": "0" }));
    for site in &sites {
        revoke(&user, site).await;
    }
    let first = publisher.get(&server, "/v1/site/events?limit=2").await;
    let next = first["next"].as_str().expect("a cursor");
    let rest = publisher
        .get(&server, &format!("/v1/site/events?after={next}"))
        .await;
    let pages = [&first, &rest].map(|page| page["items"].as_array().expect("events"));
    assert_eq!(pages.map(Vec::len), [2, 1]);
    for (event, site) in pages.into_iter().flatten().zip(&sites) {
        check(event, site);
    }
    let next = rest["next"].as_str().expect("a cursor");
    let none = publisher
        .get(&server, &format!("/v1/site/events?after={next}"))
        .await;
    assert_eq!(none, json!({ "items": [], "next": next }));
    let (status, problem) = publisher
        .ask(
            &server,
            reqwest::Method::GET,
            "/v1/site/events?limit=0",
            None,
        )
        .await;
    assert_eq!((status, &problem["field"]), (400, &"limit".into()));
}

#[tokio::test]
async fn a_webhook_goes_where_the_server_may_call_and_to_nobody_else() {
    let certificate = Certificate::make();
    let server = server_for(&certificate);
    let publisher = Publisher::of(&server).await;
    let method = || reqwest::Method::GET;
    let path = "/v1/site/webhook";
    let (status, _) = publisher.ask(&server, method(), path, None).await;
    assert_eq!(status, 404);
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "http://news.example/",
        "gopher://news.example/",
    ] {
        let body = Some(json!({ "url": url }));
        let put = publisher.ask(&server, reqwest::Method::PUT, path, body);
        let (status, problem) = put.await;
        assert_eq!((status, &problem["field"]), (422, &"url".into()), "{url}");
    }
    let set = publisher
        .set_webhook(&server, "https://news.example/hooks")
        .await;
    assert!(
        set["secret"]
            .as_str()
            .expect("a secret")
            .starts_with("whsec_")
    );
    let shown = publisher.get(&server, path).await;
    assert!(shown.get("secret").is_none(), "{shown}");
    for _ in 0..2 {
        let gone = publisher.ask(&server, reqwest::Method::DELETE, path, None);
        assert_eq!(gone.await.0, 204);
    }
    let (status, _) = publisher.ask(&server, method(), path, None).await;
    assert_eq!(status, 404);
    let (data, origin) = (server.data(), publisher.web.origin.as_str());
    admin_site(data, &["revoke-key", origin, &publisher.key_id]).one();
    for path in [path, "/v1/site/events"] {
        let (status, _) = publisher.ask(&server, method(), path, None).await;
        assert_eq!(status, 401);
    }
}
