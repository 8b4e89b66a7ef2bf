//! A device's connection, MQTT 5.0 over TCP or WebSocket, with as little of its own as a measurement
//! allows: no task, no buffer while nothing arrives, a masking key of zeros.

use super::stand::Seeded;
use anyhow::{bail, ensure};
use bytes::{Buf, BytesMut};
use clap::ValueEnum;
use serde::Serialize;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

/// Seconds; longer than any measurement, so that nobody has to ping.
const KEEP_ALIVE: [u8; 2] = 3_600u16.to_be_bytes();
/// Session Expiry Interval: an hour.
const SESSION_EXPIRY: [u8; 5] = [0x11, 0, 0, 0x0e, 0x10];

/// Server busy and Quota exceeded (MQTT 5.0 §3.2.2.2): come back later.
const LATER: [u8; 2] = [0x89, 0x97];

/// What MQTT goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Over {
    /// TCP
    Tcp,
    /// WebSocket
    #[value(name = "websocket")]
    WebSocket,
}

/// Where a device connects to, and from which of this machine's addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) server: SocketAddr,
    pub(super) over: Over,
    pub(super) from: Ipv4Addr,
}

/// What came of an attempt to connect.
pub(super) enum Attempt {
    /// The session is open, and was there before or not.
    Connected { device: Device, present: bool },
    /// The server said that it is busy.
    Busy,
    /// The connection was refused, or ended without an answer.
    Closed,
}

pub(super) struct Device {
    stream: TcpStream,
    over: Over,
    /// What was read of frames, and of the packets in them.
    frames: BytesMut,
    packets: BytesMut,
    /// What is sent before it is waited for anything.
    out: Vec<u8>,
}

impl Device {
    /// Connects with a persistent session and subscribes to all notifications.
    pub(super) async fn connect(route: &Route, seeded: &Seeded) -> anyhow::Result<Self> {
        let Attempt::Connected { mut device, .. } = Self::attempt(route, seeded).await? else {
            bail!("a device was turned away");
        };
        // Packet id 1, no properties, QoS 1.
        let mut body = vec![0, 1, 0];
        body.extend(text(&format!("u/{}/n/#", seeded.user)));
        body.push(1);
        device.send(SUBSCRIBE, &body)?;
        let answer = device.packet().await?;
        ensure!(
            answer.0 == SUBACK && answer.1.last() == Some(&1),
            "a subscription was refused: {answer:?}"
        );
        device.frames = BytesMut::new();
        device.packets = BytesMut::new();
        Ok(device)
    }

    /// Tries to connect with a persistent session.
    ///
    /// # Errors
    /// The server answered what no device expects.
    pub(super) async fn attempt(route: &Route, seeded: &Seeded) -> anyhow::Result<Attempt> {
        let Ok(stream) = open(route).await else {
            return Ok(Attempt::Closed);
        };
        let mut device = Self {
            stream,
            over: route.over,
            frames: BytesMut::new(),
            packets: BytesMut::new(),
            out: Vec::new(),
        };
        if route.over == Over::WebSocket {
            let request = format!(
                "GET /mqtt HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                route.server
            );
            device.out.extend(request.as_bytes());
            let Some(head) = device.upgraded().await else {
                return Ok(Attempt::Closed);
            };
            if head.starts_with(b"HTTP/1.1 503 ") {
                return Ok(Attempt::Busy);
            }
            let switched = head.starts_with(b"HTTP/1.1 101 ");
            ensure!(switched, "no upgrade: {}", String::from_utf8_lossy(&head));
        }
        let mut body = text("MQTT");
        // Version 5; user name and password, no clean start.
        body.extend([5, 0b1100_0000]);
        body.extend(KEEP_ALIVE);
        body.push(SESSION_EXPIRY.len() as u8);
        body.extend(SESSION_EXPIRY);
        body.extend(text(&seeded.device.to_string()));
        body.extend(text(&seeded.user.to_string()));
        body.extend(text(seeded.password.expose()));
        device.send(CONNECT, &body)?;
        let Ok((first, answer)) = device.packet().await else {
            return Ok(Attempt::Closed);
        };
        match answer[..] {
            [present, 0, ..] if first == CONNACK => Ok(Attempt::Connected {
                device,
                present: present == 1,
            }),
            [0, reason, ..] if first == CONNACK && LATER.contains(&reason) => Ok(Attempt::Busy),
            _ => bail!("a device was refused: {answer:?}"),
        }
    }

