//! A device of the simulated world: it connects, reads, acknowledges as it pleases, and remembers what
//! it has told the broker. It holds to the protocol; all else is left to chance.

use super::chance::Chance;
use super::judge::Watch;
use super::packets::{self, Outgoing, Packet};
use super::stream::DeviceEnd;
use super::time::Millis;
use crate::presence::Presence;
use belfry_protocol::id::{DeviceId, NotificationId};
use std::collections::BTreeMap;

/// The number that leads each private payload.
pub(super) fn number(payload: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(payload).ok()?;
    text.split_once(';')?.0.parse().ok()
}

/// When a device acknowledges what it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledging {
    AtOnce,
    /// After up to this long, in any order.
    Within(Millis),
    Never,
}

/// What an answer is waited for.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// Filters below `u/{user}/`, with whether each is at least once and No Local.
    Subscribe(Vec<(String, bool, bool)>),
    Unsubscribe(Vec<String>),
    Presence(Presence),
    /// A private message by its number.
    Private(u64),
    Seen(Vec<NotificationId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Open,
    Over,
}

/// A QoS 2 message on its way to the broker.
#[derive(Debug, Clone)]
pub(super) struct ExactlyOnce {
    topic: String,
    payload: Vec<u8>,
    /// Whether PUBREC came.
    received: bool,
    /// The session that it was published in.
    session: Option<usize>,
}

pub(super) struct Connection {
    pub(super) watch: Watch,
    pub(super) end: DeviceEnd,
    pub(super) phase: Phase,
    pub(super) acknowledging: Acknowledging,
    /// It reads nothing until then.
    pub(super) stalled_until: Millis,
    /// What it sends does not arrive until then.
    pub(super) unheard_until: Millis,
    pub(super) said_goodbye: bool,
    bytes: Vec<u8>,
    /// Bytes sent in all.
    sent: u64,
    requests: BTreeMap<u16, (u64, Request)>,
    pings: Vec<u64>,
    acknowledgements: Vec<(u64, u64)>,
    due: Vec<(Millis, u16)>,
}

/// What came of reading, for the world to note.
pub(super) enum Event {
    Connected {
        present: bool,
        code: u8,
    },
    Granted(Vec<(String, bool, bool)>, Vec<u8>),
    Unsubscribed(Vec<String>, Vec<u8>),
    /// PUBACK without an error.
    Done(Request),
    /// PUBREC or PUBCOMP.
    Handshake(Packet),
    Got,
    /// The broker took in the acknowledgement of this entry.
    Taken(u64),
    Over,
}

