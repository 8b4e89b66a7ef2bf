//! The real binary in a folder of its own, on ports of its own, and users to try it with.

use belfry_client::keyring::KeptPermission;
use belfry_client::keys::{BoxSecretKey, PermissionKeys, PushSubscription};
use belfry_client::listen::{Incoming, Listener, Received};
use belfry_client::server::{Device, DeviceKind, NewPermission, Permission, Server};
use belfry_client::state::{KeyFile, LocalCopy};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for anything in a test: a failure, never a rhythm.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Good enough for every test account.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Limits that a test with many users would otherwise meet.
const ROOMY: [(&str, &str); 7] = [
    ("BELFRY__LIMITS__ACCOUNTS_PER_HOUR", "1000000"),
    ("BELFRY__LIMITS__PERMISSION_PER_MINUTE", "6000000"),
    ("BELFRY__LIMITS__PERMISSION_BURST", "100000"),
    ("BELFRY__LIMITS__UNPROVEN_PER_SECOND", "1000000"),
    ("BELFRY__LIMITS__UNPROVEN_ADDRESS_PER_SECOND", "1000000"),
    ("BELFRY__LIMITS__SITE_PER_SECOND", "1000000"),
    ("BELFRY__LOG__LEVEL", "warn"),
];

/// A running `belfry serve`. Killed when dropped.
pub(crate) struct TestServer {
    process: Child,
    /// The server itself, which is a child of `process` where that is a tracer.
    server_id: u32,
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
    /// Of admins' own, where there is one.
    pub(crate) admin_address: Option<SocketAddr>,
    data: TempDir,
    setup: Setup,
}

/// How to start one.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) environment: Vec<(String, String)>,
    /// A program with arguments that runs the binary, such as a tracer.
    pub(crate) under: Vec<String>,
    /// The authority of the server's certificate, where it has one.
    pub(crate) authority: Option<PathBuf>,
}

impl TestServer {
    /// Starts with limits out of the way.
    pub(crate) fn start() -> Self {
        Self::start_with(Setup {
            environment: roomy(),
            ..Setup::default()
        })
    }

    /// Starts with the limits that the program has by itself.
    pub(crate) fn start_with_defaults() -> Self {
        Self::start_with(Setup::default())
    }

    pub(crate) fn start_with(setup: Setup) -> Self {
        Self::start_in(&std::env::temp_dir(), setup)
    }

    /// With its data somewhere in this folder.
    pub(crate) fn start_in(folder: &Path, setup: Setup) -> Self {
        let data = tempfile::tempdir_in(folder).expect("a temporary folder");
        let any = "127.0.0.1:0".parse().expect("an address");
        let Started {
            process,
            server_id,
            http,
            mqtt,
            admin,
        } = spawn(data.path(), &setup, any, any);
        Self {
            process,
            server_id,
            http,
            mqtt,
            admin_address: admin,
            data,
            setup,
        }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// The server's resident memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server_id);
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kib: u64 = kib.expect("VmRSS").trim().parse().expect("a number");
        kib * 1024
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.setup.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.http)
    }

    pub(crate) fn authority(&self) -> Option<&Path> {
        self.setup.authority.as_deref()
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) fn kill_nine(&mut self) {
        self.process.kill().expect("the server was running");
        self.process
            .wait()
            .expect("a killed process can be waited for");
    }

    /// SIGTERM, and what it exited with.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal("-TERM", self.server_id);
        let (sender, receiver) = std::sync::mpsc::channel();
        let id = self.server_id;
        std::thread::spawn(move || {
            if receiver.recv_timeout(PATIENCE).is_err() {
                signal("-KILL", id);
            }
        });
        let status = self.process.wait().expect("it can be waited for");
        let _ = sender.send(());
        status
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        signal("-HUP", self.server_id);
    }

    /// The same data and the same ports again, after [`Self::kill_nine`] or [`Self::terminate`].
    pub(crate) fn restart(&mut self) {
        let started = spawn(self.data.path(), &self.setup, self.http, self.mqtt);
        assert_eq!((started.http, started.mqtt), (self.http, self.mqtt));
        self.admin_address = started.admin;
        self.process = started.process;
        self.server_id = started.server_id;
    }

    pub(crate) fn client(&self) -> Server {
        let tls = belfry_client::tls::client_config(self.setup.authority.as_deref());
        Server::new(&self.url(), tls.expect("a configuration")).expect("a client")
    }

    /// A new user, signed in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let server = self.client();
        let account = server
            .sign_up(name, PASSWORD, None)
            .await
            .expect("an account");
        let signed_in = server
            .sign_in(name, PASSWORD, None)
            .await
            .expect("a sign-in");
        User {
            id: account.user_id.to_string(),
            server: server.with_token(signed_in.access_token),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            signal("-KILL", self.server_id);
            let _ = self.process.wait();
        }
    }
}

