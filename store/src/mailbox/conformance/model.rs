//! Random walks beside a mailbox so simple that it can be seen to be right.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(in crate::mailbox) enum Step {
    /// Of a permission, with a collapse key, for so long, with or without a receipt.
    Accept(u8, Option<u8>, u64, bool),
    /// Whether the site may have receipts.
    Receipts(u8, bool),
    Settle(u8, Vec<u64>),
    Seen(u64),
    Withdraw(u64),
    /// With the delay of a will.
    Open(u8, bool, Option<u64>),
    Close(u8, bool),
    Acknowledge(u8, u64),
    Subscribe(u8, u8),
    Lower(u8, u8),
    Unsubscribe(u8, u8),
    Revoke(u8),
    Pass(u64),
    Prune,
    Reopen,
}

/// Any walk.
pub(in crate::mailbox) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = || 1u8..=2;
    // None at all, none that lasts, and some beyond the session's end.
    let delay = prop_oneof![Just(None), Just(Some(0)), (1u64..1_500).prop_map(Some)];
    let step = prop_oneof![
        8 => (1u8..=2, proptest::option::of(0u8..2), 100u64..3_000, any::<bool>())
            .prop_map(|(p, c, t, r)| Step::Accept(p, c, t, r)),
        1 => (1u8..=2, any::<bool>()).prop_map(|(p, r)| Step::Receipts(p, r)),
        6 => (device(), proptest::collection::vec(1u64..20, 1..4)).prop_map(|(d, s)| Step::Settle(d, s)),
        1 => (1u64..20).prop_map(Step::Seen),
        1 => (1u64..20).prop_map(Step::Withdraw),
        4 => (device(), proptest::bool::weighted(0.2), delay).prop_map(|(d, c, w)| Step::Open(d, c, w)),
        2 => (device(), any::<bool>()).prop_map(|(d, lost)| Step::Close(d, lost)),
        4 => (device(), 0u8..=2).prop_map(|(d, f)| Step::Subscribe(d, f)),
        1 => (device(), 0u8..=2).prop_map(|(d, f)| Step::Unsubscribe(d, f)),
        3 => (device(), 0u8..=2).prop_map(|(d, f)| Step::Lower(d, f)),
        2 => (device(), 1u64..20).prop_map(|(d, s)| Step::Acknowledge(d, s)),
        1 => Just(Step::Revoke(2)),
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
    delivered: bool,
    awaited: Option<ModelAwaited>,
}

/// Whom it is told what becomes of an entry.
#[derive(Clone, Copy)]
struct ModelAwaited {
    receipts: bool,
    delivery: bool,
    site: bool,
}

#[derive(Default)]
struct ModelSession {
    starts: BTreeMap<u8, u64>,
    settled: BTreeSet<u64>,
    /// When its connection ended.
    left: Option<u64>,
    will: Option<ModelWill>,
}

struct ModelWill {
    mark: u8,
    delay: u64,
}

impl ModelSession {
    fn due(&self) -> Option<u64> {
        let delay = self.will.as_ref()?.delay.min(EXPIRY.as_secs());
        Some(self.left? + delay * 1_000)
    }
}

/// The naive mailbox: nothing is ever removed, and each session remembers each settled entry.
#[derive(Default)]
struct Model {
    entries: Vec<ModelEntry>,
    sessions: BTreeMap<u8, ModelSession>,
    revoked: BTreeSet<u8>,
    /// Permissions whose site may have no receipts.
    silent: BTreeSet<u8>,
    receipts: Vec<(u64, bool)>,
    /// What the site was told of: an entry that expired, or with 0 that a permission was revoked.
    site: Vec<u64>,
    /// The marks of the wills that were published.
    published: Vec<u8>,
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

    /// What time alone does.
    fn lapse(&mut self, now: u64) {
        for row in self.sessions.values_mut() {
            if row.due().is_some_and(|due| due <= now) {
                self.published.extend(row.will.take().map(|will| will.mark));
            }
        }
        let over = EXPIRY.as_secs() * 1_000;
        self.sessions
            .retain(|_, row| row.left.is_none_or(|at| at + over > now));
    }

