//! A journal as a power loss may leave it.

use super::Embedded;
use crate::mailbox::conformance::{EXPIRY, Trial, USER};
use crate::mailbox::embedded::{EmbeddedMailbox, OpenError};
use crate::mailbox::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const BATCHES: usize = 12;
/// Places tried for each kind of damage.
const PLACES: usize = 40;
/// Payloads of several sectors.
const BODY: usize = 1_500;

/// What a power loss may leave of the journal from some byte on.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut,
    Zeros,
    Noise,
    /// Of the newest batch, some sectors were not written.
    Unwritten,
    /// Of the newest batch, some sectors are noise.
    Garbled,
}

/// Random numbers that a seed brings back.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        Self(u64::from_ne_bytes(seed) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = u8::try_from(self.below(256)).unwrap();
        }
    }
}

/// A journal whose batches of two notifications each end at these lengths.
struct Journal {
    bytes: Vec<u8>,
    start: usize,
    ends: Vec<usize>,
}

impl Journal {
    /// The journal after this damage, and how many batches were synced before it.
    fn damaged(&self, damage: Damage, dice: &mut Dice) -> (Vec<u8>, usize) {
        let end = self.ends[BATCHES - 1];
        let mut bytes = self.bytes.clone();
        if let Damage::Unwritten | Damage::Garbled = damage {
            let newest = 1 + dice.below(BATCHES - 1);
            let written = self.ends[newest - 1]..self.ends[newest];
            bytes[written.end..].fill(0);
            let sectors = written.start / SECTOR..=(written.end - 1) / SECTOR;
            let count = sectors.clone().count();
            let first = sectors.start() + dice.below(count);
            let last = first + dice.below(sectors.end() - first + 1);
            let from = written.start.max(first * SECTOR);
            let to = written.end.min((last + 1) * SECTOR);
            match damage {
                Damage::Garbled => dice.fill(&mut bytes[from..to]),
                _ => bytes[from..to].fill(0),
            }
            return (bytes, newest);
        }
        let at = self.start + dice.below(end + 20 - self.start);
        match damage {
            Damage::Cut => bytes.truncate(at),
            Damage::Zeros => bytes[at..].fill(0),
            _ => dice.fill(&mut bytes[at..]),
        }
        let before = self.ends.iter().filter(|end| **end <= at).count();
        (bytes, before)
    }
}

fn path(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder.join("log")).unwrap();
    let mut journals = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jnl"));
    let journal = journals.next().unwrap();
    assert_eq!(journals.next(), None, "one journal in so short a trial");
    journal
}

/// Bytes in use: the file is made long beforehand, and the rest of it is zeros.
fn used(folder: &Path) -> usize {
    let bytes = std::fs::read(path(folder)).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0);
    last.map_or(0, |at| at + 1)
}

/// Everything but the journal's bytes.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else if target.extension().is_some_and(|kind| kind == "jnl") {
            std::fs::write(target, []).unwrap();
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// A mailbox of twelve batches, its journal, and a copy of everything else.
async fn written() -> (Trial<Embedded>, Journal, TempDir) {
    let mut trial = Trial::<Embedded>::with_device().await;
    let folder = trial.engine.0.path().to_owned();
    let start = used(&folder);
    let mut ends = Vec::new();
    for _ in 0..BATCHES {
        let pair = (0..2).map(|_| trial.accept(1, None, EXPIRY, BODY));
        let pair: Vec<_> = pair
            .map(|accept| Command::Accept(Box::new(accept)))
            .collect();
        for answer in trial.mailbox().apply(pair).await {
            answer.unwrap();
        }
        ends.push(used(&folder));
    }
    let copied = tempfile::tempdir().unwrap();
    copy(&folder, copied.path());
    let mut bytes = std::fs::read(path(&folder)).unwrap();
    // The zeros that the file was made with go on for megabytes and say nothing.
    bytes.truncate(ends[BATCHES - 1] + 4_096);
    (trial, Journal { bytes, start, ends }, copied)
}

fn open(folder: &Path, trial: &Trial<Embedded>) -> Result<EmbeddedMailbox, OpenError> {
    let limits = MailboxLimits::default();
    EmbeddedMailbox::open(folder, limits, trial.clock(), Box::new(|_| {}))
}

fn missing_batches(mailbox: &EmbeddedMailbox) -> u64 {
    let found = mailbox.shared.disk().unwrap().batches().unwrap();
    mailbox.shared.missing_batches(found)
}

#[tokio::test]
async fn a_torn_journal_keeps_what_was_synced_before_the_damage() {
    let (mut trial, journal, copied) = written().await;
    for damage in [
        Damage::Cut,
        Damage::Zeros,
        Damage::Noise,
        Damage::Unwritten,
        Damage::Garbled,
    ] {
        let mut losses = 0;
        for _ in 0..PLACES {
            let mut dice = Dice::new();
            let case = format!("{damage:?} of the seed {}", dice.0);
            let (bytes, before) = journal.damaged(damage, &mut dice);
            let damaged = tempfile::tempdir().unwrap();
            copy(copied.path(), damaged.path());
            std::fs::write(path(damaged.path()), bytes).unwrap();
            let opened = open(damaged.path(), &trial);
            let mailbox = opened.unwrap_or_else(|error| panic!("{case}: {error}"));
            let range = HistoryRange::After(Seq(0));
            let entries = mailbox.history(USER, range, 100).await.unwrap();
            assert_eq!(entries.len() % 2, 0, "half a batch: {case}");
            assert!(entries.len() >= before * 2, "{case}");
            let head = mailbox.heads(vec![USER]).await.unwrap();
            assert_eq!(head, [Seq(entries.len() as u64)], "{case}");
            let lost = BATCHES - entries.len() / 2;
            assert_eq!(missing_batches(&mailbox), lost as u64, "{case}");
            // What comes after is kept as ever.
            let accept = trial.accept(1, None, EXPIRY, BODY);
            let answers = mailbox.apply(vec![Command::Accept(Box::new(accept))]);
            assert!(answers.await[0].is_ok(), "{case}");
            assert_eq!(missing_batches(&mailbox), 0, "said once: {case}");
            losses += usize::from(entries.len() == before * 2 && before < BATCHES);
        }
        assert!(
            losses > PLACES / 2,
            "{damage:?} went through what was written"
        );
    }
}

#[tokio::test]
async fn damage_to_what_was_synced_earlier_keeps_the_mailbox_shut() {
    let (trial, journal, copied) = written().await;
    for (batch, opens) in [(3, false), (BATCHES - 2, false), (BATCHES - 1, true)] {
        let mut bytes = journal.bytes.clone();
        // Inside a payload.
        let at = journal.ends[batch] - BODY;
        bytes[at] ^= 1;
        let file = path(copied.path());
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(open(copied.path(), &trial).is_ok(), opens, "batch {batch}");
        let left = std::fs::read(&file).unwrap();
        assert_eq!(left == bytes, !opens, "batch {batch}: the damage is kept");
    }
}
