//! A whole connection: bytes in pieces of any size through the transport and the session, with the
//! answers that a mailbox and a directory might give, and bytes out that a client can read.

use crate::denial::{self, Denial};
use crate::session::{Action, Ending, InFlight, Limits, Session};
use crate::transport::{Framing, Progress, Transport, WRITE_BYTES_MAX};
use crate::wire::websocket::FrameDecoder;
use crate::wire::{
    Ack, ConnAck, ConnAckProperties, ProtocolVersion, QoS, ReasonCode, ServerDisconnect,
    ServerPacket, ServerPublish, SubAck, UnsubAck,
};
use belfry_store::mailbox::Seq;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const WINDOW: u16 = 8;
const PACKET_BYTES_MAX: u32 = 64 * 1024;
/// A packet of the largest size whose last byte has not come, and one more read.
const HELD_MAX: usize = PACKET_BYTES_MAX as usize + 8 * 1024 + 140;
/// The largest answer: a SUBACK of as many codes as there is room for filters.
const ANSWER_MAX: usize = 20 * 1024;

/// The first byte is a set of choices, the second a seed of the sizes in which bytes come and go.
pub fn connection(input: &[u8]) {
    let [choices, seed, bytes @ ..] = input else {
        return;
    };
    let written = Arc::new(Mutex::new(Vec::new()));
    let stream = Pieces {
        left: Bytes::copy_from_slice(bytes),
        sizes: u32::from(*seed) | 0x100,
        written: Arc::clone(&written),
    };
    let websocket = choices & 1 != 0;
    let framing = match websocket {
        true => Framing::WebSocket(Box::new(FrameDecoder::new())),
        false => Framing::Plain,
    };
    let now = Instant::now();
    let limits = Limits {
        window: NonZeroU16::new(WINDOW).expect("not zero"),
        keep_alive_secs_max: NonZeroU16::MAX,
        session_expiry_secs_max: 3_600,
        connect_timeout: Duration::from_secs(5),
    };
    let mut client = Client {
        transport: Transport::new(Box::new(stream), framing, PACKET_BYTES_MAX),
        session: Session::new(limits, now),
        now,
        on_their_way: HashMap::new(),
        next_seq: 1,
        choices: *choices,
    };
    client.run();
    let mut context = Context::from_waker(Waker::noop());
    let mut finishing = Box::pin(client.transport.finish());
    while finishing.as_mut().poll(&mut context).is_pending() {}
    let written = written.lock().expect("nothing panicked").clone();
    let packets = match websocket {
        true => unframed(&written),
        false => written,
    };
    readable(&packets);
}

