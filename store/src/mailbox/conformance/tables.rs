//! Single promises, one after another.

use super::*;
use crate::mailbox::command::Idempotency;
use belfry_protocol::site::Origin;

pub(in crate::mailbox) async fn settling_out_of_order_leaves_holes<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    for _ in 0..4 {
        trial.post(1, None).await;
    }
    for (settled, left) in [
        (vec![3], vec![1, 2, 4]),
        (vec![3, 99], vec![1, 2, 4]),
        (vec![1], vec![2, 4]),
        (vec![4, 2], vec![]),
    ] {
        trial.settle(1, &settled).await.unwrap();
        assert_eq!(trial.owed(1).await.unwrap(), left, "after {settled:?}");
        trial.reopen().await;
        assert_eq!(trial.owed(1).await.unwrap(), left, "reopened");
    }
    assert_eq!(trial.history().await, [1, 2, 3, 4]);
}

pub(in crate::mailbox) async fn the_newer_replaces_the_older_of_its_collapse_key<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, Some("a")).await;
    trial.post(2, Some("a")).await;
    trial.post(1, Some("b")).await;
    trial.post(1, Some("a")).await;
    assert_eq!(trial.owed(1).await.unwrap(), [2, 3, 4]);
    trial.settle(1, &[4]).await.unwrap();
    trial.post(1, Some("a")).await;
    assert_eq!(trial.history().await, [2, 3, 4, 5], "4 is history by then");
    let at_once = trial.accept(1, Some("b"), Duration::ZERO, 10);
    assert_eq!(trial.send(at_once).await.unwrap().seq, Seq(0));
    trial.reopen().await;
    assert_eq!(trial.owed(1).await.unwrap(), [2, 5], "3 was replaced");
}

pub(in crate::mailbox) async fn a_repeat_has_the_first_answer<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let mut first = trial.accept(1, None, EXPIRY, 10);
    first.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [2; 32],
    });
    let both = vec![
        Command::Accept(Box::new(first.clone())),
        Command::Accept(Box::new(first.clone())),
    ];
    let answers = trial.mailbox().apply(both).await;
    let repeated: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(Outcome::Accepted(accepted)) => (accepted.seq.0, accepted.repeated),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(repeated, [(1, false), (1, true)]);
    trial.reopen().await;
    let again = trial.send(first.clone()).await.unwrap();
    assert_eq!((again.seq, again.repeated), (Seq(1), true));
    let mut other = first.clone();
    other.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [3; 32],
    });
    assert_eq!(trial.send(other).await, Err(Refusal::IdempotencyMismatch));
    trial.pass(Duration::from_secs(86_401));
    first.envelope.expires = Timestamp::NEVER;
    let later = trial.send(first).await.unwrap();
    assert_eq!((later.seq, later.repeated), (Seq(2), false));
}

pub(in crate::mailbox) async fn revoking_takes_all_of_it_and_stays<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, None).await;
    trial.post(2, None).await;
    let revoke = Command::Revoke {
        user: USER,
        permission: permission(1),
    };
    trial.ask(revoke).await.unwrap();
    trial.reopen().await;
    assert_eq!(trial.history().await, [2]);
    let late = trial.accept(1, None, EXPIRY, 10);
    assert_eq!(trial.send(late).await, Err(Refusal::Revoked));
    assert_eq!(trial.set_permission(1).await.err(), Some(Refusal::Revoked));
}

pub(in crate::mailbox) async fn a_revoked_permission_has_no_filter_again<E: Engine>() {
    let trial = Trial::<E>::with_device().await;
    let exact = Filter::Notification(permission(1));
    trial.subscribe(1, &exact).await.unwrap();
    let revoke = Command::Revoke {
        user: USER,
        permission: permission(1),
    };
    trial.ask(revoke).await.unwrap();
    let subscribe = Command::Subscribe {
        user: USER,
        device: device(1),
        filters: vec![
            (exact, at_least_once(false)),
            (Filter::Events, at_least_once(false)),
        ],
    };
    let Ok(Outcome::Session { row, .. }) = trial.ask(subscribe).await else {
        panic!("not an answer about a session");
    };
    let filters: Vec<Filter> = row.filters.into_iter().map(|made| made.filter).collect();
    assert_eq!(filters, [Filter::Notifications, Filter::Events]);
}

