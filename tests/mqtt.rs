//! A small MQTT client of the tests' own, where a test must know to the packet what was sent and
//! acknowledged. What foreign clients make of the server is tested with foreign clients.

use crate::harness::PATIENCE;
use crate::websocket::WebSocket;
use belfry_client::server::Device;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// MQTT 3.1.1 or 5.0, by the protocol level in CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311 = 4,
    V5 = 5,
}

/// A packet from the server: its first byte and what follows the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

/// A PUBLISH from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<u16>,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

impl Delivered {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).expect("a JSON payload")
    }
}

/// What a client leaves, at QoS 1.
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// In 5.0.
    pub(crate) delay_secs: u32,
}

/// What a client waits for.
pub(crate) enum Received {
    Delivered(Delivered),
    /// PINGRESP: the server has dealt with all that was sent before the PINGREQ.
    Pong,
}

/// What MQTT goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Tcp,
    WebSocket,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    version: Version,
    pub(crate) session_present: bool,
}

impl Client {
    /// Connects with a persistent session.
    pub(crate) async fn connect(address: SocketAddr, device: &Device, version: Version) -> Self {
        let access = &device.mqtt;
        let (client, code) = Self::try_connect(
            address,
            version,
            &access.client_id,
            &access.username,
            &access.password,
        )
        .await
        .expect("a CONNACK");
        assert_eq!(code, 0, "the connection was refused");
        client
    }

    /// Connects with a persistent session and a will.
    pub(crate) async fn connect_leaving(
        address: SocketAddr,
        device: &Device,
        version: Version,
        will: &Will<'_>,
    ) -> Self {
        let access = &device.mqtt;
        let identity = [&*access.client_id, &*access.username, &*access.password];
        let (client, code) = Self::open(Via::Tcp, address, version, identity, Some(will))
            .await
            .expect("a CONNACK");
        assert_eq!(code, 0, "the connection was refused");
        client
    }

