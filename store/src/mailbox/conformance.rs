//! What every mailbox engine has to do, tried from outside: tables, a model, and torn journals.

#![allow(clippy::unwrap_used)]

use super::embedded::EmbeddedMailbox;
use super::*;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{DeviceId, PermissionId};
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::topic::Filter;
use bytes::Bytes;
use command::Idempotency;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const USER: UserId = UserId::from_bytes([1; 16]);
const EXPIRY: Duration = Duration::from_secs(1_000);

struct Trial {
    folder: tempfile::TempDir,
    now: Arc<AtomicU64>,
    limits: MailboxLimits,
    mailbox: Option<EmbeddedMailbox>,
    ids: u64,
}

fn open(folder: &Path, limits: &MailboxLimits, now: &Arc<AtomicU64>) -> EmbeddedMailbox {
    let now = Arc::clone(now);
    let clock = Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)));
    EmbeddedMailbox::open(folder, limits.clone(), clock, Box::new(|_| {})).unwrap()
}

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

fn permission(number: u8) -> PermissionId {
    PermissionId::from_bytes([number; 16])
}

fn at_least_once(no_local: bool) -> SubscriptionOptions {
    SubscriptionOptions {
        at_least_once: true,
        no_local,
        retain_as_published: false,
        identifier: None,
    }
}

impl Trial {
    fn new(limits: MailboxLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1_000_000));
        let mailbox = Some(open(folder.path(), &limits, &now));
        Self {
            folder,
            now,
            limits,
            mailbox,
            ids: 0,
        }
    }

    /// With permissions 1 to 3, and device 1 subscribed to all notifications.
    async fn with_device() -> Self {
        let mut trial = Self::new(MailboxLimits::default());
        trial.permit().await;
        trial.connect(1, &Filter::Notifications).await;
        trial
    }

    async fn permit(&mut self) {
        for number in 1..=3 {
            self.set_permission(number).await.unwrap();
        }
    }

    async fn set_permission(&self, number: u8) -> Result<Outcome, Refusal> {
        self.ask(Command::SetPermission {
            user: USER,
            permission: permission(number),
            site: "https://example.com".parse().unwrap(),
            muted: false,
        })
        .await
    }

    fn mailbox(&self) -> &EmbeddedMailbox {
        self.mailbox.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.mailbox = None;
        self.mailbox = Some(open(self.folder.path(), &self.limits, &self.now));
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    async fn ask(&self, command: Command) -> Result<Outcome, Refusal> {
        self.mailbox().apply(vec![command]).await.remove(0)
    }

    async fn open_session(&self, number: u8, clean: bool) {
        let command = Command::OpenSession {
            user: USER,
            device: device(number),
            clean,
            expiry: EXPIRY,
        };
        self.ask(command).await.unwrap();
    }

    async fn subscribe(&self, number: u8, filter: &Filter) -> Result<Outcome, Refusal> {
        self.ask(Command::Subscribe {
            user: USER,
            device: device(number),
            filters: vec![(filter.clone(), at_least_once(false))],
        })
        .await
    }

    async fn connect(&self, number: u8, filter: &Filter) {
        self.open_session(number, false).await;
        self.subscribe(number, filter).await.unwrap();
    }

    fn accept(&mut self, number: u8, collapse: Option<&str>, ttl: Duration, body: usize) -> Accept {
        self.ids += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.ids.to_be_bytes());
        let sent = Timestamp::from_millis(self.now());
        Accept {
            user: USER,
            envelope: Envelope {
                id: NotificationId::from_bytes(id),
                permission: permission(number),
                site: "https://example.com".parse().unwrap(),
                sent,
                expires: sent.plus(ttl),
                urgency: Urgency::Normal,
                collapse: collapse.map(|key| key.parse().unwrap()),
                encoding: ContentEncoding::Aes128gcm,
                body: Bytes::from(vec![7; body]),
            },
            idempotency: None,
        }
    }

    async fn post(&mut self, number: u8, collapse: Option<&str>) -> Accepted {
        let accept = self.accept(number, collapse, Duration::from_secs(3_600), 10);
        self.send(accept).await.unwrap()
    }

    async fn send(&self, accept: Accept) -> Result<Accepted, Refusal> {
        match self.ask(Command::Accept(Box::new(accept))).await? {
            Outcome::Accepted(accepted) => Ok(accepted),
            other => panic!("not an answer to an accept: {other:?}"),
        }
    }

    async fn settle(&self, number: u8, seqs: &[u64]) -> Result<Outcome, Refusal> {
        self.ask(Command::Settle {
            user: USER,
            device: device(number),
            seqs: seqs.iter().copied().map(Seq).collect(),
        })
        .await
    }

    /// What a stored session is owed; `None` where it does not exist.
    async fn owed(&self, number: u8) -> Option<Vec<u64>> {
        let command = Command::Subscribe {
            user: USER,
            device: device(number),
            filters: Vec::new(),
        };
        let view = match self.ask(command).await {
            Ok(Outcome::Session { row, .. }) => View::from(&row),
            Err(Refusal::UnknownSession) => return None,
            other => panic!("not an answer about a session: {other:?}"),
        };
        let mut seqs = Vec::new();
        let mut after = Seq(0);
        loop {
            let page = self.mailbox().owed(USER, view.clone(), after, 2).await;
            let page = page.unwrap();
            seqs.extend(page.entries.iter().map(|entry| entry.meta.seq.0));
            after = page.considered;
            if page.considered == page.head {
                return Some(seqs);
            }
        }
    }

    async fn history(&self) -> Vec<u64> {
        let range = HistoryRange::After(Seq(0));
        let entries = self.mailbox().history(USER, range, 10_000).await.unwrap();
        entries.iter().map(|entry| entry.meta.seq.0).collect()
    }
}

