#![allow(clippy::unwrap_used)]
use super::*;
use crate::wire::WireStr;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::HashSet;

const WINDOW: u16 = 4;

fn limits() -> Limits {
    Limits {
        window: NonZeroU16::new(WINDOW).unwrap(),
        keep_alive_secs_max: NonZeroU16::new(600).unwrap(),
        session_expiry_secs_max: 1_000,
        connect_timeout: Duration::from_secs(5),
    }
}

fn id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

fn ack(packet_id: u16) -> Ack {
    Ack {
        packet_id: id(packet_id),
        reason: ReasonCode::Success,
    }
}

fn text(text: &str) -> WireStr {
    WireStr::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn connect(version: ProtocolVersion) -> Box<Connect> {
    Box::new(Connect {
        version,
        clean_start: false,
        keep_alive_secs: 10,
        client_id: text("device"),
        username: None,
        password: None,
        will: None,
        session_expiry_secs: 100,
        receive_maximum: id(u16::MAX),
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
    })
}

fn publish(qos: QoS, packet_id: Option<u16>) -> ClientPacket {
    ClientPacket::Publish(Box::new(Publish {
        dup: false,
        qos,
        retain: false,
        topic: text("t"),
        packet_id: packet_id.map(id),
        topic_alias: None,
        message_expiry_secs: None,
        forwardable: Bytes::new(),
        payload: Bytes::new(),
    }))
}

fn disconnect(reason: ReasonCode, session_expiry_secs: Option<u32>) -> ClientPacket {
    ClientPacket::Disconnect(Disconnect {
        reason,
        session_expiry_secs,
    })
}

fn entry(seq: u64) -> InFlight {
    InFlight::Entry {
        seq: Seq(seq),
        accepted: None,
    }
}

fn connected_with(connect: Box<Connect>, now: Instant) -> Session {
    let mut session = Session::new(limits(), now);
    let action = session.receive(ClientPacket::Connect(connect), now);
    assert!(matches!(action, Action::Connect(_)), "{action:?}");
    session.accept(Vec::new(), &[], now);
    session
}

fn connected(version: ProtocolVersion) -> (Session, Instant) {
    let now = Instant::now();
    (connected_with(connect(version), now), now)
}

fn ends(action: Action, reason: ReasonCode) {
    let Action::End(Ending::Refused(denial)) = action else {
        panic!("{action:?}");
    };
    assert_eq!(denial.reason, reason);
}

fn published(packet_id: u16, refused: Option<Denial>) -> PublishAck {
    PublishAck {
        packet_id: id(packet_id),
        reason: refused.map_or(ReasonCode::Success, |denial| denial.reason),
        detail: refused.map(|denial| denial.says),
    }
}

#[test]
fn the_window_is_the_smaller_of_both_sides() {
    let now = Instant::now();
    let check = |receive_maximum, expected| {
        let mut asked = connect(ProtocolVersion::V5);
        asked.receive_maximum = id(receive_maximum);
        let mut session = connected_with(asked, now);
        let sent = (1..100).map_while(|seq| session.send(entry(seq))).count();
        assert_eq!(sent, expected, "{receive_maximum}");
    };
    check(1, 1);
    check(3, 3);
    check(u16::MAX, usize::from(WINDOW));
}

#[test]
fn an_acknowledgement_frees_the_window_and_settles_what_was_sent() {
    let (mut session, now) = connected(ProtocolVersion::V311);
    let first = session.send(entry(7)).unwrap();
    assert!(session.is_in_flight(Seq(7)));
    let settled = session.receive(ClientPacket::PubAck(ack(first.get())), now);
    assert_eq!(settled, Action::Settled(entry(7)));
    let again = session.receive(ClientPacket::PubAck(ack(first.get())), now);
    assert_eq!(again, Action::Nothing);
    assert_eq!(session.window_free(), usize::from(WINDOW));
}

#[test]
fn packet_ids_go_round_past_those_in_use() {
    let (mut session, now) = connected(ProtocolVersion::V5);
    let kept = session.send(entry(1)).unwrap();
    let mut seen = HashSet::from([kept]);
    for seq in 2..70_000 {
        let sent = session.send(entry(seq)).unwrap();
        assert_ne!(sent, kept);
        seen.insert(sent);
        session.receive(ClientPacket::PubAck(ack(sent.get())), now);
    }
    assert_eq!(seen.len(), usize::from(u16::MAX));
}

#[test]
fn keep_alive_is_one_and_a_half_times_what_was_agreed() {
    let check = |version, asked: u16, secs: Option<f64>| {
        let now = Instant::now();
        let mut packet = connect(version);
        packet.keep_alive_secs = asked;
        let mut session = connected_with(packet, now);
        let deadline = session.deadline().map(|deadline| deadline - now);
        assert_eq!(deadline.map(|deadline| deadline.as_secs_f64()), secs);
        if let Some(deadline) = deadline {
            let early = session.overdue(now + deadline - Duration::from_millis(1));
            assert_eq!(early, Action::Nothing);
            session.receive(ClientPacket::PingReq, now + Duration::from_secs(1));
            assert_eq!(session.overdue(now + deadline), Action::Nothing);
            let late = now + deadline + Duration::from_secs(1);
            ends(session.overdue(late), ReasonCode::KeepAliveTimeout);
        }
    };
    check(ProtocolVersion::V311, 10, Some(15.0));
    check(ProtocolVersion::V311, 0, None);
    check(ProtocolVersion::V5, 10, Some(15.0));
    check(ProtocolVersion::V5, 0, Some(900.0));
    check(ProtocolVersion::V5, 1_000, Some(900.0));
}

#[test]
fn a_connection_without_connect_ends_in_time() {
    let now = Instant::now();
    let mut session = Session::new(limits(), now);
    let deadline = session.deadline().unwrap();
    assert_eq!(deadline - now, Duration::from_secs(5));
    assert_eq!(session.overdue(deadline), Action::End(Ending::Lost));
}

#[test]
fn connect_comes_first_and_once() {
    let now = Instant::now();
    let mut session = Session::new(limits(), now);
    let early = session.receive(ClientPacket::PingReq, now);
    ends(early, ReasonCode::ProtocolError);
    let (mut session, now) = connected(ProtocolVersion::V5);
    let second = ClientPacket::Connect(connect(ProtocolVersion::V5));
    ends(session.receive(second, now), ReasonCode::ProtocolError);
}

#[test]
fn a_qos_2_message_is_published_once_until_it_is_released() {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let (mut session, now) = connected(version);
        let message = || publish(QoS::ExactlyOnce, Some(9));
        let received = || Action::Send(ServerPacket::PubRec(published(9, None)));
        let first = session.receive(message(), now);
        assert!(matches!(first, Action::Publish(_)));
        let answer = session.published(QoS::ExactlyOnce, Some(id(9)), Ok(()));
        assert_eq!(answer, received());
        assert_eq!(session.receive(message(), now), received());
        let released = session.receive(ClientPacket::PubRel(ack(9)), now);
        assert_eq!(released, Action::Release(id(9)));
        let unknown = session.receive(ClientPacket::PubRel(ack(9)), now);
        let Action::Send(ServerPacket::PubComp(Ack { reason, .. })) = unknown else {
            panic!("{unknown:?}");
        };
        let expected = match version {
            ProtocolVersion::V311 => ReasonCode::Success,
            ProtocolVersion::V5 => ReasonCode::PacketIdentifierNotFound,
        };
        assert_eq!(reason, expected);
        assert!(matches!(
            session.receive(message(), now),
            Action::Publish(_)
        ));
    }
}

