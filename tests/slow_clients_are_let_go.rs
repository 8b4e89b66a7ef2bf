//! Promise: a client that sends or reads too slowly, or not at all, is let go on every port, and costs
//! the others nothing.

use crate::harness::{Certificate, PATIENCE, Setup, TestServer, marked_body, post, roomy};
use crate::hostile::{
    Bystander, UPGRADE, connect, drip, frame, head, open, packet, rest, server_frame, text,
    websocket,
};
use crate::mqtt::{Client, Version};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

/// Limits of a second, so that they are met in a test.
fn impatient() -> Setup {
    let mut environment = roomy();
    for key in [
        "HTTP__HEAD_TIMEOUT",
        "HTTP__WRITE_TIMEOUT",
        "MQTT__CONNECT_TIMEOUT",
        "MQTT__WRITE_TIMEOUT",
    ] {
        environment.push((format!("BELFRY__{key}"), "1s".to_owned()));
    }
    Setup {
        environment,
        ..Setup::default()
    }
}

#[tokio::test]
async fn whoever_sends_byte_by_byte_is_let_go_on_each_port() {
    let server = TestServer::start_with(impatient());
    let mut bystander = Bystander::of(&server).await;
    // Each is well formed so far, and would take minutes.
    let long_id = text(&"x".repeat(60_000));
    let body = [&text("MQTT")[..], &[4, 2, 0, 60], &long_id].concat();
    let endless = packet(0x10, &body);
    let long_head = format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(10_000));
    let on_mqtt = async { drip(open(server.mqtt).await, &endless).await };
    let on_http = async { drip(open(server.http).await, long_head.as_bytes()).await };
    let on_upgrade = async {
        let unfinished = format!("{}\r\nX: {}", UPGRADE.trim_end(), "x".repeat(10_000));
        drip(open(server.http).await, unfinished.as_bytes()).await
    };
    let on_websocket = async { drip(websocket(server.http).await, &frame(0x8a, b"")).await };
    let (mqtt, http, upgrade, frames) = tokio::join!(on_mqtt, on_http, on_upgrade, on_websocket);
    assert_eq!(mqtt, b"", "nobody knows which version it would have been");
    for answer in [http, upgrade] {
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let known = answer.is_empty() || answer.starts_with("HTTP/1.1 408 ");
        assert!(known, "{answer}");
    }
    assert_eq!(frames, [&[0x88, 2][..], &1000_u16.to_be_bytes()].concat());
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_answered_408() {
    let server = TestServer::start_with(impatient());
    let mut bystander = Bystander::of(&server).await;
    let mut stream = open(server.http).await;
    let request = "POST /v1/sessions HTTP/1.1\r\nHost: belfry\r\nContent-Length: 60000\r\n\
                   Content-Type: application/json\r\n\r\n";
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("the head is sent");
    let answer = drip(stream, b" ").await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_handshake_that_comes_byte_by_byte_is_let_go_on_both_ports() {
    let certificate = Certificate::make();
    let mut setup = impatient();
    for name in ["cert", "key"] {
        let key = format!("BELFRY__TLS__{}", name.to_ascii_uppercase());
        setup
            .environment
            .push((key, certificate.path(&format!("{name}.pem"))));
    }
    setup.authority = Some(certificate.path("cert.pem").into());
    let server = TestServer::start_with(setup);
    // A handshake record of 16 KiB, of which the rest never comes.
    let begun = [0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3];
    let (mqtt, http) = tokio::join!(
        async { drip(open(server.mqtt).await, &begun).await },
        async { drip(open(server.http).await, &begun).await },
    );
    // An alert, or nothing.
    assert!(mqtt.len() <= 7 && http.len() <= 7, "{mqtt:?} {http:?}");
    let account = server.user("ada").await;
    account.device("laptop").await;
}

#[tokio::test]
async fn a_device_that_vanished_is_gone_after_one_and_a_half_keep_alives() {
    let server = TestServer::start();
    let mut bystander = Bystander::of(&server).await;
    for version in [Version::V311, Version::V5] {
        let user = server.user(&format!("ada-{version:?}")).await;
        let device = user.device("laptop").await;
        let mut stream = open(server.mqtt).await;
        let sent = stream.write_all(&connect(&device, version, 1)).await;
        sent.expect("CONNECT is sent");
        // It says nothing any more; the socket stays open, as one whose other end lost its network.
        let last = rest(&mut stream).await;
        let connack: &[u8] = &[0x20];
        assert!(last.starts_with(connack), "{last:?}");
        match version {
            Version::V311 => assert_eq!(last[2..], [0, 0]),
            Version::V5 => {
                // Behind CONNACK, whose length is its second byte.
                let goodbye = &last[2 + usize::from(last[1])..];
                assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x8d));
            }
        }
        let devices = user.server.devices().await.expect("a list");
        assert!(!devices[0].online, "it is not connected any more");
    }
    bystander.is_unharmed(&server).await;
}

