//! The task that looks at the counts: every two seconds for the live feed, and every ten into the
//! directory.

use super::feed::Lookers;
use super::happened::Happened;
use super::live::{LOOKS_BACK, Live, Moments};
use super::tally::Tally;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::directory::series::{RESOLUTIONS, Resolution};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the counts are looked at: as often as the live feed is to have something new.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(300);
/// Buckets that wait for a directory that does not answer: ten minutes. Then the oldest is given up.
const WAITING_MAX: usize = 60;
const FINEST: Resolution = RESOLUTIONS[0];

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The server's figures, live and over time. Cheap to clone.
#[derive(Clone)]
pub struct Figures(Arc<Inner>);

struct Inner {
    tally: Tally,
    pub(super) directory: Directory,
    clock: Clock,
    began: Instant,
    started: Timestamp,
    live: watch::Sender<Option<Live>>,
    lookers: Lookers,
    /// Nothing is looked at any more.
    over: CancellationToken,
    looked: Mutex<Looked>,
    /// Held while a bucket is written, so that none is written twice.
    writing: tokio::sync::Mutex<Option<Timestamp>>,
}

/// What was seen so far.
#[derive(Default)]
struct Looked {
    moments: Moments,
    /// The bucket under way, by its second.
    bucket: u64,
    under_way: Happened,
    /// Those that are over and not written yet.
    waiting: VecDeque<(u64, Happened)>,
}

