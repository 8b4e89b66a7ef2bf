//! What the writer does after a write that failed, and with what is over.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::mailbox::{Departure, Owner, Seq};
use belfry_protocol::id::{NotificationId, PermissionId};
use std::sync::atomic::{AtomicU64, Ordering};

const USER: UserId = UserId::from_bytes([1; 16]);

fn ask(writer: &mut Writer, commands: Vec<Command>) -> Answer {
    let (answer, mut answered) = oneshot::channel();
    writer.commit(vec![(commands, answer)]);
    answered.try_recv().unwrap()
}

fn site() -> Origin {
    "https://example.com".parse().unwrap()
}

fn accept() -> Command {
    use belfry_protocol::envelope::Envelope;
    use belfry_protocol::push::{ContentEncoding, Urgency};
    let sent = Timestamp::from_millis(1_000);
    let envelope = Envelope {
        id: NotificationId::from_bytes([1; 16]),
        permission: PermissionId::from_bytes([1; 16]),
        site: site(),
        sent,
        expires: sent.plus(Duration::from_secs(60)),
        urgency: Urgency::Normal,
        collapse: None,
        encoding: ContentEncoding::Aes128gcm,
        body: vec![7; 10].into(),
    };
    Command::Accept(Box::new(crate::mailbox::Accept {
        user: USER,
        envelope,
        idempotency: None,
        receipts: None,
    }))
}

fn block(blocked: bool) -> Command {
    let site = site();
    Command::BlockSite { site, blocked }
}

#[test]
fn what_was_not_written_is_forgotten_and_what_follows_holds() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared::open(folder.path()).unwrap());
    let clock: Clock = Arc::new(|| Timestamp::from_millis(1_000));
    let limits = MailboxLimits::default();
    let mut writer = Writer::new(shared, limits, clock, Box::new(|_| {})).unwrap();
    let permit = Command::SetPermission {
        user: USER,
        permission: PermissionId::from_bytes([1; 16]),
        site: site(),
        muted: false,
        receipts: false,
        endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
    };
    assert!(ask(&mut writer, vec![permit])[0].is_ok());

    // Applied, and then the write fails.
    let mut touched = Vec::new();
    for command in [accept(), block(true)] {
        writer.apply(command, &mut touched).unwrap();
    }
    let Failed = writer.give_up();

    // The block did not count; one that comes first after it does, in its own batch and later.
    let answers = ask(&mut writer, vec![accept(), block(true), accept()]);
    let Ok(Outcome::Accepted(first)) = &answers[0] else {
        panic!("{:?}", answers[0]);
    };
    assert_eq!(first.seq.0, 1);
    assert_eq!(answers[2].as_ref().err(), Some(&Refusal::Blocked));
    let Failed = writer.give_up();
    assert_eq!(
        ask(&mut writer, vec![accept()])[0].as_ref().err(),
        Some(&Refusal::Blocked)
    );

    writer.apply(block(false), &mut touched).unwrap();
    let Failed = writer.give_up();
    let answers = ask(&mut writer, vec![block(false), accept()]);
    assert!(answers[1].is_ok(), "{:?}", answers[1]);
    let Failed = writer.give_up();
    let answers = ask(&mut writer, vec![block(true), accept()]);
    assert_eq!(answers[1].as_ref().err(), Some(&Refusal::Blocked));
}

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const EXPIRY: Duration = Duration::from_secs(3_600);

/// A writer over this folder, at a time that can be set.
fn writer_at(folder: &std::path::Path, now: &Arc<AtomicU64>) -> Writer {
    let shared = Arc::new(Shared::open(folder).unwrap());
    let now = Arc::clone(now);
    let clock: Clock = Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)));
    Writer::new(shared, MailboxLimits::default(), clock, Box::new(|_| {})).unwrap()
}

fn open_session() -> Command {
    Command::OpenSession {
        user: USER,
        device: DEVICE,
        clean: false,
        expiry: EXPIRY,
        will: None,
    }
}

