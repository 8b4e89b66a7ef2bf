//! Events on their way to receivers that do what they like, over real TLS, with names that lead where a
//! test says.

use super::*;
use crate::{Names, WebhookSettings, Webhooks};
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_store::directory::{Actor, SiteKey};
use rustls::pki_types::PrivateKeyDer;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const KEY: &str = "belfry_site_one";
const HOST: &str = "hooks.example";
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// What a receiver does with one request.
#[derive(Debug, Clone)]
enum Does {
    Answers(&'static str),
    Nothing,
    /// Sends a body without end.
    Floods,
}

const TAKES: Does = Does::Answers("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
const FAILS: Does =
    Does::Answers("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

/// Authority and certificate of `hooks.example`, and a client that trusts them.
struct Tls {
    acceptor: TlsAcceptor,
    client: rustls::ClientConfig,
}

impl Tls {
    fn make() -> Self {
        let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            client,
        }
    }
}

/// A receiver, by what comes: the `webhook-id` of each request that came whole.
struct Receiver {
    port: u16,
    ids: mpsc::UnboundedReceiver<String>,
}

impl Receiver {
    /// Does these things, one a request, and takes all that come after.
    async fn start(tls: &Tls, does: impl IntoIterator<Item = Does>) -> Self {
        Self::start_at(tls, (Ipv4Addr::LOCALHOST, 0).into(), does).await
    }

    async fn start_at(
        tls: &Tls,
        address: SocketAddr,
        does: impl IntoIterator<Item = Does>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, ids) = mpsc::unbounded_channel();
        let acceptor = tls.acceptor.clone();
        let mut does: VecDeque<Does> = does.into_iter().collect();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let Some(id) = read(&mut stream).await else {
                    continue;
                };
                sender.send(id).unwrap();
                let does = does.pop_front().unwrap_or(TAKES);
                tokio::spawn(async move {
                    match does {
                        Does::Answers(text) => {
                            let _ = stream.write_all(text.as_bytes()).await;
                            let _ = stream.shutdown().await;
                        }
                        Does::Nothing => std::future::pending().await,
                        Does::Floods => {
                            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
                            let _ = stream.write_all(head).await;
                            while stream.write_all(&[b'a'; 65_536]).await.is_ok() {}
                        }
                    }
                });
            }
        });
        Self { port, ids }
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(30), self.ids.recv());
        next.await.unwrap().unwrap()
    }

    /// Which place in the log the next has.
    async fn place(&mut self) -> u64 {
        let id = self.next().await;
        id.split('_').nth(1).unwrap().parse().unwrap()
    }
}

/// Reads one request; its id.
async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let value = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map(|line| line.trim().to_owned())
            };
            let length: usize = value("content-length:")?.parse().ok()?;
            if body.len() >= length {
                return value("webhook-id:");
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn leads_to(addresses: &'static [&'static str]) -> (Names, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let names: Names = Arc::new(move |name| {
        assert_eq!(name, HOST);
        // One after another, the last for ever.
        let number = counting.fetch_add(1, Ordering::SeqCst);
        let all = addresses[number.min(addresses.len() - 1)];
        let all: Vec<IpAddr> = all.split(' ').map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(all)))
    });
    (names, asked)
}

