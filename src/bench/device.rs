//! A device's connection, MQTT 5.0 over WebSocket, with as little of its own as a measurement allows:
//! no task, no buffer while nothing arrives, a masking key of zeros.

use super::stand::Seeded;
use anyhow::{bail, ensure};
use bytes::{Buf as _, BytesMut};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

pub(super) struct Device {
    stream: TcpStream,
    /// What was read of frames, and of the packets in them.
    frames: BytesMut,
    packets: BytesMut,
}

impl Device {
    /// Connects with a persistent session and subscribes to all notifications.
    pub(super) async fn connect(server: SocketAddr, seeded: &Seeded) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut device = Self {
            stream,
            frames: BytesMut::new(),
            packets: BytesMut::new(),
        };
        device.upgraded().await?;

        let mut body = text("MQTT");
        // Version 5; user name and password, no clean start.
        body.extend([5, 0b1100_0000]);
        body.extend(KEEP_ALIVE);
        body.push(SESSION_EXPIRY.len() as u8);
        body.extend(SESSION_EXPIRY);
        body.extend(text(&seeded.device.to_string()));
        body.extend(text(&seeded.user.to_string()));
        body.extend(text(seeded.password.expose()));
        device.send(CONNECT, &body).await?;
        let answer = device.packet().await?;
        ensure!(
            answer.0 == CONNACK && answer.1.get(1) == Some(&0),
            "a device was refused: {answer:?}"
        );

        // Packet id 1, no properties, QoS 1.
        let mut body = vec![0, 1, 0];
        body.extend(text(&format!("u/{}/n/#", seeded.user)));
        body.push(1);
        device.send(SUBSCRIBE, &body).await?;
        let answer = device.packet().await?;
        ensure!(
            answer.0 == SUBACK && answer.1.last() == Some(&1),
            "a subscription was refused: {answer:?}"
        );
        device.frames = BytesMut::new();
        device.packets = BytesMut::new();
        Ok(device)
    }

    /// The next notification's payload, acknowledged.
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
        self.send(PUBACK, &packet_id).await?;
        Ok(body)
    }

    async fn upgraded(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(end) = self.frames.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.frames.split_to(end + 4);
                let switched = head.starts_with(b"HTTP/1.1 101 ");
                ensure!(switched, "no upgrade: {}", String::from_utf8_lossy(&head));
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn packet(&mut self) -> anyhow::Result<(u8, BytesMut)> {
        loop {
            let mut rest = self.packets.clone();
            if rest.len() >= 2 {
                let first = rest.get_u8();
                if let Ok(length) = variable(&mut rest)
                    && rest.len() >= length
                {
                    let body = rest.split_to(length);
                    self.packets = rest;
                    return Ok((first, body));
                }
            }
            self.frame().await?;
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

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.frames).await? == 0 {
            bail!("the server closed a device's connection");
        }
        Ok(())
    }

    /// Sends a packet in a frame of its own.
    async fn send(&mut self, first: u8, body: &[u8]) -> anyhow::Result<()> {
        ensure!(body.len() < 16_384, "no packet of a device is that long");
        let mut packet = vec![first];
        if body.len() < 128 {
            packet.push(body.len() as u8);
        } else {
            packet.extend([(body.len() % 128) as u8 | 0x80, (body.len() / 128) as u8]);
        }
        packet.extend(body);
        let mut frame = vec![0x82];
        match u8::try_from(packet.len()) {
            Ok(length @ 0..126) => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend((packet.len() as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(packet);
        Ok(self.stream.write_all(&frame).await?)
    }
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as u16).to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

/// A Variable Byte Integer (MQTT 5.0 §1.5.5).
fn variable(bytes: &mut BytesMut) -> anyhow::Result<usize> {
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