pub(crate) fn roomy() -> Vec<(String, String)> {
    ROOMY
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(
        status.expect("kill runs").success(),
        "{name} reaches the server"
    );
}

struct Started {
    process: Child,
    server_id: u32,
    http: SocketAddr,
    mqtt: SocketAddr,
    admin: Option<SocketAddr>,
}

fn spawn(data: &Path, setup: &Setup, http: SocketAddr, mqtt: SocketAddr) -> Started {
    let mut words = setup.under.clone();
    words.push(env!("CARGO_BIN_EXE_belfry").to_owned());
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .arg("serve")
        .arg("--data-dir")
        .arg(data);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BELFRY_")) {
        command.env_remove(name);
    }
    command
        .env("BELFRY__HTTP__LISTEN", http.to_string())
        .env("BELFRY__MQTT__LISTEN", mqtt.to_string())
        .envs(setup.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("a line on stdout");
    let ready: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the ready line, not {line:?}"));
    assert_eq!(ready["event"], "ready");
    let address = |name: &str| {
        ready[name]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("an address for {name} in {line}"))
    };
    let server_id = if setup.under.is_empty() {
        process.id()
    } else {
        only_child(process.id())
    };
    Started {
        server_id,
        http: address("http"),
        mqtt: address("mqtt"),
        admin: ready.get("admin").map(|_| address("admin")),
        process,
    }
}

fn only_child(process: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    children
        .expect("a list of children")
        .trim()
        .parse()
        .expect("one child")
}

/// A certificate for 127.0.0.1 that its own authority is.
pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        Self::make_for(&["127.0.0.1"])
    }

    /// One for these names.
    pub(crate) fn make_for(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// For a server of the test's own.
    pub(crate) fn server_config(&self) -> rustls::ServerConfig {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let certificate = CertificateDer::from_pem_file(self.path("cert.pem"));
        let key = PrivateKeyDer::from_pem_file(self.path("key.pem"));
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
            .expect("they belong together")
    }
}

/// A user with a token.
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) server: Server,
}

/// A site that the user approved, with the keys that only devices have.
pub(crate) struct Approved {
    pub(crate) permission: Permission,
    pub(crate) keys: PermissionKeys,
}

impl Approved {
    pub(crate) fn subscription(&self) -> PushSubscription {
        PushSubscription {
            endpoint: self.permission.endpoint.clone(),
            expiration_time: None,
            keys: self.keys.public(),
        }
    }

    pub(crate) fn topic(&self, user: &User) -> String {
        format!("u/{}/n/{}", user.id, self.permission.permission_id)
    }
}

impl User {
    pub(crate) async fn device(&self, name: &str) -> Device {
        let key = BoxSecretKey::generate().public();
        self.server
            .create_device(name, DeviceKind::Cli, &key)
            .await
            .expect("a device")
    }

    pub(crate) async fn approve(&self, origin: &str) -> Approved {
        let new = NewPermission {
            site: origin.parse().expect("an origin"),
            name: None,
            application_server_key: None,
            receipts: false,
        };
        let permission = self
            .server
            .create_permission(&new)
            .await
            .expect("a permission");
        Approved {
            permission,
            keys: PermissionKeys::generate(),
        }
    }
}

/// What a device's local copy of the keyring has.
pub(crate) fn keep(keys: &KeyFile, user: &User, kept: &KeptPermission) {
    let user = user.id.parse().expect("an id");
    keys.change(|copy| {
        let copy = copy.get_or_insert_with(|| LocalCopy::new(user));
        copy.keyring.put_permission(kept, 1);
    })
    .expect("kept");
}

/// A crypto-box body that nobody can open but that carries `mark`, so that a test can tell posts apart.
pub(crate) fn marked_body(mark: u64) -> Vec<u8> {
    let mut body = vec![0x5a; 24 + 16 + 128];
    body[..8].copy_from_slice(&mark.to_be_bytes());
    body
}

/// The mark of a [`marked_body`].
pub(crate) fn mark_of(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[..8].try_into().expect("eight bytes"))
}

/// Posts a sealed body and gives back the answer.
pub(crate) async fn post(
    http: &reqwest::Client,
    endpoint: &str,
    body: Vec<u8>,
) -> reqwest::Result<reqwest::Response> {
    http.post(endpoint)
        .header("TTL", "86400")
        .header("Content-Encoding", "crypto-box")
        .body(body)
        .send()
        .await
}

/// The next notification that a listener opens. That its own device is new may be told to it before.
pub(crate) async fn next_notification(listener: &mut Listener) -> Box<Received> {
    loop {
        let incoming = tokio::time::timeout(PATIENCE, listener.next()).await;
        match incoming.expect("in time").expect("an event") {
            Incoming::Notification(received) => return received,
            Incoming::Changed(_) => {}
            other => panic!("{other:?} instead of a notification"),
        }
    }
}

/// The folder of the foreign clients.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}
