//! A device that speaks MQTT from bytes of its own, so that it shares no mistake with the wire.

use super::{PASSWORD, device, user};
use crate::transport::Stream;
use crate::wire::tests::{packet, string};
use bytes::{Buf as _, Bytes};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Tcp,
    WebSocket,
}

pub(super) struct Device {
    stream: Box<dyn Stream>,
    version: u8,
    via: Via,
    read: Vec<u8>,
}

/// What a CONNECT says.
pub(super) struct Connect<'a> {
    pub(super) number: u8,
    /// Another client id than the device's.
    pub(super) client_id: Option<&'a str>,
    pub(super) password: &'a [u8],
    pub(super) clean: bool,
    pub(super) keep_alive_secs: u16,
    /// Session expiry in 5.0: an hour where nothing is said and it is not clean.
    pub(super) expiry_secs: Option<u32>,
    /// More properties, in 5.0.
    pub(super) properties: &'a [u8],
    pub(super) will: Option<Will<'a>>,
}

pub(super) struct Will<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// In 5.0.
    pub(super) delay_secs: u32,
    /// More properties, in 5.0.
    pub(super) properties: &'a [u8],
}

impl<'a> Will<'a> {
    pub(super) fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: 0,
            retain: false,
            delay_secs: 0,
            properties: &[],
        }
    }
}

