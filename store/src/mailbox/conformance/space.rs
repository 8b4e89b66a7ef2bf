//! What there is room for, and the private space.

use super::*;
use crate::mailbox::command::WhenFull;

fn small() -> MailboxLimits {
    MailboxLimits {
        notifications: 8,
        retained_topics: 1,
        ..MailboxLimits::default()
    }
}

/// A QoS 1 message of device 2.
fn message(topic: &str, bytes: usize, when_full: WhenFull) -> PrivatePublish {
    PrivatePublish {
        user: USER,
        device: device(2),
        topic: PrivateTopic::new(topic).unwrap(),
        properties: Bytes::new(),
        payload: Bytes::from(vec![7; bytes]),
        retain: false,
        at_least_once: true,
        expires: Timestamp::NEVER,
        qos2: None,
        when_full,
    }
}

fn publish(message: PrivatePublish) -> Command {
    Command::PublishPrivate(Box::new(message))
}

pub(in crate::mailbox) async fn a_full_mailbox_gives_up_the_oldest_and_says_so<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    for number in 1..=5 {
        trial.set_permission(number).await.unwrap();
    }
    trial.connect(1, &Filter::Notifications).await;
    // Two are a permission's quarter; from the ninth on the whole mailbox is full.
    for (number, pushed_out, owed) in [
        (1, 0, vec![1]),
        (1, 0, vec![1, 2]),
        (1, 1, vec![2, 3]),
        (2, 0, vec![2, 3, 4]),
        (2, 0, vec![2, 3, 4, 5]),
        (3, 0, vec![2, 3, 4, 5, 6]),
        (3, 0, vec![2, 3, 4, 5, 6, 7]),
        (4, 0, vec![2, 3, 4, 5, 6, 7, 8]),
        (4, 0, vec![2, 3, 4, 5, 6, 7, 8, 9]),
    ] {
        let accepted = trial.post(number, None).await;
        assert_eq!(accepted.pushed_out, pushed_out, "{:?}", accepted.seq);
        assert_eq!(trial.owed(1).await.unwrap(), owed);
    }
    assert_eq!(trial.post(5, None).await.pushed_out, 1);
    assert_eq!(trial.owed(1).await.unwrap().len(), 8);
    // What nobody is owed any more goes without being counted.
    trial.settle(1, &[3, 4, 5, 6, 7, 8, 9, 10]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(trial.post(5, None).await.pushed_out, 0);
    }
}

pub(in crate::mailbox) async fn what_is_owed_to_nobody_takes_no_room_from_what_is<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    for number in 1..=5 {
        trial.set_permission(number).await.unwrap();
    }
    for number in 1..=4 {
        trial
            .connect(1, &Filter::Notification(permission(number)))
            .await;
    }
    for number in [1, 1, 2, 2, 3, 3, 4, 4] {
        trial.post(number, None).await;
    }
    // The mailbox is full, and nobody wants the fifth's: they are history as they come.
    let owed: Vec<u64> = (1..=8).collect();
    for seq in 9..=30 {
        let accepted = trial.post(5, None).await;
        assert_eq!((accepted.seq, accepted.pushed_out), (Seq(seq), 0));
        assert_eq!(trial.owed(1).await.unwrap(), owed);
        let history = trial.history().await.split_off(8);
        let kept = 9.max(seq - 7)..=seq;
        assert_eq!(history, Vec::from_iter(kept), "bounded alike");
    }
}

