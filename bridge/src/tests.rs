//! The bridge as a site sees it, over a real directory and a real mailbox.

#![allow(clippy::unwrap_used)]

use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::secret::Secret;
use belfry_store::directory::{NewPermission, Permission, PermissionState};
use belfry_store::mailbox::{Command, Commit, HistoryRange, Mailbox as _, MailboxLimits, Seq};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tower::ServiceExt as _;

mod bans;
mod clauses;
mod described;
mod draining;
mod faults;
mod limits;
mod pages;
mod publish;
mod receipts;
mod repeats;
mod webhooks;

const START: u64 = 1_800_000_000_000;
const SITE: &str = "https://news.example";
const TTL_MAX: u64 = 3_600;
const BURST: u32 = 3;
const UNPROVEN: u32 = 10;
const ADDRESS: u32 = 16;
const SITE_PER_SECOND: u32 = 16;

struct Site {
    bridge: Bridge,
    router: Router,
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    now: Arc<AtomicU64>,
    /// Published without being stored.
    transient: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    problem: serde_json::Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The path of the message URL.
    fn message(&self) -> &str {
        self.header("location")
            .strip_prefix("https://push.example")
            .unwrap()
    }
}

fn user() -> UserId {
    UserId::from_bytes([1; 16])
}

fn other() -> UserId {
    UserId::from_bytes([2; 16])
}

fn limits() -> PushLimits {
    PushLimits {
        permission_per_minute: 60,
        permission_burst: BURST,
        site_per_second: SITE_PER_SECOND,
        site_per_day: 5_000_000,
        unproven_per_second: UNPROVEN,
        unproven_address_per_second: ADDRESS,
    }
}

fn secret(number: u8) -> Secret {
    Secret::from_random([number; 24])
}

fn body(number: u8) -> Vec<u8> {
    vec![number; 168]
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key()
        .to_encoded_point(false)
        .as_bytes()
        .to_vec()
}

fn vapid(key: &SigningKey) -> String {
    vapid_for("https://push.example", key)
}

fn vapid_for(audience: &str, key: &SigningKey) -> String {
    let claims = format!(r#"{{"aud":"{audience}","exp":{}}}"#, START / 1000 + 600);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        part(br#"{"typ":"JWT","alg":"ES256"}"#),
        part(claims.as_bytes())
    );
    let signature: Signature = key.sign(signed.as_bytes());
    format!(
        "vapid t={signed}.{}, k={}",
        part(&signature.to_bytes()),
        part(&public(key))
    )
}

impl Site {
    async fn new() -> Self {
        Self::limited(limits()).await
    }

