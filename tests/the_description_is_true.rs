//! `/openapi.json` is in good order, and the server answers as it says.
//!
//! Redocly judges the document, with its recommended rules. schemathesis asks every route that is in it
//! for what it allows and for what it forbids, one by one and in a row, and judges each answer: its
//! status, headers and body by the document, and that nothing is let in without a right to it.

use crate::harness::{PASSWORD, TestServer, User, marked_body, peers};
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

/// The user's own requests, as they stand in the document.
struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(&self.token).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let body = answer.bytes().await.expect("a body");
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// The ids of this sign-in and of another.
    async fn sign_ins(&self) -> [String; 2] {
        let listed = self.ask("GET", "/v1/sessions", None).await;
        [true, false].map(|current| {
            let mut items = listed["items"].as_array().expect("items").iter();
            let found = items.find(|item| item["current"] == current);
            found.expect("both")["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
    }

    /// Posts, and where the message and its receipts are.
    async fn post(&self, endpoint: &str) -> [String; 2] {
        let posted = self.http.post(endpoint).header("TTL", "86400");
        let posted = posted
            .header("Content-Encoding", "crypto-box")
            .header("Prefer", "respond-async")
            .body(marked_body(1));
        let answer = posted.send().await.expect("an answer");
        assert_eq!(answer.status(), 202);
        let header = |name| answer.headers()[name].to_str().expect("text");
        let (receipts, _) = header("link").split_once('>').expect("a link");
        [header("location"), receipts].map(last_part)
    }
}

/// One of each thing that a path can name, on a server with one user.
async fn something_of_everything(server: &TestServer) -> Given {
    let User { id, .. } = server.user("ada").await;
    let signed_in = server.client().sign_in("ada", PASSWORD, None).await;
    let token = signed_in.expect("a sign-in").access_token;
    let user = User {
        id,
        server: server.client().with_token(token.clone()),
    };
    let api = Api {
        http: reqwest::Client::new(),
        url: server.url(),
        token,
    };
    let device = user.device("laptop").await;
    let site = Publisher::of(server).await;
    let permission = user.approve(&site.web.origin).await.permission;
    let path = format!("/v1/permissions/{}", permission.permission_id);
    api.ask("PATCH", &path, Some(json!({"receipts": true})))
        .await;
    let [message, receipts] = api.post(&permission.endpoint).await;
    let [_, other_receipts] = api.post(&permission.endpoint).await;
    let read = user.server.notifications(0, 1).await.expect("a page");
    let sealed = json!({"sealed": "AAAA", "wraps": {"recovery": "AAAA"}});
    api.ask("PUT", "/v1/keyring", Some(sealed)).await;
    let [sign_in, other_sign_in] = api.sign_ins().await;
    let admin = server.admin();
    vec![
        ("BELFRY_URL", api.url),
        ("BELFRY_TOKEN", api.token),
        ("BELFRY_SIGN_IN", sign_in),
        ("BELFRY_OTHER_SIGN_IN", other_sign_in),
        ("BELFRY_DEVICE", device.device_id.to_string()),
        ("BELFRY_DEVICE_PASSWORD", device.mqtt.password),
        ("BELFRY_PERMISSION", permission.permission_id.to_string()),
        ("BELFRY_ENDPOINT", last_part(&permission.endpoint)),
        ("BELFRY_BODY", BASE64URL.encode(marked_body(2))),
        ("BELFRY_MESSAGE", message),
        ("BELFRY_RECEIPTS", receipts),
        ("BELFRY_OTHER_RECEIPTS", other_receipts),
        ("BELFRY_NOTIFICATION", read[0].notification.id.to_string()),
        ("BELFRY_SITE_KEY", site.key),
        ("BELFRY_USER", user.id.to_string()),
        ("BELFRY_SITE", site.web.origin),
        ("BELFRY_ADMIN_TOKEN", admin.token),
        ("BELFRY_ADMIN_TOKEN_ID", admin.token_id),
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
