//! The shipped nginx.conf, in a real nginx in front of a real server: only addresses and paths are the
//! test's own.

use crate::harness::{
    Certificate, PASSWORD, PATIENCE, Setup, TestServer, marked_body, post, roomy,
};
use belfry_client::listen::{Incoming, Listener, Options, Transport};
use belfry_client::state::StateDir;
use serde_json::json;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CONFIG: &str = include_str!("../deploy/nginx.conf");

/// Ports that nobody had a moment ago: nginx takes none that the system chooses.
struct Ports {
    http: u16,
    https: u16,
    mqtts: u16,
}

impl Ports {
    fn free() -> Self {
        let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [http, https, mqtts] = held.map(|port| port.local_addr().expect("bound").port());
        Self { http, https, mqtts }
    }
}

/// A running nginx; told to stop when dropped.
struct Nginx {
    folder: TempDir,
}

impl Nginx {
    fn start(server: &TestServer, ports: &Ports, certificate: &Certificate) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = |name: &str| folder.path().join(name).display().to_string();
        let replacements = [
            ("/run/nginx.pid", own("nginx.pid")),
            ("/var/log/nginx/access.log", own("access.log")),
            ("/var/log/nginx/error.log", own("error.log")),
            ("/etc/belfry/cert.pem", certificate.path("cert.pem")),
            ("/etc/belfry/key.pem", certificate.path("key.pem")),
            ("listen 80;", format!("listen 127.0.0.1:{};", ports.http)),
            (
                "listen 443 ssl",
                format!("listen 127.0.0.1:{} ssl", ports.https),
            ),
            (
                "listen 8883 ssl",
                format!("listen 127.0.0.1:{} ssl", ports.mqtts),
            ),
            ("127.0.0.1:8080", server.http.to_string()),
            ("127.0.0.1:1883", server.mqtt.to_string()),
            // Below the few files that an account of a test machine may open.
            ("worker_rlimit_nofile 65536;", String::new()),
            (
                "worker_connections 32768;",
                "worker_connections 64;".to_owned(),
            ),
            (
                "http {\n",
                format!("http {{\n    client_body_temp_path {};\n", own("bodies")),
            ),
        ];
        let ipv4 = CONFIG.lines().filter(|line| !line.contains("listen [::]:"));
        let mut config: String = ipv4.map(|line| format!("{line}\n")).collect();
        for (shipped, here) in replacements {
            assert!(config.contains(shipped), "{shipped} is in nginx.conf");
            config = config.replace(shipped, &here);
        }
        std::fs::write(folder.path().join("nginx.conf"), config).expect("written");
        let nginx = Self { folder };
        // It returns when its sockets listen, and serves on in the background.
        assert!(nginx.run(&[]), "nginx starts: {}", nginx.read("stderr"));
        nginx
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let stderr = std::fs::File::create(self.folder.path().join("stderr")).expect("a file");
        let status = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join("nginx.conf"))
            .arg("-e")
            .arg(self.folder.path().join("error.log"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .status();
        status.expect("it runs").success()
    }

    /// Gone when this returns, with its log written: a worker writes the line of an answer after it,
    /// but before it looks at signals.
    fn stop(&self) {
        assert!(self.run(&["-s", "stop"]));
        let given_up = Instant::now() + PATIENCE;
        while self.folder.path().join("nginx.pid").exists() {
            assert!(Instant::now() < given_up, "nginx ends");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a readable file")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.run(&["-s", "stop"]);
    }
}

/// Beside the PATH of an account there is root's, where Debian has it.
fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/nginx");
    match debian.exists() {
        true => debian.to_owned(),
        false => PathBuf::from("nginx"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_and_devices_reach_the_server_and_no_secret_is_logged() {
    let certificate = Certificate::make();
    let ports = Ports::free();
    let public = format!("https://127.0.0.1:{}", ports.https);
    let mut environment = roomy();
    for (name, value) in [
        ("BELFRY__PUBLIC_URL", &*public),
        (
            "BELFRY__MQTT__PUBLIC_URL",
            &format!("mqtts://127.0.0.1:{}", ports.mqtts),
        ),
        ("BELFRY__TRUSTED_PROXIES", "127.0.0.1/32"),
        ("BELFRY__LIMITS__ACCOUNTS_PER_HOUR", "3"),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let nginx = Nginx::start(&server, &ports, &certificate);
    let authority = std::fs::read(certificate.path("cert.pem")).expect("a certificate");
    let http = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(&authority).expect("PEM"))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");

    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let endpoint = site.subscription().endpoint;
    assert!(endpoint.starts_with(&public), "{endpoint}");
    for transport in [Transport::WebSocket, Transport::Tcp] {
        let device = user.device("laptop").await;
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::find(Some(folder.path()), |_| None).expect("a folder");
        let tls = belfry_client::tls::client_config(Some(Path::new(&certificate.path("cert.pem"))));
        let mut listener = Listener::new(Options {
            device,
            keys: state.key_file(None),
            sync: None,
            transport,
            tls: tls.expect("a configuration"),
            presence: None,
        })
        .expect("a listener");
        let connected = listener.next().await.expect("connected");
        assert!(
            matches!(connected, Incoming::Connected { .. }),
            "{connected:?}"
        );
        let answer = post(&http, &endpoint, marked_body(1))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201);
        // Nobody here has the key: that it came is what counts.
        let incoming = tokio::time::timeout(PATIENCE, listener.next()).await;
        let incoming = incoming.expect("in time").expect("an event");
        assert!(matches!(incoming, Incoming::Hidden { .. }), "{incoming:?}");
        listener.close().await;
    }

    let account = async |name: &str, claimed: &str| {
        let request = http
            .post(format!("{public}/v1/accounts"))
            .header("X-Forwarded-For", claimed)
            .json(&json!({"username": name, "password": PASSWORD}));
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(account("bob", "192.0.2.1").await, 201);
    assert_eq!(account("eve", "192.0.2.2").await, 201);
    let fourth = account("mallory", "192.0.2.3").await;
    assert_eq!(
        fourth, 429,
        "what a client claims of its address is not believed"
    );

    for (path, status) in [("/healthz", 200), ("/metrics", 404)] {
        let answer = http.get(format!("{public}{path}")).send().await;
        assert_eq!(answer.expect("an answer").status(), status, "{path}");
    }
    let plain = format!("http://127.0.0.1:{}/push/secret-of-nobody", ports.http);
    let redirected = http.get(plain).send().await.expect("an answer");
    assert_eq!(redirected.status(), 301);
    nginx.stop();
    let log = nginx.read("access.log");
    assert!(log.contains("\"POST /push/-\" 201"), "{log}");
    assert!(log.contains("\"GET /push/-\" 301"), "{log}");
    let (_, secret) = endpoint.rsplit_once('/').expect("a path");
    for secret in [secret, "secret-of-nobody"] {
        assert!(!log.contains(secret) && !nginx.read("error.log").contains(secret));
    }
}
