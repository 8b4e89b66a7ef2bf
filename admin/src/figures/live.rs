//! What the dashboard shows as it happens, from the moments of the last minute.

use super::happened::Happened;
use super::tally::Snapshot;
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What rates are the mean of.
const RATES_OVER: Duration = Duration::from_secs(10);
/// What times and reasons are of.
pub(super) const LOOKS_BACK: Duration = Duration::from_secs(60);

/// Moments, the newest last, by when they were on a clock that only goes on.
pub(super) type Moments = VecDeque<(Duration, Snapshot)>;

/// The figures of now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Live {
    /// When they were.
    pub at: Timestamp,
    /// Notifications accepted a second, a mean over the last ten.
    pub accepted: f64,
    /// First deliveries a second.
    pub delivered: f64,
    /// Acknowledgements a second.
    pub acknowledged: f64,
    /// Posts refused a second.
    pub refused: f64,
    /// Posts refused in the last minute, by their reason.
    pub refused_by: BTreeMap<String, u64>,
    /// Devices connected now.
    pub devices: Vec<Devices>,
    /// Notifications owed in all mailboxes.
    pub mailbox_depth: u64,
    /// Their bytes.
    pub mailbox_bytes: u64,
    /// Milliseconds from accepting to the first device having it, over the last minute.
    pub delivery_p50_ms: Option<f64>,
    /// The same of the slowest in a hundred.
    pub delivery_p99_ms: Option<f64>,
    /// Commands in a batch of the mailbox, over the last minute.
    pub commit_batch: Option<f64>,
    /// Milliseconds of the slowest commit in a hundred.
    pub commit_p99_ms: Option<f64>,
}

/// Devices of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Devices {
    /// `tcp`, `tls` or `websocket`.
    pub transport: String,
    /// `3.1.1` or `5.0`.
    pub version: String,
    /// How many.
    pub count: u64,
}

impl Live {
    pub(super) fn of(moments: &Moments, at: Timestamp) -> Self {
        let lately = since(moments, RATES_OVER);
        let minute = since(moments, LOOKS_BACK);
        let rate = |metric| {
            let seconds = lately.seconds();
            rounded(if seconds > 0.0 {
                lately.total(metric) / seconds
            } else {
                0.0
            })
        };
        let milliseconds = |metric, part| {
            let seconds = minute.spread(metric).quantile(part);
            seconds.map(|seconds| rounded(seconds * 1_000.0))
        };
        let batches = minute.of("commit_batch").find(|(part, _)| part.is_empty());
        let batches = batches.map(|(_, sums)| sums).filter(|sums| sums.1 > 0.0);
        let gauges = moments.back().map(|(_, snapshot)| &snapshot.gauges);
        let gauges = || gauges.into_iter().flatten();
        let gauge = |metric| {
            let values = gauges().filter(|((name, _), _)| *name == metric);
            values.map(|(_, value)| value.max(0.0) as u64).sum()
        };
        let devices = gauges().filter_map(|((name, part), count)| {
            let (transport, version) = part.split_once(' ').filter(|_| *name == "devices")?;
            Some(Devices {
                transport: transport.to_owned(),
                version: version.to_owned(),
                count: count.max(0.0) as u64,
            })
        });
        let refused_by = minute.of("refused");
        let refused_by = refused_by.map(|(reason, (count, _))| (reason.to_owned(), count as u64));
        Self {
            at,
            accepted: rate("accepted"),
            delivered: rate("delivered"),
            acknowledged: rate("acknowledged"),
            refused: rate("refused"),
            refused_by: refused_by.collect(),
            devices: devices.collect(),
            mailbox_depth: gauge("mailbox_depth"),
            mailbox_bytes: gauge("mailbox_bytes"),
            delivery_p50_ms: milliseconds("delivery", 0.5),
            delivery_p99_ms: milliseconds("delivery", 0.99),
            commit_batch: batches.map(|(total, count)| rounded(total / count)),
            commit_p99_ms: milliseconds("commit", 0.99),
        }
    }
}

/// To three places: no measurement here is better than that.
pub(super) fn rounded(value: f64) -> f64 {
    // What sums up to nothing may be less than nothing by its sign, which JSON would show.
    (value * 1_000.0).round() / 1_000.0 + 0.0
}

/// What happened since so long ago, or since the first moment that there is.
fn since(moments: &Moments, ago: Duration) -> Happened {
    let mut happened = Happened::default();
    let Some((now, after)) = moments.back() else {
        return happened;
    };
    let early = moments.iter().rev().find(|(at, _)| *now - *at >= ago);
    if let Some((at, before)) = early.or(moments.front()) {
        happened.add(before, after, (*now - *at).as_secs_f64());
    }
    happened
}

#[cfg(test)]
mod tests {
    use super::super::happened::tests::moment;
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn rates_are_of_ten_seconds_and_times_of_a_minute() {
        let moments = Moments::from([
            (seconds(0), moment(0, 0.0, &[])),
            (seconds(30), moment(100, 1.0, &[0.01])),
            (seconds(32), moment(200, 3.0, &[0.01, 0.01])),
            (seconds(40), moment(250, 4.0, &[0.01, 0.01])),
        ]);
        let live = Live::of(&moments, Timestamp::default());
        assert_eq!((live.accepted, live.refused), (15.0, 7.5));
        assert_eq!(live.refused_by, BTreeMap::from([("vapid".to_owned(), 125)]));
        let kinds: Vec<_> = live
            .devices
            .iter()
            .map(|of| (&*of.transport, of.count))
            .collect();
        assert_eq!(kinds, [("tcp", 4), ("websocket", 1)]);
        let commit = live.commit_p99_ms.expect("measured");
        assert!((7.0..14.2).contains(&commit), "{commit}");
        assert_eq!((live.delivery_p99_ms, live.commit_batch), (None, None));
    }

    #[test]
    fn at_the_first_moment_nothing_has_happened() {
        let moments = Moments::from([(seconds(5), moment(7, 2.0, &[0.1]))]);
        let live = Live::of(&moments, Timestamp::default());
        assert_eq!((live.accepted, live.commit_p99_ms), (0.0, None));
        assert_eq!(live.devices.len(), 2);
        assert_eq!(Live::of(&Moments::new(), Timestamp::default()).devices, []);
    }
}
