//! The HTTP listener: plain or TLS, each connection a tracked task that drains at the end.
//!
//! hyper is driven directly, not through `axum::serve`, for what that one lacks: TLS, the peer's
//! address beside it, and limits: on connections of one address, on how long and how large a request's
//! head may be, and on how long an answer may wait to be read.

mod connections;
mod lent;
mod stalling;

use crate::unparsed::Explaining;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use belfry_acl::ban::{Ban, Bans};
use belfry_broker::PeerAddress;
use belfry_edge::{ApiError, ClientAddress, TrustedProxies};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use connections::Connections;
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lent::Lent;
use stalling::Stalling;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Largest head of a request, and what is read ahead of one: four times what nginx takes of a header.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Accept errors such as "too many open files" pass when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The certificate in force; replaced on SIGHUP.
pub(crate) type Tls = Arc<RwLock<Arc<rustls::ServerConfig>>>;

/// Says how many connections an address may have now.
pub(crate) type PerAddress = Arc<dyn Fn() -> usize + Send + Sync>;

/// The limits of each connection.
#[derive(Clone)]
pub(crate) struct Limits {
    /// How long a TLS handshake, and then a request's head, may take.
    pub(crate) head_timeout: Duration,
    /// How long a client that reads nothing may hold up its answer.
    pub(crate) write_timeout: Duration,
    /// Connections in all; those that became MQTT are counted by the broker.
    pub(crate) connections: usize,
    /// Connections from one address, asked for each.
    pub(crate) connections_per_address: PerAddress,
    /// Who may have any number of them.
    pub(crate) trusted_proxies: TrustedProxies,
}

/// Serves until `stopping`, then lets requests under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<Tls>,
    limits: Limits,
    stopping: CancellationToken,
) {
    let connections = TaskTracker::new();
    let open = Connections::new(&limits);
    loop {
        let accepted = async {
            let room = open.room().await;
            listener.accept().await.map(|accepted| (accepted, room))
        };
        let ((stream, peer), room) = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                // Of that connection alone: the next is not at fault.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Some(counted) = open.enter(peer.ip(), room) else {
            continue;
        };
        let (app, tls) = (app.clone(), tls.clone());
        let (limits, stopping) = (limits.clone(), stopping.clone());
        connections.spawn(async move {
            let _counted = counted;
            let _ = stream.set_nodelay(true);
            belfry_broker::notice_vanished(&stream);
            match tls {
                None => serve_one(stream, peer, app, &limits, stopping).await,
                Some(tls) => {
                    if let Some(stream) = handshake(stream, &tls, &limits).await {
                        serve_one(stream, peer, app, &limits, stopping).await;
                    }
                }
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn handshake(
    stream: TcpStream,
    tls: &Tls,
    limits: &Limits,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let accept = TlsAcceptor::from(current(tls)).accept(stream);
    tokio::time::timeout(limits.head_timeout, accept)
        .await
        .ok()?
        .ok()
}

async fn serve_one<S>(
    stream: S,
    peer: SocketAddr,
    app: Router,
    limits: &Limits,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let lingers = Arc::new(AtomicBool::new(false));
    let stream = Stalling::new(stream, limits.write_timeout, Arc::clone(&lingers));
    let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let (body, rest) = Lent::new(body);
        let mut request = hyper::Request::from_parts(parts, axum::body::Body::new(body));
        request.extensions_mut().insert(ConnectInfo(peer));
        let (app, lingers) = (app.clone(), Arc::clone(&lingers));
        async move {
            let mut answer = app.oneshot(request).await?;
            if !rest.read_out(&lingers).await {
                lingers.store(true, Ordering::Relaxed);
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(Explaining::new(stream)),
            TowerToHyperService::new(service),
        )
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // A peer that breaks off is nobody's fault and not worth a line.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// The certificate for the next connection.
pub(crate) fn current(tls: &Tls) -> Arc<rustls::ServerConfig> {
    Arc::clone(
        &tls.read()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    )
}

/// Who may come in at all.
#[derive(Clone)]
pub(crate) struct Gate {
    /// Whose X-Forwarded-For is believed.
    pub(crate) trusted: TrustedProxies,
    /// Who is kept out.
    pub(crate) directory: Directory,
}

/// Refuses blocked addresses before anything else is looked at, and tells the broker whose connection an
/// upgrade is, also behind a proxy. What goes on for as long as somebody listens ends with a block too.
pub(crate) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let address = ClientAddress::of(request.extensions(), request.headers(), &gate.trusted);
    request.extensions_mut().insert(PeerAddress(address.0));
    if is_operator(address, request.uri().path()) {
        return next.run(request).await;
    }
    let bans = gate.directory.bans();
    if let Some(ban) = bans.address(address.0, now()) {
        return kept_out(ban);
    }
    // A change that is under way is not broken off: its answer would not be true.
    let waits = matches!(*request.method(), Method::GET | Method::HEAD);
    let answer = if waits {
        tokio::select! {
            answer = next.run(request) => answer,
            ban = blocked(gate.directory.watch_bans(), address.0) => return kept_out(&ban),
        }
    } else {
        next.run(request).await
    };
    if answer.body().size_hint().exact().is_some() {
        return answer;
    }
    let blocked = blocked(gate.directory.watch_bans(), address.0);
    answer.map(|body| {
        let data = body.into_data_stream();
        Body::from_stream(data.take_until(Box::pin(blocked)))
    })
}

/// Waits until this address is blocked.
async fn blocked(mut bans: watch::Receiver<Arc<Bans>>, address: IpAddr) -> Ban {
    loop {
        let ban = bans.borrow_and_update().address(address, now()).cloned();
        match ban {
            Some(ban) => return ban,
            // Whoever changes them is gone, and so is the server.
            None => {
                if bans.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn kept_out(ban: &Ban) -> Response {
    metrics::counter!("belfry_refused_total", "reason" => "banned").increment(1);
    ApiError::banned("this address", ban).into_response()
}

fn now() -> Timestamp {
    Timestamp::of(SystemTime::now())
}

/// Whoever administers from this machine is never kept out: a ban that is too wide must be lifted
/// somehow.
fn is_operator(address: ClientAddress, path: &str) -> bool {
    address.0.is_loopback() && (path == "/admin" || path.starts_with("/admin/"))
}
