//! `/openapi.json` is in good order, and the server answers as it says.
//!
//! Redocly judges the document, with its recommended rules. schemathesis asks every route that is in it
//! for what it allows and for what it forbids, one by one and in a row, and judges each answer: its
//! status, headers and body by the document, and that nothing is let in without a right to it.

use crate::harness::{PASSWORD, TestServer, User, marked_body, peers, post};
use crate::sites::Publisher;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// As many cases of each operation and phase as leave other tests their time; always the same ones.
const BOUNDED: [&str; 4] = ["--max-examples", "20", "--seed", "5"];
/// `./dev schema-test`: other ones each time, until these seconds are over.
const SECONDS: &str = "BELFRY_SCHEMA_SECONDS";

fn judge() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema")
}

fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?}: {error}; ./dev test installs it"));
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}

#[tokio::test]
async fn the_document_passes_a_linter() {
    let server = TestServer::start();
    let document = reqwest::get(format!("{}/openapi.json", server.url())).await;
    let document = document.expect("an answer").bytes().await.expect("a body");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document).expect("written");
    let mut redocly = Command::new("node");
    redocly
        .arg(peers().join("node_modules/@redocly/cli/bin/cli.js"))
        .arg("lint")
        .arg("--config")
        .arg(judge().join("redocly.yaml"))
        .arg(file)
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
        .current_dir(folder.path());
    run(redocly);
}

/// What the schema's judge is told of, by its name in `tests/schema/`.
type Given = Vec<(&'static str, String)>;

fn last_part(url: &str) -> String {
    url.rsplit('/').next().expect("a part").to_owned()
}

/// One of each thing that a path can name, on a server with one user.
async fn something_of_everything(server: &TestServer) -> Given {
    let user = server.user("ada").await;
    let signed_in = server.client().sign_in("ada", PASSWORD, None).await;
    let token = signed_in.expect("a sign-in").access_token;
    let user = User {
        id: user.id,
        server: server.client().with_token(token.clone()),
    };
    let device = user.device("laptop").await;
    let site = Publisher::of(server).await;
    let permission = user.approve(&site.web.origin).await.permission;
    let http = reqwest::Client::new();
    let posted = post(&http, &permission.endpoint, marked_body(1)).await;
    let message = posted.expect("an answer").headers()["location"].clone();
    let read = user.server.notifications(0, 1).await.expect("a page");
    let sign_ins = http.get(format!("{}/v1/sessions", server.url()));
    let sign_ins = sign_ins
        .bearer_auth(&token)
        .send()
        .await
        .expect("an answer");
    let sign_ins: Value = sign_ins.json().await.expect("JSON");
    let sign_in = |current: bool| {
        let mut items = sign_ins["items"].as_array().expect("items").iter();
        let found = items.find(|item| item["current"] == current);
        found.expect("both")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let sealed = json!({"sealed": "AAAA", "wraps": {"recovery": "AAAA"}});
    let keyring = http.put(format!("{}/v1/keyring", server.url()));
    let keyring = keyring.bearer_auth(&token).json(&sealed).send().await;
    assert!(keyring.expect("an answer").status().is_success());
    vec![
        ("BELFRY_URL", server.url()),
        ("BELFRY_DEVICE", device.device_id.to_string()),
        ("BELFRY_DEVICE_PASSWORD", device.mqtt.password),
        ("BELFRY_PERMISSION", permission.permission_id.to_string()),
        ("BELFRY_ENDPOINT", last_part(&permission.endpoint)),
        ("BELFRY_MESSAGE", last_part(message.to_str().expect("text"))),
        ("BELFRY_NOTIFICATION", read[0].notification.id.to_string()),
        ("BELFRY_BODY", BASE64URL.encode(marked_body(2))),
        ("BELFRY_SITE_KEY", site.key),
        ("BELFRY_SIGN_IN", sign_in(true)),
        ("BELFRY_OTHER_SIGN_IN", sign_in(false)),
        ("BELFRY_TOKEN", token),
    ]
}

/// The configuration with what it names, beside its hooks.
fn configured(given: &Given) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = read_to_string(judge().join("schemathesis.toml")).expect("a configuration");
    for (name, value) in given {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    assert!(
        !text
            .lines()
            .any(|line| !line.starts_with('#') && line.contains("${")),
        "{text}"
    );
    std::fs::write(folder.path().join("schemathesis.toml"), text).expect("written");
    std::fs::copy(judge().join("hooks.py"), folder.path().join("hooks.py")).expect("copied");
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_answers_as_the_document_says() {
    let server = TestServer::start();
    let given = something_of_everything(&server).await;
    let folder = configured(&given);
    let mut schemathesis = Command::new(peers().join(".venv/bin/python"));
    schemathesis
        .args(["-m", "schemathesis.cli", "run", "--no-color"])
        .arg(format!("{}/openapi.json", server.url()))
        .envs(given)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path());
    match std::env::var(SECONDS) {
        Ok(seconds) => schemathesis.args(["--max-time", &seconds]),
        Err(_) => schemathesis.args(BOUNDED),
    };
    run(schemathesis);
}
