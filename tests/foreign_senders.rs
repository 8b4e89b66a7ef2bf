//! Web Push libraries that nobody here wrote post; our SDK receives and opens.

use crate::harness::{Certificate, Setup, TestServer, keep, next_notification, peers, roomy};
use belfry_client::keyring::KeptPermission;
use belfry_client::listen::{Incoming, Listener, Options, Transport};
use belfry_client::state::StateDir;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn send(program: &str, arguments: &[&str], trusting: &str, request: &Value) -> Value {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(peers())
        .env("NODE_EXTRA_CA_CERTS", trusting)
        .env("REQUESTS_CA_BUNDLE", trusting)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; ./dev test installs the foreign clients")
        });
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(request.to_string().as_bytes())
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("one JSON line")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_web_push_and_pywebpush_send_is_received_and_opened() {
    let certificate = Certificate::make();
    let mut environment = roomy();
    environment.push(("BELFRY__TLS__CERT".to_owned(), certificate.path("cert.pem")));
    environment.push(("BELFRY__TLS__KEY".to_owned(), certificate.path("key.pem")));
    let trusting = certificate.path("cert.pem");
    let server = TestServer::start_with(Setup {
        environment,
        authority: Some(trusting.clone().into()),
        ..Setup::default()
    });
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let subscription = serde_json::to_value(site.subscription()).expect("JSON");

    let folder = tempfile::tempdir().expect("a folder");
    let state = StateDir::find(Some(folder.path()), |_| None).expect("a folder");
    let keys = state.key_file(None);
    let kept = KeptPermission {
        permission: site.permission.permission_id,
        site: site.permission.site.clone(),
        endpoint: site.permission.endpoint.clone(),
        keys: site.keys,
        site_key: None,
        name: None,
        renew: false,
    };
    keep(&keys, &user, &kept);
    let mut listener = Listener::new(Options {
        device,
        keys,
        sync: None,
        transport: Transport::WebSocket,
        tls: belfry_client::tls::client_config(Some(Path::new(&trusting)))
            .expect("a configuration"),
        presence: None,
    })
    .expect("a listener");
    assert!(matches!(
        listener.next().await.expect("connected"),
        Incoming::Connected { .. }
    ));

    let payload = |title: &str| json!({"title": title, "body": "Grüße 🔔"}).to_string();
    let answer = send(
        "node",
        &["web_push.mjs"],
        &trusting,
        &json!({
            "subscription": subscription,
            "payload": payload("from web-push"),
            "options": {"TTL": 60, "urgency": "high", "topic": "a", "contentEncoding": "aes128gcm"},
        }),
    );
    assert_eq!(answer["status"], 201, "{answer}");
    opened(&mut listener, "from web-push").await;

    let python = peers().join(".venv/bin/python");
    let answer = send(
        &python.to_string_lossy(),
        &["pywebpush_send.py"],
        &trusting,
        &json!({
            "subscription": subscription,
            "payload": payload("from pywebpush"),
            "options": {"ttl": 60},
        }),
    );
    assert_eq!(answer["status"], 201, "{answer}");
    opened(&mut listener, "from pywebpush").await;
    listener.close().await;
}

async fn opened(listener: &mut Listener, title: &str) {
    let received = next_notification(listener).await;
    assert_eq!(received.content.title, title);
    assert_eq!(received.content.body.as_deref(), Some("Grüße 🔔"));
}