    /// Nothing more is told of these.
    fn give_up(&mut self, now: u64, which: impl Fn(u64, &ModelEntry) -> bool) {
        for (seq, entry) in (1..).zip(&mut self.entries) {
            if which(seq, entry)
                && let Some(awaited) = entry.awaited.take()
            {
                if awaited.receipts {
                    self.receipts.push((seq, false));
                }
                if awaited.site && entry.expires <= now {
                    self.site.push(seq);
                }
            }
        }
    }

    fn settled(&mut self, number: u8, seqs: &[u64], now: u64) {
        let Some(row) = self.sessions.get(&number) else {
            return;
        };
        let owed = self.owed(row, now);
        for seq in seqs.iter().filter(|seq| owed.contains(seq)) {
            let row = self.sessions.get_mut(&number).unwrap();
            row.settled.insert(*seq);
            let entry = self.at(*seq).unwrap();
            let first = !std::mem::replace(&mut entry.delivered, true);
            if first && entry.awaited.is_some_and(|awaited| awaited.delivery) {
                let awaited = entry.awaited.take().unwrap();
                if awaited.receipts {
                    self.receipts.push((*seq, true));
                }
            }
        }
    }

    fn at(&mut self, seq: u64) -> Option<&mut ModelEntry> {
        self.entries.get_mut(usize::try_from(seq).unwrap() - 1)
    }
}

impl Model {
    /// What expired is told with the next removal of what is over, which may have come by itself.
    async fn compare_outbox<E: Engine>(&mut self, trial: &Trial<E>, now: u64) {
        let [receipts, site] = [trial.told_to(RECEIPTS), trial.told_to(trial.site())];
        let (receipts, site) = (receipts.await, site.await);
        let by_itself = |seq: u64, entry: &ModelEntry| {
            let told = receipts
                .iter()
                .any(|news| receipt(news) == Some((seq, false)));
            let told = told || site.iter().any(|news| expired(news) == Some(seq));
            told && entry.expires <= now
        };
        self.give_up(now, by_itself);
        let mut found: Vec<_> = receipts.iter().filter_map(receipt).collect();
        found.sort_unstable();
        self.receipts.sort_unstable();
        assert_eq!(found, self.receipts, "receipts");
        let mut found: Vec<_> = site.iter().filter_map(expired).collect();
        found.sort_unstable();
        self.site.sort_unstable();
        assert_eq!(found, self.site, "what the site is told");
    }
}

fn receipt(news: &News) -> Option<(u64, bool)> {
    match news {
        News::Delivered(message) => Some((message.seq.0, true)),
        News::GivenUp(message) => Some((message.seq.0, false)),
        News::Revoked { .. } | News::Expired(_) => None,
    }
}

fn expired(news: &News) -> Option<u64> {
    match news {
        News::Expired(message) => Some(message.seq.0),
        News::Revoked { .. } => Some(0),
        News::Delivered(_) | News::GivenUp(_) => None,
    }
}