impl Connect<'_> {
    pub(super) fn new(number: u8) -> Self {
        Self {
            number,
            client_id: None,
            password: PASSWORD,
            clean: false,
            keep_alive_secs: 60,
            expiry_secs: None,
            properties: &[],
            will: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Packet {
    first: u8,
    body: Bytes,
    version: u8,
}

/// The value and how many bytes it takes.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

impl Device {
    pub(super) async fn open(address: SocketAddr, version: u8, via: Via) -> Self {
        let stream = match via {
            Via::Tcp => TcpStream::connect(address).await.unwrap(),
            Via::WebSocket => {
                let (stream, Answer { head, .. }) = upgrade(address, "GET", &[]).await;
                assert!(head.starts_with("http/1.1 101 "), "{head}");
                let protocol = "sec-websocket-protocol: mqtt\r\n";
                assert!(head.contains(protocol), "{head}");
                // RFC 6455 §1.3.
                assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
                stream
            }
        };
        Self::over(Box::new(stream), version, via)
    }

    /// Over a stream that leads to the server.
    pub(super) fn over(stream: Box<dyn Stream>, version: u8, via: Via) -> Self {
        Self {
            stream,
            version,
            via,
            read: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: Vec<u8>) {
        match self.via {
            Via::Tcp => self.stream.write_all(&bytes).await.unwrap(),
            Via::WebSocket => self.send_frame(0x82, &bytes).await,
        }
    }

    pub(super) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first];
        if payload.len() < 126 {
            frame.push(0x80 | payload.len() as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend((payload.len() as u16).to_be_bytes());
        }
        frame.extend(mask);
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m);
        frame.extend(masked);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Sends bytes as they are, whatever the device speaks.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The same; whether the connection took it.
    pub(super) async fn try_send_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next short frame.
    pub(super) async fn frame(&mut self) -> (u8, Vec<u8>) {
        self.fill(2).await.unwrap();
        let length = usize::from(self.read[1]);
        self.fill(2 + length).await.unwrap();
        let frame: Vec<u8> = self.read.drain(..2 + length).collect();
        (frame[0], frame[2..].to_vec())
    }

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.read.len() < length {
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes));
            let read = read.await.expect("the server sends nothing").unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.read.extend(&bytes[..read]);
        }
        Some(())
    }

    async fn try_next(&mut self) -> Option<Packet> {
        if self.via == Via::WebSocket {
            self.fill(2).await?;
            assert_eq!(self.read[0], 0x82, "not a binary frame");
            let header = match self.read[1] {
                126 => 4,
                short => {
                    assert!(short < 126);
                    2
                }
            };
            self.fill(header).await?;
            self.read.drain(..header);
        }
        let mut length = None;
        for header in 2..=5 {
            self.fill(header).await?;
            length = variable(&self.read[1..header]);
            if length.is_some() {
                break;
            }
        }
        let (length, bytes) = length.expect("a length has at most four bytes");
        self.fill(1 + bytes + length).await?;
        let whole: Vec<u8> = self.read.drain(..1 + bytes + length).collect();
        Some(Packet {
            first: whole[0],
            body: Bytes::copy_from_slice(&whole[1 + bytes..]),
            version: self.version,
        })
    }

    pub(super) async fn next(&mut self) -> Packet {
        self.try_next()
            .await
            .expect("the server closed the connection")
    }

    pub(super) async fn is_closed(&mut self) {
        let packet = self.try_next().await;
        assert!(packet.is_none(), "{packet:?}");
    }

    pub(super) async fn send_connect(
        &mut self,
        number: u8,
        password: &[u8],
        clean: bool,
        will: &[(&str, &[u8])],
    ) {
        let will = will.first();
        let will = will.map(|(topic, payload)| Will::new(topic, payload));
        self.send_connect_as(&Connect {
            password,
            clean,
            will,
            ..Connect::new(number)
        })
        .await;
    }

    pub(super) async fn send_connect_as(&mut self, connect: &Connect<'_>) {
        let bytes = self.connect_bytes(connect);
        self.send(bytes).await;
    }

    pub(super) fn connect_bytes(&self, connect: &Connect<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        string(b"MQTT", &mut body);
        let mut flags = 0xc0 | u8::from(connect.clean) << 1;
        if let Some(will) = &connect.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        body.extend([self.version, flags]);
        body.extend(connect.keep_alive_secs.to_be_bytes());
        if self.version == 5 {
            let usual = if connect.clean { 0 } else { 3_600 };
            let expiry = connect.expiry_secs.unwrap_or(usual);
            let mut properties = vec![0x11];
            properties.extend(expiry.to_be_bytes());
            properties.extend(connect.properties);
            body.push(properties.len() as u8);
            body.extend(properties);
        }
        let client_id = device(connect.number).to_string();
        let client_id = connect.client_id.unwrap_or(&client_id);
        string(client_id.as_bytes(), &mut body);
        if let Some(will) = &connect.will {
            if self.version == 5 {
                body.extend([5 + will.properties.len() as u8, 0x18]);
                body.extend(will.delay_secs.to_be_bytes());
                body.extend(will.properties);
            }
            string(will.topic.as_bytes(), &mut body);
            string(will.payload, &mut body);
        }
        string(user().to_string().as_bytes(), &mut body);
        string(connect.password, &mut body);
        packet(0x10, &body)
    }

    /// Connects. Whether the session was there.
    pub(super) async fn connect_as(&mut self, connect: &Connect<'_>) -> bool {
        self.send_connect_as(connect).await;
        let answer = self.next().await;
        assert_eq!(answer.connack_code(), 0);
        answer.body[0] == 1
    }

    /// Connects. Whether the session was there.
    pub(super) async fn connect(&mut self, number: u8, clean: bool) -> bool {
        self.send_connect(number, PASSWORD, clean, &[]).await;
        let answer = self.next().await;
        assert_eq!(answer.connack_code(), 0);
        answer.body[0] == 1
    }

    /// Connects again, over a stream of its own.
    pub(super) async fn reconnect(&mut self, address: SocketAddr, number: u8) -> bool {
        *self = Self::open(address, self.version, self.via).await;
        self.connect(number, false).await
    }

    pub(super) async fn subscribe(&mut self, filters: &[(&str, u8)], codes: &[u8]) {
        self.subscribe_with(filters, &[]).await;
        assert_eq!(self.next().await.filter_codes(0x90), codes);
    }

    /// Sends a SUBSCRIBE with encoded properties, in 5.0.
    pub(super) async fn subscribe_with(&mut self, filters: &[(&str, u8)], properties: &[u8]) {
        let mut body = self.filters_header(properties);
        for (filter, options) in filters {
            string(filter.as_bytes(), &mut body);
            body.push(*options);
        }
        self.send(packet(0x82, &body)).await;
    }

    pub(super) async fn unsubscribe(&mut self, filters: &[&str], codes: &[u8]) {
        let mut body = self.filters_header(&[]);
        for filter in filters {
            string(filter.as_bytes(), &mut body);
        }
        self.send(packet(0xa2, &body)).await;
        assert_eq!(self.next().await.filter_codes(0xb0), codes);
    }

    fn filters_header(&self, properties: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 9];
        if self.version == 5 {
            body.push(properties.len() as u8);
            body.extend(properties);
        }
        body
    }

    pub(super) async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: u8,
        id: u16,
        retain: bool,
    ) {
        let mut body = Vec::new();
        string(topic.as_bytes(), &mut body);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.version == 5 {
            body.push(0);
        }
        body.extend(payload);
        self.send(packet(0x30 | qos << 1 | u8::from(retain), &body))
            .await;
    }

    /// In 5.0, with encoded properties.
    pub(super) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &[u8],
        id: u16,
        properties: &[u8],
    ) {
        self.publish_as(0x32, topic, payload, id, properties).await;
    }

    /// In 5.0, with a first byte and encoded properties.
    pub(super) async fn publish_as(
        &mut self,
        first: u8,
        topic: &str,
        payload: &[u8],
        id: u16,
        properties: &[u8],
    ) {
        let mut body = Vec::new();
        string(topic.as_bytes(), &mut body);
        if first & 6 != 0 {
            body.extend(id.to_be_bytes());
        }
        body.push(properties.len() as u8);
        body.extend(properties);
        body.extend(payload);
        self.send(packet(first, &body)).await;
    }

    /// Disconnects with a reason and encoded properties, in 5.0.
    pub(super) async fn disconnect_with(&mut self, reason: u8, properties: &[u8]) {
        let mut body = vec![reason, properties.len() as u8];
        body.extend(properties);
        self.send(packet(0xe0, &body)).await;
    }

    pub(super) async fn puback(&mut self, id: u16) {
        self.send(packet(0x40, &id.to_be_bytes())).await;
    }

    /// Any acknowledgement, with a reason in 5.0.
    pub(super) async fn acknowledge(&mut self, first: u8, id: u16, reason: u8) {
        let [high, low] = id.to_be_bytes();
        let body = [high, low, reason];
        let length = if self.version == 5 { 3 } else { 2 };
        self.send(packet(first, &body[..length])).await;
    }

    pub(super) async fn pubrel(&mut self, id: u16) {
        self.send(packet(0x62, &id.to_be_bytes())).await;
    }

    /// Asks for an answer, which must be the next packet: nothing else was on its way.
    pub(super) async fn ping(&mut self) {
        self.send(vec![0xc0, 0]).await;
        let answer = self.next().await;
        assert_eq!(answer.first, 0xd0, "{answer:?}");
    }

    pub(super) async fn disconnect(&mut self) {
        self.send(vec![0xe0, 0]).await;
        self.is_closed().await;
    }
}

