//! Fuzz targets: posts from anyone, one or many in a call, through the real routes over a real
//! directory and mailbox.

mod publish;

pub use publish::publish;

use crate::{Bridge, PushLimits, SealingKey, Settings};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_edge::TrustedProxies;
use belfry_protocol::body::check_structure;
use belfry_protocol::id::{PermissionId, SiteKeyId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::{BODY_BYTES_MAX, ContentEncoding, Ttl};
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{
    Actor, Directory, NewPermission, Permission, PermissionState, SiteKey, VapidKey,
};
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use belfry_store::mailbox::{Command, Mailbox as _, MailboxLimits};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const START: u64 = 1_800_000_000_000;
const TTL_MAX: u32 = 3_600;
/// High enough that no run meets them: what is refused here is refused for what it is.
const RATE: u32 = 1_000_000;
const RESTRICTED: u8 = 2;
const REVOKED: u8 = 3;

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

/// Header lines, an empty line, and a body. The first byte chooses the endpoint and whether a line
/// `Claims: …` is signed as a VAPID token.
pub fn push(input: &[u8]) {
    let [choices, rest @ ..] = input else {
        return;
    };
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&rest[..end], &rest[end + 2..]),
        None => (rest, &[][..]),
    };
    let number = choices % 5;
    let path = match number {
        4 => "/push/short".to_owned(),
        number => format!("/push/{}", secret(number).expose()),
    };
    let mut request = Request::post(path).body(Body::from(body.to_vec()));
    if let Ok(request) = &mut request {
        *request.headers_mut() = headers(head);
        let headers = request.headers().clone();
        let request = std::mem::replace(request, Request::new(Body::empty()));
        let (status, answer, problem) = SITE.runtime.block_on(SITE.ask(request));
        judge(number, &headers, body, status, &answer, &problem);
    }
}

/// Whether the answer is one that this request may have.
fn judge(
    number: u8,
    headers: &HeaderMap,
    body: &[u8],
    status: StatusCode,
    answer: &HeaderMap,
    problem: &[u8],
) {
    if ![StatusCode::CREATED, StatusCode::ACCEPTED].contains(&status) {
        assert!(
            matches!(
                status.as_u16(),
                400 | 401 | 403 | 404 | 410 | 413 | 415 | 422
            ),
            "{status}"
        );
        let problem: Problem = serde_json::from_slice(problem).expect("a problem");
        assert_eq!(problem.status, status.as_u16());
        return;
    }
    assert!(number == 1 || number == RESTRICTED, "endpoint {number}");
    assert!((1..=BODY_BYTES_MAX).contains(&body.len()));
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        assert!(values.next().is_none(), "{name} twice");
        value
    };
    let ttl: Ttl = one("ttl").expect("a TTL").parse().expect("digits");
    let in_force = answer["ttl"].to_str().expect("text");
    assert_eq!(in_force, ttl.as_secs().min(TTL_MAX).to_string());
    let encoding = one("content-encoding").expect("an encoding");
    let encoding: ContentEncoding = encoding.parse().expect("one of two");
    assert_eq!(check_structure(encoding, body), Ok(()));
    assert!(number != RESTRICTED || one("authorization").is_some());
    assert!(answer.contains_key(header::LOCATION));
    let told = status == StatusCode::ACCEPTED;
    assert!(!told || (number == 1 && headers.contains_key("prefer")));
    assert_eq!(answer.contains_key(header::LINK), told);
}

fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let (name, value) = match name.eq_ignore_ascii_case(b"claims") {
            true => (&b"authorization"[..], signed(value).into_bytes()),
            false => (name, value.to_vec()),
        };
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// A VAPID token of the key that one endpoint asks for, over whatever claims.
fn signed(claims: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(br#"{"alg":"ES256"}"#), part(claims));
    let signature: Signature = key().sign(signed.as_bytes());
    let (signature, public) = (part(&signature.to_bytes()), part(&public()));
    format!("vapid t={signed}.{signature}, k={public}")
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a key")
}

fn public() -> Vec<u8> {
    let point = key().verifying_key().to_encoded_point(false);
    point.as_bytes().to_vec()
}

fn secret(number: u8) -> Secret {
    Secret::from_random([number; 24])
}

/// A bridge whose clock stands still but for a second a post.
struct Site {
    runtime: Runtime,
    router: Router,
    now: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let now = Arc::new(AtomicU64::new(START));
        let router = runtime.block_on(Self::router(folder.path(), &now));
        Self {
            runtime,
            router,
            now,
            _folder: folder,
        }
    }

    async fn router(folder: &std::path::Path, now: &Arc<AtomicU64>) -> Router {
        let url = format!("sqlite:{}", folder.join("directory.sqlite").display());
        let directory = Directory::open(&url).await.expect("a directory");
        let reading = Arc::clone(now);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(move || Timestamp::from_millis(reading.load(Ordering::SeqCst)));
        let mailbox = EmbeddedMailbox::open(
            &folder.join("mailbox"),
            MailboxLimits::default(),
            Arc::clone(&clock),
            Box::new(|_| {}),
        );
        let mailbox = Arc::new(mailbox.expect("a mailbox"));
        let user = UserId::from_bytes([1; 16]);
        let at = Timestamp::from_millis(START);
        let made = directory.create_account(user, "ada", "x", at).await;
        made.expect("an account");
        for (number, state, key) in [
            (1, PermissionState::Allowed, None),
            (RESTRICTED, PermissionState::Muted, Some(public())),
            (REVOKED, PermissionState::Revoked, None),
        ] {
            let permission = Permission {
                id: PermissionId::from_bytes([number; 16]),
                site: "https://news.example".parse().expect("an origin"),
                name: None,
                state,
                receipts: number == 1,
                created: at,
                accepted: 0,
                last_used: None,
            };
            let new = NewPermission {
                permission: permission.clone(),
                application_server_key: key,
                endpoint: secret(number).hash(),
            };
            let made = directory.create_permission(user, &new).await;
            made.expect("a permission");
            // One is made allowed.
            let changed = directory.update_permission(user, &permission).await;
            changed.expect("its state");
            let set = Command::SetPermission {
                user,
                permission: permission.id,
                site: permission.site,
                muted: state == PermissionState::Muted,
                receipts: permission.receipts,
                endpoint: new.endpoint,
            };
            for outcome in mailbox.apply(vec![set]).await {
                outcome.expect("it is set");
            }
        }
        let origin = "https://news.example".parse().expect("an origin");
        let made = directory
            .create_site(&origin, "proof", &Actor::Operator, at)
            .await;
        made.expect("a site");
        directory
            .prove_site(&origin, &Actor::Operator, at)
            .await
            .expect("proven");
        let api_key = SiteKey {
            id: SiteKeyId::from_bytes([1; 16]),
            name: None,
            created: at,
            last_used: None,
            revoked: None,
        };
        let made = directory.create_site_key(&origin, &api_key, publish::key(), &Actor::Operator);
        made.await.expect("an API key");
        let vapid = VapidKey {
            with: None,
            public: public(),
            created: at,
        };
        let registered = directory
            .register_vapid_key(&origin, &vapid, &Actor::Operator)
            .await;
        registered.expect("a VAPID key");
        let settings = Settings {
            public_url: "https://push.example".to_owned(),
            public_url_former: Vec::new(),
            ttl_max: Duration::from_secs(TTL_MAX.into()),
            limits: PushLimits {
                permission_per_minute: RATE,
                permission_burst: RATE,
                site_per_second: RATE,
                site_per_day: u64::from(RATE) * 1_000,
                unproven_per_second: RATE,
                unproven_address_per_second: RATE,
            },
            trusted_proxies: TrustedProxies::default(),
        };
        let sealing = SealingKey::new([9; 32]);
        let bells = crate::Bells::default();
        let bridge = Bridge::new(directory, mailbox, bells, sealing, clock, settings);
        let (router, _) = crate::router(bridge).split_for_parts();
        belfry_edge::layers::finish(router)
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.now.fetch_add(1_000, Ordering::SeqCst);
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 8 * 1024 * 1024).await;
        (
            parts.status,
            parts.headers,
            body.expect("a short body").to_vec(),
        )
    }
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    replay::replay("push", 1_500, push);
}
