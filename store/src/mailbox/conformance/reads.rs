//! What can be read, and what state decides about accepting.

use super::*;
use crate::mailbox::command::Idempotency;

pub(in crate::mailbox) async fn a_remembered_answer_is_found_without_posting<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let key = Idempotency {
        key: [1; 32],
        digest: [2; 32],
    };
    let other_body = Idempotency {
        digest: [3; 32],
        ..key
    };
    let ask = async |trial: &Trial<E>, number, key| {
        let mailbox = trial.mailbox();
        mailbox.idempotent(USER, permission(number), key).await
    };
    assert_eq!(ask(&trial, 1, key).await, Ok(None));
    let mut accept = trial.accept(1, None, EXPIRY, 10);
    accept.idempotency = Some(key);
    let first = trial.send(accept).await.unwrap();
    let again = Accepted {
        repeated: true,
        ..first
    };
    for reopened in [false, true] {
        if reopened {
            trial.reopen().await;
        }
        assert_eq!(ask(&trial, 1, key).await, Ok(Some(again)));
        let mismatch = Err(Refusal::IdempotencyMismatch);
        assert_eq!(ask(&trial, 1, other_body).await, mismatch);
        assert_eq!(ask(&trial, 2, key).await, Ok(None), "of another permission");
    }
    trial.pass(Duration::from_secs(86_399));
    assert_eq!(ask(&trial, 1, key).await, Ok(Some(again)));
    trial.pass(Duration::from_secs(1));
    assert_eq!(ask(&trial, 1, key).await, Ok(None));
}

pub(in crate::mailbox) async fn entries_are_read_by_place_by_id_and_by_page<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(trial.post(1, None).await.id);
    }
    let short = trial.accept(1, None, Duration::from_secs(10), 10);
    ids.push(trial.send(short).await.unwrap().id);
    trial
        .ask(Command::Withdraw {
            user: USER,
            seq: Seq(2),
        })
        .await
        .unwrap();
    trial
        .ask(Command::Seen {
            user: USER,
            ids: vec![ids[2]],
        })
        .await
        .unwrap();
    trial.pass(Duration::from_secs(10));
    trial.reopen().await;
    let mailbox = trial.mailbox();
    let seqs = |entries: &[Entry]| -> Vec<u64> {
        let seqs = entries.iter().map(|entry| entry.meta.seq.0);
        seqs.collect()
    };
    // The second was taken back, the third seen, the sixth has expired.
    let all = (0..9).map(Seq).collect();
    let found = mailbox.entries(USER, all).await.unwrap();
    assert_eq!(seqs(&found), [1, 3, 4, 5]);
    for (id, live) in ids.iter().zip([true, false, true, true, true, false]) {
        let found = mailbox.notification(USER, *id).await.unwrap();
        assert_eq!(found.is_some(), live);
        let of_other = mailbox.notification(UserId::from_bytes([9; 16]), *id);
        assert_eq!(of_other.await.unwrap(), None);
    }
    for (range, limit, page) in [
        (HistoryRange::After(Seq(0)), 2, vec![1, 3]),
        (HistoryRange::After(Seq(3)), 9, vec![4, 5]),
        (HistoryRange::After(Seq(u64::MAX)), 9, vec![]),
        (HistoryRange::Before(Seq(u64::MAX)), 2, vec![5, 4]),
        (HistoryRange::Before(Seq(4)), 9, vec![3, 1]),
        (HistoryRange::Before(Seq(0)), 9, vec![]),
    ] {
        let found = mailbox.history(USER, range, limit).await.unwrap();
        assert_eq!(seqs(&found), page, "{range:?}");
    }
    let users = vec![UserId::from_bytes([9; 16]), USER];
    assert_eq!(mailbox.heads(users).await.unwrap(), [Seq(0), Seq(6)]);
}

pub(in crate::mailbox) async fn what_is_owed_to_some_device_is_counted_by_user<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let other = UserId::from_bytes([9; 16]);
    let holdings = async |trial: &Trial<E>| {
        let users = vec![other, USER, other];
        let held = trial.mailbox().holdings(users).await.unwrap();
        assert_eq!((held.len(), held[0]), (3, Holding::default()));
        assert_eq!(held[2], Holding::default());
        (held[1].entries, held[1].bytes)
    };
    assert_eq!(holdings(&trial).await, (0, 0));
    for _ in 0..2 {
        trial.post(1, None).await;
    }
    let short = trial.accept(1, None, Duration::from_secs(10), 7);
    trial.send(short).await.unwrap();
    assert_eq!(holdings(&trial).await, (3, 27));
    trial.settle(1, &[2]).await.unwrap();
    assert_eq!(
        holdings(&trial).await,
        (2, 17),
        "what is history is not owed"
    );
    trial.reopen().await;
    assert_eq!(holdings(&trial).await, (2, 17));
    trial.pass(Duration::from_secs(10));
    assert_eq!(holdings(&trial).await, (1, 10), "what expired is not owed");
}

pub(in crate::mailbox) async fn a_block_refuses_until_it_is_lifted<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let accept = trial.accept(1, None, EXPIRY, 10);
    let user = |blocked| Command::BlockUser {
        user: USER,
        blocked,
    };
    let site = |blocked| Command::BlockSite {
        site: "https://example.com".parse().unwrap(),
        blocked,
    };
    for (block, lift) in [(user(true), user(false)), (site(true), site(false))] {
        trial.ask(block).await.unwrap();
        assert_eq!(trial.send(accept.clone()).await, Err(Refusal::Blocked));
        trial.reopen().await;
        assert_eq!(trial.send(accept.clone()).await, Err(Refusal::Blocked));
        trial.ask(lift).await.unwrap();
        trial.reopen().await;
        trial.send(accept.clone()).await.unwrap();
    }
}

pub(in crate::mailbox) async fn a_muted_permission_is_kept_and_never_urgent<E: Engine>() {
    let mut trial = Trial::<E>::with_device().await;
    let mute = |muted| Command::SetPermission {
        user: USER,
        permission: permission(1),
        site: "https://example.com".parse().unwrap(),
        muted,
        receipts: false,
        endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
    };
    for muted in [true, false] {
        trial.ask(mute(muted)).await.unwrap();
        trial.reopen().await;
        let accepted = trial.post(1, None).await;
        let entry = trial.mailbox().notification(USER, accepted.id).await;
        let expected = if muted {
            Urgency::VeryLow
        } else {
            Urgency::Normal
        };
        assert_eq!(
            entry.unwrap().unwrap().meta.content,
            Content::Notification {
                id: accepted.id,
                permission: permission(1),
                urgency: expected,
                muted,
            }
        );
    }
    assert_eq!(trial.owed(1).await.unwrap(), [1, 2]);
}