    /// Connects and gives the CONNACK's code too.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        version: Version,
        client_id: &str,
        username: &str,
        password: &str,
    ) -> io::Result<(Self, u8)> {
        let identity = [client_id, username, password];
        Self::open(Via::Tcp, address, version, identity, None).await
    }

    /// The same over TCP or WebSocket, with or without a will.
    pub(crate) async fn open(
        via: Via,
        address: SocketAddr,
        version: Version,
        identity: [&str; 3],
        will: Option<&Will<'_>>,
    ) -> io::Result<(Self, u8)> {
        let stream: Box<dyn Stream> = match via {
            Via::Tcp => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Via::WebSocket => Box::new(WebSocket::connect(address).await?),
        };
        Self::over(stream, version, identity, will).await
    }

    /// Connects over a stream that leads to the server.
    pub(crate) async fn over(
        stream: Box<dyn Stream>,
        version: Version,
        [client_id, username, password]: [&str; 3],
        will: Option<&Will<'_>>,
    ) -> io::Result<(Self, u8)> {
        let mut client = Self {
            stream,
            version,
            session_present: false,
        };
        let mut body = text("MQTT");
        body.push(version as u8);
        body.push(0b1100_0000 | if will.is_some() { 0b1100 } else { 0 });
        body.extend([0, 60]);
        if version == Version::V5 {
            // Session Expiry Interval: an hour.
            body.extend([5, 0x11, 0, 0, 0x0e, 0x10]);
        }
        body.extend(text(client_id));
        if let Some(will) = will {
            if version == Version::V5 {
                // Will Delay Interval.
                body.extend([5, 0x18]);
                body.extend(will.delay_secs.to_be_bytes());
            }
            body.extend(text(will.topic));
            let length = u16::try_from(will.payload.len()).expect("a short will");
            body.extend(length.to_be_bytes());
            body.extend(will.payload);
        }
        for field in [username, password] {
            body.extend(text(field));
        }
        client.write(0x10, &body).await?;
        let answer = client.read().await?;
        assert_eq!(answer.first, 0x20, "CONNACK comes first");
        client.session_present = answer.body[0] == 1;
        let code = answer.body[1];
        Ok((client, code))
    }

    /// Subscribes at QoS 1 and gives the SUBACK's code; deliveries in between are kept from nobody.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 1];
        self.no_properties(&mut body);
        body.extend(text(filter));
        body.push(1);
        self.write(0x82, &body).await.expect("SUBSCRIBE is sent");
        loop {
            let answer = self.read().await.expect("a SUBACK");
            if answer.first == 0x90 {
                return *answer.body.last().expect("a code");
            }
        }
    }

    /// Publishes at QoS 1 and gives the PUBACK's reason (0 in 3.1.1).
    ///
    /// # Errors
    /// The server closed the connection instead.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<u8> {
        let mut body = text(topic);
        body.extend([0, 9]);
        self.no_properties(&mut body);
        body.extend(payload);
        self.write(0x32, &body).await?;
        loop {
            let answer = self.read().await?;
            if answer.first == 0x40 {
                return Ok(answer.body.get(2).copied().unwrap_or(0));
            }
        }
    }

    /// The next PUBLISH, not acknowledged yet.
    pub(crate) async fn next(&mut self) -> io::Result<Delivered> {
        loop {
            if let Received::Delivered(delivered) = self.receive().await? {
                return Ok(delivered);
            }
        }
    }

    /// The next PUBLISH, or the answer to a ping.
    pub(crate) async fn receive(&mut self) -> io::Result<Received> {
        loop {
            let packet = self.read().await?;
            match packet.first >> 4 {
                3 => return Ok(Received::Delivered(self.delivered(&packet))),
                13 => return Ok(Received::Pong),
                _ => {}
            }
        }
    }

    /// Sends a PINGREQ and does not wait.
    pub(crate) async fn send_ping(&mut self) -> io::Result<()> {
        self.write(0xc0, &[]).await
    }

    pub(crate) async fn acknowledge(&mut self, delivered: &Delivered) -> io::Result<()> {
        match delivered.packet_id {
            Some(id) => self.write(0x40, &id.to_be_bytes()).await,
            None => Ok(()),
        }
    }

    /// Asks for a PINGRESP: everything that the server sent before it has then been read. Gives the
    /// deliveries on the way.
    pub(crate) async fn ping(&mut self) -> io::Result<Vec<Delivered>> {
        self.send_ping().await?;
        let mut delivered = Vec::new();
        loop {
            match self.receive().await? {
                Received::Pong => return Ok(delivered),
                Received::Delivered(new) => delivered.push(new),
            }
        }
    }

    pub(crate) async fn disconnect(mut self) {
        let _ = self.write(0xe0, &[]).await;
        let _ = self.stream.shutdown().await;
    }

    /// Reads one packet.
    ///
    /// # Errors
    /// The server closed, or said nothing for as long as a test waits.
    pub(crate) async fn read(&mut self) -> io::Result<Packet> {
        let packet = async {
            let first = self.stream.read_u8().await?;
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let byte = self.stream.read_u8().await?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await?;
            Ok(Packet { first, body })
        };
        tokio::time::timeout(PATIENCE, packet)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn write(&mut self, first: u8, body: &[u8]) -> io::Result<()> {
        let mut packet = vec![first];
        let mut length = body.len();
        loop {
            let byte = u8::try_from(length % 128).expect("below 128");
            length /= 128;
            packet.push(byte | if length > 0 { 0x80 } else { 0 });
            if length == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes).await;
        sent.expect("the connection is open");
    }

    pub(crate) fn no_properties(&self, body: &mut Vec<u8>) {
        if self.version == Version::V5 {
            body.push(0);
        }
    }

    fn delivered(&self, packet: &Packet) -> Delivered {
        let body = &packet.body;
        let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..topic_end].to_vec()).expect("a UTF-8 topic");
        let qos = (packet.first >> 1) & 3;
        let mut at = topic_end;
        let packet_id = (qos > 0).then(|| u16::from_be_bytes([body[at], body[at + 1]]));
        at += if qos > 0 { 2 } else { 0 };
        if self.version == Version::V5 {
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let byte = body[at];
                at += 1;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            at += length;
        }
        Delivered {
            dup: packet.first & 8 != 0,
            packet_id,
            topic,
            payload: body[at..].to_vec(),
        }
    }
}

fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short text");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}