struct Sending {
    site: Site,
    webhooks: Webhooks,
    permissions: Mutex<u8>,
    stopping: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Sending {
    /// A site with a webhook on that port of `hooks.example`.
    async fn start(tls: &Tls, names: Names, allow: &str, port: u16) -> Self {
        let site = Site::new().await;
        let origin: Origin = SITE.parse().unwrap();
        let at = Timestamp::from_millis(START);
        site.directory
            .create_site(&origin, "proof", &Actor::Operator, at)
            .await
            .unwrap();
        site.directory
            .prove_site(&origin, &Actor::Operator, at)
            .await
            .unwrap();
        let key = SiteKey {
            id: SiteKeyId::from_bytes([1; 16]),
            name: None,
            created: at,
            last_used: None,
            revoked: None,
        };
        let hash = SecretHash::of(KEY.as_bytes());
        let made = site
            .directory
            .create_site_key(&origin, &key, hash, &Actor::Operator);
        made.await.unwrap();
        let settings = WebhookSettings {
            allow: vec![allow.parse().unwrap()],
            tls: tls.client.clone(),
            names,
            answer_timeout: ANSWER_TIMEOUT,
            secret: [7; 32],
        };
        let webhooks = Webhooks::new(site.bridge.clone(), settings).unwrap();
        let (stopping, task) = run(&webhooks);
        let sending = Self {
            site,
            webhooks,
            permissions: Mutex::new(10),
            stopping,
            task,
        };
        let url = format!("https://{HOST}:{port}/hooks");
        let set = sending.ask("PUT", &serde_json::json!({ "url": url })).await;
        assert_eq!(set.status, 200, "{}", set.problem);
        let keys = sending.site.directory.site_keys(&origin).await.unwrap();
        assert_eq!(
            keys[0].last_used,
            Some(at),
            "its use, though nothing was sent"
        );
        sending
    }

    async fn ask(&self, method: &str, body: &serde_json::Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri("/v1/site/webhook")
            .header("Authorization", format!("Bearer {KEY}"))
            .header("Content-Type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let (router, _) = self.webhooks.router().split_for_parts();
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 65_536).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            problem: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// Something to tell.
    async fn revoke(&self) {
        let number = {
            let mut number = self.permissions.lock().unwrap();
            *number += 1;
            *number
        };
        let permission = self.site.approve(number, None).await.id;
        let user = user();
        self.site
            .command(Command::Revoke { user, permission })
            .await;
    }

    /// Waits until sending stands like this, and says what was wrong last.
    async fn stands(&self, state: &str) -> String {
        let patience = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let shown = self.ask("GET", &serde_json::Value::Null).await.problem;
            if shown["state"] == state {
                return shown["failure"].as_str().unwrap_or_default().to_owned();
            }
            assert!(std::time::Instant::now() < patience, "{shown}");
            tokio::task::yield_now().await;
        }
    }

    async fn restart(&mut self) {
        self.stopping.cancel();
        (&mut self.task).await.unwrap();
        (self.stopping, self.task) = run(&self.webhooks);
    }
}

fn run(webhooks: &Webhooks) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stopping = CancellationToken::new();
    let task = tokio::spawn(webhooks.clone().run(stopping.clone()));
    (stopping, task)
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_before_all_that_follows() {
    let tls = Tls::make();
    let mut elsewhere = Receiver::start(&tls, []).await;
    let redirect = format!(
        "HTTP/1.1 307 There\r\nLocation: https://{HOST}:{}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        elsewhere.port
    );
    // Static, as all else that receivers say.
    let redirect = Does::Answers(redirect.leak());
    let does = [FAILS, Does::Nothing, redirect, TAKES, Does::Floods];
    let mut receiver = Receiver::start(&tls, does).await;
    let (names, _) = leads_to(&["127.0.0.1"]);
    let sending = Sending::start(&tls, names, "127.0.0.1/32", receiver.port).await;
    for _ in 0..3 {
        sending.revoke().await;
    }
    let mut places = Vec::new();
    for _ in 0..6 {
        places.push(receiver.place().await);
    }
    assert_eq!(
        places,
        [1, 1, 1, 1, 2, 3],
        "a failure, no answer, and a redirect"
    );
    assert_eq!(sending.stands("ok").await, "");
    assert!(elsewhere.ids.try_recv().is_err(), "no redirect is followed");
}

#[tokio::test]
async fn what_was_not_taken_when_the_server_stopped_is_sent_after_its_start() {
    let tls = Tls::make();
    let mut receiver = Receiver::start(&tls, [TAKES, FAILS]).await;
    let (names, _) = leads_to(&["127.0.0.1"]);
    let mut sending = Sending::start(&tls, names, "127.0.0.1/32", receiver.port).await;
    sending.revoke().await;
    assert_eq!(receiver.place().await, 1);
    sending.stands("ok").await;
    sending.revoke().await;
    assert_eq!(receiver.place().await, 2);
    assert_eq!(sending.stands("retrying").await, "the status 500");
    sending.restart().await;
    sending.revoke().await;
    assert_eq!(receiver.place().await, 2);
    assert_eq!(receiver.place().await, 3);
}

#[tokio::test]
async fn who_wants_no_more_is_let_alone_and_goes_on_where_it_stopped() {
    let tls = Tls::make();
    let gone = Does::Answers("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut receiver = Receiver::start(&tls, [gone]).await;
    let (names, _) = leads_to(&["127.0.0.1"]);
    let mut sending = Sending::start(&tls, names, "127.0.0.1/32", receiver.port).await;
    sending.revoke().await;
    sending.revoke().await;
    assert_eq!(receiver.place().await, 1);
    assert_eq!(sending.stands("failing").await, "the status 410");
    sending.restart().await;
    let url = format!("https://{HOST}:{}/other", receiver.port);
    let set = sending.ask("PUT", &serde_json::json!({ "url": url })).await;
    assert_eq!(set.status, 200);
    assert_eq!(receiver.place().await, 1);
    assert_eq!(receiver.place().await, 2);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called_whatever_else_it_leads_to() {
    let tls = Tls::make();
    let mut receiver = Receiver::start(&tls, []).await;
    for addresses in [
        &["10.0.0.1"][..],
        &["127.0.0.1 10.0.0.1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254 127.0.0.1"],
    ] {
        // Static, as the names are asked for as long as the program runs.
        let addresses: &'static [&'static str] = Box::leak(addresses.to_vec().into_boxed_slice());
        let (names, asked) = leads_to(addresses);
        let sending = Sending::start(&tls, names, "127.0.0.1/32", receiver.port).await;
        sending.revoke().await;
        let failure = sending.stands("retrying").await;
        assert!(failure.contains("does not call"), "{failure}");
        assert!(asked.load(Ordering::SeqCst) >= 1);
        assert!(receiver.ids.try_recv().is_err(), "nobody was called");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_address_that_was_judged_is_called() {
    let tls = Tls::make();
    // The same port at two addresses of this machine, of which one is allowed.
    let inside = Receiver::start(&tls, []).await;
    let outside: IpAddr = "127.0.0.2".parse().unwrap();
    let outside = SocketAddr::new(outside, inside.port);
    let mut outside = Receiver::start_at(&tls, outside, []).await;
    let (names, asked) = leads_to(&["127.0.0.2", "127.0.0.1"]);
    let sending = Sending::start(&tls, names, "127.0.0.2/32", inside.port).await;
    sending.revoke().await;
    assert_eq!(outside.place().await, 1);
    sending.stands("ok").await;
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "one look-up for one connection"
    );
    // The connection is closed, and the name leads inside now.
    sending.revoke().await;
    let failure = sending.stands("retrying").await;
    assert!(failure.contains("does not call"), "{failure}");
    let mut inside = inside;
    assert!(inside.ids.try_recv().is_err(), "nobody was called");
}
