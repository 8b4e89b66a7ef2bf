//! `/mqtt`: the way from an HTTP request to MQTT over WebSocket (RFC 6455, MQTT 5.0 §6).
//!
//! Takes the raw stream out of the HTTP server instead of a WebSocket library's, whose buffers cost
//! each idle device more than all the rest of it.

use crate::broker::Broker;
use crate::figures::TransportKind;
use crate::transport::Framing;
use crate::wire::websocket::{self, FrameDecoder};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The subprotocol that a client must offer (MQTT 5.0 §6).
const SUBPROTOCOL: &str = "mqtt";

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
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response();
    }
    let accept = match handshake(request.headers()) {
        Ok(accept) => accept,
        Err(refused) => return refused.into_response(),
    };
    let address = address(&request);
    let upgraded = hyper::upgrade::on(&mut request);
    let connections = broker.0.connections.clone();
    connections.spawn(async move {
        // It fails where the client is gone before it has the answer.
        if let Ok(upgraded) = upgraded.await {
            let stream = Box::new(TokioIo::new(upgraded));
            let framing = Framing::WebSocket(Box::new(FrameDecoder::new()));
            broker.serve(stream, framing, TransportKind::WebSocket, address);
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

/// Why a request is not upgraded, and the header that says what would be.
struct Refused {
    status: StatusCode,
    header: Option<(HeaderName, &'static str)>,
    why: &'static str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.why).into_response();
        if let Some((name, value)) = self.header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Checks an opening handshake (RFC 6455 §4.2.1) and computes its answer.
fn handshake(headers: &HeaderMap) -> Result<HeaderValue, Refused> {
    let bad = |why| Refused {
        status: StatusCode::BAD_REQUEST,
        header: None,
        why,
    };
    let other = |header, value, why| Refused {
        status: StatusCode::UPGRADE_REQUIRED,
        header: Some((header, value)),
        why,
    };
    if !has_token(headers, header::UPGRADE, "websocket") {
        let why = "this is MQTT over WebSocket\n";
        return Err(other(header::UPGRADE, "websocket", why));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(bad("Connection does not name Upgrade\n"));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let why = "only WebSocket version 13 is spoken\n";
        return Err(other(header::SEC_WEBSOCKET_VERSION, "13", why));
    }
    if !has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad("the subprotocol mqtt was not offered\n"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| bad("Sec-WebSocket-Key is missing\n"))?;
    let accept = websocket::accept_key(key.as_bytes());
    HeaderValue::from_str(&accept).map_err(|_| bad("Sec-WebSocket-Key is malformed\n"))
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
