//! Judges what the broker writes to one connection, packet by packet, as it is written.

use super::away::Whereabouts;
use super::contract::{Contract, Kind, Violation, must};
use super::packets::{self, Packet, Publish};
use super::stream::Written;
use super::time::Millis;
use belfry_protocol::envelope::Notification;
use belfry_protocol::id::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one connection.
pub(super) struct Watch {
    /// Counts connections.
    pub(super) number: u64,
    pub(super) device: DeviceId,
    pub(super) version: u8,
    /// Whether its session is stored.
    pub(super) stored: bool,
    pub(super) window: usize,
    pub(super) began: Millis,
    /// Its session, by its place in the contract, once it is accepted.
    pub(super) session: Option<usize>,
    /// Sent at QoS 1 and not acknowledged: by packet id, the place of an entry.
    pub(super) outstanding: BTreeMap<u16, Option<u64>>,
    answered: bool,
    bytes: Vec<u8>,
    since: Millis,
    sent: BTreeSet<u64>,
    sent_once: BTreeSet<u64>,
    highest: u64,
    /// Which sending was repeated last.
    repeated: u64,
}

/// What else the judge goes by.
pub(super) struct Circumstances<'a> {
    pub(super) whereabouts: &'a Whereabouts,
    /// Whether deliveries hold entries.
    pub(super) holds: bool,
    /// How long what is decided may take to be written.
    pub(super) slack: Millis,
    /// Whether what an earlier connection left on its way may not be known any more.
    pub(super) forgets: bool,
    /// Since when the broker may not have heard of all that was acknowledged over HTTP.
    pub(super) unheard: Option<Millis>,
}

impl Watch {
    pub(super) fn new(
        number: u64,
        device: DeviceId,
        version: u8,
        stored: bool,
        window: usize,
        began: Millis,
    ) -> Self {
        Self {
            number,
            device,
            version,
            stored,
            window,
            began,
            session: None,
            outstanding: BTreeMap::new(),
            answered: false,
            bytes: Vec::new(),
            since: began,
            sent: BTreeSet::new(),
            sent_once: BTreeSet::new(),
            highest: 0,
            repeated: 0,
        }
    }

    /// The broker wrote this. Gives the packets that are complete.
    pub(super) fn wrote(
        &mut self,
        written: Written,
        contract: &mut Contract,
        circumstances: &Circumstances<'_>,
    ) -> Result<Vec<Packet>, Violation> {
        if self.bytes.is_empty() {
            self.since = written.since;
        }
        self.bytes.extend_from_slice(&written.bytes);
        let mut packets = Vec::new();
        while let Some(packet) = packets::take(&mut self.bytes, self.version) {
            self.packet(&packet, written.at, contract, circumstances)?;
            packets.push(packet);
            self.since = written.since;
        }
        Ok(packets)
    }

    fn packet(
        &mut self,
        packet: &Packet,
        at: Millis,
        contract: &mut Contract,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), Violation> {
        match packet {
            Packet::ConnAck { present, code } => {
                must!(!self.answered, "a second CONNACK");
                self.answered = true;
                if *code == 0 {
                    self.accepted(*present, contract)?;
                }
                Ok(())
            }
            _ if !self.answered => Err(format!("before the CONNACK: {packet:?}")),
            Packet::Publish(publish) => self.publish(publish, at, contract, circumstances),
            _ => Ok(()),
        }
    }

    fn accepted(&mut self, present: bool, contract: &mut Contract) -> Result<(), Violation> {
        if !self.stored {
            must!(!present, "a session that is not stored was present");
            let head = contract.head();
            let session = super::contract::Session::new(self.device, false, head);
            contract.sessions.push(session);
            self.session = Some(contract.sessions.len() - 1);
            return Ok(());
        }
        let mut openings = contract.openings.iter().rev();
        let expected = openings.any(|(device, at, was)| {
            *device == self.device && *at >= self.began && *was == present
        });
        must!(expected, "CONNACK says {present} of its session");
        self.session = contract.stored.get(&self.device).copied();
        if let Some(session) = self.session {
            // What does not fit a smaller window is sent as new.
            let row = &mut contract.sessions[session];
            row.forgets |= row.window > self.window;
            row.window = row.window.max(self.window);
        }
        Ok(())
    }