/// Applies these, and then the write fails.
fn fail(writer: &mut Writer, commands: Vec<Command>) {
    let mut touched = Vec::new();
    for command in commands {
        writer.apply(command, &mut touched).unwrap();
    }
    let Failed = writer.give_up();
}

/// Whether the device has a session.
fn has_session(writer: &mut Writer) -> bool {
    let nothing = Command::Subscribe {
        user: USER,
        device: DEVICE,
        filters: Vec::new(),
    };
    ask(writer, vec![nothing])[0].is_ok()
}

#[test]
fn a_session_whose_end_was_not_written_has_its_time_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(0));
    let mut writer = writer_at(folder.path(), &now);
    ask(&mut writer, vec![open_session()]);
    // Two hours later, still connected, its connection ends and the write fails.
    now.store(7_200_000, Ordering::SeqCst);
    let (user, device, expiry) = (USER, DEVICE, EXPIRY);
    let close = Command::CloseSession {
        user,
        device,
        epoch: None,
        expiry,
        departure: Departure::InOrder,
    };
    fail(&mut writer, vec![close]);
    for (later, stays) in [(3_599_999, true), (3_600_000, false)] {
        now.store(7_200_000 + later, Ordering::SeqCst);
        assert_eq!(has_session(&mut writer), stays, "{later}");
    }
}

#[test]
fn a_connection_whose_begin_was_not_written_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(0));
    ask(&mut writer_at(folder.path(), &now), vec![open_session()]);
    // The process begins anew, so the connection is lost; the device comes back in vain.
    now.store(1_000_000, Ordering::SeqCst);
    let mut writer = writer_at(folder.path(), &now);
    fail(&mut writer, vec![open_session()]);
    for (later, stays) in [(3_599_999, true), (3_600_000, false)] {
        now.store(1_000_000 + later, Ordering::SeqCst);
        assert_eq!(has_session(&mut writer), stays, "{later}");
    }
}

/// What is owed by the rows on the disk.
fn counted(writer: &mut Writer) -> Depth {
    let disk = writer.disk().unwrap();
    let mut depth = Depth::default();
    for row in disk.metas.iter() {
        let (key, value) = row.into_inner().unwrap();
        let meta = rows::decode_meta(rows::seq_of(&key).unwrap(), &value).unwrap();
        if meta.done.is_none() {
            depth += Depth {
                entries: 1,
                bytes: i64::from(meta.bytes),
            };
        }
    }
    depth
}

#[test]
fn what_is_owed_is_counted_as_it_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let mut writer = writer_at(folder.path(), &now);
    let permission = PermissionId::from_bytes([1; 16]);
    let filter = belfry_protocol::topic::Filter::Notifications;
    let options = crate::mailbox::SubscriptionOptions {
        at_least_once: true,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    };
    let permit = Command::SetPermission {
        user: USER,
        permission,
        site: site(),
        muted: false,
        receipts: false,
        endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
    };
    let subscribe = Command::Subscribe {
        user: USER,
        device: DEVICE,
        filters: vec![(filter, options)],
    };
    let settle = |seq| Command::Settle {
        user: USER,
        device: DEVICE,
        seqs: vec![crate::mailbox::Seq(seq)],
    };
    let seen = Command::Seen {
        user: USER,
        ids: vec![NotificationId::from_bytes([1; 16])],
    };
    let withdraw = |seq| Command::Withdraw {
        user: USER,
        seq: crate::mailbox::Seq(seq),
    };
    let erase = Command::EraseUser { user: USER };
    let mut expected = 0;
    for (command, change) in [
        (permit, 0),
        (accept(), 0),
        (open_session(), 0),
        (subscribe, 0),
        (accept(), 1),
        (accept(), 1),
        (accept(), 1),
        (settle(2), -1),
        (settle(2), 0),
        (withdraw(2), 0),
        (withdraw(3), -1),
        (seen.clone(), -1),
        (seen, 0),
        (accept(), 1),
        (accept(), 1),
        (erase, -2),
    ] {
        expected += change;
        let asked = format!("{command:?}");
        assert!(ask(&mut writer, vec![command])[0].is_ok(), "{asked}");
        let depth = Depth {
            entries: expected,
            bytes: expected * 10,
        };
        assert_eq!(writer.depth, depth, "{asked}");
        assert_eq!(counted(&mut writer), depth, "{asked}");
        let Failed = writer.give_up();
        writer.disk().unwrap();
        assert_eq!(writer.depth, depth, "opened again");
    }
}

