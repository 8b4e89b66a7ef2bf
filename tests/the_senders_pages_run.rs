//! The programs of docs/senders/ do what their pages say, as they stand there.

use crate::harness::{
    Approved, Certificate, Setup, TestServer, User, keep, next_notification, peers,
};
use belfry_client::keyring::KeptPermission;
use belfry_client::keys::PermissionKeys;
use belfry_client::listen::{Incoming, Listener, Options, Transport};
use belfry_client::send::Urgency;
use belfry_client::server::NewPermission;
use belfry_client::state::StateDir;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of a page.
struct Program {
    page: &'static str,
    /// How it is named where it is to be saved; none where the build makes it.
    file: Option<&'static str>,
    /// The shell line that runs it with [`TITLE`].
    run: String,
    /// What it says of more than fits.
    too_long: &'static str,
    tls: bool,
}

const TITLE: &str = "Build passed";

/// The code of the block whose fence says `info`.
fn block(page: &'static str, info: &str) -> Option<&'static str> {
    let (_, rest) = page.split_once(&format!("\n```{info}\n"))?;
    Some(rest.split_once("```").expect("a block ends").0)
}

/// Where programs of this build are.
fn built(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_belfry"));
    program.parent().expect("a folder").join(name)
}

/// A site's folder, with what it installed.
struct Site {
    folder: tempfile::TempDir,
    path: OsString,
    trusting: Option<PathBuf>,
}

impl Site {
    fn new(trusting: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let modules = peers().join("node_modules");
        std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("a link");
        let found = std::env::var_os("PATH").expect("a PATH");
        let installed = [peers().join(".venv/bin"), built("")];
        let path = installed.into_iter().chain(std::env::split_paths(&found));
        Self {
            path: std::env::join_paths(path).expect("a PATH"),
            folder,
            trusting,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    fn has(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    /// Whether a shell line succeeds, and what it prints.
    fn run(&self, line: &str) -> (bool, String) {
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", line])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        if let Some(authority) = &self.trusting {
            for name in [
                "NODE_EXTRA_CA_CERTS",
                "REQUESTS_CA_BUNDLE",
                "CURL_CA_BUNDLE",
            ] {
                shell.env(name, authority);
            }
        }
        let output = shell.output().expect("a shell");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        (output.status.success(), printed)
    }

    /// Makes the VAPID key as the page says, where it has one: the public half.
    fn application_server_key(&self, page: &'static str) -> Option<String> {
        let (made, printed) = self.run(block(page, "sh key")?);
        assert!(made, "{printed}");
        let file = std::fs::read_to_string(self.folder.path().join("vapid.json"));
        let found = [printed, file.unwrap_or_default()].concat();
        let other = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
        // 65 bytes in base64url.
        let key = found.split(other).find(|word| word.len() == 87);
        Some(
            key.unwrap_or_else(|| panic!("no key in {found}"))
                .to_owned(),
        )
    }
}

/// A server that takes one post a minute and permission.
fn server(certificate: Option<&Certificate>) -> TestServer {
    let mut environment: Vec<(String, String)> = [
        ("BELFRY__LIMITS__PERMISSION_PER_MINUTE", "1"),
        ("BELFRY__LIMITS__PERMISSION_BURST", "1"),
        ("BELFRY__LOG__LEVEL", "warn"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(certificate) = certificate {
        environment.push(("BELFRY__TLS__CERT".to_owned(), certificate.path("cert.pem")));
        environment.push(("BELFRY__TLS__KEY".to_owned(), certificate.path("key.pem")));
    }
    TestServer::start_with(Setup {
        environment,
        authority: certificate.map(|certificate| certificate.path("cert.pem").into()),
        ..Setup::default()
    })
}

async fn approve(user: &User, application_server_key: Option<String>) -> Approved {
    let new = NewPermission {
        site: "https://news.example".parse().expect("an origin"),
        name: None,
        application_server_key,
        receipts: false,
    };
    let permission = user.server.create_permission(&new).await;
    Approved {
        permission: permission.expect("a permission"),
        keys: PermissionKeys::generate(),
    }
}

/// A device that has the permission's keys, and is connected.
async fn listening(
    user: &User,
    site: &Approved,
    folder: &Path,
    authority: Option<&Path>,
) -> Listener {
    let state = StateDir::find(Some(folder), |_| None).expect("a folder");
    let keys = state.key_file(None);
    let kept = KeptPermission {
        permission: site.permission.permission_id,
        site: site.permission.site.clone(),
        endpoint: site.permission.endpoint.clone(),
        keys: site.keys.clone(),
        site_key: None,
        name: None,
        renew: false,
    };
    keep(&keys, user, &kept);
    let mut listener = Listener::new(Options {
        device: user.device("laptop").await,
        keys,
        sync: None,
        transport: Transport::WebSocket,
        tls: belfry_client::tls::client_config(authority).expect("a configuration"),
        presence: None,
    })
    .expect("a listener");
    let first = listener.next().await.expect("connected");
    assert!(matches!(first, Incoming::Connected { .. }));
    listener
}

async fn check(program: Program) {
    let certificate = program.tls.then(Certificate::make);
    let server = server(certificate.as_ref());
    let authority = certificate
        .as_ref()
        .map(|made| PathBuf::from(made.path("cert.pem")));
    let site = Site::new(authority.clone());
    let user = server.user("ada").await;
    let approved = approve(&user, site.application_server_key(program.page)).await;
    let state = tempfile::tempdir().expect("a folder");
    let mut listener = listening(&user, &approved, state.path(), authority.as_deref()).await;
    let subscription = serde_json::to_string(&approved.subscription()).expect("JSON");
    site.write("subscription.json", &subscription);
    if let Some(file) = program.file {
        site.write(
            file,
            block(program.page, &language(file)).expect("the program"),
        );
    }

    // Ahead of the one that is taken: whoever is one too many is told that and nothing else.
    let (sent, printed) = site.run(&program.run.replace(TITLE, &"long ".repeat(1_000)));
    assert!(!sent && printed.contains(program.too_long), "{printed}");
    let (sent, printed) = site.run(&program.run);
    assert!(sent, "{printed}");
    let message = format!("sent: {}/push/message/", server.url());
    assert!(printed.starts_with(&message), "{printed}");
    let received = next_notification(&mut listener).await;
    assert_eq!(received.content.title, TITLE);
    assert_eq!(
        received.content.body.as_deref(),
        Some("All tests are green")
    );
    assert_eq!(
        received.content.url.as_deref(),
        Some("https://news.example/42")
    );
    assert_eq!(received.envelope.urgency, Urgency::High);
    assert_eq!(received.envelope.topic.as_deref(), Some("build-42"));
    listener.close().await;

    let (sent, printed) = site.run(&program.run);
    let seconds = printed
        .strip_prefix("later: again in ")
        .and_then(|rest| rest.trim().strip_suffix(" s"));
    let seconds: u32 = seconds.and_then(|text| text.parse().ok()).expect(&printed);
    assert!(!sent && (1..=60).contains(&seconds), "{printed}");

    assert!(site.has("subscription.json"));
    let revoked = user
        .server
        .revoke_permission(approved.permission.permission_id);
    revoked.await.expect("revoked");
    let (sent, printed) = site.run(&program.run);
    assert_eq!(
        (sent, &*printed),
        (false, "gone: the subscription is deleted\n")
    );
    assert!(!site.has("subscription.json"));
}

/// What the fence of a file's program says.
fn language(file: &str) -> String {
    let (_, ending) = file.rsplit_once('.').expect("an ending");
    let language = match ending {
        "mjs" => "js",
        "py" => "python",
        other => other,
    };
    format!("{language} program")
}

fn saved(page: &'static str, file: &'static str, too_long: &'static str, tls: bool) -> Program {
    let run = block(page, "sh run").expect("how to run it").to_owned();
    assert!(run.contains(file) && run.contains(TITLE), "{run}");
    Program {
        page,
        file: Some(file),
        run,
        too_long,
        tls,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_node() {
    let page = include_str!("../docs/senders/node.md");
    check(saved(page, "send.mjs", "refused: 413", true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_python() {
    let page = include_str!("../docs/senders/python.md");
    check(saved(page, "send.py", "refused: 413", true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_curl() {
    let page = include_str!("../docs/senders/curl.md");
    check(saved(page, "send.sh", "the message is too long", true)).await;
}

/// The programs of this page are built ahead, so that it has to be the same text.
const RUST: &str = include_str!("../docs/senders/rust.md");

async fn check_rust(info: &str, source: &str, program: PathBuf, too_long: &'static str) {
    assert_eq!(
        block(RUST, info),
        Some(source),
        "copy the program to the page"
    );
    assert!(
        program.exists(),
        "cargo builds examples with the tests, and ./dev what is in tests/peers"
    );
    let run = format!("{} '{TITLE}'", program.display());
    check(Program {
        page: RUST,
        file: None,
        run,
        too_long,
        tls: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_rust_with_our_client() {
    let source = include_str!("senders/client.rs");
    check_rust(
        "rust client",
        source,
        built("examples").join("sender_client"),
        "the message is too long",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_rust_with_web_push_native() {
    let source = include_str!("senders/web_push_native.rs");
    check_rust(
        "rust web_push_native",
        source,
        built("examples").join("sender_web_push_native"),
        "refused: 413",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_rust_with_web_push() {
    let source = include_str!("senders/web_push.rs");
    let program = peers().join("web_push_rust/target/debug/sender_web_push");
    check_rust("rust web_push", source, program, "maximum payload size").await;
}

#[test]
fn the_pages_name_the_versions_that_they_are_run_with() {
    let pinned: serde_json::Value =
        serde_json::from_str(include_str!("peers/package.json")).expect("JSON");
    let web_push = pinned["dependencies"]["web-push"]
        .as_str()
        .expect("a version");
    let node = block(include_str!("../docs/senders/node.md"), "sh").expect("how to install");
    assert!(node.contains(&format!("web-push@{web_push}\n")), "{node}");
    let requirements = include_str!("peers/requirements.txt");
    let pinned = requirements
        .lines()
        .find(|line| line.starts_with("pywebpush=="));
    let python = block(include_str!("../docs/senders/python.md"), "sh").expect("how to install");
    assert!(python.contains(pinned.expect("pinned")), "{python}");
}