/// An HTTP answer: its head in lower case, and its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: String,
}

/// Asks for `/mqtt` as a client does, save for these headers; without a value one is left out.
pub(super) async fn upgrade(
    address: SocketAddr,
    method: &str,
    changed: &[(&str, Option<&str>)],
) -> (TcpStream, Answer) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} /mqtt HTTP/1.1\r\nHost: h\r\n");
    for (name, usual) in [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "mqttv3.1, mqtt"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        let changed = changed.iter().find(|(changed, _)| *changed == name);
        if let Some(value) = changed.map_or(Some(usual), |(_, value)| *value) {
            request += &format!("{name}: {value}\r\n");
        }
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = match method {
        "HEAD" => 0,
        _ => length.map_or(0, |length| length.parse().unwrap()),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let body = String::from_utf8(body).unwrap();
    (stream, Answer { head, body })
}

impl Device {
    /// Disconnects with messages still on their way.
    pub(super) async fn disconnect_reading(&mut self) {
        self.send(vec![0xe0, 0]).await;
        loop {
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes));
            // What the server had not read yet may reset the connection.
            if read.await.expect("the server closes").unwrap_or(0) == 0 {
                return;
            }
        }
    }
}

impl Packet {
    pub(super) fn kind(&self) -> u8 {
        self.first >> 4
    }