#[tokio::test]
async fn settling_out_of_order_leaves_holes() {
    let mut trial = Trial::with_device().await;
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
        trial.reopen();
        assert_eq!(trial.owed(1).await.unwrap(), left, "reopened");
    }
    assert_eq!(trial.history().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_newer_replaces_the_older_of_its_collapse_key() {
    let mut trial = Trial::with_device().await;
    trial.post(1, Some("a")).await;
    trial.post(2, Some("a")).await;
    trial.post(1, Some("b")).await;
    trial.post(1, Some("a")).await;
    assert_eq!(trial.owed(1).await.unwrap(), [2, 3, 4]);
    trial.settle(1, &[4]).await.unwrap();
    trial.post(1, Some("a")).await;
    assert_eq!(trial.history().await, [2, 3, 4, 5], "4 is history by then");
}

#[tokio::test]
async fn a_repeat_has_the_first_answer() {
    let mut trial = Trial::with_device().await;
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
    trial.reopen();
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

#[tokio::test]
async fn revoking_takes_all_of_it_and_stays() {
    let mut trial = Trial::with_device().await;
    trial.post(1, None).await;
    trial.post(2, None).await;
    let revoke = Command::Revoke {
        user: USER,
        permission: permission(1),
    };
    trial.ask(revoke).await.unwrap();
    trial.reopen();
    assert_eq!(trial.history().await, [2]);
    let late = trial.accept(1, None, EXPIRY, 10);
    assert_eq!(trial.send(late).await, Err(Refusal::Revoked));
    assert_eq!(trial.set_permission(1).await.err(), Some(Refusal::Revoked));
}

#[tokio::test]
async fn what_expired_or_was_taken_back_is_owed_to_nobody() {
    let mut trial = Trial::with_device().await;
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
    trial.mailbox().prune_now().await.unwrap();
    assert_eq!(trial.history().await, [3, 4]);
    trial.pass(Duration::from_secs(3_600));
    trial.mailbox().prune_now().await.unwrap();
    assert_eq!(trial.history().await, [0; 0]);
}

#[tokio::test]
async fn a_permission_holds_a_quarter_at_most() {
    let limits = MailboxLimits {
        notifications: 8,
        ..MailboxLimits::default()
    };
    let mut trial = Trial::new(limits);
    trial.permit().await;
    trial.connect(1, &Filter::Notifications).await;
    trial.post(2, None).await;
    for _ in 0..4 {
        trial.post(1, None).await;
    }
    assert_eq!(trial.owed(1).await.unwrap(), [1, 4, 5]);
}

#[tokio::test]
async fn a_connected_session_outlives_what_memory_forgets() {
    let mut trial = Trial::with_device().await;
    trial.pass(EXPIRY * 2);
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
    trial.post(1, None).await;
    assert_eq!(trial.owed(1).await, Some(vec![1]));
}

#[tokio::test]
async fn what_a_forgotten_session_was_owed_is_history() {
    let mut trial = Trial::with_device().await;
    trial.post(1, Some("a")).await;
    trial.open_session(1, true).await;
    trial.post(1, Some("a")).await;
    assert_eq!(trial.history().await, [1, 2]);
}

#[tokio::test]
async fn no_local_is_not_owed_the_publishers_own() {
    let trial = Trial::new(MailboxLimits::default());
    let filter = Filter::Private("#".into());
    trial.connect(2, &filter).await;
    trial.open_session(1, true).await;
    let subscribe = Command::Subscribe {
        user: USER,
        device: device(1),
        filters: vec![(filter, at_least_once(true))],
    };
    trial.ask(subscribe).await.unwrap();
    let publish = PrivatePublish {
        user: USER,
        device: device(1),
        topic: PrivateTopic::new("a/b").unwrap(),
        properties: Bytes::new(),
        payload: Bytes::from_static(b"x"),
        retain: false,
        at_least_once: true,
        expires: Timestamp::NEVER,
        qos2: None,
    };
    trial
        .ask(Command::PublishPrivate(Box::new(publish)))
        .await
        .unwrap();
    assert_eq!(trial.owed(2).await.unwrap(), [1]);
    assert_eq!(trial.owed(1).await.unwrap(), [0; 0]);
}

#[derive(Debug, Clone)]
enum Step {
    Accept(u8, Option<u8>, u64),
    Settle(u8, Vec<u64>),
    Seen(u64),
    Withdraw(u64),
    Open(u8, bool),
    Close(u8),
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Revoke(u8),
    Pass(u64),
    Prune,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = || 1u8..=3;
    let step = prop_oneof![
        8 => (1u8..=3, proptest::option::of(0u8..2), 100u64..3_000).prop_map(|(p, c, t)| Step::Accept(p, c, t)),
        6 => (device(), proptest::collection::vec(1u64..20, 1..4)).prop_map(|(d, s)| Step::Settle(d, s)),
        1 => (1u64..20).prop_map(Step::Seen),
        1 => (1u64..20).prop_map(Step::Withdraw),
        4 => (device(), proptest::bool::weighted(0.2)).prop_map(|(d, c)| Step::Open(d, c)),
        2 => device().prop_map(Step::Close),
        4 => (device(), 0u8..=3).prop_map(|(d, f)| Step::Subscribe(d, f)),
        1 => (device(), 0u8..=3).prop_map(|(d, f)| Step::Unsubscribe(d, f)),
        1 => (2u8..=3).prop_map(Step::Revoke),
        2 => (1u64..700).prop_map(Step::Pass),
        1 => Just(Step::Prune),
        2 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..50)
}

fn filter(number: u8) -> Filter {
    match number {
        0 => Filter::Notifications,
        number => Filter::Notification(permission(number)),
    }
}

struct ModelEntry {
    permission: u8,
    collapse: Option<u8>,
    id: NotificationId,
    expires: u64,
    seen: bool,
    gone: bool,
}

#[derive(Default)]
struct ModelSession {
    starts: BTreeMap<u8, u64>,
    settled: BTreeSet<u64>,
    ends: Option<u64>,
}

/// The naive mailbox: nothing is ever removed, and each session remembers each settled entry.
#[derive(Default)]
struct Model {
    entries: Vec<ModelEntry>,
    sessions: BTreeMap<u8, ModelSession>,
    revoked: BTreeSet<u8>,
}

impl Model {
    fn owed(&self, session: &ModelSession, now: u64) -> Vec<u64> {
        let owed = |(seq, entry): &(u64, &ModelEntry)| {
            let subscribed = [0, entry.permission]
                .iter()
                .filter_map(|filter| session.starts.get(filter))
                .any(|start| start < seq);
            let live = !entry.gone && !entry.seen && entry.expires > now;
            live && subscribed && !session.settled.contains(seq)
        };
        let numbered = (1..).zip(&self.entries);
        numbered.filter(owed).map(|(seq, _)| seq).collect()
    }

    fn at(&mut self, seq: u64) -> Option<&mut ModelEntry> {
        self.entries.get_mut(usize::try_from(seq).unwrap() - 1)
    }
}

async fn walk(steps: Vec<Step>) {
    let mut trial = Trial::new(MailboxLimits::default());
    trial.permit().await;
    let mut model = Model::default();
    for step in steps {
        let now = trial.now();
        let head = model.entries.len() as u64;
        model
            .sessions
            .retain(|_, row| row.ends.is_none_or(|at| at > now));
        match step.clone() {
            Step::Accept(number, collapse, ttl) => {
                let key = collapse.map(|key| key.to_string());
                let ttl = Duration::from_secs(ttl);
                let accept = trial.accept(number, key.as_deref(), ttl, 10);
                let (id, expires) = (accept.envelope.id, accept.envelope.expires.as_millis());
                let answer = trial.send(accept).await;
                if model.revoked.contains(&number) {
                    assert_eq!(answer, Err(Refusal::Revoked));
                } else {
                    assert_eq!(answer.unwrap().seq, Seq(head + 1));
                    let owed: BTreeSet<u64> = model
                        .sessions
                        .values()
                        .flat_map(|row| model.owed(row, now))
                        .collect();
                    for (seq, entry) in (1..).zip(&mut model.entries) {
                        let same = collapse.is_some()
                            && entry.permission == number
                            && entry.collapse == collapse;
                        entry.gone |= same && owed.contains(&seq);
                    }
                    model.entries.push(ModelEntry {
                        permission: number,
                        collapse,
                        id,
                        expires,
                        seen: false,
                        gone: false,
                    });
                }
            }
            Step::Settle(number, seqs) => {
                let known = model.sessions.contains_key(&number);
                assert_eq!(trial.settle(number, &seqs).await.is_ok(), known);
                if let Some(row) = model.sessions.get(&number) {
                    let owed = model.owed(row, now);
                    let row = model.sessions.get_mut(&number).unwrap();
                    row.settled
                        .extend(seqs.iter().filter(|seq| owed.contains(seq)));
                }
            }
            Step::Seen(seq) => {
                if let Some(entry) = model.at(seq) {
                    entry.seen |= !entry.gone;
                    let (user, ids) = (USER, vec![entry.id]);
                    trial.ask(Command::Seen { user, ids }).await.unwrap();
                }
            }
            Step::Withdraw(seq) => {
                let (user, at) = (USER, Seq(seq));
                trial
                    .ask(Command::Withdraw { user, seq: at })
                    .await
                    .unwrap();
                if let Some(entry) = model.at(seq) {
                    entry.gone = true;
                }
            }
            Step::Open(number, clean) => {
                trial.open_session(number, clean).await;
                if clean {
                    model.sessions.remove(&number);
                }
                model.sessions.entry(number).or_default().ends = None;
            }
            Step::Close(number) => {
                let close = Command::CloseSession {
                    user: USER,
                    device: device(number),
                    expiry: EXPIRY,
                };
                trial.ask(close).await.unwrap();
                if let Some(row) = model.sessions.get_mut(&number) {
                    row.ends = Some(now + 1_000_000);
                }
            }
            Step::Subscribe(number, which) => {
                let answer = trial.subscribe(number, &filter(which)).await;
                let row = model.sessions.get_mut(&number);
                assert_eq!(answer.is_ok(), row.is_some());
                if let Some(row) = row {
                    row.starts.entry(which).or_insert(head);
                }
            }
            Step::Unsubscribe(number, which) => {
                let command = Command::Unsubscribe {
                    user: USER,
                    device: device(number),
                    filters: vec![filter(which)],
                };
                let answer = trial.ask(command).await;
                let row = model.sessions.get_mut(&number);
                assert_eq!(answer.is_ok(), row.is_some());
                if let Some(row) = row {
                    row.starts.remove(&which);
                }
            }
            Step::Revoke(number) => {
                let revoke = Command::Revoke {
                    user: USER,
                    permission: permission(number),
                };
                trial.ask(revoke).await.unwrap();
                if model.revoked.insert(number) {
                    for row in model.sessions.values_mut() {
                        row.starts.remove(&number);
                    }
                    for entry in &mut model.entries {
                        entry.gone |= entry.permission == number;
                    }
                }
            }
            Step::Pass(seconds) => trial.pass(Duration::from_secs(seconds)),
            Step::Prune => trial.mailbox().prune_now().await.unwrap(),
            Step::Reopen => {
                trial.reopen();
                for row in model.sessions.values_mut() {
                    row.ends.get_or_insert(now + 1_000_000);
                }
            }
        }
        let now = trial.now();
        model
            .sessions
            .retain(|_, row| row.ends.is_none_or(|at| at > now));
        for number in 1..=3 {
            let wanted = model.sessions.get(&number);
            let wanted = wanted.map(|row| model.owed(row, now));
            let found = trial.owed(number).await;
            assert_eq!(found, wanted, "device {number} after {step:?}");
        }
        let kept = (1..).zip(&model.entries);
        let kept = kept.filter(|(_, entry)| !entry.gone && entry.expires > now);
        let kept: Vec<u64> = kept.map(|(seq, _)| seq).collect();
        assert_eq!(trial.history().await, kept, "history after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_session_is_owed_what_the_model_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(walk(steps));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

fn journal(folder: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder.join("log")).unwrap();
    let mut journals = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jnl"));
    let journal = journals.next().unwrap();
    assert_eq!(journals.next(), None, "one journal in so short a trial");
    journal
}

/// Bytes in use: the file is made long beforehand, and the rest of it is zeros.
fn used(journal: &Path) -> usize {
    let bytes = std::fs::read(journal).unwrap();
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}

#[tokio::test]
async fn a_torn_journal_keeps_what_was_synced_before_the_cut() {
    let mut trial = Trial::with_device().await;
    let start = used(&journal(trial.folder.path()));
    let mut synced = Vec::new();
    for _ in 0..12 {
        let pair = (0..2).map(|_| trial.accept(1, None, EXPIRY, 50));
        let pair: Vec<_> = pair
            .map(|accept| Command::Accept(Box::new(accept)))
            .collect();
        for answer in trial.mailbox().apply(pair).await {
            answer.unwrap();
        }
        synced.push(used(&journal(trial.folder.path())));
    }
    let whole = std::fs::read(journal(trial.folder.path())).unwrap();
    let copied = tempfile::tempdir().unwrap();
    copy(trial.folder.path(), copied.path());
    let end = *synced.last().unwrap();
    let mut losses = 0;
    for round in 0..24 {
        let cut = start + (end + 20 - start) * round / 23;
        let damaged = tempfile::tempdir().unwrap();
        copy(copied.path(), damaged.path());
        let mut bytes = whole.clone();
        // Cut only: over zeros or noise an assertion of fjall's own debug build fires first.
        bytes.truncate(cut);
        std::fs::write(journal(damaged.path()), bytes).unwrap();
        let mailbox = open(damaged.path(), &trial.limits, &trial.now);
        let range = HistoryRange::After(Seq(0));
        let entries = mailbox.history(USER, range, 100).await.unwrap();
        let whole_batches = synced.iter().filter(|length| **length <= cut).count();
        assert_eq!(entries.len() % 2, 0, "no half batch, cut at {cut}");
        assert!(entries.len() >= whole_batches * 2, "cut at {cut}");
        let head = mailbox.heads(vec![USER]).await.unwrap();
        assert_eq!(head, [Seq(entries.len() as u64)], "cut at {cut}");
        losses += usize::from(entries.len() < 24);
    }
    assert!(losses > 12, "the cuts went through what was written");
}