/// Who has something due by the rows on the disk, the earliest first.
fn due(writer: &mut Writer) -> Vec<(u64, u8)> {
    let disk = writer.disk().unwrap();
    let all = Timestamp::from_millis(0)..Timestamp::NEVER;
    let due = due_users(&disk, all, usize::MAX).unwrap().into_iter();
    due.map(|(at, user)| (at.as_millis(), user.as_bytes()[0]))
        .collect()
}

/// A device of this user leaves a session that lasts for so long.
fn leave_for(writer: &mut Writer, user: u8, seconds: u64) {
    let user = UserId::from_bytes([user; 16]);
    let (device, expiry) = (DEVICE, Duration::from_secs(seconds));
    let open = Command::OpenSession {
        user,
        device,
        clean: false,
        expiry,
        will: None,
    };
    let close = Command::CloseSession {
        user,
        device,
        epoch: None,
        expiry,
        departure: Departure::InOrder,
    };
    assert!(ask(writer, vec![open, close]).iter().all(Result::is_ok));
}

#[test]
fn what_is_over_goes_slice_by_slice_the_earliest_first() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let mut writer = writer_at(folder.path(), &now);
    for user in 1..=5 {
        leave_for(&mut writer, user, 10 * (6 - u64::from(user)));
    }
    assert_eq!(due(&mut writer).len(), 5);
    let two = || Slice {
        users: 2,
        ..Slice::ALL
    };
    now.store(31_000, Ordering::SeqCst);
    assert!(writer.prune(two()));
    assert_eq!(due(&mut writer), [(31_000, 3), (41_000, 2), (51_000, 1)]);
    assert!(!writer.prune(two()));
    assert_eq!(due(&mut writer), [(41_000, 2), (51_000, 1)]);

    // A clock that goes back, and a session that lasts longer than it was to.
    now.store(20_000, Ordering::SeqCst);
    leave_for(&mut writer, 6, 5);
    assert_eq!(due(&mut writer)[0], (25_000, 6));
    now.store(31_000, Ordering::SeqCst);
    leave_for(&mut writer, 1, 100);
    now.store(52_000, Ordering::SeqCst);
    assert!(writer.prune(two()));
    assert_eq!(due(&mut writer), [(51_000, 1)]);
    // What a process that ends left is found by the next one.
    drop(writer);
    let mut writer = writer_at(folder.path(), &now);
    assert!(!writer.prune(two()));
    assert_eq!(due(&mut writer), [(131_000, 1)]);
    fail(&mut writer, Vec::new());
    now.store(131_000, Ordering::SeqCst);
    assert!(!writer.prune(two()));
    assert_eq!(due(&mut writer), []);
}

const RECEIPTS: Owner = Owner::receipts([3; 16]);

/// The places of what is told to the receipt subscription, as a reader sees them.
fn told(writer: &mut Writer) -> Option<Vec<u64>> {
    let page = writer.shared.outbox(RECEIPTS, 0, 100).unwrap()?;
    Some(page.rows.iter().map(|told| told.n).collect())
}