pub(in crate::mailbox) async fn what_expired_or_was_taken_back_is_owed_to_nobody<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let short = trial.accept(1, None, Duration::from_secs(10), 10);
    trial.send(short).await.unwrap();
    for _ in 0..3 {
        trial.post(1, None).await;
    }
    let withdraw = Command::Withdraw {
        user: USER,
        seq: Seq(2),
    };
    trial.ask(withdraw.clone()).await.unwrap();
    trial.ask(withdraw).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [1, 3, 4]);
    trial.pass(Duration::from_secs(10));
    assert_eq!(trial.owed(1).await.unwrap(), [3, 4]);
    trial.prune().await;
    assert_eq!(trial.history().await, [3, 4]);
    trial.pass(Duration::from_secs(3_600));
    trial.prune().await;
    assert_eq!(trial.history().await, [0; 0]);
}

/// Has so many other users that what is in memory of this one goes.
async fn forget_memory<E: Engine>(trial: &Trial<E>) {
    for number in 0..=255 {
        let user = UserId::from_bytes([number; 16]);
        let blocked = number % 2 == 0;
        trial
            .ask(Command::BlockUser { user, blocked })
            .await
            .unwrap();
    }
    trial
        .ask(Command::BlockUser {
            user: USER,
            blocked: false,
        })
        .await
        .unwrap();
}

pub(in crate::mailbox) async fn a_connected_session_outlives_what_memory_forgets<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.pass(EXPIRY * 2);
    forget_memory(&trial).await;
    trial.post(1, None).await;
    assert_eq!(trial.owed(1).await, Some(vec![1]));
}

pub(in crate::mailbox) async fn what_a_forgotten_session_was_owed_is_history<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, Some("a")).await;
    trial.open_session(1, true).await;
    trial.post(1, Some("a")).await;
    assert_eq!(trial.history().await, [1, 2]);
}

pub(in crate::mailbox) async fn a_filter_lowered_to_at_most_once_leaves_nothing_owed<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, Some("a")).await;
    let lowered = SubscriptionOptions {
        at_least_once: false,
        ..at_least_once(false)
    };
    let subscribe = Command::Subscribe {
        user: USER,
        device: device(1),
        filters: vec![(Filter::Notifications, lowered)],
    };
    trial.ask(subscribe).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [0; 0]);
    trial.post(1, Some("a")).await;
    assert_eq!(trial.history().await, [1, 2], "1 is history by then");
}

pub(in crate::mailbox) async fn delivered_is_settled_by_a_first_device<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.connect(2, &Filter::Notifications).await;
    trial.post(1, None).await;
    trial.post(1, None).await;
    let delivered = async |trial: &Trial<E>| {
        let told = trial.told().await;
        let delivered = told
            .iter()
            .filter(|commit| matches!(commit, Commit::Delivered { .. }));
        delivered.count()
    };
    assert_eq!(delivered(&trial).await, 0);
    trial.settle(1, &[1]).await.unwrap();
    assert_eq!(delivered(&trial).await, 1);
    trial.reopen().await;
    trial.settle(2, &[1, 2]).await.unwrap();
    assert_eq!(delivered(&trial).await, 1, "1 was delivered before");
    trial.settle(1, &[2]).await.unwrap();
    assert_eq!(delivered(&trial).await, 0);
}

pub(in crate::mailbox) async fn an_acknowledgement_over_http_is_told_of<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, None).await;
    let second = trial.post(1, None).await;
    trial.told().await;
    let acknowledge = Command::Acknowledge {
        user: USER,
        device: device(1),
        ids: vec![second.id, NotificationId::from_bytes([0xff; 16])],
    };
    trial.ask(acknowledge).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [1]);
    let told = trial.told().await;
    let settled = told.iter().find_map(|commit| match commit {
        Commit::Acknowledged {
            acked,
            holes,
            accepted,
            ..
        } => Some((*acked, holes.clone(), accepted.len())),
        _ => None,
    });
    assert_eq!(settled, Some((Seq(2), vec![Seq(1)], 1)));
}

pub(in crate::mailbox) async fn a_command_may_name_many_and_each_counts_once<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(trial.post(1, None).await.id);
    }
    let unknown = |number: u16| {
        let mut bytes = [0xff; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NotificationId::from_bytes(bytes)
    };
    let named = |known: [usize; 3]| -> Vec<NotificationId> {
        let known = known.map(|at| ids[at]);
        (0..1_000).map(unknown).chain(known).collect()
    };
    trial.told().await;
    let acknowledge = Command::Acknowledge {
        user: USER,
        device: device(1),
        ids: named([4, 1, 4]),
    };
    trial.ask(acknowledge).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [1, 3, 4, 6]);
    let seen = Command::Seen {
        user: USER,
        ids: named([5, 0, 5]),
    };
    trial.ask(seen).await.unwrap();
    assert_eq!(trial.owed(1).await.unwrap(), [3, 4]);
    let told = trial.told().await;
    let told = told.iter().filter_map(|commit| match commit {
        Commit::Acknowledged { accepted, .. } => Some((accepted.len(), Vec::new())),
        Commit::Seen { ids, .. } => Some((0, ids.clone())),
        _ => None,
    });
    let seen = vec![ids[5], ids[0]];
    assert_eq!(Vec::from_iter(told), [(2, Vec::new()), (0, seen)]);
}

