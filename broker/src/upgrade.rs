//! `/mqtt`: the way from an HTTP request to MQTT over WebSocket (RFC 6455, MQTT 5.0 §6).
//!
//! Takes the raw stream out of the HTTP server instead of a WebSocket library's, whose buffers cost
//! each idle device more than all the rest of it.

use crate::admission::Turned;
use crate::broker::Broker;
use crate::figures::{self, TransportKind};
use crate::transport::Framing;
use crate::wire::websocket::{self, FrameDecoder};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The subprotocol that a client must offer (MQTT 5.0 §6).
const SUBPROTOCOL: &str = "mqtt";
/// When a client that cannot be served now may come back, in seconds.
const RETRY_SECS: &str = "5";

const STOPPING: &str = "the server is stopping; connect again";

/// The client's address as a request extension, where it is not the connection's own: behind a
/// trusted proxy.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

impl Broker {
    /// The route `/mqtt`, to be merged into the HTTP server. The server must allow upgrades and
    /// give [`ConnectInfo`] or [`PeerAddress`].
    pub fn websocket_router(&self) -> axum::Router {
        axum::Router::new()
            .route("/mqtt", get(upgrade))
            .with_state(self.clone())
    }
}

async fn upgrade(State(broker): State<Broker>, mut request: Request) -> Response {
    if broker.0.draining.is_cancelled() {
        return Refused::busy(STOPPING).into_response();
    }
    let accept = match handshake(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(refused) => return refused.into_response(),
    };
    let mut admitted = match broker.admit(address(&request)) {
        Ok(admitted) => admitted,
        Err(why) => return turned_away(why).into_response(),
    };
    match broker.0.draining.run_until_cancelled(admitted.turn()).await {
        Some(Ok(())) => {}
        Some(Err(why)) => return turned_away(why).into_response(),
        None => return Refused::busy(STOPPING).into_response(),
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let connections = broker.0.connections.clone();
    connections.spawn(async move {
        // It fails where the client is gone before it has the answer.
        if let Ok(upgraded) = upgraded.await {
            let stream = Box::new(TokioIo::new(upgraded));
            let framing = Framing::WebSocket(Box::new(FrameDecoder::new()));
            broker.serve(stream, framing, TransportKind::WebSocket, admitted);
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        ),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn turned_away(why: Turned) -> Refused {
    figures::turned_away(why);
    Refused::busy(match why {
        Turned::Banned => return Refused::banned(),
        Turned::Address => "this address has too many connections",
        Turned::Full => "the server has all the connections it can; connect again later",
        Turned::Busy => "many are connecting; connect again in a little while",
    })
}

/// Why a request is not upgraded, and the header that says what would be.
struct Refused {
    status: StatusCode,
    header: Option<(HeaderName, &'static str)>,
    kind: &'static str,
    why: &'static str,
}

impl Refused {
    fn bad(why: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            header: None,
            kind: "handshake",
            why,
        }
    }

    /// 426 names what the client should change to (RFC 6455 §4.4, RFC 9110 §15.5.22).
    fn other(header: HeaderName, value: &'static str, why: &'static str) -> Self {
        Self {
            status: StatusCode::UPGRADE_REQUIRED,
            header: Some((header, value)),
            ..Self::bad(why)
        }
    }

    fn banned() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            kind: "banned",
            ..Self::bad(crate::denial::BANNED.says)
        }
    }

    fn busy(why: &'static str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            header: Some((header::RETRY_AFTER, RETRY_SECS)),
            kind: "unavailable",
            why,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let title = "not connected to MQTT over WebSocket";
        let problem = Problem::new(self.status.as_u16(), self.kind, title, self.why);
        let mut response = (self.status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_CONTENT_TYPE),
        );
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Checks an opening handshake (RFC 6455 §4.2.1) and computes its answer.
fn handshake(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Refused> {
    // The router lets HEAD through with GET.
    if method != Method::GET {
        return Err(Refused {
            status: StatusCode::METHOD_NOT_ALLOWED,
            header: Some((header::ALLOW, "GET")),
            ..Refused::bad("a WebSocket begins with GET")
        });
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        let why = "this is MQTT over WebSocket: ask with Upgrade: websocket";
        return Err(Refused::other(header::UPGRADE, "websocket", why));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refused::bad("Connection does not name Upgrade"));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let why = "Sec-WebSocket-Version must be 13";
        return Err(Refused::other(header::SEC_WEBSOCKET_VERSION, "13", why));
    }
    if !has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let why = "Sec-WebSocket-Protocol must offer the subprotocol mqtt";
        return Err(Refused::bad(why));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let accept = key.and_then(|key| websocket::accept_key(key.as_bytes()));
    let accept = accept.and_then(|accept| HeaderValue::from_str(&accept).ok());
    accept.ok_or(Refused::bad("Sec-WebSocket-Key must be 16 bytes in base64"))
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn address(request: &Request) -> IpAddr {
    let extensions = request.extensions();
    let named = extensions.get::<PeerAddress>().map(|peer| peer.0);
    let own = || extensions.get::<ConnectInfo<SocketAddr>>();
    named
        .or_else(|| own().map(|info| info.0.ip()))
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