/// A stream of bytes that come and go in pieces of many sizes, and sometimes not yet.
struct Pieces {
    left: Bytes,
    sizes: u32,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Pieces {
    /// Mostly small ones; `None` for not yet.
    fn size(&mut self) -> Option<usize> {
        self.sizes = self
            .sizes
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let size = (self.sizes >> 16) as usize;
        match size % 8 {
            0 => None,
            1 => Some(1 + size % 5_000),
            _ => Some(1 + size % 40),
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(size) = self.size() else {
            return Poll::Pending;
        };
        let size = size.min(buf.remaining()).min(self.left.len());
        buf.put_slice(&self.left.split_to(size));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(size) = self.size() else {
            return Poll::Pending;
        };
        let size = size.min(bytes.len());
        let mut written = self.written.lock().expect("nothing panicked");
        written.extend_from_slice(&bytes[..size]);
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Client {
    transport: Transport,
    session: Session,
    now: Instant,
    /// What was sent at QoS 1 and not settled, by packet id.
    on_their_way: HashMap<NonZeroU16, Seq>,
    next_seq: u64,
    choices: u8,
}

impl Client {
    fn run(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            while self.transport.waiting() < WRITE_BYTES_MAX {
                let action = match self.transport.next_packet(self.session.version()) {
                    Ok(None) => break,
                    Ok(Some(packet)) => self.session.receive(packet, self.now),
                    Err(error) => self.session.end(Ending::Refused(error.into())),
                };
                if let Some(ending) = self.act(action) {
                    return self.say_why(ending);
                }
            }
            self.send();
            self.holds();
            self.now += Duration::from_millis(1);
            let reading = self.transport.waiting() < WRITE_BYTES_MAX;
            match self.transport.poll(&mut context, reading) {
                Poll::Ready(Progress::Ended) => return,
                Poll::Ready(Progress::Received | Progress::Written) | Poll::Pending => {}
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Ending> {
        let refuses = self.choices & 2 != 0;
        match action {
            Action::Nothing => {}
            Action::Send(packet) => self.write(&packet),
            Action::End(ending) => return Some(ending),
            Action::Connect(connect) => {
                self.write(&ServerPacket::ConnAck(ConnAck {
                    session_present: !connect.clean_start,
                    reason: ReasonCode::Success,
                    properties: ConnAckProperties::default(),
                }));
                let resumed = self.resumed();
                self.session.accept(resumed, &[7, 7, 0], self.now);
            }
            Action::Publish(publish) => {
                let published = match refuses {
                    true => Err(denial::TOPIC),
                    false => Ok(()),
                };
                let (qos, id) = (publish.qos, publish.packet_id);
                let answer = self.session.published(qos, id, published);
                return self.act(answer);
            }
            Action::Settled(what) => {
                let settled = what.seq().expect("only entries are sent");
                let known = self.on_their_way.len();
                self.on_their_way.retain(|_, seq| *seq != settled);
                assert_eq!(self.on_their_way.len() + 1, known, "settled once");
            }
            Action::Subscribe(subscribe) => self.write(&ServerPacket::SubAck(SubAck {
                packet_id: subscribe.packet_id,
                codes: vec![ReasonCode::GrantedQoS1; subscribe.filters.len()],
                detail: None,
            })),
            Action::Unsubscribe(unsubscribe) => self.write(&ServerPacket::UnsubAck(UnsubAck {
                packet_id: unsubscribe.packet_id,
                codes: vec![ReasonCode::Success; unsubscribe.filters.len()],
                detail: None,
            })),
            Action::Release(packet_id) => self.write(&ServerPacket::PubComp(Ack {
                packet_id,
                reason: ReasonCode::Success,
            })),
        }
        None
    }

    /// What an earlier connection left, where there was one.
    fn resumed(&mut self) -> Vec<(NonZeroU16, InFlight)> {
        let ids = match self.choices & 4 {
            0 => 0..0,
            _ => 2..4,
        };
        let mut left = Vec::new();
        // A client may take fewer at a time than it did.
        for id in ids
            .filter_map(NonZeroU16::new)
            .take(self.session.window_free())
        {
            let (seq, accepted) = (Seq(self.next_seq), None);
            self.next_seq += 1;
            self.on_their_way.insert(id, seq);
            left.push((id, InFlight::Entry { seq, accepted }));
        }
        left
    }

    /// As much as the window has room for, of sizes that a small client refuses in part.
    fn send(&mut self) {
        while self.transport.waiting() < WRITE_BYTES_MAX {
            let seq = Seq(self.next_seq);
            let what = InFlight::Entry {
                seq,
                accepted: None,
            };
            let Some(packet_id) = self.session.send(what) else {
                return;
            };
            self.next_seq += 1;
            let packet = ServerPacket::Publish(ServerPublish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: "u/a/n/b".to_owned(),
                packet_id: Some(packet_id),
                message_expiry_secs: None,
                content_type: None,
                forwardable: Bytes::new(),
                subscription_identifiers: Vec::new(),
                payload: Bytes::from(vec![0x5a; (self.next_seq as usize * 97) % 700]),
            });
            if !self.session.fits(&packet) {
                self.session.withdraw(packet_id);
                return;
            }
            assert_eq!(
                self.on_their_way.insert(packet_id, seq),
                None,
                "an id in use"
            );
            self.write(&packet);
        }
    }

    fn write(&mut self, packet: &ServerPacket) {
        let version = self.session.version().unwrap_or(ProtocolVersion::V311);
        self.transport.write(packet, version);
    }

    fn holds(&self) {
        let ids = self.session.in_flight().iter().map(|(id, _)| id);
        assert!(ids.clone().count() <= usize::from(WINDOW));
        assert!(ids.clone().all(|id| self.on_their_way.contains_key(id)));
        assert_eq!(ids.count(), self.on_their_way.len());
        let held = self.transport.held();
        assert!(held <= HELD_MAX, "{held} bytes are held");
        let waiting = self.transport.waiting();
        assert!(waiting <= WRITE_BYTES_MAX + ANSWER_MAX, "{waiting} bytes");
    }

    fn say_why(&mut self, ending: Ending) {
        if self.session.version() == Some(ProtocolVersion::V5)
            && let Some(Denial { reason, says }) = ending.denial()
        {
            self.write(&ServerPacket::Disconnect(ServerDisconnect {
                reason,
                detail: Some(says),
            }));
        }
    }
}

/// The packets in a server's frames, all of which are whole, unmasked and known.
fn unframed(mut frames: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    while let [first, length, rest @ ..] = frames {
        let (length, rest) = match (length, rest) {
            (126, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]).into(), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                let bytes = [*a, *b, *c, *d, *e, *f, *g, *h];
                let length = usize::try_from(u64::from_be_bytes(bytes));
                (length.expect("a length"), rest)
            }
            (length, rest) => (usize::from(*length), rest),
        };
        let (payload, rest) = rest.split_at(length);
        match first {
            0x82 => packets.extend_from_slice(payload),
            0x88 => assert!(rest.is_empty() && length == 2, "a close frame is the last"),
            0x8a => assert!(length <= 125),
            other => panic!("a frame that no server sends: {other:#x}"),
        }
        frames = rest;
    }
    assert!(frames.is_empty(), "half a frame");
    packets
}

/// Whole packets, of the kinds that a server sends, beginning with CONNACK.
fn readable(mut packets: &[u8]) {
    let mut first_one = true;
    while let [first, rest @ ..] = packets {
        let (mut length, mut used) = (0, 0);
        for byte in rest.iter().take(4) {
            length |= usize::from(byte & 0x7f) << (7 * used);
            used += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let kind = first >> 4;
        assert!(matches!(kind, 2..=7 | 9 | 11 | 13 | 14), "{first:#x}");
        assert_eq!(kind == 2, first_one, "CONNACK comes first, and once");
        first_one = false;
        packets = &rest[used..][length..];
    }
}

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    super::replay("connection", 10_000, connection);
}
