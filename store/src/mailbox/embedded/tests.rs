//! The promises of every mailbox, held by this engine, and what it does about torn journals.

#![allow(clippy::unwrap_used)]

use super::EmbeddedMailbox;
use crate::mailbox::command::Idempotency;
use crate::mailbox::conformance::{Clock, EXPIRY, Engine, Trial, USER, holds_for};
use crate::mailbox::*;
use std::path::Path;
use std::time::Duration;

struct Embedded(tempfile::TempDir);

impl Engine for Embedded {
    type Mailbox = EmbeddedMailbox;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(
        &self,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> EmbeddedMailbox {
        EmbeddedMailbox::open(self.0.path(), limits, clock, listener).unwrap()
    }

    async fn prune(mailbox: &EmbeddedMailbox) {
        mailbox.prune_now().await.unwrap();
    }
}

holds_for!(Embedded);

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_a_day_also_alone() {
    let mut trial = Trial::<Embedded>::with_device().await;
    let kept = |trial: &Trial<Embedded>| {
        let disk = trial.mailbox().shared.disk().unwrap();
        disk.idempotency.iter().count()
    };
    let mut accept = trial.accept(1, None, Duration::from_secs(60), 10);
    accept.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [2; 32],
    });
    trial.send(accept).await.unwrap();
    // The entry goes long before its key, and leaves nothing else that is due.
    trial.pass(Duration::from_secs(120));
    trial.prune().await;
    assert_eq!((trial.history().await.len(), kept(&trial)), (0, 1));
    trial.pass(Duration::from_secs(86_400));
    trial.prune().await;
    assert_eq!(kept(&trial), 0);
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

/// What a power loss may leave of the journal from some byte on.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut,
    Zeros,
    Noise,
}

impl Damage {
    fn apply(self, journal: &mut Vec<u8>, at: usize) {
        match self {
            Self::Cut => journal.truncate(at),
            Self::Zeros => journal[at..].fill(0),
            Self::Noise => {
                // Any bytes that are not what stood there; the same in each run.
                let mut state = at as u64 | 1;
                for byte in &mut journal[at..] {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    *byte = (state >> 56) as u8;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_torn_journal_keeps_what_was_synced_before_the_damage() {
    const PLACES: usize = 40;
    let mut trial = Trial::<Embedded>::with_device().await;
    let folder = trial.engine.0.path().to_owned();
    let start = used(&journal(&folder));
    let mut synced = Vec::new();
    for _ in 0..12 {
        let pair = (0..2).map(|_| trial.accept(1, None, EXPIRY, 50));
        let pair: Vec<_> = pair
            .map(|accept| Command::Accept(Box::new(accept)))
            .collect();
        for answer in trial.mailbox().apply(pair).await {
            answer.unwrap();
        }
        synced.push(used(&journal(&folder)));
    }
    let copied = tempfile::tempdir().unwrap();
    copy(&folder, copied.path());
    let mut whole = std::fs::read(journal(&folder)).unwrap();
    let end = *synced.last().unwrap();
    // The zeros that the file was made with go on for megabytes and say nothing.
    whole.truncate(end + 4_096);
    for damage in [Damage::Cut, Damage::Zeros, Damage::Noise] {
        let mut losses = 0;
        for place in 0..PLACES {
            let at = start + (end + 20 - start) * place / (PLACES - 1);
            let damaged = tempfile::tempdir().unwrap();
            copy(copied.path(), damaged.path());
            let mut bytes = whole.clone();
            damage.apply(&mut bytes, at);
            std::fs::write(journal(damaged.path()), bytes).unwrap();
            let mailbox = open(damaged.path(), trial.clock());
            let range = HistoryRange::After(Seq(0));
            let entries = mailbox.history(USER, range, 100).await.unwrap();
            let before = synced.iter().filter(|length| **length <= at).count();
            assert_eq!(entries.len() % 2, 0, "half a batch: {damage:?} at {at}");
            assert!(entries.len() >= before * 2, "{damage:?} at {at}");
            let head = mailbox.heads(vec![USER]).await.unwrap();
            assert_eq!(head, [Seq(entries.len() as u64)], "{damage:?} at {at}");
            losses += usize::from(entries.len() < 24);
        }
        assert!(
            losses > PLACES / 2,
            "{damage:?} went through what was written"
        );
    }
}

fn open(folder: &Path, clock: Clock) -> EmbeddedMailbox {
    EmbeddedMailbox::open(folder, MailboxLimits::default(), clock, Box::new(|_| {})).unwrap()
}
