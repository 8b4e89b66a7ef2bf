//! What is told outside, when, and how long it is kept.

use super::*;
use crate::mailbox::outbox::OUTBOX_ROWS_MAX;
use belfry_protocol::secret::SecretHash;

/// A receipt subscription.
pub(super) const RECEIPTS: Owner = Owner::receipts([7; 16]);

fn endpoint(number: u8) -> SecretHash {
    SecretHash::from_bytes([number; 32])
}

impl<E: Engine> Trial<E> {
    /// The log of the site of all permissions.
    pub(super) fn site(&self) -> Owner {
        Owner::site(&"https://example.com".parse().unwrap())
    }

    pub(super) async fn allow_receipts(
        &self,
        number: u8,
        receipts: bool,
    ) -> Result<Outcome, Refusal> {
        self.ask(Command::SetPermission {
            user: USER,
            permission: permission(number),
            site: "https://example.com".parse().unwrap(),
            muted: false,
            receipts,
            endpoint: endpoint(number),
        })
        .await
    }

    async fn open_outbox(&self, owner: Owner) {
        self.ask(Command::OpenOutbox { owner }).await.unwrap();
    }

    async fn close_outbox(&self, owner: Owner) {
        self.ask(Command::CloseOutbox { owner }).await.unwrap();
    }

    /// With a receipt that comes to this log.
    async fn post_with(
        &mut self,
        number: u8,
        receipts: Receipts,
        ttl_secs: u64,
        collapse: Option<&str>,
    ) -> Result<Accepted, Refusal> {
        let mut accept = self.accept(number, collapse, Duration::from_secs(ttl_secs), 10);
        accept.receipts = Some(receipts);
        self.send(accept).await
    }

    async fn rows(&self, owner: Owner) -> Option<Vec<Told>> {
        let mut rows: Vec<Told> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |told| told.n);
            let page = self.mailbox().outbox(owner, after, 7).await.unwrap()?;
            let last = page.rows.len() < 7;
            rows.extend(page.rows);
            if last {
                assert!(rows.last().is_none_or(|told| told.n <= page.newest));
                assert!(rows.is_sorted_by(|a, b| a.n < b.n));
                return Some(rows);
            }
        }
    }

    /// What stands in a log that is open.
    pub(super) async fn told_to(&self, owner: Owner) -> Vec<News> {
        let rows = self.rows(owner).await.unwrap();
        rows.into_iter().map(|told| told.news).collect()
    }

    /// The receipts of a log: the seq, and whether it was delivered.
    async fn receipts(&self) -> Vec<(u64, bool)> {
        let told = self.told_to(RECEIPTS).await.into_iter();
        told.map(|news| match news {
            News::Delivered(message) => (message.seq.0, true),
            News::GivenUp(message) => (message.seq.0, false),
            other => panic!("not a receipt: {other:?}"),
        })
        .collect()
    }

    /// Permission 1 allows receipts, and a device takes notifications.
    async fn with_receipts(limits: MailboxLimits) -> Self {
        let mut trial = Self::new(limits).await;
        trial.permit().await;
        trial.allow_receipts(1, true).await.unwrap();
        trial.connect(1, &Filter::Notifications).await;
        trial
    }
}

const NEW: Receipts = Receipts::New(RECEIPTS);
const NAMED: Receipts = Receipts::Named(RECEIPTS);

pub(in crate::mailbox) async fn a_receipt_says_when_a_first_device_has_it_and_once<E: Engine>() {
    let mut trial = Trial::<E>::with_receipts(MailboxLimits::default()).await;
    trial.connect(2, &Filter::Notifications).await;
    assert_eq!(trial.rows(RECEIPTS).await, None, "before there is one");
    let accepted = trial.post_with(1, NEW, 60, None).await.unwrap();
    assert_eq!(accepted.receipts, Some(RECEIPTS));
    assert_eq!(trial.rows(RECEIPTS).await, Some(vec![]));
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    trial.told().await;
    trial.pass(Duration::from_secs(5));
    let at = Timestamp::from_millis(trial.now());
    trial.settle(1, &[2]).await.unwrap();
    let told = trial.told().await;
    let rung = told
        .iter()
        .filter(|commit| matches!(commit, Commit::Told { owner } if *owner == RECEIPTS));
    assert_eq!(rung.count(), 1);
    let message = Message {
        user: USER,
        seq: Seq(2),
        expires: Timestamp::from_millis(1_060_000),
    };
    let first = Told {
        n: 1,
        at,
        news: News::Delivered(message),
    };
    assert_eq!(trial.rows(RECEIPTS).await, Some(vec![first]));
    trial.reopen().await;
    trial.settle(2, &[1, 2]).await.unwrap();
    trial.settle(1, &[1]).await.unwrap();
    trial.pass(Duration::from_secs(60));
    trial.prune().await;
    let all = [(2, true), (1, true)];
    assert_eq!(trial.receipts().await, all);
    let after = trial.mailbox().outbox(RECEIPTS, 1, 100).await.unwrap();
    assert_eq!(after.unwrap().rows.len(), 1);
    trial.reopen().await;
    assert_eq!(trial.receipts().await, all);
}