#[test]
fn a_refused_message_is_answered_in_5_and_ends_a_3_1_1_connection() {
    let refused = denial::TOPIC;
    let (mut session, _) = connected(ProtocolVersion::V311);
    let action = session.published(QoS::AtLeastOnce, Some(id(1)), Err(refused));
    ends(action, refused.reason);
    let (mut session, now) = connected(ProtocolVersion::V5);
    let answer = published(1, Some(refused));
    let action = session.published(QoS::AtLeastOnce, Some(id(1)), Err(refused));
    assert_eq!(action, Action::Send(ServerPacket::PubAck(answer)));
    let action = session.published(QoS::ExactlyOnce, Some(id(1)), Err(refused));
    assert_eq!(action, Action::Send(ServerPacket::PubRec(answer)));
    // The refusal ended the handshake, so the id is free for another message.
    let next = session.receive(publish(QoS::ExactlyOnce, Some(1)), now);
    assert!(matches!(next, Action::Publish(_)));
}

#[test]
fn disconnect_changes_the_expiry_and_takes_the_will_away() {
    let check = |packet, with_will, expiry| {
        let (mut session, now) = connected(ProtocolVersion::V5);
        let Action::End(ending) = session.receive(packet, now) else {
            panic!("it goes on");
        };
        let due = ending.departure() == Departure::Unannounced;
        assert_eq!(due, with_will);
        assert_eq!(session.expiry_secs(), expiry);
    };
    check(disconnect(ReasonCode::Success, None), false, 100);
    check(disconnect(ReasonCode::Success, Some(0)), false, 0);
    check(
        disconnect(ReasonCode::Success, Some(u32::MAX)),
        false,
        1_000,
    );
    for reason in [
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::UnspecifiedError,
        ReasonCode::AdministrativeAction,
    ] {
        check(disconnect(reason, None), true, 100);
    }

    let now = Instant::now();
    let mut asked = connect(ProtocolVersion::V5);
    asked.session_expiry_secs = 0;
    let mut session = connected_with(asked, now);
    let late = session.receive(disconnect(ReasonCode::Success, Some(5)), now);
    ends(late, ReasonCode::ProtocolError);
}