/// Takes these steps on a mailbox and on the model, and compares them after each.
pub(in crate::mailbox) async fn walk<E: Engine>(steps: Vec<Step>) {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    trial.permit().await;
    for owner in [RECEIPTS, trial.site()] {
        trial.ask(Command::OpenOutbox { owner }).await.unwrap();
    }
    for number in 1..=2 {
        trial.allow_receipts(number, true).await.unwrap();
    }
    let mut model = Model::default();
    let mut published = Vec::new();
    let mut mark = 0;
    for step in steps {
        let now = trial.now();
        let head = model.entries.len() as u64;
        model.lapse(now);
        match step.clone() {
            Step::Receipts(number, allowed) => {
                let answer = trial.allow_receipts(number, allowed).await;
                assert_eq!(answer.is_err(), model.revoked.contains(&number));
                if allowed {
                    model.silent.remove(&number);
                } else if model.silent.insert(number) {
                    model.give_up(now, |_, entry| {
                        entry.permission == number && entry.expires <= now
                    });
                    for entry in &mut model.entries {
                        if let Some(awaited) = &mut entry.awaited
                            && entry.permission == number
                        {
                            (awaited.delivery, awaited.site) = (false, false);
                        }
                    }
                }
            }
            Step::Accept(number, collapse, ttl, receipts) => {
                let key = collapse.map(|key| key.to_string());
                let ttl = Duration::from_secs(ttl);
                let mut accept = trial.accept(number, key.as_deref(), ttl, 10);
                accept.receipts = receipts.then_some(Receipts::Named(RECEIPTS));
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
                    model.give_up(now, |_, entry| {
                        let same = entry.permission == number && entry.collapse == collapse;
                        collapse.is_some() && same
                    });
                    let allowed = !model.silent.contains(&number);
                    let awaited = ModelAwaited {
                        receipts,
                        delivery: true,
                        site: true,
                    };
                    model.entries.push(ModelEntry {
                        permission: number,
                        collapse,
                        id,
                        expires,
                        seen: false,
                        gone: false,
                        delivered: false,
                        awaited: allowed.then_some(awaited),
                    });
                }
            }
            Step::Settle(number, seqs) => {
                let known = model.sessions.contains_key(&number);
                assert_eq!(trial.settle(number, &seqs).await.is_ok(), known);
                model.settled(number, &seqs, now);
            }
            Step::Acknowledge(number, seq) => {
                let Some(id) = model.at(seq).map(|entry| entry.id) else {
                    continue;
                };
                let command = Command::Acknowledge {
                    user: USER,
                    device: device(number),
                    ids: vec![id],
                };
                let known = model.sessions.contains_key(&number);
                assert_eq!(trial.ask(command).await.is_ok(), known);
                model.settled(number, &[seq], now);
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
                model.give_up(now, |at, _| at == seq);
                if let Some(entry) = model.at(seq) {
                    entry.gone = true;
                }
            }
            Step::Open(number, clean, delay) => {
                mark += 1;
                let left = delay.map(|delay| will(mark, delay));
                trial.open_with(number, clean, EXPIRY, left).await;
                if let Some(row) = model.sessions.get_mut(&number) {
                    row.left.get_or_insert(now);
                }
                model.lapse(now);
                if clean && let Some(row) = model.sessions.remove(&number) {
                    model.published.extend(row.will.map(|will| will.mark));
                }
                let row = model.sessions.entry(number).or_default();
                row.left = None;
                row.will = delay.map(|delay| ModelWill { mark, delay });
            }
            Step::Close(number, lost) => {
                let departure = match lost {
                    true => Departure::Unannounced,
                    false => Departure::InOrder,
                };
                trial.close(number, EXPIRY, departure).await;
                if let Some(row) = model.sessions.get_mut(&number) {
                    row.left = Some(now);
                    row.will.take_if(|_| !lost);
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
            Step::Lower(number, which) => {
                let at_most_once = SubscriptionOptions {
                    at_least_once: false,
                    ..at_least_once(false)
                };
                let command = Command::Subscribe {
                    user: USER,
                    device: device(number),
                    filters: vec![(filter(which), at_most_once)],
                };
                let answer = trial.ask(command).await;
                let row = model.sessions.get_mut(&number);
                assert_eq!(answer.is_ok(), row.is_some());
                if let Some(row) = row {
                    row.starts.remove(&which);
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
                    model.give_up(now, |_, entry| entry.permission == number);
                    model.site.push(0);
                    for row in model.sessions.values_mut() {
                        row.starts.remove(&number);
                    }
                    for entry in &mut model.entries {
                        entry.gone |= entry.permission == number;
                    }
                }
            }
            Step::Pass(seconds) => trial.pass(Duration::from_secs(seconds)),
            Step::Prune => {
                trial.prune().await;
                model.give_up(now, |_, entry| entry.expires <= now);
            }
            Step::Reopen => {
                trial.reopen().await;
                for row in model.sessions.values_mut() {
                    row.left.get_or_insert(now);
                }
            }
        }
        let now = trial.now();
        model.lapse(now);
        for number in 1..=2 {
            let wanted = model.sessions.get(&number);
            let wanted = wanted.map(|row| model.owed(row, now));
            let found = trial.owed(number).await;
            assert_eq!(found, wanted, "device {number} after {step:?}");
        }
        // Published by what was asked just now, at the latest.
        published.extend(trial.wills_alone().await);
        published.sort_unstable();
        model.published.sort_unstable();
        assert_eq!(published, model.published, "wills after {step:?}");
        model.compare_outbox(&trial, now).await;
        let kept = (1..).zip(&model.entries);
        let kept = kept.filter(|(_, entry)| !entry.gone && entry.expires > now);
        let kept: Vec<u64> = kept.map(|(seq, _)| seq).collect();
        assert_eq!(trial.history().await, kept, "history after {step:?}");
    }
}
