//! A fuzz target: what asks for MQTT over WebSocket, and the frames that follow.

use super::handshake;
use crate::fuzzing::unframed;
use crate::wire::websocket;
use crate::wire::{self, ClientPacket, ProtocolVersion, WireError};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::BytesMut;

const PACKET_BYTES_MAX: u32 = 64 * 1024;

/// Header lines, an empty line, and frames. The first byte chooses the method, the second where the
/// frames are cut in two: that may not change what they hold.
pub fn upgrade(input: &[u8]) {
    let [method, cut, rest @ ..] = input else {
        return;
    };
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (head, frames) = match end {
        Some(end) => (&rest[..end], &rest[end + 2..]),
        None => (rest, &[][..]),
    };
    let method = match method % 8 {
        0 => Method::HEAD,
        1 => Method::POST,
        _ => Method::GET,
    };
    if decides(&method, &headers(head)) {
        let (one, two) = frames.split_at(usize::from(*cut).min(frames.len()));
        assert_eq!(unframed(&[one, two]), unframed(&[frames]));
        packets(unframed(&[frames]).0);
    }
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
}

/// Whether it is upgraded; if not, the answer is one of those that say why.
fn decides(method: &Method, headers: &HeaderMap) -> bool {
    match handshake(method, headers) {
        Ok(accept) => {
            assert_eq!(method, Method::GET);
            assert_eq!(headers[header::SEC_WEBSOCKET_VERSION], "13");
            let key = headers[header::SEC_WEBSOCKET_KEY].as_bytes();
            assert_eq!(key.len(), 24, "sixteen bytes in base64");
            assert_eq!(accept.len(), 28, "twenty bytes in base64");
            assert_eq!(websocket::accept_key(key).as_deref(), accept.to_str().ok());
            true
        }
        Err(refused) => {
            let status = refused.into_response().status();
            let known = [
                StatusCode::BAD_REQUEST,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::UPGRADE_REQUIRED,
            ];
            assert!(known.contains(&status), "{status}");
            false
        }
    }
}

fn packets(mut bytes: BytesMut) -> Option<WireError> {
    let mut version: Option<ProtocolVersion> = None;
    loop {
        match wire::decode(&mut bytes, version, PACKET_BYTES_MAX) {
            Ok(None) => return None,
            Ok(Some(ClientPacket::Connect(connect))) => version = Some(connect.version),
            Ok(Some(_)) => {}
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    crate::fuzzing::replay("upgrade", 20_000, upgrade);
}
