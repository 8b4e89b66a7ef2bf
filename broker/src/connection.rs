//! One connection: waits for bytes, mail and deadlines, and lets the pure parts decide.
//!
//! What it does for a packet is boxed, so that an idle connection is the size of its waiting.

mod filters;
mod inbound;
mod opening;
mod outbound;
mod pace;
mod unlogged;
mod wills;

use crate::admission::Admitted;
use crate::broker::Broker;
use crate::delivery::Delivery;
use crate::denial::{self, Denial};
use crate::figures::{Connected, TransportKind};
use crate::hub::Registration;
use crate::inbox::{CloseCause, Inbox};
use crate::session::{Action, Ending, InFlight, Limits, Session};
use crate::transport::{Progress, Transport, WRITE_BYTES_MAX};
use crate::wire::{
    ConnAck, ConnAckProperties, ProtocolVersion, ReasonCode, ServerDisconnect, ServerPacket,
    WireError,
};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Command, Seq};
use pace::{Allowance, PACKETS_PER_TURN, READS_PER_TURN, cost};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long an older connection of a device may take to leave. It normally does at once; if it hangs in
/// the mailbox, so would a new one, which is told to come back.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// How long the last packet to a client may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// After the mailbox could not be read, it is tried again this much later.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A connection with its session.
pub(crate) struct Connection {
    broker: Broker,
    transport: Transport,
    kind: TransportKind,
    session: Session,
    /// An answer was larger than the client takes, so that it would wait for it in vain.
    unanswered: bool,
    /// What may still be read of it.
    allowance: Allowance,
    client: Option<Box<Client>>,
    admitted: Admitted,
}

/// What is known once CONNECT was accepted.
struct Client {
    user: UserId,
    device: DeviceId,
    registration: Registration,
    delivery: Delivery,
    kept: Kept,
    /// Whether it has had everything once.
    caught_up: bool,
    /// Which connection of the session this is to the mailbox.
    epoch: u64,
    unlogged: unlogged::Unlogged,
    /// What it may still publish.
    publishes: Allowance,
    /// Held entries after this one are to be considered again: the situation changed.
    review: Option<Seq>,
    /// Something for this connection was lost on the bus.
    missed: bool,
    retry: Option<Instant>,
    /// When the client has taken nothing for too long, and what it had taken at the last look.
    write_deadline: Option<Instant>,
    taken: u64,
    _connected: Connected,
}

/// What the mailbox keeps of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Nothing: it is over when its connection is.
    Nothing,
    /// So it is with this one, but it has a will.
    Will,
    /// All of it.
    Session,
}

/// How far reading packets came.
enum Read {
    /// Nothing more can be done until something comes or is written.
    All,
    /// It has sent more than it may, and is read again then.
    Until(Instant),
    /// There may be more, and others have their turn first.
    TurnOver,
    /// The connection is to end.
    End(Ending),
}

/// What waiting brought.
enum Woken {
    Stream(Progress),
    Mail,
    Time,
    Draining,
}

impl Connection {
    pub(crate) fn new(
        broker: Broker,
        transport: Transport,
        kind: TransportKind,
        admitted: Admitted,
    ) -> Self {
        let settings = &broker.0.settings;
        let limits = Limits {
            window: settings.window,
            keep_alive_secs_max: settings.keep_alive_secs_max,
            session_expiry_secs_max: u32::try_from(settings.session_expiry_max.as_secs())
                .unwrap_or(u32::MAX),
            connect_timeout: settings.connect_timeout,
        };
        let now = steady_clock();
        Self {
            session: Session::new(limits, now),
            allowance: Allowance::full(now),
            broker,
            transport,
            kind,
            unanswered: false,
            client: None,
            admitted,
        }
    }

    /// Serves it to its end. Boxed, or the future would have room for it twice: as what it was given
    /// and as what it works on.
    pub(crate) async fn run(mut self: Box<Self>) {
        let ending = self.serve().await;
        Box::pin(self.leave(ending)).await;
    }

