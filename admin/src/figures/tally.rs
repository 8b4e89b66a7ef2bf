//! What the program counts, kept beside what Prometheus is given of it, so that it can be read as
//! numbers: of the metrics that the series are made of, and of no other.

use super::spread::{Spread, class};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Counters, by their metric and by what the series call them.
pub(super) const COUNTERS: [(&str, &str); 6] = [
    ("belfry_accepted_total", "accepted"),
    ("belfry_delivered_total", "delivered"),
    ("belfry_acknowledged_total", "acknowledged"),
    ("belfry_refused_total", "refused"),
    ("belfry_expired_total", "expired"),
    ("belfry_withdrawn_total", "withdrawn"),
];
/// Gauges.
pub(super) const GAUGES: [(&str, &str); 3] = [
    ("belfry_connected_devices", "devices"),
    ("belfry_mailbox_depth", "mailbox_depth"),
    ("belfry_mailbox_bytes", "mailbox_bytes"),
];
/// Histograms.
pub(super) const HISTOGRAMS: [(&str, &str); 3] = [
    ("belfry_delivery_seconds", "delivery"),
    ("belfry_commit_seconds", "commit"),
    ("belfry_commit_batch_size", "commit_batch"),
];

/// A figure's name in the series, and its labels' values, one after the other.
pub(super) type Named = (&'static str, String);

/// What was counted until a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    pub(super) counters: BTreeMap<Named, u64>,
    pub(super) gauges: BTreeMap<Named, f64>,
    pub(super) measured: BTreeMap<&'static str, Measured>,
}

/// A histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) spread: Spread,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// The counts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tally(Arc<Inner>);

#[derive(Default)]
struct Inner {
    counters: [Kept<Counter, AtomicU64>; COUNTERS.len()],
    gauges: [Kept<Gauge, AtomicU64>; GAUGES.len()],
    histograms: [Kept<Histogram, Mutex<Measured>>; HISTOGRAMS.len()],
}

/// One metric with each set of labels that it has had: a dozen reasons at most, so that looking through
/// them is quick.
type Kept<Theirs, Ours> = RwLock<Vec<(Key, Arc<Counted<Theirs, Ours>>)>>;

/// One metric with one set of labels, as another recorder has it and as it is here.
struct Counted<Theirs, Ours> {
    name: &'static str,
    part: String,
    theirs: Theirs,
    ours: Ours,
}