pub(in crate::mailbox) async fn nothing_of_an_erased_user_comes_back<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    trial.post(1, None).await;
    let accept = trial.accept(1, None, EXPIRY, 10);
    let batch = vec![
        Command::EraseUser { user: USER },
        Command::Accept(Box::new(accept.clone())),
        Command::SetPermission {
            user: USER,
            permission: permission(9),
            site: "https://example.com".parse().unwrap(),
            muted: false,
            receipts: false,
            endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
        },
        Command::OpenSession {
            user: USER,
            device: device(1),
            clean: false,
            expiry: EXPIRY,
            will: None,
        },
    ];
    let answers = trial.mailbox().apply(batch).await;
    let refused: Vec<_> = answers.into_iter().skip(1).map(Result::err).collect();
    assert_eq!(
        refused,
        [
            Some(Refusal::UnknownPermission),
            Some(Refusal::UnknownPermission),
            Some(Refusal::UnknownSession)
        ]
    );
    let open = Command::OpenSession {
        user: USER,
        device: device(1),
        clean: true,
        expiry: EXPIRY,
        will: None,
    };
    let (user, seq) = (USER, Seq(1));
    for reopened in [false, true] {
        if reopened {
            trial.reopen().await;
        }
        assert_eq!(trial.history().await, [0; 0]);
        assert_eq!(trial.owed(1).await, None);
        assert_eq!(
            trial.send(accept.clone()).await,
            Err(Refusal::UnknownPermission)
        );
        // Nor do later batches bring anything back.
        let permitted = trial.set_permission(9).await.err();
        assert_eq!(permitted, Some(Refusal::UnknownPermission));
        let opened = trial.ask(open.clone()).await.err();
        assert_eq!(opened, Some(Refusal::UnknownSession));
        for nothing_to_take in [
            Command::EraseUser { user },
            Command::Withdraw { user, seq },
            Command::RemoveDevice {
                user,
                device: device(1),
            },
        ] {
            let answer = trial.ask(nothing_to_take).await;
            assert!(matches!(answer, Ok(Outcome::Done)), "{answer:?}");
        }
    }
}

pub(in crate::mailbox) async fn what_follows_a_revocation_in_its_batch_is_refused<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let before = trial.accept(1, None, EXPIRY, 10);
    let after = trial.accept(1, None, EXPIRY, 10);
    let batch = vec![
        Command::Accept(Box::new(before)),
        Command::Revoke {
            user: USER,
            permission: permission(1),
        },
        Command::Accept(Box::new(after)),
    ];
    let answers = trial.mailbox().apply(batch).await;
    assert!(answers[0].is_ok());
    assert_eq!(answers[2].as_ref().err(), Some(&Refusal::Revoked));
    assert_eq!(trial.history().await, [0; 0]);
}

pub(in crate::mailbox) async fn what_may_not_wait_is_judged_but_never_stored<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let transient = async |trial: &Trial<E>| {
        let told = trial.told().await;
        let urgencies = told.iter().filter_map(|commit| match commit {
            Commit::Transient { urgency, .. } => Some(*urgency),
            _ => None,
        });
        urgencies.collect::<Vec<_>>()
    };
    let mut first = trial.accept(1, None, Duration::ZERO, 10);
    first.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [2; 32],
    });
    let accepted = trial.send(first.clone()).await.unwrap();
    assert_eq!(accepted.seq, Seq(0));
    assert_eq!(transient(&trial).await, [Urgency::Normal]);
    trial.reopen().await;
    let again = Accepted {
        repeated: true,
        ..accepted
    };
    trial.pass(Duration::from_secs(60));
    let later = trial.accept(1, None, Duration::ZERO, 10);
    let repeat = Accept {
        idempotency: first.idempotency,
        ..later.clone()
    };
    assert_eq!(trial.send(repeat).await, Ok(again));
    assert_eq!(
        transient(&trial).await,
        [],
        "a repeat is not published again"
    );
    assert_eq!(trial.history().await, [0; 0]);
    assert_eq!(trial.post(1, None).await.seq, Seq(1));

    let mute = Command::SetPermission {
        user: USER,
        permission: permission(1),
        site: "https://example.com".parse().unwrap(),
        muted: true,
        receipts: false,
        endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
    };
    trial.ask(mute).await.unwrap();
    assert!(trial.send(later.clone()).await.is_ok());
    assert_eq!(transient(&trial).await, [Urgency::VeryLow], "muted");
    let site = "https://example.com".parse().unwrap();
    let block = |blocked| Command::BlockSite {
        site: Origin::clone(&site),
        blocked,
    };
    trial.ask(block(true)).await.unwrap();
    assert_eq!(trial.send(later.clone()).await, Err(Refusal::Blocked));
    trial.ask(block(false)).await.unwrap();
    let revoke = Command::Revoke {
        user: USER,
        permission: permission(1),
    };
    trial.ask(revoke).await.unwrap();
    assert_eq!(trial.send(later).await, Err(Refusal::Revoked));
}