    async fn serve(&mut self) -> Ending {
        let mut reads = 0;
        loop {
            let read = self.read_packets().await;
            if let Read::End(ending) = read {
                return ending;
            }
            if self.client.is_some() {
                if let Some(ending) = self.open_mail() {
                    return ending;
                }
                if self.has_to_deliver() {
                    Box::pin(self.deliver()).await;
                }
                self.note_slowness();
            }
            if matches!(read, Read::TurnOver) || reads >= READS_PER_TURN {
                // The runtime would let it go on for a megabyte.
                reads = 0;
                tokio::task::yield_now().await;
            }
            let until = match read {
                Read::TurnOver => continue,
                Read::Until(until) => Some(until),
                Read::All | Read::End(_) => None,
            };
            match self.wait(until).await {
                Woken::Stream(Progress::Ended) => return Ending::Lost,
                Woken::Stream(Progress::Received) => {
                    reads += 1;
                    let empty = self.transport.take_empty_frames();
                    self.charge(empty);
                }
                Woken::Stream(Progress::Written) | Woken::Mail => {}
                Woken::Draining => return Ending::Lost,
                Woken::Time => {
                    let now = steady_clock();
                    if let Action::End(ending) = self.session.overdue(now) {
                        return ending;
                    }
                    let stalled = self
                        .client
                        .as_ref()
                        .and_then(|client| client.write_deadline);
                    if stalled.is_some_and(|deadline| deadline <= now) {
                        return Ending::Lost;
                    }
                }
            }
        }
    }

    async fn read_packets(&mut self) -> Read {
        for _ in 0..PACKETS_PER_TURN {
            // Answers to a client that reads nothing would pile up.
            if self.transport.waiting() >= WRITE_BYTES_MAX {
                return Read::All;
            }
            if let Some(until) = self.paid_at() {
                return Read::Until(until);
            }
            let action = match self.transport.next_packet(self.session.version()) {
                Ok(None) => return Read::All,
                Ok(Some(packet)) => self.session.receive(packet, steady_clock()),
                Err(error) => {
                    self.answer_bad_connect(error);
                    self.session.end(Ending::Refused(error.into()))
                }
            };
            self.charge(cost(&action));
            match action {
                Action::Nothing => {}
                Action::Send(packet) => self.answer(packet),
                Action::End(ending) => return Read::End(ending),
                Action::Settled(what) => self.acknowledged(what),
                action => {
                    if let Some(ending) = Box::pin(self.act(action)).await {
                        return Read::End(ending);
                    }
                }
            }
            if self.unanswered {
                return Read::End(Ending::Refused(denial::ANSWER_TOO_LARGE));
            }
        }
        Read::TurnOver
    }

    fn charge(&mut self, cost: u32) {
        if cost > 0 {
            let per_second = self.broker.0.settings.packets_per_second;
            self.allowance.take(cost, per_second, steady_clock());
        }
    }

    /// When it is read again, where it has sent more than it may.
    fn paid_at(&self) -> Option<Instant> {
        let now = steady_clock();
        let publishes = self.client.as_ref().map(|client| &client.publishes);
        let publishes = publishes.and_then(|publishes| publishes.paid_at(now));
        self.allowance.paid_at(now).max(publishes)
    }

    /// A CONNECT that cannot be understood has an answer in two cases (MQTT 3.1.1 §3.1.2.2, §3.1.3.1).
    fn answer_bad_connect(&mut self, error: WireError) {
        let reason = match error {
            WireError::UnsupportedVersion => ReasonCode::UnsupportedProtocolVersion,
            WireError::ClientIdentifier => ReasonCode::ClientIdentifierNotValid,
            _ => return,
        };
        if self.session.version().is_none() {
            self.answer(ServerPacket::ConnAck(ConnAck {
                session_present: false,
                reason,
                properties: ConnAckProperties::default(),
            }));
        }
    }