    async fn limited(limits: PushLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "sqlite:{}",
            folder.path().join("directory.sqlite").display()
        );
        let directory = Directory::open(&url).await.unwrap();
        let now = Arc::new(AtomicU64::new(START));
        let reading = Arc::clone(&now);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(move || Timestamp::from_millis(reading.load(Ordering::SeqCst)));
        let transient = Arc::new(AtomicUsize::new(0));
        let published = Arc::clone(&transient);
        let bells = Bells::default();
        let mailbox = EmbeddedMailbox::open(
            &folder.path().join("mailbox"),
            MailboxLimits::default(),
            Arc::clone(&clock),
            bells.before(Box::new(move |commits| {
                let once = commits
                    .iter()
                    .filter(|commit| matches!(commit, Commit::Transient { .. }));
                published.fetch_add(once.count(), Ordering::SeqCst);
            })),
        );
        let mailbox = Arc::new(mailbox.unwrap());
        let bridge = Bridge::new(
            directory.clone(),
            Arc::clone(&mailbox),
            bells,
            SealingKey::new([9; 32]),
            clock,
            Settings {
                public_url: "https://push.example".to_owned(),
                public_url_former: vec!["http://old.example:8080/base".to_owned()],
                ttl_max: Duration::from_secs(TTL_MAX),
                limits,
                trusted_proxies: TrustedProxies::default(),
            },
        );
        for (user, name) in [(user(), "ada"), (other(), "bob")] {
            let made = directory.create_account(user, name, "x", Timestamp::from_millis(START));
            made.await.unwrap();
        }
        let (router, _) = router(bridge.clone()).split_for_parts();
        let router = belfry_edge::layers::finish(router);
        let site = Self {
            bridge,
            router,
            directory,
            mailbox,
            now,
            transient,
            _folder: folder,
        };
        site.approve(1, None).await;
        site
    }

    async fn approve(&self, number: u8, restricted_to: Option<Vec<u8>>) -> Permission {
        self.approve_for(user(), number, restricted_to).await
    }

    async fn approve_for(
        &self,
        owner: UserId,
        number: u8,
        restricted_to: Option<Vec<u8>>,
    ) -> Permission {
        self.approve_site(owner, number, SITE, restricted_to).await
    }

    async fn approve_site(
        &self,
        owner: UserId,
        number: u8,
        site: &str,
        restricted_to: Option<Vec<u8>>,
    ) -> Permission {
        let permission = Permission {
            id: PermissionId::from_bytes([number; 16]),
            site: site.parse().unwrap(),
            name: None,
            state: PermissionState::Allowed,
            receipts: false,
            created: Timestamp::from_millis(START),
            accepted: 0,
            last_used: None,
        };
        let new = NewPermission {
            permission: permission.clone(),
            application_server_key: restricted_to,
            endpoint: secret(number).hash(),
        };
        self.directory.create_permission(owner, &new).await.unwrap();
        self.command(Command::SetPermission {
            user: owner,
            permission: permission.id,
            site: permission.site.clone(),
            muted: false,
            receipts: permission.receipts,
            endpoint: new.endpoint,
        })
        .await;
        permission
    }

    async fn command(&self, command: Command) {
        for answer in self.mailbox.apply(vec![command]).await {
            answer.unwrap();
        }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.body(Body::from(body)).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            problem: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// A good post with more headers; one named here replaces the good one.
    async fn post(&self, number: u8, more: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let good = [("TTL", "60"), ("Content-Encoding", "crypto-box")];
        let kept = good
            .iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let headers: Vec<_> = kept
            .chain(more)
            .copied()
            .filter(|(_, value)| *value != "absent")
            .collect();
        let path = format!("/push/{}", secret(number).expose());
        self.ask("POST", &path, &headers, body).await
    }

    async fn stored(&self) -> usize {
        let all = HistoryRange::After(Seq(0));
        self.mailbox.history(user(), all, 100).await.unwrap().len()
    }
}

#[tokio::test]
async fn endpoints_unknown_revoked_and_blocked_are_told_apart() {
    let site = Site::new().await;
    assert_eq!(site.post(7, &[], body(1)).await.status, 404);
    assert_eq!(
        site.ask("POST", "/push/short", &[], body(1)).await.status,
        404
    );
    let mut other = site.approve(2, None).await;
    other.state = PermissionState::Revoked;
    site.directory
        .update_permission(user(), &other)
        .await
        .unwrap();
    assert_eq!(site.post(2, &[], body(1)).await.status, 410);
    let blocked = Command::BlockSite {
        site: SITE.parse().unwrap(),
        blocked: true,
    };
    site.command(blocked).await;
    assert_eq!(site.post(1, &[], body(1)).await.status, 403);
}

#[tokio::test]
async fn what_is_stored_can_be_withdrawn_by_its_url_until_it_expires() {
    let site = Site::new().await;
    let answer = site
        .post(1, &[("TTL", "99999"), ("Prefer", "respond-async")], body(1))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("ttl"), TTL_MAX.to_string());
    let message = answer.message();
    assert_eq!(message.len(), "/push/message/".len() + 64);
    assert_eq!(site.stored().await, 1);
    let (kept, _) = message.split_at(message.len() - 2);
    let forged = site
        .ask("DELETE", &format!("{kept}.."), &[], Vec::new())
        .await;
    assert_eq!(forged.status, 404);
    assert_eq!(site.stored().await, 1);
    for _ in 0..2 {
        assert_eq!(
            site.ask("DELETE", message, &[], Vec::new()).await.status,
            204
        );
    }
    assert_eq!(site.stored().await, 0);
    assert_eq!(site.ask("GET", message, &[], Vec::new()).await.status, 405);
    site.now.fetch_add(TTL_MAX * 1000, Ordering::SeqCst);
    assert_eq!(
        site.ask("DELETE", message, &[], Vec::new()).await.status,
        404
    );
}