    pub(super) fn qos(&self) -> u8 {
        self.first >> 1 & 3
    }

    pub(super) fn dup(&self) -> bool {
        self.first & 8 != 0
    }

    pub(super) fn retain(&self) -> bool {
        self.first & 1 != 0
    }

    /// The kind, the packet id and the reason of an acknowledgement.
    pub(super) fn ack(&self) -> (u8, u16, u8) {
        let mut body = self.body.clone();
        let id = body.get_u16();
        (self.kind(), id, if body.is_empty() { 0 } else { body[0] })
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn connack_code(&self) -> u8 {
        assert_eq!(self.first, 0x20);
        self.body[1]
    }

    /// Session Present.
    pub(super) fn session_present(&self) -> bool {
        assert_eq!(self.first, 0x20);
        self.body[0] == 1
    }

    /// The codes of a SUBACK or an UNSUBACK.
    pub(super) fn filter_codes(&self, first: u8) -> Vec<u8> {
        assert_eq!(self.first, first, "{self:?}");
        assert_eq!(&self.body[..2], [0, 9]);
        self.parts().1.to_vec()
    }

    /// The encoded properties, and what follows them.
    fn parts(&self) -> (Bytes, Bytes) {
        let before = match self.kind() {
            2 | 9 | 11 => 2,
            4 | 5 => 3,
            14 => 1,
            3 => {
                let (_, _, properties, payload) = self.publish_parts();
                return (properties, payload);
            }
            _ => self.body.len(),
        };
        let mut rest = self.body.slice(before.min(self.body.len())..);
        if self.version == 4 || rest.is_empty() {
            return (Bytes::new(), rest);
        }
        let (length, bytes) = variable(&rest).unwrap();
        rest.advance(bytes);
        (rest.split_to(length), rest)
    }

    /// The encoded properties.
    pub(super) fn properties(&self) -> Bytes {
        self.parts().0
    }

    /// The Reason String, which is the only property of a refusal.
    pub(super) fn reason_string(&self) -> Option<String> {
        let mut properties = self.properties();
        if properties.is_empty() {
            return None;
        }
        assert_eq!(properties.get_u8(), 0x1f, "{self:?}");
        let length = usize::from(properties.get_u16());
        assert_eq!(length, properties.len(), "{self:?}");
        Some(String::from_utf8(properties.to_vec()).unwrap())
    }

    pub(super) fn disconnect_reason(&self) -> u8 {
        assert_eq!(self.first, 0xe0);
        self.body[0]
    }

    fn publish(&self) -> (String, u16, Bytes) {
        let (topic, id, _, payload) = self.publish_parts();
        (topic, id, payload)
    }

    fn publish_parts(&self) -> (String, u16, Bytes, Bytes) {
        assert_eq!(self.kind(), 3);
        let mut body = self.body.clone();
        let length = body.get_u16().into();
        let topic = String::from_utf8(body.split_to(length).to_vec()).unwrap();
        let id = if self.qos() > 0 { body.get_u16() } else { 0 };
        let mut properties = Bytes::new();
        if self.version == 5 {
            let (length, bytes) = variable(&body).unwrap();
            body.advance(bytes);
            properties = body.split_to(length);
        }
        (topic, id, properties, body)
    }

    /// The Message Expiry Interval of a PUBLISH whose properties begin with it.
    pub(super) fn expiry_secs(&self) -> u32 {
        let mut properties = self.publish_parts().2;
        assert_eq!(properties.get_u8(), 2, "{self:?}");
        properties.get_u32()
    }

    pub(super) fn topic(&self) -> String {
        self.publish().0
    }

    pub(super) fn id(&self) -> u16 {
        self.publish().1
    }

    pub(super) fn payload(&self) -> Bytes {
        self.publish().2
    }
}