    /// Does what needs the mailbox or the directory.
    async fn act(&mut self, action: Action) -> Option<Ending> {
        match action {
            Action::Connect(connect) => self.open(*connect).await,
            Action::Publish(publish) => {
                let (qos, packet_id) = (publish.qos, publish.packet_id);
                let published = self.publish(*publish).await;
                match self.session.published(qos, packet_id, published) {
                    Action::Send(packet) => self.answer(packet),
                    Action::End(ending) => return Some(ending),
                    _ => {}
                }
                None
            }
            Action::Subscribe(subscribe) => {
                self.subscribe(subscribe).await;
                None
            }
            Action::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe).await,
            Action::Release(packet_id) => self.release(packet_id).await,
            Action::Nothing | Action::Send(_) | Action::Settled(_) => None,
            Action::End(ending) => Some(ending),
        }
    }

    /// An acknowledgement came: the device has it.
    fn acknowledged(&mut self, what: InFlight) {
        let InFlight::Entry { seq, accepted } = what else {
            return;
        };
        let client = self.client.as_ref();
        // It may have been over HTTP, and was counted then.
        let already = client.is_some_and(|client| client.delivery.has_settled(seq));
        self.settle(seq);
        if let Some(accepted) = accepted.filter(|_| !already) {
            crate::figures::acknowledged(accepted, wall_clock());
        }
    }

    /// The session is owed this no more, soon durably.
    fn settle(&mut self, seq: Seq) {
        let Some(client) = &mut self.client else {
            return;
        };
        let unsettled = self.session.in_flight().iter();
        let unsettled = unsettled.filter_map(|(_, what)| what.seq());
        client.delivery.settle(seq, unsettled);
        if client.persistent() {
            let settler = &self.broker.0.settler;
            settler.settle(client.user, client.device, seq);
        }
    }

    /// Waits for the next thing to happen; nothing is read before `until`.
    async fn wait(&mut self, until: Option<Instant>) -> Woken {
        let deadline = self.next_deadline().into_iter().chain(until).min();
        let reading = self.transport.waiting() < WRITE_BYTES_MAX && until.is_none();
        let Self {
            transport,
            client,
            broker,
            ..
        } = self;
        let inbox: Option<&Inbox> = client.as_ref().map(|client| &*client.registration.inbox);
        tokio::select! {
            biased;
            progress = poll_fn(|context| transport.poll(context, reading)) => Woken::Stream(progress),
            () = async {
                match inbox {
                    Some(inbox) => inbox.filled().await,
                    None => broker.0.draining.cancelled().await,
                }
            } => if inbox.is_some() { Woken::Mail } else { Woken::Draining },
            () = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            } => Woken::Time,
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let now = steady_clock();
        let mut deadlines = [self.session.deadline(), None, None];
        let room = self.has_room();
        if let Some(client) = &mut self.client {
            if self.transport.waiting() == 0 {
                client.write_deadline = None;
            } else if client.write_deadline.is_none() || client.taken != self.transport.taken() {
                client.taken = self.transport.taken();
                client.write_deadline = Some(now + self.broker.0.settings.write_timeout);
            }
            let due = client.delivery.next_due();
            let due = due.map(|due| now + due.since(wall_clock()));
            deadlines[1] = client.write_deadline;
            deadlines[2] = next_delivery(room, &mut client.retry, due, now);
        }
        deadlines.into_iter().flatten().min()
    }

    /// Writes an answer, without the words that explain it where the client does not take them.
    fn answer(&mut self, mut packet: ServerPacket) {
        if !self.session.explains() || !self.session.fits(&packet) {
            packet.drop_detail();
        }
        if self.session.fits(&packet) {
            self.write(&packet);
        } else {
            self.unanswered = true;
        }
    }

    fn write(&mut self, packet: &ServerPacket) {
        let version = self.session.version().unwrap_or(ProtocolVersion::V311);
        self.transport.write(packet, version);
    }

    /// Reads on until the client closes too: what it had acknowledged before it heard of the end must
    /// not come to it again.
    async fn take_last_acknowledgements(&mut self) {
        loop {
            loop {
                match self.transport.next_packet(self.session.version()) {
                    Ok(Some(packet)) => {
                        if let Action::Settled(what) = self.session.receive(packet, steady_clock())
                        {
                            self.acknowledged(what);
                        }
                    }
                    Ok(None) => break,
                    // What follows would pile up, and nothing of it can be understood.
                    Err(_) => return,
                }
            }
            let transport = &mut self.transport;
            let progress = poll_fn(|context| transport.poll(context, true)).await;
            if matches!(progress, Progress::Ended) {
                return;
            }
        }
    }

    /// Says goodbye, leaves the mailbox in order, and only then the registry: a newer connection of
    /// the device waits for that.
    async fn leave(mut self: Box<Self>, ending: Ending) {
        let says_why = self.client.is_some() && self.session.version() == Some(ProtocolVersion::V5);
        if let (true, Some(Denial { reason, says })) = (says_why, ending.denial()) {
            self.answer(ServerPacket::Disconnect(ServerDisconnect {
                reason,
                detail: Some(says),
            }));
        }
        // A client that does not take it has gone, or will find the stream closed.
        let _ = tokio::time::timeout(FAREWELL_MAX, self.transport.finish()).await;
        if ending == Ending::Server(CloseCause::ShuttingDown) {
            let last = self.take_last_acknowledgements();
            let _ = tokio::time::timeout(FAREWELL_MAX, last).await;
        }
        if let Some(client) = self.client.take() {
            self.leave_mailbox(*client, ending).await;
        }
        if let Ending::Refused(_) = ending {
            // A stream that is closed with bytes unread is reset, and what was said is lost on the way.
            let _ = tokio::time::timeout(FAREWELL_MAX, self.transport.discard()).await;
        }
    }

    async fn leave_mailbox(&mut self, client: Client, ending: Ending) {
        let directory = &self.broker.0.directory;
        directory.note_seen(client.user, client.device, wall_clock());
        let expiry = Duration::from_secs(self.session.expiry_secs().into());
        if client.kept != Kept::Nothing {
            let Client {
                user,
                device,
                epoch,
                ..
            } = client;
            // Tried again with the others, and before the next connection.
            let _ = self.broker.0.settler.flush_session(user, device).await;
            let close = Command::CloseSession {
                user,
                device,
                epoch: Some(epoch),
                expiry,
                departure: ending.departure(),
            };
            let settler = &self.broker.0.settler;
            settler.end_session(user, device, close).await;
            let in_flight = self.session.in_flight().iter().copied();
            let in_flight = in_flight.filter(|(_, what)| what.seq().is_some());
            let detached = &self.broker.0.detached;
            detached.keep(device, in_flight.collect(), expiry, steady_clock());
        }
    }
}