pub(in crate::mailbox) async fn what_the_site_ends_is_given_up_at_once_and_all_else_at_its_expiry<
    E: Engine,
>() {
    let limits = MailboxLimits {
        notifications: 8,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::with_receipts(limits).await;
    trial.open_outbox(RECEIPTS).await;
    // Withdrawn.
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    let seq = Seq(1);
    for _ in 0..2 {
        trial
            .ask(Command::Withdraw { user: USER, seq })
            .await
            .unwrap();
        assert_eq!(trial.receipts().await, [(1, false)]);
    }
    // Replaced, wherever its entry is by then.
    for gone in [false, true] {
        let first = trial.post_with(1, NAMED, 60, Some("a")).await.unwrap();
        if gone {
            let (user, ids) = (USER, vec![first.id]);
            trial.ask(Command::Seen { user, ids }).await.unwrap();
        }
        let before = trial.receipts().await.len();
        let replacing = trial.accept(1, Some("a"), Duration::from_secs(60), 10);
        trial.send(replacing).await.unwrap();
        let told = trial.receipts().await;
        assert_eq!(told.len(), before + 1);
        assert_eq!(told.last(), Some(&(first.seq.0, false)));
    }
    // Seen without being settled, and pushed out by others' or one's own: as if they still waited.
    let seen = trial.post_with(1, NAMED, 60, None).await.unwrap();
    let (user, ids) = (USER, vec![seen.id]);
    trial.ask(Command::Seen { user, ids }).await.unwrap();
    let pushed_out = trial.post_with(1, NAMED, 60, None).await.unwrap();
    let before = trial.receipts().await.len();
    for _ in 0..8 {
        trial.post(1, None).await;
    }
    assert!(!trial.history().await.contains(&pushed_out.seq.0));
    trial.pass(Duration::from_millis(59_999));
    trial.reopen().await;
    trial.prune().await;
    assert_eq!(trial.receipts().await.len(), before);
    trial.pass(Duration::from_millis(1));
    trial.prune().await;
    let given_up = [(seen.seq.0, false), (pushed_out.seq.0, false)];
    assert_eq!(trial.receipts().await[before..], given_up);
    // Revoked.
    let last = trial.post_with(1, NAMED, 60, None).await.unwrap();
    let (user, permission) = (USER, permission(1));
    for _ in 0..2 {
        trial
            .ask(Command::Revoke { user, permission })
            .await
            .unwrap();
        assert_eq!(trial.receipts().await[before + 2..], [(last.seq.0, false)]);
    }
}

pub(in crate::mailbox) async fn a_receipt_is_heeded_where_it_is_allowed_and_never_after<
    E: Engine,
>() {
    let mut trial = Trial::<E>::with_receipts(MailboxLimits::default()).await;
    let unknown = trial.post_with(1, NAMED, 60, None).await.err();
    assert_eq!(unknown, Some(Refusal::UnknownReceipts));
    let unknown = trial.post_with(2, NAMED, 60, None).await.err();
    assert_eq!(unknown, Some(Refusal::UnknownReceipts), "allowed or not");
    for (number, ttl_secs) in [(2, 60), (1, 0)] {
        let accepted = trial.post_with(number, NEW, ttl_secs, None).await.unwrap();
        assert_eq!(accepted.receipts, None);
        assert_eq!(trial.rows(RECEIPTS).await, None, "nothing is opened for it");
    }
    let first = trial.post_with(1, NEW, 60, None).await.unwrap().seq.0;
    let second = trial.post_with(1, NAMED, 60, None).await.unwrap().seq.0;
    trial.settle(1, &[first]).await.unwrap();
    trial.allow_receipts(1, false).await.unwrap();
    let third = trial.post_with(1, NAMED, 60, None).await.unwrap();
    assert_eq!(third.receipts, None);
    trial.allow_receipts(1, true).await.unwrap();
    trial.reopen().await;
    let fourth = trial.post_with(1, NAMED, 60, None).await.unwrap().seq.0;
    trial
        .settle(1, &[second, third.seq.0, fourth])
        .await
        .unwrap();
    assert_eq!(trial.receipts().await, [(first, true), (fourth, true)]);
    trial.pass(Duration::from_secs(60));
    trial.prune().await;
    let all = [(first, true), (fourth, true), (second, false)];
    assert_eq!(trial.receipts().await, all);
}

pub(in crate::mailbox) async fn as_many_outcomes_wait_as_notifications_may<E: Engine>() {
    let limits = MailboxLimits {
        notifications: 12,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::with_receipts(limits).await;
    trial.open_outbox(RECEIPTS).await;
    trial.allow_receipts(2, true).await.unwrap();
    for _ in 0..3 {
        trial.post_with(1, NAMED, 60, None).await.unwrap();
        trial.post_with(2, NAMED, 60, None).await.unwrap();
    }
    assert_eq!(trial.receipts().await, []);
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    assert_eq!(trial.receipts().await, [(1, false)], "its own oldest");
    trial.settle(1, &[3]).await.unwrap();
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    assert_eq!(trial.receipts().await, [(1, false), (3, true)]);
}

pub(in crate::mailbox) async fn a_receipt_subscription_ends_with_what_it_holds<E: Engine>() {
    let limits = MailboxLimits {
        history: Duration::from_secs(100),
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::with_receipts(limits).await;
    trial.post_with(1, NEW, 1_000, None).await.unwrap();
    trial.post_with(1, NAMED, 2_000, None).await.unwrap();
    trial.settle(1, &[1]).await.unwrap();
    trial.pass(Duration::from_secs(100));
    trial.prune().await;
    assert_eq!(
        trial.receipts().await,
        [],
        "the row's time, while one waits"
    );
    trial.settle(1, &[2]).await.unwrap();
    trial.pass(Duration::from_secs(99));
    trial.reopen().await;
    trial.prune().await;
    assert_eq!(trial.receipts().await, [(2, true)]);
    // It goes on for as long as it is used.
    trial.post_with(1, NAMED, 2_000, None).await.unwrap();
    trial.pass(Duration::from_secs(500));
    trial.prune().await;
    trial.settle(1, &[3]).await.unwrap();
    assert_eq!(trial.receipts().await, [(3, true)]);
    trial.pass(Duration::from_secs(100));
    trial.prune().await;
    assert_eq!(trial.rows(RECEIPTS).await, None);
    let ended = trial.post_with(1, NAMED, 60, None).await.err();
    assert_eq!(ended, Some(Refusal::UnknownReceipts));
}

pub(in crate::mailbox) async fn a_site_is_told_while_its_log_is_open<E: Engine>() {
    let mut trial = Trial::<E>::with_receipts(MailboxLimits::default()).await;
    let site = trial.site();
    let post = async |trial: &mut Trial<E>, number| {
        let accept = trial.accept(number, None, Duration::from_secs(60), 10);
        trial.send(accept).await.unwrap().seq
    };
    let revoke = |number| Command::Revoke {
        user: USER,
        permission: permission(number),
    };
    post(&mut trial, 1).await;
    trial.ask(revoke(3)).await.unwrap();
    trial.open_outbox(site).await;
    trial.reopen().await;
    assert_eq!(trial.told_to(site).await, [], "nothing of before");
    let expiring = post(&mut trial, 1).await;
    let settled = post(&mut trial, 1).await;
    let silent = post(&mut trial, 2).await;
    assert_eq!(silent, Seq(4));
    trial.settle(1, &[settled.0]).await.unwrap();
    trial.pass(Duration::from_secs(60));
    trial.prune().await;
    let expires = Timestamp::from_millis(trial.now());
    let message = Message {
        user: USER,
        seq: expiring,
        expires,
    };
    assert_eq!(trial.told_to(site).await, [News::Expired(message)]);
    // Turned off meanwhile: whether it was delivered is not known, and not told.
    post(&mut trial, 1).await;
    trial.allow_receipts(1, false).await.unwrap();
    trial.allow_receipts(1, true).await.unwrap();
    trial.pass(Duration::from_secs(60));
    trial.prune().await;
    assert_eq!(trial.told_to(site).await.len(), 1);
    post(&mut trial, 1).await;
    for _ in 0..2 {
        trial.ask(revoke(1)).await.unwrap();
        let endpoint = endpoint(1);
        assert_eq!(trial.told_to(site).await[1..], [News::Revoked { endpoint }]);
    }
    trial.close_outbox(site).await;
    trial.ask(revoke(2)).await.unwrap();
    assert_eq!(trial.rows(site).await, None);
}

pub(in crate::mailbox) async fn an_erased_user_is_told_of_as_revoked<E: Engine>() {
    let mut trial = Trial::<E>::with_receipts(MailboxLimits::default()).await;
    let site = trial.site();
    trial.open_outbox(site).await;
    trial.post_with(1, NEW, 60, None).await.unwrap();
    let revoke = Command::Revoke {
        user: USER,
        permission: permission(3),
    };
    trial.ask(revoke).await.unwrap();
    let erase = Command::EraseUser { user: USER };
    trial.ask(erase.clone()).await.unwrap();
    trial.ask(erase).await.unwrap();
    trial.reopen().await;
    trial.pass(Duration::from_secs(60));
    trial.prune().await;
    assert_eq!(trial.receipts().await, [(1, false)]);
    // 2 and 3 as they were made, which is with one endpoint.
    let made = SecretHash::from_bytes([1; 32]);
    let expected = [made, made, made].map(|endpoint| News::Revoked { endpoint });
    assert_eq!(trial.told_to(site).await, expected);
}

pub(in crate::mailbox) async fn a_log_keeps_its_newest_rows_for_their_time<E: Engine>() {
    let limits = MailboxLimits {
        history: Duration::from_secs(100),
        notifications: 400,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::<E>::with_receipts(limits).await;
    trial.open_outbox(RECEIPTS).await;
    let count = OUTBOX_ROWS_MAX + 10;
    for number in 1..=count {
        trial.post_with(1, NAMED, 1_000, None).await.unwrap();
        let half = number == count / 2 || number == count;
        if half {
            let after = if number == count { count / 2 } else { 0 };
            let seqs: Vec<u64> = (after + 1..=number).collect();
            trial.settle(1, &seqs).await.unwrap();
        }
    }
    let receipts = trial.receipts().await;
    assert_eq!(receipts.len() as u64, OUTBOX_ROWS_MAX);
    assert_eq!((receipts[0].0, receipts.last().unwrap().0), (11, count));
    trial.pass(Duration::from_secs(99));
    trial.post_with(1, NAMED, 1_000, None).await.unwrap();
    trial.settle(1, &[count + 1]).await.unwrap();
    trial.pass(Duration::from_secs(1));
    trial.prune().await;
    trial.reopen().await;
    assert_eq!(trial.receipts().await, [(count + 1, true)]);
    let rows = trial.rows(RECEIPTS).await.unwrap();
    assert_eq!(rows[0].n, count + 1, "its place stays");
}

pub(in crate::mailbox) async fn a_log_that_is_opened_again_gives_no_place_twice<E: Engine>() {
    let mut trial = Trial::<E>::with_receipts(MailboxLimits::default()).await;
    trial.open_outbox(RECEIPTS).await;
    trial.open_outbox(RECEIPTS).await;
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    trial.settle(1, &[1]).await.unwrap();
    trial.told().await;
    for _ in 0..2 {
        trial.close_outbox(RECEIPTS).await;
        assert_eq!(trial.rows(RECEIPTS).await, None);
    }
    let told = trial.told().await;
    let rung = told
        .iter()
        .filter(|commit| matches!(commit, Commit::Told { .. }));
    assert_eq!(rung.count(), 1, "who waits is to look");
    trial.settle(1, &[2]).await.unwrap();
    assert_eq!(trial.rows(RECEIPTS).await, None);
    trial.open_outbox(RECEIPTS).await;
    assert_eq!(trial.receipts().await, []);
    trial.post_with(1, NAMED, 60, None).await.unwrap();
    trial.settle(1, &[3]).await.unwrap();
    trial.reopen().await;
    let rows = trial.rows(RECEIPTS).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].n, 2);
}