    fn publish(
        &mut self,
        publish: &Publish,
        at: Millis,
        contract: &mut Contract,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), Violation> {
        must!(publish.qos < 2, "QoS {}", publish.qos);
        let prefix = format!("u/{}/", super::USER);
        let topic = publish.topic.strip_prefix(&prefix);
        let topic = topic.ok_or_else(|| format!("a foreign topic: {}", publish.topic))?;
        let seq = match topic.split_once('/') {
            Some(("n", permission)) => notification(contract, permission, &publish.payload)?,
            Some(("x", name)) if !publish.retain => private(contract, name, &publish.payload)?,
            _ => None,
        };
        if publish.qos == 1 {
            must!(publish.id != 0, "packet id 0");
            let taken = self.outstanding.insert(publish.id, seq);
            must!(taken.is_none(), "packet id {} is taken", publish.id);
            let count = self.outstanding.len();
            must!(count <= self.window, "{count} are on their way at once");
        }
        let (Some(seq), Some(session)) = (seq, self.session) else {
            return Ok(());
        };
        match publish.qos {
            1 => self.entry(seq, session, publish, at, contract, circumstances),
            _ => self.once(seq, session, contract, circumstances),
        }
    }

    /// An entry of the log at QoS 1.
    fn entry(
        &mut self,
        seq: u64,
        session: usize,
        publish: &Publish,
        at: Millis,
        contract: &mut Contract,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), Violation> {
        let from = self.since.saturating_sub(circumstances.slack);
        let entry = contract.entry(seq).ok_or("sent before it was stored")?;
        contract.may_owe(session, entry, Some(circumstances.unheard), from)?;
        must!(self.sent.insert(seq), "{seq} went out twice");
        let row = &contract.sessions[session];
        let taken = row.taken.get(&seq);
        must!(
            taken.is_none_or(|taken| *taken >= self.began),
            "{seq} was acknowledged before, and taken in at {taken:?}"
        );
        let before = row.sent.get(&seq).copied();
        if publish.dup {
            must!(
                row.cut_short
                    || circumstances.forgets
                    || before.is_some_and(|(id, number)| id == publish.id && number < self.number),
                "{seq} has DUP and id {}, and was sent before as {before:?}",
                publish.id
            );
            // MQTT 5.0 §4.6. What went out as new again may not have been written.
            if let Some(sending) = row.order.get(&seq).copied() {
                must!(
                    row.forgets && row.cut_short
                        || circumstances.forgets
                        || sending > self.repeated,
                    "{seq} was sent as number {sending}, and again after number {}",
                    self.repeated
                );
                self.repeated = sending;
            }
        } else {
            must!(
                circumstances.forgets || row.forgets || before.is_none(),
                "{seq} went out again without DUP, after {before:?}"
            );
            if circumstances.holds {
                let whereabouts = circumstances.whereabouts;
                must!(
                    !whereabouts.held(entry, self.device, from, at),
                    "{seq} went out while it was held: {entry:?}"
                );
            }
            let began = self.began.saturating_sub(circumstances.slack);
            let passed_over = circumstances.holds
                && circumstances
                    .whereabouts
                    .may_have_held(entry, self.device, began);
            must!(
                seq > self.highest || passed_over,
                "{seq} went out after {}",
                self.highest
            );
            self.highest = self.highest.max(seq);
        }
        let row = &mut contract.sessions[session];
        row.sent.insert(seq, (publish.id, self.number));
        if !publish.dup {
            row.sendings += 1;
            row.order.insert(seq, row.sendings);
        }
        Ok(())
    }

    /// An entry of the log at QoS 0.
    fn once(
        &mut self,
        seq: u64,
        session: usize,
        contract: &mut Contract,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), Violation> {
        let from = self.since.saturating_sub(circumstances.slack);
        let entry = contract.entry(seq).ok_or("sent before it was stored")?;
        contract.may_owe(session, entry, None, from)?;
        must!(self.sent_once.insert(seq), "{seq} went out twice at QoS 0");
        Ok(())
    }
}

/// The place of a notification, whose payload has to be what was stored there.
fn notification(
    contract: &Contract,
    topic: &str,
    payload: &[u8],
) -> Result<Option<u64>, Violation> {
    let payload: Notification =
        serde_json::from_slice(payload).map_err(|error| format!("a payload: {error}"))?;
    let Some(seq) = payload.seq else {
        return Ok(None);
    };
    let entry = contract.entry(seq).ok_or("sent before it was stored")?;
    let same = matches!(&entry.kind, Kind::Notification { id, permission, .. }
        if *id == payload.id && permission.to_string() == topic);
    must!(same, "{seq} is not {entry:?} but {payload:?}");
    Ok(Some(seq))
}

/// The place of a private message; none for one that is not stored.
fn private(contract: &Contract, name: &str, payload: &[u8]) -> Result<Option<u64>, Violation> {
    let number = super::device::number(payload).ok_or("a payload without number")?;
    let Some(seq) = contract.published.get(&number).copied().flatten() else {
        return Ok(None);
    };
    let entry = contract.entry(seq).ok_or("sent before it was stored")?;
    let same = matches!(&entry.kind, Kind::Private { name: theirs, .. } if theirs == name);
    must!(same, "{seq} is not {entry:?}");
    Ok(Some(seq))
}
