//! What a test needs to misbehave with, byte by byte, and the bystander who is not to notice.

use crate::harness::{Approved, PATIENCE, TestServer, mark_of, marked_body, post};
use crate::mqtt::{Client, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_client::server::Device;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How much more memory the server may hold in the midst of any of this than before it, beside what a
/// test says itself: allocators keep what was used once.
pub(crate) const MEMORY_MORE_MAX: u64 = 64 * 1024 * 1024;

/// A second loopback address, for whom limits by address are their own.
const ELSEWHERE: &str = "127.0.0.2:0";

/// A user whose device was connected before and stays so.
pub(crate) struct Bystander {
    device: Client,
    site: Approved,
    http: reqwest::Client,
    posted: u64,
    memory_before: u64,
}

impl Bystander {
    pub(crate) async fn of(server: &TestServer) -> Self {
        let user = server.user("bystander").await;
        let device = user.device("laptop").await;
        let site = user.approve("https://news.example").await;
        let mut client = Client::connect(server.mqtt, &device, Version::V5).await;
        client.subscribe(&device.topics.notifications).await;
        let mut bystander = Self {
            device: client,
            site,
            http: reqwest::Client::new(),
            posted: 0,
            memory_before: 0,
        };
        bystander.gets_a_notification().await;
        bystander.memory_before = server.resident_bytes();
        bystander
    }

    /// What is posted now arrives, and the server is not much larger than at first.
    pub(crate) async fn is_unharmed(&mut self, server: &TestServer) {
        self.gets_a_notification().await;
        let now = server.resident_bytes();
        let most = self.memory_before + MEMORY_MORE_MAX;
        assert!(now <= most, "{now} bytes from {}", self.memory_before);
    }

    pub(crate) async fn gets_a_notification(&mut self) {
        self.posted += 1;
        let body = marked_body(self.posted);
        let answer = post(&self.http, &self.site.permission.endpoint, body).await;
        assert_eq!(answer.expect("an answer").status(), 201);
        let delivered = self.device.next().await.expect("it is delivered");
        let body = delivered.json()["body"].as_str().map(str::to_owned);
        let body = URL_SAFE_NO_PAD.decode(body.expect("a body"));
        assert_eq!(mark_of(&body.expect("base64url")), self.posted);
        let acknowledged = self.device.acknowledge(&delivered).await;
        acknowledged.expect("still connected");
    }
}

/// A stream to misuse.
pub(crate) async fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A stream from another address than every test's.
pub(crate) async fn open_from_elsewhere(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = ELSEWHERE.parse().expect("an address");
    socket.bind(from).expect("an address of this machine");
    socket.connect(address).await.expect("a connection")
}

/// Everything until the server closes, in whichever way.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = async {
        // A reset is an end too: the server had not read all.
        let _ = stream.read_to_end(&mut read).await;
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.expect("the server closes");
    read
}

/// Sends one byte after another for as long as they are taken, and gives what came until the server
/// closed.
pub(crate) async fn drip<S>(stream: S, bytes: &[u8]) -> Vec<u8>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    const EVERY: std::time::Duration = std::time::Duration::from_millis(20);
    let (mut reading, mut writing) = tokio::io::split(stream);
    let bytes = bytes.to_vec();
    let dripping = tokio::spawn(async move {
        for byte in bytes.iter().cycle() {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    let read = rest(&mut reading).await;
    dripping.abort();
    read
}

/// A packet: its first byte, its length, and the rest.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = u8::try_from(left % 128).expect("below 128");
        left /= 128;
        packet.push(byte | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short text");
    [&length.to_be_bytes(), value.as_bytes()].concat()
}

/// CONNECT with a clean session that ends with the connection.
pub(crate) fn connect(device: &Device, version: Version, keep_alive_secs: u16) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([version as u8, 0b1100_0010]);
    body.extend(keep_alive_secs.to_be_bytes());
    if version == Version::V5 {
        body.push(0);
    }
    let access = &device.mqtt;
    for field in [&access.client_id, &access.username, &access.password] {
        body.extend(text(field));
    }
    packet(0x10, &body)
}

/// A frame as a client masks it, with a mask that changes nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The request for MQTT over WebSocket.
pub(crate) const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: belfry\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// A connection that was upgraded, and whose head was read.
pub(crate) async fn websocket(address: SocketAddr) -> TcpStream {
    let mut stream = open(address).await;
    let asked = stream.write_all(UPGRADE.as_bytes()).await;
    asked.expect("the request is sent");
    let head = head(&mut stream).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

/// The head of an answer, up to its empty line.
pub(crate) async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        Ok::<_, io::Error>(())
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A server's frame: its first byte and what it holds.
pub(crate) async fn server_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let reading = async {
        let first = stream.read_u8().await?;
        let length = match stream.read_u8().await? {
            126 => usize::from(stream.read_u16().await?),
            127 => usize::try_from(stream.read_u64().await?).expect("64 bits"),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        Ok::<_, io::Error>((first, payload))
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.expect("in time").expect("a whole frame")
}