impl Connection {
    pub(super) fn new(watch: Watch, end: DeviceEnd, acknowledging: Acknowledging) -> Self {
        Self {
            watch,
            end,
            phase: Phase::Connecting,
            acknowledging,
            stalled_until: 0,
            unheard_until: 0,
            said_goodbye: false,
            bytes: Vec::new(),
            sent: 0,
            requests: BTreeMap::new(),
            pings: Vec::new(),
            acknowledgements: Vec::new(),
            due: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open && !self.said_goodbye
    }

    /// Entries whose acknowledgement has arrived, be it unread.
    pub(super) fn arrived(&self, now: Millis) -> Vec<u64> {
        let arrives = self.is_open() && self.unheard_until <= now && !self.end.ended();
        let pending = self.acknowledgements.iter().filter(|_| arrives);
        pending.map(|(_, seq)| *seq).collect()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        self.end.send(bytes);
    }

    pub(super) fn ping(&mut self) {
        self.send(&packets::pingreq());
        self.pings.push(self.sent);
    }

    pub(super) fn request(&mut self, id: u16, bytes: &[u8], request: Request) {
        self.send(bytes);
        self.requests.insert(id, (self.sent, request));
    }

    pub(super) fn is_waiting_for(&self, id: u16) -> bool {
        self.requests.contains_key(&id)
    }

    /// When it does something by itself next.
    pub(super) fn next(&self, now: Millis) -> Option<Millis> {
        if self.phase == Phase::Over || self.end.ended() {
            return Some(now);
        }
        if self.end.has_unread() && self.stalled_until <= now {
            return Some(now);
        }
        let due = self.due.iter().map(|(due, _)| *due);
        let due = due.filter(|due| *due < Millis::MAX && self.is_open());
        let turns = [self.stalled_until, self.unheard_until];
        let turns = turns.into_iter().filter(|at| *at > now);
        due.chain(turns).min()
    }

    pub(super) fn say_goodbye(&mut self, expiry_secs: Option<u32>) {
        let bytes = packets::disconnect(self.watch.version, expiry_secs);
        self.send(&bytes);
        self.end.finish();
        self.said_goodbye = true;
    }

    /// Reads what is there, and says what came of it.
    pub(super) fn read(&mut self, now: Millis, chance: &mut Chance) -> Vec<Event> {
        let mut events = Vec::new();
        if self.phase == Phase::Over {
            return events;
        }
        self.end.stall(self.unheard_until > now);
        if self.stalled_until <= now {
            let bytes = self.end.receive(usize::MAX);
            self.bytes.extend(bytes);
            while let Some(packet) = packets::take(&mut self.bytes, self.watch.version) {
                self.received(packet, now, chance, &mut events);
            }
        }
        if self.end.ended() {
            let heard_all =
                self.said_goodbye && self.end.was_left() && self.end.read() == self.sent;
            if heard_all && self.stalled_until == 0 {
                self.took_in(self.sent, &mut events);
            }
            self.end.finish();
            self.phase = Phase::Over;
            events.push(Event::Over);
        }
        events
    }

    fn received(
        &mut self,
        packet: Packet,
        now: Millis,
        chance: &mut Chance,
        events: &mut Vec<Event>,
    ) {
        match packet {
            Packet::ConnAck { present, code } => {
                if code == 0 {
                    self.phase = Phase::Open;
                }
                events.push(Event::Connected { present, code });
            }
            Packet::Publish(publish) => {
                if publish.qos == 1 {
                    let due = match self.acknowledging {
                        Acknowledging::AtOnce => Some(now),
                        Acknowledging::Within(most) => Some(now + chance.below(most + 1)),
                        Acknowledging::Never => None,
                    };
                    self.due.push((due.unwrap_or(Millis::MAX), publish.id));
                }
                events.push(Event::Got);
            }
            Packet::Ack { kind: 4, id, code } => {
                if let Some((at, request)) = self.requests.remove(&id) {
                    self.took_in(at, events);
                    if code < 0x80 {
                        events.push(Event::Done(request));
                    }
                }
            }
            Packet::SubAck { id, codes } => {
                if let Some((at, Request::Subscribe(filters))) = self.requests.remove(&id) {
                    self.took_in(at, events);
                    events.push(Event::Granted(filters, codes));
                }
            }
            Packet::UnsubAck { id, codes } => {
                if let Some((at, Request::Unsubscribe(filters))) = self.requests.remove(&id) {
                    self.took_in(at, events);
                    events.push(Event::Unsubscribed(filters, codes));
                }
            }
            Packet::PingResp => {
                if !self.pings.is_empty() {
                    let at = self.pings.remove(0);
                    self.took_in(at, events);
                }
            }
            handshake @ Packet::Ack { .. } => events.push(Event::Handshake(handshake)),
            Packet::Disconnect => {}
        }
    }

    /// The broker has taken in all that was sent before this byte.
    fn took_in(&mut self, at: u64, events: &mut Vec<Event>) {
        let (taken, left) = std::mem::take(&mut self.acknowledgements)
            .into_iter()
            .partition(|(sent, _)| *sent <= at);
        self.acknowledgements = left;
        let taken: Vec<(u64, u64)> = taken;
        events.extend(taken.into_iter().map(|(_, seq)| Event::Taken(seq)));
    }

    /// Sends the acknowledgements that are due, and gives the entries.
    pub(super) fn acknowledge(&mut self, now: Millis, chance: &mut Chance) -> Vec<u64> {
        let mut seqs = Vec::new();
        if !self.is_open() {
            return seqs;
        }
        let (mut ready, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(due, _)| *due <= now);
        self.due = left;
        while !ready.is_empty() {
            let at = match self.acknowledging {
                Acknowledging::Within(_) => chance.below(ready.len() as u64) as usize,
                _ => 0,
            };
            let (_, id) = ready.remove(at);
            self.send(&packets::puback(id));
            if let Some(seq) = self.watch.outstanding.remove(&id).flatten() {
                self.acknowledgements.push((self.sent, seq));
                seqs.push(seq);
            }
        }
        seqs
    }

    /// From now on it acknowledges at once, also what it has put off.
    pub(super) fn acknowledge_all(&mut self, now: Millis) {
        self.acknowledging = Acknowledging::AtOnce;
        for (due, _) in &mut self.due {
            *due = now;
        }
    }

    pub(super) fn has_filter_request(&self) -> bool {
        let mut requests = self.requests.values();
        requests
            .any(|(_, request)| matches!(request, Request::Subscribe(_) | Request::Unsubscribe(_)))
    }
}

pub(super) struct Device {
    pub(super) id: DeviceId,
    /// The older ones first.
    pub(super) connections: Vec<Connection>,
    next_id: u16,
    exactly_once: BTreeMap<u16, ExactlyOnce>,
}

impl Device {
    pub(super) fn new(id: DeviceId) -> Self {
        Self {
            id,
            connections: Vec::new(),
            next_id: 0,
            exactly_once: BTreeMap::new(),
        }
    }