#[test]
fn what_an_earlier_connection_left_keeps_its_packet_ids() {
    let now = Instant::now();
    let mut session = Session::new(limits(), now);
    session.receive(ClientPacket::Connect(connect(ProtocolVersion::V5)), now);
    session.accept(vec![(id(1), entry(5)), (id(3), entry(6))], &[8], now);
    assert!(session.is_in_flight(Seq(5)));
    assert_eq!(session.send(entry(7)), Some(id(2)));
    assert_eq!(session.send(entry(8)), Some(id(4)));
    assert_eq!(session.send(entry(9)), None);
    let duplicate = session.receive(publish(QoS::ExactlyOnce, Some(8)), now);
    assert_eq!(
        duplicate,
        Action::Send(ServerPacket::PubRec(published(8, None)))
    );
}

fn any_packet() -> impl Strategy<Value = ClientPacket> {
    // Few ids, so that they meet.
    let ids = 1u16..8;
    let qos = prop_oneof![
        Just(QoS::AtMostOnce),
        Just(QoS::AtLeastOnce),
        Just(QoS::ExactlyOnce)
    ];
    let expiry = proptest::option::of(0u32..3);
    // What ends a session is rare, or hardly any would live for long.
    prop_oneof![
        1 => any_connect(),
        40 => (qos, ids.clone()).prop_map(|(qos, id)| {
            publish(qos, (qos != QoS::AtMostOnce).then_some(id))
        }),
        80 => ids.clone().prop_map(|id| ClientPacket::PubAck(ack(id))),
        20 => ids.clone().prop_map(|id| ClientPacket::PubRec(ack(id))),
        30 => ids.clone().prop_map(|id| ClientPacket::PubRel(ack(id))),
        20 => ids.prop_map(|id| ClientPacket::PubComp(ack(id))),
        20 => Just(ClientPacket::PingReq),
        1 => Just(ClientPacket::Auth),
        1 => expiry.prop_map(|expiry| disconnect(ReasonCode::Success, expiry)),
    ]
}

fn any_connect() -> impl Strategy<Value = ClientPacket> {
    let version = prop_oneof![Just(ProtocolVersion::V311), Just(ProtocolVersion::V5)];
    version.prop_map(|version| ClientPacket::Connect(connect(version)))
}

#[derive(Debug, Clone)]
enum Step {
    Packet(ClientPacket),
    /// Whatever these bytes are.
    Bytes(Vec<u8>),
    Send,
    /// What was sent this many messages ago is not wanted any more.
    Withdraw(usize),
    Pass(u64),
}