/// Permits receipts, posts this many with one, and gives what withdraws each.
fn post_with_receipts(writer: &mut Writer, count: u64) -> Vec<Command> {
    let permit = Command::SetPermission {
        user: USER,
        permission: PermissionId::from_bytes([1; 16]),
        site: site(),
        muted: false,
        receipts: true,
        endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
    };
    assert!(ask(writer, vec![permit])[0].is_ok());
    for _ in 0..count {
        let Command::Accept(mut accept) = accept() else {
            panic!("it is an accept");
        };
        accept.receipts = Some(Receipts::New(RECEIPTS));
        assert!(ask(writer, vec![Command::Accept(accept)])[0].is_ok());
    }
    let withdraw = |seq| Command::Withdraw {
        user: USER,
        seq: Seq(seq),
    };
    (1..=count).map(withdraw).collect()
}

#[test]
fn what_was_told_in_a_batch_that_was_not_written_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let mut writer = writer_at(folder.path(), &now);
    let withdraw = post_with_receipts(&mut writer, 2);
    assert_eq!(told(&mut writer), Some(vec![]));
    fail(&mut writer, withdraw[..1].to_vec());
    assert_eq!(told(&mut writer), Some(vec![]));
    let close = Command::CloseOutbox { owner: RECEIPTS };
    fail(&mut writer, vec![close]);
    assert!(ask(&mut writer, withdraw).iter().all(Result::is_ok));
    assert_eq!(told(&mut writer), Some(vec![1, 2]));
}

#[test]
fn what_was_told_goes_slice_by_slice_and_its_log_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let mut writer = writer_at(folder.path(), &now);
    for withdraw in post_with_receipts(&mut writer, 3) {
        assert!(ask(&mut writer, vec![withdraw])[0].is_ok());
        now.fetch_add(1_000, Ordering::SeqCst);
    }
    let one = || Slice {
        outbox_rows: 1,
        ..Slice::ALL
    };
    let history = u64::try_from(MailboxLimits::default().history.as_millis()).unwrap();
    now.fetch_add(history, Ordering::SeqCst);
    // Three rows and the log itself, which is over with the last of them.
    for left in [Some(vec![2, 3]), Some(vec![3])] {
        assert!(writer.prune(one()));
        assert_eq!(told(&mut writer), left);
    }
    assert!(writer.prune(one()) && writer.prune(one()) && !writer.prune(one()));
    assert_eq!(told(&mut writer), None);
    let disk = writer.disk().unwrap();
    for space in [
        &disk.outbox,
        &disk.outbox_dues,
        &disk.outbox_logs,
        &disk.awaited,
    ] {
        assert_eq!(space.iter().count(), 0);
    }
}

#[test]
fn a_user_who_cannot_be_read_keeps_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(1_000));
    let mut writer = writer_at(folder.path(), &now);
    for user in 1..=3 {
        leave_for(&mut writer, user, 10);
    }
    drop(writer);
    let mut writer = writer_at(folder.path(), &now);
    let sessions = writer.disk().unwrap().sessions;
    let key = rows::key(UserId::from_bytes([1; 16]), DEVICE.as_bytes());
    sessions.insert(key, b"damaged").unwrap();
    now.store(11_000, Ordering::SeqCst);
    assert!(!writer.prune(Slice::ALL));
    assert_eq!(due(&mut writer), [(11_000, 1)]);
}

#[test]
fn after_a_write_that_failed_whoever_asks_has_one_tried() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared::open(folder.path()).unwrap());
    let clock: Clock = Arc::new(|| Timestamp::from_millis(1_000));
    let limits = MailboxLimits::default();
    let mut writer = Writer::new(shared, limits, clock, Box::new(|_| {})).unwrap();
    assert!(ask(&mut writer, vec![block(true)])[0].is_ok());
    let written = writer.batches;
    assert!(writer.works());
    assert_eq!(writer.batches, written, "all was well: nothing is tried");
    fail(&mut writer, vec![block(false)]);
    assert!(writer.works());
    assert_eq!(writer.batches, written + 1);
    assert!(writer.works());
    assert_eq!(writer.batches, written + 1, "and all is well again");
}