    /// Its newest connection.
    pub(super) fn current(&mut self) -> Option<&mut Connection> {
        let newest = self.connections.last_mut();
        newest.filter(|connection| connection.is_open())
    }

    /// A packet id that nothing is using.
    pub(super) fn packet_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id % 400 + 1;
            let id = self.next_id;
            let waits = self.connections.iter().any(|one| one.is_waiting_for(id));
            if !waits && !self.exactly_once.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn publish_exactly_once(&mut self, topic: String, payload: Vec<u8>) {
        // What may wait for its PUBREL at once, by the broker's Receive Maximum.
        if self.exactly_once.len() >= 8 {
            return;
        }
        let id = self.packet_id();
        let session = self.current().and_then(|one| one.watch.session);
        let message = ExactlyOnce {
            topic,
            payload,
            received: false,
            session,
        };
        self.exactly_once.insert(id, message);
        self.send_exactly_once(id, false);
    }

    fn send_exactly_once(&mut self, id: u16, again: bool) {
        let Some(message) = self.exactly_once.get(&id).cloned() else {
            return;
        };
        let Some(connection) = self.current() else {
            return;
        };
        let bytes = match message.received {
            true => packets::pubrel(id),
            false => packets::publish(
                connection.watch.version,
                &Outgoing {
                    topic: &message.topic,
                    payload: &message.payload,
                    qos: 2,
                    id,
                    retain: false,
                    dup: again,
                },
            ),
        };
        connection.send(&bytes);
    }

    /// On a session that was present it goes on with its QoS 2 messages; else they are given up. Here
    /// it also knows of a session that began without its hearing of it, which MQTT cannot tell it.
    pub(super) fn resume(&mut self, present: bool, session: Option<usize>) {
        self.exactly_once
            .retain(|_, message| present && message.session == session);
        let ids: Vec<u16> = self.exactly_once.keys().copied().collect();
        for id in ids {
            self.send_exactly_once(id, true);
        }
    }

    /// PUBREC and PUBCOMP.
    pub(super) fn handshake(&mut self, packet: &Packet) {
        match packet {
            Packet::Ack { kind: 5, id, code } if *code >= 0x80 => {
                self.exactly_once.remove(id);
            }
            Packet::Ack { kind: 5, id, .. } => {
                if let Some(message) = self.exactly_once.get_mut(id) {
                    message.received = true;
                    self.send_exactly_once(*id, false);
                }
            }
            Packet::Ack { kind: 7, id, .. } => {
                self.exactly_once.remove(id);
            }
            _ => {}
        }
    }
}