pub(in crate::mailbox) async fn history_is_kept_for_its_time<E: Engine>() {
    let limits = MailboxLimits {
        history: Duration::from_secs(60),
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::new(limits).await;
    trial.permit().await;
    trial.connect(1, &Filter::Notifications).await;
    let seen = trial.post(1, None).await.id;
    for _ in 2..=3 {
        trial.post(1, None).await;
    }
    let (user, ids) = (USER, vec![seen]);
    trial.ask(Command::Seen { user, ids }).await.unwrap();
    trial.pass(Duration::from_secs(10));
    trial.settle(1, &[2]).await.unwrap();
    for (secs, kept) in [(49, vec![1, 2, 3]), (1, vec![2, 3]), (10, vec![3])] {
        trial.pass(Duration::from_secs(secs));
        trial.reopen().await;
        trial.prune().await;
        assert_eq!(trial.history().await, kept);
    }
    assert_eq!(
        trial.owed(1).await.unwrap(),
        [3],
        "what is owed is not history"
    );
}

pub(in crate::mailbox) async fn a_session_outlives_its_connection_as_long_as_allowed<E: Engine>() {
    let limits = MailboxLimits {
        session_expiry_max: Duration::from_secs(60),
        ..MailboxLimits::default()
    };
    for (asked, passed, stays) in [
        (30, 29, true),
        (30, 30, false),
        (90, 59, true),
        (90, 60, false),
        (0, 0, false),
    ] {
        let mut trial = Trial::<E>::new(limits.clone()).await;
        trial.permit().await;
        trial.connect(1, &Filter::Notifications).await;
        trial.pass(Duration::from_secs(3_600));
        assert!(trial.owed(1).await.is_some(), "connected");
        let asked_for = Duration::from_secs(asked);
        trial.close(1, asked_for, Departure::InOrder).await;
        trial.post(1, None).await;
        trial.pass(Duration::from_secs(passed));
        let owed = stays.then(|| vec![1]);
        assert_eq!(trial.owed(1).await, owed, "{asked} after {passed}");
        trial.reopen().await;
        assert_eq!(
            trial.owed(1).await,
            owed,
            "{asked} after {passed}, reopened"
        );
    }
}

pub(in crate::mailbox) async fn the_end_of_an_older_connection_is_not_that_of_a_newer_one<
    E: Engine,
>() {
    let trial = Trial::<E>::new(MailboxLimits::default()).await;
    let open = async |trial: &Trial<E>, clean| {
        let command = Command::OpenSession {
            user: USER,
            device: device(1),
            clean,
            expiry: EXPIRY,
            will: None,
        };
        match trial.ask(command).await {
            Ok(Outcome::Session { row, .. }) => Some(row.epoch),
            other => panic!("not an answer about a session: {other:?}"),
        }
    };
    let close = |epoch, expiry| Command::CloseSession {
        user: USER,
        device: device(1),
        epoch,
        expiry,
        departure: Departure::Unannounced,
    };
    for clean in [false, true] {
        let older = open(&trial, false).await;
        let newer = open(&trial, clean).await;
        for expiry in [EXPIRY, Duration::ZERO] {
            let late = trial.ask(close(older, expiry)).await.err();
            assert_eq!(late, Some(Refusal::UnknownSession));
        }
        trial.pass(EXPIRY * 2);
        forget_memory(&trial).await;
        assert!(trial.owed(1).await.is_some(), "it is connected");
        trial.ask(close(newer, Duration::ZERO)).await.unwrap();
        assert_eq!(trial.owed(1).await, None);
    }
    // Nor where that has another session.
    let older = open(&trial, false).await;
    trial.ask(close(None, Duration::ZERO)).await.unwrap();
    trial.pass(Duration::from_millis(1));
    open(&trial, false).await;
    let late = trial.ask(close(older, EXPIRY)).await.err();
    assert_eq!(late, Some(Refusal::UnknownSession));
}
