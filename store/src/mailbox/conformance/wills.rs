//! What a session leaves: its will, and what its device said of itself.

use super::*;
use belfry_protocol::presence::Presence;

/// A will of one byte, at QoS 0, so that it is told of and never stored.
pub(super) fn will(mark: u8, delay_secs: u64) -> Will {
    Will {
        delay: Duration::from_secs(delay_secs),
        last_word: LastWord::Private {
            topic: PrivateTopic::new("will").unwrap(),
            properties: Bytes::from_static(b"\x01\x01"),
            payload: Bytes::copy_from_slice(&[mark]),
            retain: false,
            at_least_once: false,
            expiry: Duration::from_secs(60),
        },
    }
}

fn stored(mark: u8, retain: bool) -> Will {
    let mut will = will(mark, 0);
    if let LastWord::Private {
        retain: kept,
        at_least_once,
        ..
    } = &mut will.last_word
    {
        (*kept, *at_least_once) = (retain, true);
    }
    will
}

fn leaves(presence: Presence) -> Will {
    Will {
        delay: Duration::ZERO,
        last_word: LastWord::Presence(presence),
    }
}

impl<E: Engine> Trial<E> {
    pub(super) async fn open_with(
        &self,
        number: u8,
        clean: bool,
        expiry: Duration,
        will: Option<Will>,
    ) -> SessionRow {
        let command = Command::OpenSession {
            user: USER,
            device: device(number),
            clean,
            expiry,
            will,
        };
        match self.ask(command).await {
            Ok(Outcome::Session { row, .. }) => row,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn close(&self, number: u8, expiry: Duration, departure: Departure) {
        let command = Command::CloseSession {
            user: USER,
            device: device(number),
            epoch: None,
            expiry,
            departure,
        };
        self.ask(command).await.unwrap();
    }

    /// The marks of the wills that were published since this was last asked.
    pub(super) async fn wills(&self) -> Vec<u8> {
        // What time alone does comes with the next command, and is told of before the one after it.
        let (user, blocked) = (USER, false);
        let next = Command::BlockUser { user, blocked };
        self.ask(next).await.unwrap();
        self.wills_alone().await
    }

    /// The same where nothing that concerns the user happened.
    pub(super) async fn wills_alone(&self) -> Vec<u8> {
        let other = Command::BlockUser {
            user: UserId::from_bytes([9; 16]),
            blocked: false,
        };
        self.ask(other).await.unwrap();
        let told = std::mem::take(&mut *self.commits.lock().unwrap());
        let mut marks = Vec::new();
        for commit in told {
            if let Commit::Will { message } = commit {
                assert_eq!(message.properties[..], *b"\x01\x01");
                marks.extend_from_slice(&message.payload);
            }
        }
        marks
    }
}

pub(in crate::mailbox) async fn a_will_waits_for_its_delay_and_comes_once<E: Engine>() {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    for (mark, delay) in [(1, 0), (2, 10)] {
        let left = Some(will(mark, delay));
        trial.open_with(mark, false, EXPIRY, left).await;
    }
    trial.pass(Duration::from_secs(60));
    assert_eq!(trial.wills().await, [0; 0], "connected");
    for number in [1, 2] {
        trial.close(number, EXPIRY, Departure::Unannounced).await;
    }
    assert_eq!(trial.wills().await, [1]);
    trial.pass(Duration::from_secs(9));
    trial.reopen().await;
    trial.prune().await;
    assert_eq!(trial.wills_alone().await, [0; 0], "a second early");
    trial.pass(Duration::from_secs(1));
    trial.prune().await;
    assert_eq!(trial.wills_alone().await, [2]);
    trial.reopen().await;
    trial.prune().await;
    assert_eq!(trial.wills().await, [0; 0], "it was published before");
}

pub(in crate::mailbox) async fn the_wills_of_lost_connections_come_after_a_restart<E: Engine>() {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    for (mark, delay, expiry) in [(1, 0, EXPIRY), (2, 30, Duration::ZERO), (3, 30, EXPIRY)] {
        let left = Some(will(mark, delay));
        trial.open_with(mark, true, expiry, left).await;
    }
    trial.reopen().await;
    // Nothing but time has to happen.
    trial.prune().await;
    let published = async |trial: &Trial<E>| {
        let mut marks = trial.wills_alone().await;
        marks.sort_unstable();
        marks
    };
    assert_eq!(published(&trial).await, [1, 2]);
    trial.pass(Duration::from_secs(30));
    trial.prune().await;
    assert_eq!(published(&trial).await, [3]);
}

pub(in crate::mailbox) async fn a_will_is_forgotten_in_order_or_by_who_goes_on<E: Engine>() {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    trial.open_with(1, false, EXPIRY, Some(will(1, 0))).await;
    trial.close(1, EXPIRY, Departure::InOrder).await;
    trial.open_with(2, false, EXPIRY, Some(will(2, 10))).await;
    trial.close(2, EXPIRY, Departure::Unannounced).await;
    trial.pass(Duration::from_secs(9));
    trial.open_with(2, false, EXPIRY, None).await;
    // Without the end of its connection having been told of, too.
    trial.open_with(3, false, EXPIRY, Some(will(3, 10))).await;
    trial.open_with(3, false, EXPIRY, Some(will(4, 10))).await;
    for _ in 0..2 {
        trial.pass(Duration::from_secs(60));
        trial.prune().await;
        assert_eq!(trial.wills().await, [0; 0]);
        trial.open_with(2, false, EXPIRY, None).await;
        trial.open_with(3, false, EXPIRY, None).await;
        trial.reopen().await;
    }
}

pub(in crate::mailbox) async fn a_will_does_not_outlive_its_session<E: Engine>() {
    let trial = Trial::<E>::new(MailboxLimits::default()).await;
    let open = async |mark| {
        let left = Some(will(mark, 100));
        trial.open_with(1, false, EXPIRY, left).await;
    };
    let lost = Departure::Unannounced;
    open(1).await;
    trial.close(1, Duration::from_secs(5), lost).await;
    trial.pass(Duration::from_secs(5));
    trial.prune().await;
    assert_eq!(trial.wills().await, [1], "the session expired");
    open(2).await;
    trial.close(1, Duration::ZERO, lost).await;
    assert_eq!(trial.wills().await, [2], "it ended with the connection");
    open(3).await;
    trial.close(1, EXPIRY, lost).await;
    trial.open_with(1, true, EXPIRY, None).await;
    assert_eq!(trial.wills().await, [3], "a clean start ended it");
    open(4).await;
    trial.open_with(1, true, EXPIRY, None).await;
    assert_eq!(trial.wills().await, [4], "also while it was connected");
    open(5).await;
    let (user, device) = (USER, device(1));
    trial
        .ask(Command::RemoveDevice { user, device })
        .await
        .unwrap();
    assert_eq!(trial.wills().await, [5], "the device was removed");
    open(6).await;
    trial.ask(Command::EraseUser { user }).await.unwrap();
    trial.prune().await;
    assert_eq!(trial.wills().await, [0; 0], "nobody is left");
}

pub(in crate::mailbox) async fn a_will_is_stored_and_retained_as_any_message<E: Engine>() {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    trial.connect(2, &Filter::Private("#".into())).await;
    for (mark, retain) in [(1, false), (2, true)] {
        let left = Some(stored(mark, retain));
        trial.open_with(1, true, Duration::ZERO, left).await;
        trial.reopen().await;
        trial.prune().await;
        assert_eq!(trial.wills().await, [0; 0], "told of as a stored message");
        let owed = trial.owed(2).await.unwrap();
        assert_eq!(owed, Vec::from_iter(1..=u64::from(mark)));
        let kept = trial.mailbox().retained(USER).await.unwrap();
        let kept = kept.iter().flat_map(|kept| kept.payload.to_vec());
        assert_eq!(
            kept.collect::<Vec<_>>(),
            Vec::from_iter(retain.then_some(2))
        );
    }
    // Its time begins when it is published.
    trial.pass(Duration::from_secs(60));
    assert_eq!(trial.owed(2).await.unwrap(), [0; 0]);
}

pub(in crate::mailbox) async fn what_a_device_said_of_itself_stays_with_its_session<E: Engine>() {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    let (user, device) = (USER, device(1));
    let say = |presence| Command::SetPresence {
        user,
        device,
        presence,
    };
    let refused = trial.ask(say(Presence::Away)).await.err();
    assert_eq!(refused, Some(Refusal::UnknownSession));
    let row = trial.open_with(1, false, EXPIRY, None).await;
    assert_eq!(row.presence, Presence::Active);
    for presence in [Presence::Away, Presence::Away, Presence::Active] {
        trial.ask(say(presence)).await.unwrap();
        trial.reopen().await;
        let row = trial.open_with(1, false, EXPIRY, None).await;
        assert_eq!(row.presence, presence);
    }
    for presence in [Presence::Away, Presence::Active] {
        let left = Some(leaves(presence));
        trial.open_with(1, false, EXPIRY, left).await;
        trial.reopen().await;
        trial.prune().await;
        trial.reopen().await;
        let row = trial.open_with(1, false, EXPIRY, None).await;
        assert_eq!(row.presence, presence);
    }
    trial.ask(say(Presence::Away)).await.unwrap();
    let row = trial.open_with(1, true, EXPIRY, None).await;
    assert_eq!(row.presence, Presence::Active, "a new session");
}
