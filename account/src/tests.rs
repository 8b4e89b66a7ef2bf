//! The account rooms as a client sees them, over a real directory, mailbox and broker.

#![allow(clippy::unwrap_used)]

mod accounts;
mod common;
mod devices;
mod idle;
mod keyring;
mod lists;
mod notifications;
mod permissions;
mod sessions;
mod subscribe;

use super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use belfry_broker::{BoxFuture, DeviceDirectory, Hub, Unavailable};
use belfry_protocol::id::{DeviceId, LinkId, PermissionId};
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_store::directory::{Actor, Role};
use belfry_store::mailbox::MailboxLimits;
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const START: u64 = 1_800_000_000_000;
const PASSWORD: &str = "correct horse battery";
const SITE: &str = "https://news.example";
/// An X25519 public key: the base point.
const KEY: &str = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Lets the devices of the directory in, as the binary does.
struct Devices(Directory);

impl DeviceDirectory for Devices {
    fn authenticate(
        &self,
        device: DeviceId,
        user: UserId,
        password: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let presented = SecretHash::of(&password);
        Box::pin(async move {
            let verified = self.0.verify_device(user, device, presented).await;
            verified.map_err(|_| Unavailable)
        })
    }

    fn owns_permission(
        &self,
        _: UserId,
        _: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(true) })
    }

    fn away_grace(&self, user: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        Box::pin(async move { self.0.away_grace(user).await.map_err(|_| Unavailable) })
    }

    fn urgency_min(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async move {
            let urgency_min = self.0.urgency_min(user, device).await;
            urgency_min.map_err(|_| Unavailable)
        })
    }

    fn note_seen(&self, _: UserId, _: DeviceId, _: Timestamp) {}
}

struct Server {
    accounts: Accounts,
    router: Router,
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    mqtt: SocketAddr,
    now: Arc<AtomicU64>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn settings() -> Settings {
    Settings {
        public_url: "https://push.example".to_owned(),
        mqtt_url: "wss://push.example/mqtt".to_owned(),
        mqtt_tcp: "mqtts://push.example:8883".to_owned(),
        registration: Registration::Open,
        accounts_per_hour: 5,
        sign_in_failures_per_minute: 5,
        password_hashes: 2,
        devices_per_user: 3,
        permissions_per_user: 4,
        device_idle: Duration::ZERO,
        account_idle: Duration::ZERO,
        away_grace: Duration::from_secs(30),
        trusted_proxies: TrustedProxies::default(),
    }
}

impl Server {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("directory.sqlite");
        let directory = Directory::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let now = Arc::new(AtomicU64::new(START));
        let reading = Arc::clone(&now);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(move || Timestamp::from_millis(reading.load(Ordering::SeqCst)));
        let hub = Hub::start();
        let mailbox = EmbeddedMailbox::open(
            &folder.path().join("mailbox"),
            MailboxLimits::default(),
            Arc::clone(&clock),
            hub.commit_listener(),
        );
        let mailbox = Arc::new(mailbox.unwrap());
        let broker = Broker::start(
            hub,
            Arc::clone(&mailbox),
            Arc::new(Devices(directory.clone())),
            belfry_broker::Settings::default(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mqtt = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (serving, stopping) = (broker.clone(), stop.clone());
        tokio::spawn(async move { serving.serve_tcp(listener, None, stopping).await });
        let accounts = Accounts::new(
            directory.clone(),
            Arc::clone(&mailbox),
            broker,
            clock,
            settings,
        );
        let (router, _) = accounts.clone().router().split_for_parts();
        Self {
            accounts,
            router: belfry_edge::layers::finish(router),
            directory,
            mailbox,
            mqtt,
            now,
            stop,
            _folder: folder,
        }
    }

    fn later(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// A request from the address 192.0.2.`from`.
    async fn ask_from(
        &self,
        from: u8,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        let peer = SocketAddr::from(([192, 0, 2, from], 1));
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
            json,
        };
        answer.check_form();
        answer
    }

    async fn ask(&self, method: &str, path: &str, auth: &str, body: Value) -> Answer {
        let headers = [
            ("Authorization", auth),
            ("Content-Type", "application/json"),
        ];
        let headers = if auth.is_empty() {
            &headers[1..]
        } else {
            &headers[..]
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask_from(1, method, path, headers, body).await
    }

    /// A user with a token, from an address that makes no other.
    async fn user(&self, name: &str) -> Token {
        let body = json!({"username": name, "password": PASSWORD});
        let json = [("Content-Type", "application/json")];
        let from = name.bytes().fold(7, u8::wrapping_add);
        let made = self
            .ask_from(from, "POST", "/v1/accounts", &json, body.to_string())
            .await;
        assert_eq!(made.status, 201, "{}", made.json);
        self.sign_in(name).await
    }

    async fn sign_in(&self, name: &str) -> Token {
        let body = json!({"username": name, "password": PASSWORD});
        let signed_in = self.ask("POST", "/v1/sessions", "", body).await;
        assert_eq!(signed_in.status, 201, "{}", signed_in.json);
        Token(format!("Bearer {}", signed_in.text("access_token")))
    }

    async fn device(&self, token: &Token, name: &str) -> Answer {
        let body = json!({"name": name, "kind": "cli", "public_key": KEY});
        self.ask("POST", "/v1/devices", &token.0, body).await
    }

    async fn approve(&self, token: &Token, site: &str) -> Answer {
        let body = json!({"site": site});
        self.ask("POST", "/v1/permissions", &token.0, body).await
    }
}

/// An Authorization header.
struct Token(String);

struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    json: Value,
}

impl Answer {
    /// What is so of every answer.
    fn check_form(&self) {
        assert_eq!(self.header("cache-control"), "no-store");
        if self.status >= 400 {
            assert_eq!(self.header("content-type"), "application/problem+json");
            assert_eq!(self.json["status"], self.status, "{}", self.json);
            for member in ["type", "title", "detail"] {
                assert!(self.json[member].is_string(), "{member} in {}", self.json);
            }
        }
        let authenticate = self.header("www-authenticate");
        assert_eq!(
            self.status == 401,
            !authenticate.is_empty(),
            "{authenticate}"
        );
        let retry_after = self.header("retry-after");
        assert_eq!(matches!(self.status, 429 | 503), !retry_after.is_empty());
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self, member: &str) -> &str {
        self.json[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member} in {}", self.json))
    }

    /// The status and the field at fault.
    fn fault(&self) -> (u16, &str) {
        (self.status, self.json["field"].as_str().unwrap_or_default())
    }

    /// The last segment of the problem's type.
    fn kind(&self) -> &str {
        self.text("type").rsplit('/').next().unwrap()
    }
}
