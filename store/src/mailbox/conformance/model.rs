//! Random walks beside a mailbox so simple that it can be seen to be right.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(in crate::mailbox) enum Step {
    Accept(u8, Option<u8>, u64),
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
        8 => (1u8..=2, proptest::option::of(0u8..2), 100u64..3_000).prop_map(|(p, c, t)| Step::Accept(p, c, t)),
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

    fn at(&mut self, seq: u64) -> Option<&mut ModelEntry> {
        self.entries.get_mut(usize::try_from(seq).unwrap() - 1)
    }
}

/// Takes these steps on a mailbox and on the model, and compares them after each.
pub(in crate::mailbox) async fn walk<E: Engine>(steps: Vec<Step>) {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
    trial.permit().await;
    let mut model = Model::default();
    let mut published = Vec::new();
    let mut mark = 0;
    for step in steps {
        let now = trial.now();
        let head = model.entries.len() as u64;
        model.lapse(now);
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
                if let Some(row) = model.sessions.get(&number)
                    && model.owed(row, now).contains(&seq)
                {
                    let row = model.sessions.get_mut(&number).unwrap();
                    row.settled.insert(seq);
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
                    for row in model.sessions.values_mut() {
                        row.starts.remove(&number);
                    }
                    for entry in &mut model.entries {
                        entry.gone |= entry.permission == number;
                    }
                }
            }
            Step::Pass(seconds) => trial.pass(Duration::from_secs(seconds)),
            Step::Prune => trial.prune().await,
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
        let kept = (1..).zip(&model.entries);
        let kept = kept.filter(|(_, entry)| !entry.gone && entry.expires > now);
        let kept: Vec<u64> = kept.map(|(seq, _)| seq).collect();
        assert_eq!(trial.history().await, kept, "history after {step:?}");
    }
}