impl Figures {
    /// Of what this tally has counted since now.
    pub fn new(tally: Tally, directory: Directory, clock: Clock) -> Self {
        let looked = Looked {
            // So that what happens before the first look is of the time until then.
            moments: VecDeque::from([(Duration::ZERO, Default::default())]),
            bucket: bucket_of(clock()),
            ..Looked::default()
        };
        Self(Arc::new(Inner {
            tally,
            directory,
            started: clock(),
            clock,
            began: Instant::now(),
            live: watch::Sender::new(None),
            lookers: Lookers::default(),
            over: CancellationToken::new(),
            looked: Mutex::new(looked),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Looks and writes until it is stopped. What is under way then, [`Self::write_down`] writes.
    pub async fn run(self, stopping: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            if self.look() {
                self.write_waiting().await;
            }
        }
        self.0.over.cancel();
    }

    /// Writes what has happened so far, at the end.
    pub async fn write_down(&self) {
        self.look();
        self.0.looked().end_bucket();
        self.write_waiting().await;
    }

    /// The newest figures, and each that comes.
    pub(super) fn live(&self) -> watch::Receiver<Option<Live>> {
        self.0.live.subscribe()
    }

    /// Resolves when nothing comes any more.
    pub(super) fn over(&self) -> CancellationToken {
        self.0.over.clone()
    }

    pub(super) fn lookers(&self) -> &Lookers {
        &self.0.lookers
    }

    /// When the server began.
    pub(crate) fn started(&self) -> Timestamp {
        self.0.started
    }

    /// Devices connected now.
    pub(crate) fn connections(&self) -> u64 {
        let gauges = self.0.tally.snapshot().gauges;
        let devices = gauges.iter().filter(|((name, _), _)| *name == "devices");
        devices.map(|(_, count)| count.max(0.0) as u64).sum()
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// What is not in the directory yet, with the second in which its bucket begins.
    pub(super) fn unwritten(&self) -> Vec<(u64, Happened)> {
        let looked = self.0.looked();
        let under_way = (looked.bucket, looked.under_way.clone());
        looked.waiting.iter().cloned().chain([under_way]).collect()
    }

    /// Looks once, and says whether a bucket is over.
    fn look(&self) -> bool {
        let (now, since) = (self.now(), self.0.began.elapsed());
        let snapshot = self.0.tally.snapshot();
        let mut looked = self.0.looked();
        let live = looked.see(since, snapshot, now);
        let over = looked.turn(now);
        drop(looked);
        self.0.live.send_replace(Some(live));
        over
    }

    async fn write_waiting(&self) {
        let mut pruned = self.0.writing.lock().await;
        loop {
            let Some((bucket, happened)) = self.0.looked().waiting.front().cloned() else {
                break;
            };
            let at = Timestamp::from_millis(bucket * 1_000);
            let figures = happened.figures();
            let written = self.0.directory.add_to_series(at, &figures).await;
            if let Err(error) = written {
                tracing::warn!(%error, "figures are not written down yet");
                return;
            }
            self.0.looked().waiting.pop_front();
        }
        let now = self.now();
        // At the start as at any other time: what was over meanwhile is a day old at most, or gone.
        let last = pruned.unwrap_or(Timestamp::from_millis(
            now.as_millis().saturating_sub(86_400_000),
        ));
        if pruned.is_some_and(|last| now.since(last) < PRUNE_EVERY) {
            return;
        }
        match self.0.directory.prune_series(last, now).await {
            Ok(()) => *pruned = Some(now),
            Err(error) => tracing::warn!(%error, "old figures are not forgotten yet"),
        }
    }
}

impl Inner {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looked {
    /// Takes in a moment.
    fn see(&mut self, since: Duration, snapshot: super::tally::Snapshot, now: Timestamp) -> Live {
        if let Some((before, last)) = self.moments.back() {
            let seconds = since.saturating_sub(*before).as_secs_f64();
            self.under_way.add(last, &snapshot, seconds);
        }
        self.moments.push_back((since, snapshot));
        // One older than that stays: what is looked at begins there.
        while let Some((second, _)) = self.moments.get(1)
            && since.saturating_sub(*second) >= LOOKS_BACK
        {
            self.moments.pop_front();
        }
        Live::of(&self.moments, now)
    }

    /// Ends the bucket under way where its time is over, or the clock was set.
    fn turn(&mut self, now: Timestamp) -> bool {
        let bucket = bucket_of(now);
        if bucket == self.bucket {
            return false;
        }
        self.end_bucket();
        self.bucket = bucket;
        true
    }

    fn end_bucket(&mut self) {
        let over = (self.bucket, std::mem::take(&mut self.under_way));
        self.waiting.push_back(over);
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
        }
    }
}

fn bucket_of(now: Timestamp) -> u64 {
    let seconds = now.as_millis() / 1_000;
    seconds - seconds % FINEST.seconds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::happened::tests::moment;
    use super::*;

    const BEGIN: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((BEGIN + seconds) * 1_000)
    }

    fn looked() -> Looked {
        Looked {
            moments: VecDeque::from([(Duration::ZERO, Default::default())]),
            bucket: BEGIN,
            ..Looked::default()
        }
    }

    #[test]
    fn a_bucket_is_over_when_its_time_is_and_has_what_was_seen_by_then() {
        let mut looked = looked();
        let mut over = Vec::new();
        for second in (2..=22).step_by(2) {
            let moment = moment(second * 10, 1.0, &[]);
            looked.see(Duration::from_secs(second), moment, at(second));
            if looked.turn(at(second)) {
                over.push(second);
            }
        }
        assert_eq!(over, [10, 20]);
        let waiting: Vec<_> = looked.waiting.iter().collect();
        for ((bucket, happened), begin) in waiting.into_iter().zip([BEGIN, BEGIN + 10]) {
            assert_eq!(*bucket, begin);
            assert_eq!(
                (happened.seconds(), happened.total("accepted")),
                (10.0, 100.0)
            );
        }
        assert_eq!(looked.under_way.total("accepted"), 20.0);
    }

    #[test]
    fn a_minute_is_looked_back_to_and_no_more() {
        let mut looked = looked();
        for second in 0..1_000 {
            let live = looked.see(Duration::from_secs(second), moment(second, 1.0, &[]), at(0));
            if second > 60 {
                assert_eq!(live.refused_by["vapid"], 30, "{second}");
            }
        }
        assert!(looked.moments.len() <= 62);
        let mut waiting = 0;
        while looked.turn(at(10 * waiting as u64 + 10)) && waiting < 100 {
            waiting += 1;
        }
        assert_eq!(looked.waiting.len(), WAITING_MAX);
    }

    #[tokio::test]
    async fn what_was_written_before_a_restart_is_there_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("d.sqlite").display());
        let clock: Clock = Arc::new(|| at(3));
        for round in 1..=2 {
            let directory = Directory::open(&url).await.unwrap();
            let tally = Tally::default();
            let figures = Figures::new(tally.clone(), directory.clone(), Arc::clone(&clock));
            let recorder = tally.beside(metrics::NoopRecorder);
            let [(accepted, _), ..] = super::super::tally::COUNTERS;
            metrics::with_local_recorder(&recorder, || metrics::counter!(accepted).increment(5));
            figures.write_down().await;
            assert!(figures.live().borrow().as_ref().unwrap().accepted > 0.0);
            let span = belfry_store::directory::series::Span {
                resolution: FINEST,
                step: 10,
                from: BEGIN,
                to: BEGIN + 10,
            };
            let points = directory.series("accepted", span).await.unwrap();
            assert_eq!(points.len(), 1);
            assert_eq!(points[0].total, 5.0 * f64::from(round));
            directory.close().await;
        }
    }
}