/// When delivery goes on by itself. Where there is no room, room has to come first; what could not be
/// read is tried again before anything else; and a time for that which has passed wakes once.
fn next_delivery(
    room: bool,
    retry: &mut Option<Instant>,
    due: Option<Instant>,
    now: Instant,
) -> Option<Instant> {
    let next = retry.or(due).filter(|_| room);
    *retry = retry.filter(|at| *at > now);
    next
}

/// The time that deadlines are in: tokio's, so that a test can let it pass.
fn steady_clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day.
pub(crate) fn wall_clock() -> Timestamp {
    #[cfg(test)]
    if let Some(now) = crate::simulation::time::now() {
        return now;
    }
    Timestamp::of(SystemTime::now())
}

impl Client {
    /// Whether the session outlives its connection.
    fn persistent(&self) -> bool {
        self.kept == Kept::Session
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.registration.inbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_delivered_wakes_nobody_again_and_again() {
        let now = Instant::now();
        let later = now + RETRY_AFTER;
        for (room, retry, due, expected) in [
            (true, None, None, [None, None]),
            (true, None, Some(now), [Some(now), Some(now)]),
            (true, Some(later), Some(now), [Some(later), Some(later)]),
            (true, Some(now), None, [Some(now), None]),
            (true, Some(now), Some(later), [Some(now), Some(later)]),
            (false, Some(now), Some(now), [None, None]),
            (false, Some(later), Some(now), [None, None]),
        ] {
            let mut left = retry;
            let woken = [(); 2].map(|()| next_delivery(room, &mut left, due, now));
            assert_eq!(woken, expected, "{room} {retry:?} {due:?}");
        }
    }

    #[test]
    fn a_connection_that_waits_is_small() {
        fn size<F>(_: impl Fn(Box<Connection>) -> F) -> usize {
            size_of::<F>()
        }
        let future = size(Connection::run);
        let held = size_of::<Connection>() + size_of::<Client>() + size_of::<Inbox>();
        assert!(future <= 416, "{future}");
        assert!(held <= 848, "{held}");
    }
}
