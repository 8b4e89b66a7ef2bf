//! The way from HTTP to MQTT, and the frames around it (RFC 6455).

use super::device::{Answer, upgrade};
use super::*;

#[tokio::test]
async fn websocket_devices_are_served_alike() {
    let server = Server::start(Settings::default()).await;
    for version in [4, 5] {
        let mut one = Device::open(server.http, version, Via::WebSocket).await;
        one.connect(version, false).await;
        one.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
        let number = server.post(version.into()).await;
        let id = gets(&mut one, number.0).await;
        one.puback(id).await;
        one.ping().await;
    }
}

/// What a connected device is answered to these bytes: a frame, and then the end.
async fn answered(bytes: &[u8]) -> (u8, Vec<u8>) {
    let server = Server::start(Settings::default()).await;
    let mut one = Device::open(server.http, 4, Via::WebSocket).await;
    one.connect(1, true).await;
    one.send_raw(bytes).await;
    let frame = one.frame().await;
    one.is_closed().await;
    frame
}

fn close(code: u16) -> (u8, Vec<u8>) {
    (0x88, code.to_be_bytes().to_vec())
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_is_returned() {
    let server = Server::start(Settings::default()).await;
    let mut one = Device::open(server.http, 4, Via::WebSocket).await;
    one.connect(1, true).await;
    one.send_frame(0x89, b"hello").await;
    assert_eq!(one.frame().await, (0x8a, b"hello".to_vec()));
    one.send_frame(0x88, &[0x03, 0xe8]).await;
    assert_eq!(one.frame().await, close(1000));
    one.is_closed().await;
}

#[tokio::test]
async fn a_packet_may_come_in_pieces_with_a_ping_between() {
    let server = Server::start(Settings::default()).await;
    let mut one = Device::open(server.http, 4, Via::WebSocket).await;
    one.connect(1, true).await;
    one.send_frame(0x02, &[0xc0]).await;
    one.send_frame(0x89, b"?").await;
    assert_eq!(one.frame().await, (0x8a, b"?".to_vec()));
    one.send_frame(0x00, b"").await;
    one.send_frame(0x80, &[0, 0xc0, 0]).await;
    for _ in 0..2 {
        assert_eq!(one.frame().await, (0x82, vec![0xd0, 0]));
    }
}

#[tokio::test]
async fn what_breaks_the_framing_is_told_why() {
    for (bytes, code) in [
        // Not masked, a reserved bit, a reserved opcode, a continuation of nothing.
        (&[0x82, 0x02, 0xc0, 0x00][..], 1002),
        (&[0xc2, 0x82, 0, 0, 0, 0, 0xc0, 0], 1002),
        (&[0x83, 0x82, 0, 0, 0, 0, 0xc0, 0], 1002),
        (&[0x80, 0x82, 0, 0, 0, 0, 0xc0, 0], 1002),
        // Text.
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc0, 0], 1003),
        // A frame that no packet needs, and a packet of more than 64 KiB.
        (&[0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0x05], 1009),
        (&[0x82, 0x84, 0, 0, 0, 0, 0x30, 0x80, 0x80, 0x04], 1009),
    ] {
        assert_eq!(answered(bytes).await, close(code), "{bytes:x?}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_one_is_told_what_would_be() {
    let server = Server::start(Settings::default()).await;
    let check = async |header, value, status: &str, says: &str| {
        let (_, Answer { head, body }) = upgrade(server.http, "GET", &[(header, value)]).await;
        let first = format!("http/1.1 {status} ");
        assert!(head.starts_with(&first), "{header} {value:?}: {head}");
        let problem = "content-type: application/problem+json\r\n";
        assert!(head.contains(problem), "{head}");
        assert!(body.contains(says), "{header}: {body}");
        head
    };
    let protocol = "Sec-WebSocket-Protocol";
    check(protocol, None, "400", "the subprotocol mqtt").await;
    check(protocol, Some("mqttv3.1"), "400", "the subprotocol mqtt").await;
    let key = "Sec-WebSocket-Key";
    check(key, None, "400", key).await;
    check(key, Some("dGhlIHNhbXBsZSBub25j"), "400", key).await;
    check(key, Some("not base64 at all!!!"), "400", key).await;
    check("Connection", None, "400", "Connection").await;
    for version in [None, Some("8")] {
        let head = check("Sec-WebSocket-Version", version, "426", "13").await;
        assert!(head.contains("sec-websocket-version: 13\r\n"), "{head}");
    }
    let head = check("Upgrade", None, "426", "Upgrade").await;
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
}

#[tokio::test]
async fn only_get_begins_a_websocket() {
    let server = Server::start(Settings::default()).await;
    for method in ["HEAD", "POST"] {
        let (_, Answer { head, .. }) = upgrade(server.http, method, &[]).await;
        assert!(head.starts_with("http/1.1 405 "), "{method}: {head}");
        assert!(head.contains("allow: get"), "{head}");
    }
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_before_the_upgrade() {
    let settings = Settings {
        connections_per_address: 1,
        ..Settings::default()
    };
    let server = Server::start(settings).await;
    let mut one = Device::open(server.http, 4, Via::WebSocket).await;
    one.connect(1, true).await;
    let (_, Answer { head, body }) = upgrade(server.http, "GET", &[]).await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(head.contains("retry-after: "), "{head}");
    assert!(body.contains("too many connections"), "{body}");
    one.ping().await;
}
