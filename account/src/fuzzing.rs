//! A fuzz target: requests of users and devices, through the real routes over a real directory,
//! mailbox and broker. Passwords are not hashed, which would be all that takes time: there is never a
//! place for it, and the answer is then 503.

use crate::{Accounts, SIGN_IN_LIFETIME, Settings};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belfry_broker::{BoxFuture, Broker, DeviceDirectory, Hub, Unavailable};
use belfry_edge::TrustedProxies;
use belfry_protocol::id::{DeviceId, PermissionId, SessionId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{
    Device, DeviceKind, Directory, NewDevice, NewPermission, Permission, PermissionState, SignIn,
};
use belfry_store::mailbox::MailboxLimits;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use bytes::Bytes;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const START: u64 = 1_800_000_000_000;
const TOKEN: &str = "token";
const PASSWORD: &str = "password";

const fn user() -> UserId {
    UserId::from_bytes([1; 16])
}

const fn device() -> DeviceId {
    DeviceId::from_bytes([2; 16])
}

const fn permission() -> PermissionId {
    PermissionId::from_bytes([3; 16])
}

/// Header lines, an empty line, and a body. The first byte chooses the route and, in its highest bit,
/// whether the caller is known. What is given to a GET is its query.
pub fn request(input: &[u8]) {
    static SERVER: LazyLock<Server> = LazyLock::new(Server::new);
    let [choices, rest @ ..] = input else {
        return;
    };
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&rest[..end], &rest[end + 2..]),
        None => (&[][..], rest),
    };
    let (method, path) = route(choices & 0x7f);
    let (path, body) = match method {
        Method::GET => {
            let query = String::from_utf8_lossy(body);
            (format!("{path}?{query}"), Vec::new())
        }
        _ => (path, body.to_vec()),
    };
    let hashes = matches!(&*path, "/v1/accounts" | "/v1/sessions" | "/v1/me/password");
    // Not every query is one that a request can have.
    let request = Request::builder().method(method).uri(&path);
    let Ok(mut request) = request.body(Body::from(body)) else {
        return;
    };
    *request.headers_mut() = headers(head);
    if choices & 0x80 == 0 {
        let credentials = match path.ends_with("/ack") {
            true => format!(
                "Basic {}",
                STANDARD.encode(format!("{}:{PASSWORD}", device()))
            ),
            false => format!("Bearer {TOKEN}"),
        };
        let credentials = HeaderValue::from_str(&credentials).expect("a header");
        let headers = request.headers_mut();
        headers.append(header::AUTHORIZATION, credentials);
    }
    let server = &*SERVER;
    let (status, answer) = server.runtime.block_on(server.ask(request));
    let code = status.as_u16();
    let known = matches!(
        code,
        200 | 201 | 204 | 400 | 401 | 403 | 404 | 409 | 412 | 413 | 415 | 422
    );
    assert!(known || code == 503 && hashes, "{path}: {status}");
    if !status.is_success() {
        let problem: Problem = serde_json::from_slice(&answer).expect("a problem");
        assert_eq!(problem.status, code);
    }
}

fn route(number: u8) -> (Method, String) {
    let (method, path) = match number % 16 {
        0 => (Method::POST, "/v1/accounts"),
        1 => (Method::POST, "/v1/sessions"),
        2 => (Method::PUT, "/v1/me/password"),
        3 => (Method::POST, "/v1/devices"),
        4 => return (Method::PATCH, format!("/v1/devices/{}", device())),
        5 => (Method::POST, "/v1/permissions"),
        6 => return (Method::PATCH, format!("/v1/permissions/{}", permission())),
        7 => (Method::POST, "/v1/notifications/ack"),
        8 => (Method::PUT, "/v1/keyring"),
        9 => (Method::PUT, "/v1/keyring/wraps/recovery"),
        10 => (Method::GET, "/v1/notifications"),
        11 => (Method::GET, "/v1/devices"),
        12 => (Method::GET, "/v1/permissions"),
        13 => (Method::GET, "/v1/keyring"),
        14 => (Method::POST, "/v1/subscribe?site=https://news.example"),
        _ => (Method::PATCH, "/v1/me"),
    };
    (method, path.to_owned())
}

fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = line[colon + 1..].trim_ascii();
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    headers
}

/// Nobody connects.
struct NoDevices;

impl DeviceDirectory for NoDevices {
    fn authenticate(
        &self,
        _: DeviceId,
        _: UserId,
        _: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }

    fn owns_permission(
        &self,
        _: UserId,
        _: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }

    fn away_grace(
        &self,
        _: UserId,
    ) -> BoxFuture<'_, Result<Option<std::time::Duration>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn urgency_min(&self, _: UserId, _: DeviceId) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async { Ok(Urgency::VeryLow) })
    }

    fn note_seen(&self, _: UserId, _: DeviceId, _: Timestamp) {}
}

struct Server {
    runtime: Runtime,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let router = runtime.block_on(Self::router(folder.path()));
        Self {
            runtime,
            router,
            _folder: folder,
        }
    }

    async fn router(folder: &std::path::Path) -> Router {
        let url = format!("sqlite:{}", folder.join("directory.sqlite").display());
        let directory = Directory::open(&url).await.expect("a directory");
        seed(&directory).await;
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(|| Timestamp::from_millis(START));
        let hub = Hub::start();
        let mailbox = EmbeddedMailbox::open(
            &folder.join("mailbox"),
            MailboxLimits::default(),
            Arc::clone(&clock),
            hub.commit_listener(),
        );
        let mailbox = Arc::new(mailbox.expect("a mailbox"));
        let devices = Arc::new(NoDevices);
        let settings = belfry_broker::Settings::default();
        let broker = Broker::start(hub, Arc::clone(&mailbox), devices, settings);
        let settings = Settings {
            public_url: "https://push.example".to_owned(),
            mqtt_url: "wss://push.example/mqtt".to_owned(),
            mqtt_tcp: "mqtts://push.example:8883".to_owned(),
            registration: belfry_config::Registration::Open,
            accounts_per_hour: 1_000_000,
            sign_in_failures_per_minute: 5,
            password_hashes: 1,
            devices_per_user: 20,
            permissions_per_user: 20,
            device_idle: std::time::Duration::ZERO,
            account_idle: std::time::Duration::ZERO,
            away_grace: std::time::Duration::from_secs(30),
            trusted_proxies: TrustedProxies::default(),
        };
        let accounts = Accounts::new(directory, mailbox, broker, clock, settings);
        accounts.0.sign_ins.hashing.fill();
        let (router, _) = accounts.router().split_for_parts();
        belfry_edge::layers::finish(router)
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await;
        (parts.status, body.expect("a bounded body").to_vec())
    }
}

/// One user with a sign-in, a device and a permission.
async fn seed(directory: &Directory) {
    let at = Timestamp::from_millis(START);
    let made = directory.create_account(user(), "ada", "", at).await;
    made.expect("an account");
    let sign_in = SignIn {
        id: SessionId::from_bytes([4; 16]),
        user: user(),
        device: None,
        created: at,
        used: at,
        expires: at.plus(SIGN_IN_LIFETIME),
    };
    let token = SecretHash::of(TOKEN.as_bytes());
    let made = directory.create_sign_in(token, &sign_in).await;
    made.expect("a sign-in");
    let new = NewDevice {
        device: Device {
            id: device(),
            name: "laptop".to_owned(),
            kind: DeviceKind::Cli,
            public_key: [9; 32],
            urgency_min: Urgency::VeryLow,
            created: at,
            last_seen: None,
        },
        password: SecretHash::of(PASSWORD.as_bytes()),
        made_with: SessionId::from_bytes([5; 16]),
    };
    let made = directory.create_device(user(), &new).await;
    made.expect("a device");
    let new = NewPermission {
        permission: Permission {
            id: permission(),
            site: "https://news.example".parse().expect("an origin"),
            name: None,
            state: PermissionState::Allowed,
            receipts: false,
            created: at,
            accepted: 0,
            last_used: None,
        },
        application_server_key: None,
        endpoint: SecretHash::of(b"endpoint"),
    };
    let made = directory.create_permission(user(), &new).await;
    made.expect("a permission");
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    replay::replay("account", 1_500, request);
}
