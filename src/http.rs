//! The HTTP listener: plain or TLS, each connection a tracked task that drains at the end.
//!
//! hyper is driven directly, not through `axum::serve`, for three things that one lacks: TLS, the
//! peer's address beside it, and a limit on how long a request's head may take.

use crate::unparsed::Explaining;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use belfry_broker::PeerAddress;
use belfry_edge::{ClientAddress, TrustedProxies};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a TLS handshake and then a request's head may take: what a slow phone needs, and no more.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Accept errors such as "too many open files" pass when connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The certificate in force; replaced on SIGHUP.
pub(crate) type Tls = Arc<RwLock<Arc<rustls::ServerConfig>>>;

/// Serves until `stopping`, then lets requests under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<Tls>,
    stopping: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let app = app.clone();
        let stopping = stopping.clone();
        let tls = tls.clone();
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve_one(stream, peer, app, stopping).await,
                Some(tls) => {
                    if let Some(stream) = handshake(stream, &tls).await {
                        serve_one(stream, peer, app, stopping).await;
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
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let accept = TlsAcceptor::from(current(tls)).accept(stream);
    tokio::time::timeout(HEAD_TIMEOUT, accept).await.ok()?.ok()
}

async fn serve_one<S>(stream: S, peer: SocketAddr, app: Router, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = app.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(axum::body::Body::new)
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
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

/// Tells the broker whose connection an upgrade is, also behind a proxy.
pub(crate) async fn note_client_address(
    State(trusted): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = ClientAddress::of(request.extensions(), request.headers(), &trusted);
    request.extensions_mut().insert(PeerAddress(address.0));
    next.run(request).await
}