#[tokio::test]
async fn a_restricted_endpoint_takes_its_own_key_alone() {
    let site = Site::new().await;
    site.approve(2, Some(public(&key(7)))).await;
    let none = site.post(2, &[], body(1)).await;
    assert_eq!(
        (none.status.as_u16(), none.header("www-authenticate")),
        (401, "vapid")
    );
    let other = vapid(&key(8));
    assert_eq!(
        site.post(2, &[("Authorization", &other)], body(1))
            .await
            .status,
        403
    );
    assert_eq!(
        site.post(1, &[("Authorization", &other)], body(1))
            .await
            .status,
        201
    );
    let own = vapid(&key(7));
    assert_eq!(
        site.post(2, &[("Authorization", &own)], body(1))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn without_a_ttl_it_goes_out_once_and_its_url_links_nothing() {
    let site = Site::new().await;
    site.approve(2, None).await;
    let first = site.post(1, &[("TTL", "0")], body(1)).await;
    let second = site.post(2, &[("TTL", "0")], body(2)).await;
    assert_eq!((first.status.as_u16(), first.header("ttl")), (201, "0"));
    // A stored one, after whose answer the listener has been told of those before it.
    assert_eq!(site.post(1, &[], body(3)).await.status, 201);
    assert_eq!(site.transient.load(Ordering::SeqCst), 2);
    assert_eq!(site.stored().await, 1);
    assert_eq!(
        site.ask("DELETE", first.message(), &[], Vec::new())
            .await
            .status,
        404
    );
    assert_ne!(
        first.message(),
        second.message(),
        "two endpoints of one user must not be seen to share a mailbox"
    );
}

#[tokio::test]
async fn a_token_for_a_former_public_url_is_good() {
    let site = Site::new().await;
    for (audience, status) in [
        ("http://old.example:8080", 201),
        ("https://push.example:443/", 201),
        ("https://old.example:8080", 403),
    ] {
        let token = vapid_for(audience, &key(7));
        let answer = site.post(1, &[("Authorization", &token)], body(1)).await;
        assert_eq!(answer.status, status, "{audience} {}", answer.problem);
    }
    site.now.fetch_add(601_000, Ordering::SeqCst);
    let expired = vapid(&key(7));
    let answer = site.post(1, &[("Authorization", &expired)], body(1)).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn nothing_goes_out_once_a_revocation_is_answered() {
    let site = Site::new().await;
    let once = [("TTL", "0")];
    let mut accepted = 0;
    for number in 2..12 {
        let permission = site.approve(number, None).await.id;
        // Another second, so that no rate is reached.
        site.now.fetch_add(1_000, Ordering::SeqCst);
        let revoke = Command::Revoke {
            user: user(),
            permission,
        };
        let revoked = async {
            site.command(revoke).await;
            assert_eq!(site.post(number, &once, body(3)).await.status, 410);
        };
        let before = site.post(number, &once, body(1));
        let beside = site.post(number, &once, body(2));
        let (before, (), beside) = tokio::join!(before, revoked, beside);
        for answer in [before, beside] {
            assert!([201, 410].contains(&answer.status.as_u16()));
            accepted += usize::from(answer.status == 201);
        }
    }
    // After its answer the listener has been told of all before it.
    assert_eq!(site.post(1, &[], body(1)).await.status, 201);
    assert_eq!(site.transient.load(Ordering::SeqCst), accepted);
}