pub(in crate::mailbox) async fn a_permission_holds_a_quarter_at_most<E: Engine>() {
    let limits = MailboxLimits {
        notifications: 8,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::new(limits).await;
    trial.permit().await;
    trial.connect(1, &Filter::Notifications).await;
    trial.post(2, None).await;
    for _ in 0..4 {
        trial.post(1, None).await;
    }
    assert_eq!(trial.owed(1).await.unwrap(), [1, 4, 5]);
}

pub(in crate::mailbox) async fn bytes_count_as_entries_do<E: Engine>() {
    let limits = MailboxLimits {
        bytes: 400,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::new(limits).await;
    for number in 1..=6 {
        trial.set_permission(number).await.unwrap();
    }
    trial.connect(1, &Filter::Notifications).await;
    // A hundred are a permission's quarter.
    for (number, bytes, owed) in [
        (1, 50, vec![1]),
        (1, 50, vec![1, 2]),
        (1, 1, vec![2, 3]),
        (2, 100, vec![2, 3, 4]),
        (3, 100, vec![2, 3, 4, 5]),
        (4, 100, vec![2, 3, 4, 5, 6]),
        (5, 49, vec![2, 3, 4, 5, 6, 7]),
        (6, 1, vec![3, 4, 5, 6, 7, 8]),
    ] {
        let accept = trial.accept(number, None, EXPIRY, bytes);
        trial.send(accept).await.unwrap();
        assert_eq!(trial.owed(1).await.unwrap(), owed);
    }
}

pub(in crate::mailbox) async fn a_full_private_space_refuses_or_drops_its_oldest<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    trial.permit().await;
    trial.connect(1, &Filter::Everything).await;
    trial.post(1, None).await;
    for (when_full, bytes, expected, owed) in [
        (WhenFull::Refuse, 1, Ok(()), vec![1, 2]),
        (WhenFull::DropOldest, 1, Ok(()), vec![1, 2, 3]),
        (
            WhenFull::Refuse,
            1,
            Err(Refusal::PrivateSpaceFull),
            vec![1, 2, 3],
        ),
        (WhenFull::DropOldest, 1, Ok(()), vec![1, 3, 4]),
        // Larger than the whole space: nothing is dropped for what does not fit even then.
        (
            WhenFull::DropOldest,
            1024 * 1024 + 1,
            Err(Refusal::PrivateSpaceFull),
            vec![1, 3, 4],
        ),
    ] {
        let answer = trial
            .ask(publish(message("a/b", bytes, when_full)))
            .await
            .map(|_| ());
        assert_eq!(answer, expected, "{when_full:?} {bytes}");
        assert_eq!(trial.owed(1).await.unwrap(), owed, "{when_full:?} {bytes}");
    }
}

pub(in crate::mailbox) async fn no_local_is_not_owed_the_publishers_own<E: Engine>() {
    let trial = Trial::<E>::new(MailboxLimits::default()).await;
    let filter = Filter::Private("#".into());
    trial.connect(2, &filter).await;
    trial.open_session(1, true).await;
    let subscribe = Command::Subscribe {
        user: USER,
        device: device(1),
        filters: vec![(filter, at_least_once(true))],
    };
    trial.ask(subscribe).await.unwrap();
    let own = PrivatePublish {
        device: device(1),
        ..message("a/b", 1, WhenFull::Refuse)
    };
    trial.ask(publish(own)).await.unwrap();
    assert_eq!(trial.owed(2).await.unwrap(), [1]);
    assert_eq!(trial.owed(1).await.unwrap(), [0; 0]);
}

pub(in crate::mailbox) async fn private_messages_take_no_room_from_history<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    trial.permit().await;
    trial.connect(1, &Filter::Everything).await;
    for number in 1..=3 {
        trial.post(number, None).await;
    }
    trial.settle(1, &[1, 2, 3]).await.unwrap();
    for seq in 4..=40 {
        let sent = trial.ask(publish(message("a", 1, WhenFull::Refuse))).await;
        assert!(matches!(sent, Ok(Outcome::Published(Some(Seq(at)))) if at == seq));
        trial.settle(1, &[seq]).await.unwrap();
    }
    trial.post(1, None).await;
    assert_eq!(trial.history().await, [1, 2, 3, 41]);
    // Settled ones stay for connections that read behind, within the private quarter.
    let all = (4..=40).map(Seq).collect();
    let kept = trial.mailbox().entries(USER, all).await.unwrap();
    let kept: Vec<u64> = kept.iter().map(|entry| entry.meta.seq.0).collect();
    assert_eq!(kept, [39, 40]);
}

