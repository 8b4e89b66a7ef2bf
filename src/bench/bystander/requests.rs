//! The bytes of this measurement: MQTT packets and HTTP requests, good ones and others, over TCP from a
//! chosen address of this machine.

use crate::bench::stand::Seeded;
use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Seconds; nobody pings.
const KEEP_ALIVE: [u8; 2] = 3_600_u16.to_be_bytes();

pub(super) const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: belfry\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

pub(super) async fn open(server: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// CONNECT with a clean session that ends with the connection, in 5.0.
pub(super) fn connect(device: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([5, 0b1100_0010]);
    body.extend(KEEP_ALIVE);
    body.push(0);
    for field in [device, user, password] {
        body.extend(text(field));
    }
    packet(0x10, &body)
}

pub(super) fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as u16).to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left % 128) as u8;
        left /= 128;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// SUBSCRIBE with packet id 1 and no properties.
pub(super) fn subscribe(filters: &[&str], qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    for filter in filters {
        body.extend(text(filter));
        body.push(qos);
    }
    packet(0x82, &body)
}

/// A binary or other frame as a client masks it, with a mask that changes nothing.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A device over TCP.
pub(super) struct Packets {
    pub(super) stream: TcpStream,
    read: BytesMut,
}

impl Packets {
    pub(super) async fn connect(
        server: SocketAddr,
        from: Ipv4Addr,
        seeded: &Seeded,
    ) -> anyhow::Result<Self> {
        let (device, user) = (seeded.device.to_string(), seeded.user.to_string());
        let mut packets = Self::over(open(server, from).await?);
        let connecting = connect(&device, &user, seeded.password.expose());
        packets.stream.write_all(&connecting).await?;
        let (first, answer) = packets.next().await?;
        let accepted = first == 0x20 && answer.get(1) == Some(&0);
        ensure!(accepted, "a device was refused: {answer:?}");
        Ok(packets)
    }

    pub(super) fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
        }
    }

    pub(super) async fn subscribe(&mut self, filter: &str, qos: u8) -> anyhow::Result<()> {
        self.stream.write_all(&subscribe(&[filter], qos)).await?;
        let (first, answer) = self.next().await?;
        let granted = first == 0x90 && answer.last() == Some(&qos);
        ensure!(granted, "a subscription was refused: {answer:?}");
        Ok(())
    }

    /// The next notification's payload, acknowledged.
    pub(super) async fn next_payload(&mut self) -> anyhow::Result<BytesMut> {
        let (first, mut body) = self.next().await?;
        ensure!(first >> 4 == 3, "not a PUBLISH: {first:#x}");
        let topic = usize::from(body.try_get_u16()?);
        ensure!(body.len() >= topic + 2, "a PUBLISH cut short");
        body.advance(topic);
        let packet_id = body.split_to(2);
        let properties = length(&body)?.context("a PUBLISH cut short")?;
        ensure!(body.len() >= properties.0 + properties.1, "cut short");
        body.advance(properties.0 + properties.1);
        self.stream.write_all(&packet(0x40, &packet_id)).await?;
        Ok(body)
    }

    /// The next packet: its first byte and what follows its length.
    pub(super) async fn next(&mut self) -> anyhow::Result<(u8, BytesMut)> {
        loop {
            if let [first, rest @ ..] = &self.read[..]
                && let Some((bytes, used)) = length(rest)?
                && rest.len() >= used + bytes
            {
                let first = *first;
                self.read.advance(1 + used);
                return Ok((first, self.read.split_to(bytes)));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the server closed a connection");
            }
        }
    }
}

/// A Variable Byte Integer (MQTT 5.0 §1.5.5), and how many bytes it has; none while it is not whole.
fn length(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    ensure!(bytes.len() < 4, "a length of more than four bytes");
    Ok(None)
}
