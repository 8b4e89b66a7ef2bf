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
    Open(u8, bool),
    Close(u8),
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
    let step = prop_oneof![
        8 => (1u8..=2, proptest::option::of(0u8..2), 100u64..3_000).prop_map(|(p, c, t)| Step::Accept(p, c, t)),
        6 => (device(), proptest::collection::vec(1u64..20, 1..4)).prop_map(|(d, s)| Step::Settle(d, s)),
        1 => (1u64..20).prop_map(Step::Seen),
        1 => (1u64..20).prop_map(Step::Withdraw),
        4 => (device(), proptest::bool::weighted(0.2)).prop_map(|(d, c)| Step::Open(d, c)),
        2 => device().prop_map(Step::Close),
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

/// Takes these steps on a mailbox and on the model, and compares them after each.
pub(in crate::mailbox) async fn walk<E: Engine>(steps: Vec<Step>) {
    let mut trial = Trial::<E>::new(MailboxLimits::default()).await;
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
                    row.ends.get_or_insert(now + 1_000_000);
                }
            }
        }
        let now = trial.now();
        model
            .sessions
            .retain(|_, row| row.ends.is_none_or(|at| at > now));
        for number in 1..=2 {
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