/// Bytes as a client sends them, one of them perhaps broken, and the last packet perhaps cut.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let packet = prop_oneof![
        40 => (1u8..8).prop_map(|id| vec![0x40, 2, 0, id]),
        20 => (1u8..8).prop_map(|id| vec![0x62, 2, 0, id]),
        10 => (1u8..8).prop_map(|id| vec![0x50, 2, 0, id]),
        20 => (1u8..8).prop_map(|id| vec![0x34, 6, 0, 1, b't', 0, id, 0]),
        20 => (1u8..8).prop_map(|id| vec![0x32, 6, 0, 1, b't', 0, id, 0]),
        20 => (1u8..8).prop_map(|id| vec![0x82, 6, 0, id, 0, 1, b'#', 1]),
        20 => Just(vec![0xc0, 0]),
        1 => Just(vec![0xe0, 0]),
        1 => Just([&[0x10, 13, 0, 4][..], b"MQTT", &[4, 2, 0, 9, 0, 1, b'd']].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    let packets = proptest::collection::vec(packet, 1..6).prop_map(|packets| packets.concat());
    let broken = proptest::option::weighted(0.02, (any::<prop::sample::Index>(), any::<u8>()));
    let cut = proptest::option::weighted(0.1, any::<prop::sample::Index>());
    (packets, broken, cut).prop_map(|(mut bytes, broken, cut)| {
        if let Some((at, byte)) = broken.filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut.filter(|_| !bytes.is_empty()) {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_packet().prop_map(Step::Packet),
        3 => any_bytes().prop_map(Step::Bytes),
        6 => Just(Step::Send),
        1 => (0usize..WINDOW.into()).prop_map(Step::Withdraw),
        2 => (0u64..8).prop_map(Step::Pass),
    ]
}

/// What is known of a session from outside, to judge what it does.
struct Judge {
    session: Session,
    now: Instant,
    /// The smaller of the two sides' windows.
    bound: u16,
    receive_maximum: u16,
    /// Left by an earlier connection.
    left: u16,
    outstanding: HashSet<u64>,
    published: HashSet<NonZeroU16>,
    ended: bool,
}

impl Judge {
    fn packet(&mut self, mut packet: ClientPacket) -> Result<(), TestCaseError> {
        if let ClientPacket::Connect(connect) = &mut packet {
            connect.receive_maximum = id(self.receive_maximum);
        }
        let action = self.session.receive(packet.clone(), self.now);
        // Only what came is answered, and by its own answer.
        match (&packet, &action) {
            (_, Action::Nothing | Action::End(_)) => {}
            (ClientPacket::Connect(asked), Action::Connect(found)) => {
                prop_assert_eq!(&asked.client_id, &found.client_id);
            }
            (ClientPacket::Publish(asked), Action::Publish(found)) => prop_assert_eq!(asked, found),
            (ClientPacket::Publish(asked), Action::Send(ServerPacket::PubRec(answer))) => {
                prop_assert_eq!(asked.packet_id, Some(answer.packet_id));
                prop_assert!(self.published.contains(&answer.packet_id));
            }
            (ClientPacket::PubAck(_), Action::Settled(_)) => {}
            (ClientPacket::PubRel(asked), Action::Release(released)) => {
                prop_assert_eq!(asked.packet_id, *released);
            }
            (ClientPacket::PubRel(asked), Action::Send(ServerPacket::PubComp(answer))) => {
                prop_assert_eq!(asked.packet_id, answer.packet_id);
                prop_assert!(!self.published.contains(&answer.packet_id));
            }
            (ClientPacket::PubRec(asked), Action::Send(ServerPacket::PubRel(answer))) => {
                prop_assert_eq!(asked.packet_id, answer.packet_id);
            }
            (ClientPacket::Subscribe(asked), Action::Subscribe(found)) => {
                prop_assert_eq!(asked, found);
            }
            (ClientPacket::Unsubscribe(asked), Action::Unsubscribe(found)) => {
                prop_assert_eq!(asked, found);
            }
            (ClientPacket::PingReq, Action::Send(ServerPacket::PingResp)) => {}
            other => prop_assert!(false, "{:?}", other),
        }
        self.acts(action)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), TestCaseError> {
        let mut bytes = bytes::BytesMut::from(bytes);
        loop {
            match crate::wire::decode(&mut bytes, self.session.version(), 1_000) {
                Ok(None) => return Ok(()),
                Ok(Some(packet)) => self.packet(packet)?,
                Err(error) => {
                    let action = self.session.end(Ending::Refused(error.into()));
                    self.ended = true;
                    prop_assert!(matches!(action, Action::End(_)));
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self, seq: u64) -> Result<(), TestCaseError> {
        if let Some(id) = self.session.send(entry(seq)) {
            prop_assert!(!self.ended);
            prop_assert!(self.outstanding.insert(seq));
            let same = self.session.in_flight().iter();
            prop_assert_eq!(same.filter(|(other, _)| *other == id).count(), 1);
        }
        Ok(())
    }

    fn withdraw(&mut self, ago: usize) {
        let mut sent = self.session.in_flight().iter().rev();
        if let Some((id, what)) = sent.nth(ago).copied() {
            self.session.withdraw(id);
            self.outstanding.remove(&what.seq().unwrap().0);
        }
    }

    fn acts(&mut self, action: Action) -> Result<(), TestCaseError> {
        prop_assert!(!self.ended || action == Action::Nothing);
        match action {
            Action::Connect(connect) => {
                self.bound = self.bound.min(connect.receive_maximum.get());
                let left = 1..=self.left;
                let left: Vec<_> = left
                    .map(|at| (id(at), entry(1_000 + u64::from(at))))
                    .collect();
                self.session.accept(left, &[7], self.now);
                let resumed = self.session.in_flight().iter();
                self.outstanding
                    .extend(resumed.map(|(_, what)| what.seq().unwrap().0));
                self.published.insert(id(7));
            }
            Action::Settled(what) => {
                let seq = what.seq().unwrap().0;
                prop_assert!(self.outstanding.remove(&seq), "{} was not on its way", seq);
            }
            Action::Publish(packet) => {
                let (qos, packet_id) = (packet.qos, packet.packet_id);
                if qos == QoS::ExactlyOnce {
                    prop_assert!(self.published.insert(packet_id.unwrap()), "published twice");
                }
                let answer = self.session.published(qos, packet_id, Ok(()));
                let acknowledged = match answer {
                    Action::Send(ServerPacket::PubAck(ack) | ServerPacket::PubRec(ack)) => {
                        Some(ack.packet_id)
                    }
                    _ => None,
                };
                prop_assert_eq!(acknowledged, packet_id);
            }
            Action::Release(id) => prop_assert!(self.published.remove(&id)),
            Action::End(_) => self.ended = true,
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn any_interleaving_keeps_the_window_and_acknowledges_only_what_was_sent(
        first in prop_oneof![9 => any_connect(), 1 => any_packet()],
        receive_maximum in 1u16..8,
        left in 0u16..8,
        steps in proptest::collection::vec(any_step(), 0..200),
    ) {
        let now = Instant::now();
        let mut judge = Judge {
            session: Session::new(limits(), now),
            now,
            bound: WINDOW,
            receive_maximum,
            left,
            outstanding: HashSet::new(),
            published: HashSet::new(),
            ended: false,
        };
        for (seq, step) in (1..).zip(std::iter::once(Step::Packet(first)).chain(steps)) {
            match step {
                Step::Packet(packet) => judge.packet(packet)?,
                Step::Bytes(bytes) => judge.bytes(&bytes)?,
                Step::Send => judge.send(seq)?,
                Step::Withdraw(ago) => judge.withdraw(ago),
                Step::Pass(secs) => {
                    judge.now += Duration::from_secs(secs);
                    let action = judge.session.overdue(judge.now);
                    judge.acts(action)?;
                }
            }
            let in_flight = judge.session.in_flight();
            let seqs: HashSet<u64> = in_flight.iter().map(|(_, what)| what.seq().unwrap().0).collect();
            prop_assert_eq!(in_flight.len(), seqs.len());
            prop_assert_eq!(&seqs, &judge.outstanding);
            prop_assert!(seqs.len() <= usize::from(judge.bound));
        }
    }
}