pub(in crate::mailbox) async fn retained_messages_are_kept_replaced_and_removed<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    let retain = |topic, bytes, secs: u64| {
        publish(PrivatePublish {
            retain: true,
            expires: Timestamp::from_millis(1_000_000 + secs * 1_000),
            ..message(topic, bytes, WhenFull::Refuse)
        })
    };
    let full = Some(Refusal::RetainedFull);
    for (command, refused, expected) in [
        (retain("a", 1, 10), None, Some(("a", 1))),
        (retain("b", 2, 60), full, Some(("a", 1))),
        (retain("a", 3, 10), None, Some(("a", 3))),
        (retain("a", 0, 10), None, None),
        (retain("b", 2, 10), None, Some(("b", 2))),
    ] {
        assert_eq!(trial.ask(command).await.err(), refused);
        for reopened in [false, true] {
            if reopened {
                trial.reopen().await;
            }
            let found = trial.mailbox().retained(USER).await.unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|kept| (kept.topic.as_str(), kept.payload.len()))
                .collect();
            assert_eq!(found, Vec::from_iter(expected), "reopened: {reopened}");
        }
    }
    trial.pass(Duration::from_secs(10));
    assert_eq!(trial.mailbox().retained(USER).await.unwrap(), []);
    // What is over takes no room, also before it is cleared away.
    trial.ask(retain("c", 1, 60)).await.unwrap();
}

pub(in crate::mailbox) async fn retained_messages_make_room_where_nobody_can_be_told<E: Engine>() {
    let limits = MailboxLimits {
        retained_topics: 3,
        retained_bytes: 100,
        ..MailboxLimits::default()
    };
    let trial = Trial::<E>::new(limits).await;
    let retain = |topic, bytes, secs: u64, when_full| {
        publish(PrivatePublish {
            retain: true,
            expires: Timestamp::from_millis(1_000_000 + secs * 1_000),
            ..message(topic, bytes, when_full)
        })
    };
    let (refuse, drop) = (WhenFull::Refuse, WhenFull::DropOldest);
    let full = Some(Refusal::RetainedFull);
    for (topic, bytes, secs, when_full, refused, kept) in [
        ("a", 10, 30, refuse, None, &["a"][..]),
        ("b", 10, 10, refuse, None, &["a", "b"]),
        ("c", 10, 20, refuse, None, &["a", "b", "c"]),
        ("d", 1, 40, refuse, full, &["a", "b", "c"]),
        ("d", 1, 40, drop, None, &["a", "c", "d"]),
        ("a", 89, 50, refuse, None, &["a", "c", "d"]),
        ("a", 90, 50, refuse, full, &["a", "c", "d"]),
        ("a", 90, 50, drop, None, &["a", "d"]),
        // Nothing goes for what does not fit even then.
        ("e", 101, 50, drop, full, &["a", "d"]),
    ] {
        let answer = trial.ask(retain(topic, bytes, secs, when_full)).await;
        assert_eq!(answer.err(), refused, "{topic} {bytes}");
        let found = trial.mailbox().retained(USER).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|kept| kept.topic.to_string()).collect();
        found.sort();
        assert_eq!(found, kept, "{topic} {bytes}");
    }
}

pub(in crate::mailbox) async fn a_packet_sent_twice_is_stored_once<E: Engine>() {
    let mut trial = Trial::<E>::new(small()).await;
    trial.connect(1, &Filter::Everything).await;
    trial.open_session(2, false).await;
    let exactly_once = || {
        publish(PrivatePublish {
            qos2: Some(7),
            ..message("a", 1, WhenFull::Refuse)
        })
    };
    let release = Command::ReleaseQos2 {
        user: USER,
        device: device(2),
        packet_id: 7,
    };
    trial.ask(exactly_once()).await.unwrap();
    trial.ask(exactly_once()).await.unwrap();
    trial.reopen().await;
    trial.ask(exactly_once()).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [1]);
    trial.ask(release).await.unwrap();
    trial.ask(exactly_once()).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [1, 2]);
}
