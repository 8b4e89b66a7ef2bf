//! The rooms as the dashboard's pages see them, over a real directory, with a clock of the test's own.
#![allow(clippy::unwrap_used)]

mod links;
mod own;
mod passkeys;
mod setup;
mod sign_in;

use super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use belfry_broker::{BoxFuture, DeviceDirectory, Hub, Unavailable};
use belfry_edge::attempts::Attempts;
use belfry_edge::password::Hashing;
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_store::directory::{Actor, AuditFilter, Role};
use belfry_store::mailbox::MailboxLimits;
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::ServiceExt as _;

const START: u64 = 1_800_000_000_000;
const PASSWORD: &str = "correct horse battery";
const URL: &str = "https://push.example";

/// No device connects here.
struct Nobody;

impl DeviceDirectory for Nobody {
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

    fn away_grace(&self, _: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn urgency_min(&self, _: UserId, _: DeviceId) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async { Ok(Urgency::VeryLow) })
    }

    fn note_seen(&self, _: UserId, _: DeviceId, _: Timestamp) {}
}

struct Server {
    admin: Admin,
    router: Router,
    now: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

/// What a browser has and is.
#[derive(Clone)]
struct Browser {
    cookie: Option<String>,
    from: u8,
    /// Whether its requests say that our page made them.
    ours: bool,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    /// The last part of a problem's type.
    fn kind(&self) -> (u16, &str) {
        let kind = self.json["type"].as_str().unwrap_or_default();
        (self.status, kind.rsplit('/').next().unwrap_or_default())
    }
}

impl Server {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("directory.sqlite");
        let directory = Directory::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let now = Arc::new(AtomicU64::new(START));
        let read = Arc::clone(&now);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
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
            Arc::new(Nobody),
            belfry_broker::Settings::default(),
        );
        let sign_ins = SignIns {
            hashing: Hashing::new(2),
            attempts: Attempts::new(5, 5),
        };
        let settings = Settings {
            looking: crate::proof::Looking::nowhere(),
            public_url: URL.to_owned(),
            admin_url: URL.to_owned(),
            trusted_proxies: TrustedProxies::default(),
            configured: Configured::of(&belfry_config::Config::default()),
            open_message: Arc::new(|_| None),
        };
        let sign_ins = Arc::new(sign_ins);
        let health = HealthSettings {
            data_dir: folder.path().to_owned(),
            disk_free_min: 0,
            stuck_after: Duration::from_secs(60),
        };
        let watched = Watched {
            figures: Figures::new(Tally::default(), directory.clone(), Arc::clone(&clock)),
            health: Health::new(
                health,
                directory.clone(),
                Arc::clone(&mailbox),
                broker.clone(),
            ),
        };
        let admin = Admin::new(
            directory, mailbox, broker, clock, sign_ins, watched, settings,
        );
        let router = belfry_edge::layers::finish(admin.clone().router().into());
        Self {
            admin,
            router,
            now,
            _folder: folder,
        }
    }

    fn later(&self, secs: u64) {
        self.now.fetch_add(secs * 1_000, Ordering::SeqCst);
    }

    /// An account.
    async fn account(&self, name: &str, role: Role) -> UserId {
        let address = belfry_edge::ClientAddress([192, 0, 2, 200].into()).key();
        let place = self.admin.sign_ins.hashing.place(address).unwrap();
        let hash = place.hash(PASSWORD.to_owned()).await.unwrap();
        let user = UserId::from_bytes(belfry_edge::random().unwrap());
        let (directory, now) = (&self.admin.directory, self.admin.now());
        directory
            .create_account(user, name, &hash, now)
            .await
            .unwrap();
        let given = directory.set_role(user, role, &Actor::Operator, now).await;
        assert!(given.unwrap());
        user
    }

    /// A browser in which nobody is signed in.
    fn browser(&self) -> Browser {
        Browser {
            cookie: None,
            from: 1,
            ours: true,
        }
    }

    /// One in which somebody is.
    async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = self.sign_in(&mut browser, name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        browser
    }

    async fn sign_in(&self, browser: &mut Browser, name: &str, password: &str) -> Answer {
        let body = json!({"username": name, "password": password});
        self.ask(browser, "POST", "/sign-in", body).await
    }

    async fn get(&self, browser: &mut Browser, path: &str) -> Answer {
        self.ask(browser, "GET", path, Value::Null).await
    }

    async fn ask(&self, browser: &mut Browser, method: &str, path: &str, body: Value) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1{path}"));
        if let Some(cookie) = &browser.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if browser.ours {
            request = request
                .header(header::ORIGIN, URL)
                .header("X-Belfry-Admin", "1");
        }
        let peer = SocketAddr::from(([192, 0, 2, browser.from], 1));
        let request = request.extension(ConnectInfo(peer));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into()),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(cookie) = parts.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            let gone = cookie.ends_with('=');
            browser.cookie = (!gone).then(|| cookie.to_owned());
        }
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let stored = parts.headers.get(header::CACHE_CONTROL);
        assert_eq!(stored.unwrap(), "no-store");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// What was done, newest first.
    async fn acts(&self) -> Vec<(String, Option<String>)> {
        let all = AuditFilter::default();
        let rows = self.admin.directory.audit(&all, 100);
        let rows = rows.await.unwrap().into_iter();
        rows.map(|row| (row.act, row.target)).collect()
    }
}
