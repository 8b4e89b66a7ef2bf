//! What the writer does after a write that failed.

#![allow(clippy::unwrap_used)]

use super::*;
use belfry_protocol::id::{NotificationId, PermissionId};

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