    /// The next notification's payload. Its acknowledgement goes out with those of all that has arrived,
    /// before the device waits again.
    pub(super) async fn next(&mut self) -> anyhow::Result<BytesMut> {
        let (first, mut body) = self.packet().await?;
        ensure!(first >> 4 == PUBLISH, "not a PUBLISH: {first:#x}");
        let topic = usize::from(body.try_get_u16()?);
        ensure!(body.len() >= topic + 3, "a PUBLISH cut short");
        body.advance(topic);
        let packet_id = body.split_to(2);
        let properties = variable(&mut body)?;
        ensure!(body.len() >= properties, "a PUBLISH cut short");
        body.advance(properties);
        self.send(PUBACK, &packet_id)?;
        Ok(body)
    }

    /// The head of the answer to a handshake.
    async fn upgraded(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(end) = self.frames.windows(4).position(|four| four == b"\r\n\r\n") {
                return Some(self.frames.split_to(end + 4));
            }
            self.read().await.ok()?;
        }
    }

    async fn packet(&mut self) -> anyhow::Result<(u8, BytesMut)> {
        loop {
            let mut rest = &self.packets[..];
            if rest.len() >= 2 {
                let first = rest.get_u8();
                if let Ok(length) = variable(&mut rest)
                    && rest.len() >= length
                {
                    let header = self.packets.len() - rest.len();
                    self.packets.advance(header);
                    return Ok((first, self.packets.split_to(length)));
                }
            }
            match self.over {
                Over::Tcp => self.read().await?,
                Over::WebSocket => self.frame().await?,
            }
        }
    }

    async fn frame(&mut self) -> anyhow::Result<()> {
        loop {
            if let [kind, length, ..] = self.frames[..] {
                // A server's frames are not masked (RFC 6455 §5.1).
                let (head, length) = match (length, &self.frames[2..]) {
                    (126, [high, low, ..]) => (4, u16::from_be_bytes([*high, *low]).into()),
                    (126.., _) => (usize::MAX, 0),
                    (length, _) => (2, usize::from(length)),
                };
                if self.frames.len() >= head.saturating_add(length) {
                    ensure!(kind == 0x82, "not a binary frame: {kind:#x}");
                    self.frames.advance(head);
                    let payload = self.frames.split_to(length);
                    self.packets.extend_from_slice(&payload);
                    return Ok(());
                }
            }
            self.read().await?;
        }
    }

    /// Sends what has not been sent yet.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out = Vec::new();
        }
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.flush().await?;
        let into = match self.over {
            Over::Tcp => &mut self.packets,
            Over::WebSocket => &mut self.frames,
        };
        if self.stream.read_buf(into).await? == 0 {
            bail!("the server closed a device's connection");
        }
        Ok(())
    }

    /// Adds a packet to what is to be sent, over WebSocket in a frame of its own.
    fn send(&mut self, first: u8, body: &[u8]) -> anyhow::Result<()> {
        ensure!(body.len() < 16_384, "no packet of a device is that long");
        let mut packet = vec![first];
        if body.len() < 128 {
            packet.push(body.len() as u8);
        } else {
            packet.extend([(body.len() % 128) as u8 | 0x80, (body.len() / 128) as u8]);
        }
        packet.extend(body);
        if self.over == Over::WebSocket {
            self.out.push(0x82);
            match u8::try_from(packet.len()) {
                Ok(length @ 0..126) => self.out.push(0x80 | length),
                _ => {
                    self.out.push(0x80 | 126);
                    self.out.extend((packet.len() as u16).to_be_bytes());
                }
            }
            self.out.extend([0; 4]);
        }
        self.out.extend(packet);
        Ok(())
    }
}

async fn open(route: &Route) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if route.from != Ipv4Addr::LOCALHOST {
        socket.bind((route.from, 0).into())?;
    }
    let stream = socket.connect(route.server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as u16).to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

/// A Variable Byte Integer (MQTT 5.0 §1.5.5).
fn variable(bytes: &mut impl Buf) -> anyhow::Result<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = bytes.try_get_u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a length of more than four bytes")
}