/// The timer that the kernel runs for the server's end of a connection (proc_pid_net(5), `tr`).
fn timer(server: SocketAddr, client: SocketAddr) -> Option<String> {
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("connections");
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    connections.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ours = fields[1].ends_with(&port(server)) && fields[2].ends_with(&port(client));
        ours.then(|| fields[5].split(':').next().unwrap_or_default().to_owned())
    })
}

#[tokio::test]
async fn the_kernel_looks_after_connections_without_a_keep_alive() {
    const KEEP_ALIVE: &str = "02";
    let server = TestServer::start();
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let mut over_tcp = open(server.mqtt).await;
    let connecting = connect(&device, Version::V311, 0);
    over_tcp.write_all(&connecting).await.expect("CONNECT");
    let over_websocket = websocket(server.http).await;
    for (address, stream) in [(server.mqtt, over_tcp), (server.http, over_websocket)] {
        let client = stream.local_addr().expect("an address");
        let watched = async {
            // What is under way has a timer of its own until it has arrived.
            while timer(address, client).as_deref() != Some(KEEP_ALIVE) {
                tokio::task::yield_now().await;
            }
        };
        let watched = tokio::time::timeout(PATIENCE, watched).await;
        watched.expect("the peer is asked whether it is there");
    }
}

#[tokio::test]
async fn a_device_that_reads_nothing_is_let_go_and_the_others_are_served() {
    let server = TestServer::start_with(impatient());
    let mut bystander = Bystander::of(&server).await;
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket.connect(server.mqtt).await.expect("a connection");
    let mut subscribe = [&[0, 1][..], &text(&device.topics.notifications)].concat();
    // QoS 0: nothing waits for an acknowledgement before it is sent.
    subscribe.push(0);
    let packets = [connect(&device, Version::V311, 0), packet(0x82, &subscribe)];
    let sent = stream.write_all(&packets.concat()).await;
    sent.expect("CONNECT and SUBSCRIBE are sent");
    let http = reqwest::Client::new();
    let body = [&[0; 40][..], &[0x5a; 31 * 128]].concat();
    let let_go = async {
        loop {
            for _ in 0..50 {
                let endpoint = &site.permission.endpoint;
                let answer = post(&http, endpoint, body.clone()).await;
                assert_eq!(answer.expect("an answer").status(), 201);
            }
            let devices = user.server.devices().await.expect("a list");
            if !devices[0].online {
                return;
            }
        }
    };
    let let_go = tokio::time::timeout(PATIENCE * 3, let_go).await;
    let_go.expect("it is let go");
    bystander.is_unharmed(&server).await;
    // What it had not taken was never owed to it, and a new connection is as good as any.
    let mut again = Client::connect(server.mqtt, &device, Version::V5).await;
    again.subscribe(&device.topics.notifications).await;
    let answer = post(&http, &site.permission.endpoint, marked_body(1)).await;
    assert_eq!(answer.expect("an answer").status(), 201);
    again.next().await.expect("it is delivered");
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_let_go() {
    let server = TestServer::start_with(impatient());
    let mut bystander = Bystander::of(&server).await;
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: belfry\r\n\r\n";
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = open(server.http).await;
        let sent = stream.write_all(&request.repeat(1_000)).await;
        sent.expect("a thousand requests are sent");
        streams.push(stream);
    }
    bystander.is_unharmed(&server).await;
    for stream in &mut streams {
        let reset = async {
            // Each is taken by this end's buffer until the other end is gone.
            while stream.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reset = tokio::time::timeout(PATIENCE, reset).await;
        reset.expect("the server closes");
    }
    bystander.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_websocket_that_never_connects_is_told_goodbye() {
    let server = TestServer::start_with(impatient());
    let mut stream = websocket(server.http).await;
    let (first, payload) = server_frame(&mut stream).await;
    assert_eq!((first, &payload[..]), (0x88, &1000u16.to_be_bytes()[..]));
    assert_eq!(rest(&mut stream).await, b"");
    let mut idle = open(server.http).await;
    assert!(
        head(&mut idle).await.is_err(),
        "a connection without a request"
    );
}