impl Tally {
    /// A recorder that has everything recorded by another one, and some of it here too.
    pub fn beside<R>(&self, other: R) -> Tallying<R> {
        Tallying {
            other,
            tally: self.clone(),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for counted in all(&self.0.counters) {
            let value = counted.ours.load(Ordering::Relaxed);
            snapshot.counters.insert(counted.named(), value);
        }
        for counted in all(&self.0.gauges) {
            let value = f64::from_bits(counted.ours.load(Ordering::Relaxed));
            snapshot.gauges.insert(counted.named(), value);
        }
        for counted in all(&self.0.histograms) {
            let ours = counted.ours.lock().unwrap_or_else(PoisonError::into_inner);
            snapshot.measured.insert(counted.name, ours.clone());
        }
        snapshot
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn all<Theirs, Ours>(kept: &[Kept<Theirs, Ours>]) -> Vec<Arc<Counted<Theirs, Ours>>> {
    let counted = kept.iter().flat_map(|kept| {
        let kept = read(kept);
        kept.iter()
            .map(|(_, counted)| Arc::clone(counted))
            .collect::<Vec<_>>()
    });
    counted.collect()
}

/// The one of this key, made where there is none.
fn counted<Theirs, Ours: Default>(
    kept: &Kept<Theirs, Ours>,
    key: &Key,
    name: &'static str,
    theirs: impl FnOnce() -> Theirs,
) -> Arc<Counted<Theirs, Ours>> {
    let find = |kept: &[(Key, Arc<Counted<Theirs, Ours>>)]| {
        let found = kept.iter().find(|(of, _)| of == key);
        found.map(|(_, counted)| Arc::clone(counted))
    };
    if let Some(found) = find(&read(kept)) {
        return found;
    }
    let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = find(&kept) {
        return found;
    }
    let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
    let counted = Arc::new(Counted {
        name,
        part: labels.join(" "),
        theirs: theirs(),
        ours: Ours::default(),
    });
    kept.push((key.clone(), Arc::clone(&counted)));
    counted
}

fn wanted(all: &[(&str, &'static str)], key: &Key) -> Option<(usize, &'static str)> {
    let place = all.iter().position(|(metric, _)| *metric == key.name())?;
    Some((place, all[place].1))
}

impl<Theirs, Ours> Counted<Theirs, Ours> {
    fn named(&self) -> Named {
        (self.name, self.part.clone())
    }
}

impl CounterFn for Counted<Counter, AtomicU64> {
    fn increment(&self, value: u64) {
        self.theirs.increment(value);
        self.ours.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.theirs.absolute(value);
        self.ours.fetch_max(value, Ordering::Relaxed);
    }
}

impl Counted<Gauge, AtomicU64> {
    fn change(&self, change: impl Fn(f64) -> f64) {
        let changed = |bits| Some(change(f64::from_bits(bits)).to_bits());
        // It fails only where there is no change.
        let _ = self
            .ours
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

impl GaugeFn for Counted<Gauge, AtomicU64> {
    fn increment(&self, value: f64) {
        self.theirs.increment(value);
        self.change(|now| now + value);
    }

    fn decrement(&self, value: f64) {
        self.theirs.decrement(value);
        self.change(|now| now - value);
    }

    fn set(&self, value: f64) {
        self.theirs.set(value);
        self.change(|_| value);
    }
}

impl HistogramFn for Counted<Histogram, Mutex<Measured>> {
    fn record(&self, value: f64) {
        self.theirs.record(value);
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        ours.spread.0[class(value)] += 1.0;
        ours.sum += value;
        ours.count += 1;
    }
}

/// See [`Tally::beside`].
pub struct Tallying<R> {
    other: R,
    tally: Tally,
}

impl<R: Recorder> Recorder for Tallying<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.other.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.other.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.other.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let theirs = || self.other.register_counter(key, metadata);
        match wanted(&COUNTERS, key) {
            Some((place, name)) => {
                Counter::from_arc(counted(&self.tally.0.counters[place], key, name, theirs))
            }
            None => theirs(),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let theirs = || self.other.register_gauge(key, metadata);
        match wanted(&GAUGES, key) {
            Some((place, name)) => {
                Gauge::from_arc(counted(&self.tally.0.gauges[place], key, name, theirs))
            }
            None => theirs(),
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let theirs = || self.other.register_histogram(key, metadata);
        match wanted(&HISTOGRAMS, key) {
            Some((place, name)) => {
                Histogram::from_arc(counted(&self.tally.0.histograms[place], key, name, theirs))
            }
            None => theirs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram};

    #[test]
    fn each_is_a_metric_that_there_is_and_has_its_kind() {
        let page = include_str!("../../../docs/metrics.md");
        let of = |kind, all: &[(&'static str, &'static str)]| {
            for (metric, _) in all {
                let row = format!("| `{metric}` | {kind} |");
                assert!(page.contains(&row), "{metric}");
            }
        };
        of("counter", &COUNTERS);
        of("gauge", &GAUGES);
        of("histogram", &HISTOGRAMS);
    }

    #[test]
    fn what_is_recorded_is_here_by_its_labels() {
        let tally = Tally::default();
        let recorder = tally.beside(metrics::NoopRecorder);
        let [(accepted, _), .., (refused, _), _, _] = COUNTERS;
        let [(devices, _), (depth, _), _] = GAUGES;
        let [(delivery, _), ..] = HISTOGRAMS;
        metrics::with_local_recorder(&recorder, || {
            for _ in 0..2 {
                counter!(accepted).increment(2);
                counter!(refused, "reason" => "vapid").increment(1);
                gauge!(devices, "transport" => "tcp", "version" => "5.0").increment(1.0);
                histogram!(delivery).record(0.5);
            }
            counter!(refused, "reason" => "blocked").increment(1);
            let other = "belfry_other";
            counter!(other).increment(1);
            gauge!(devices, "transport" => "tcp", "version" => "5.0").decrement(1.0);
            gauge!(depth).set(7.0);
        });
        let snapshot = tally.snapshot();
        let counters: Vec<_> = snapshot.counters.iter().collect();
        let named = |name, part: &str| (name, part.to_owned());
        assert_eq!(
            counters,
            [
                (&named("accepted", ""), &4),
                (&named("refused", "blocked"), &1),
                (&named("refused", "vapid"), &2),
            ]
        );
        assert_eq!(snapshot.gauges[&named("devices", "tcp 5.0")], 1.0);
        assert_eq!(snapshot.gauges[&named("mailbox_depth", "")], 7.0);
        let measured = &snapshot.measured["delivery"];
        assert_eq!((measured.sum, measured.count), (1.0, 2));
        assert_eq!(measured.spread.0[class(0.5)], 2.0);
    }
}
