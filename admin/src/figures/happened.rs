//! What happened between two moments, as figures that add up.

use super::spread::Spread;
use super::tally::Snapshot;
use belfry_store::directory::series::Figure;
use std::collections::BTreeMap;

/// How long the server was there to count anything: what it counted is divided by it.
pub(super) const UP: &str = "up";

/// Those of which a percentile is asked for; of the others the mean is all.
const SPREAD: [&str; 2] = ["delivery", "commit"];

/// Sums, by their metric and part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Happened(BTreeMap<(&'static str, String), (f64, f64)>);

impl Happened {
    /// Adds what is between these moments, which are so many seconds apart.
    pub(super) fn add(&mut self, before: &Snapshot, after: &Snapshot, seconds: f64) {
        self.sum(UP, "", seconds, seconds);
        for ((name, part), count) in &after.counters {
            let since = before.counters.get(&(*name, part.clone())).copied();
            self.sum(
                name,
                part,
                count.saturating_sub(since.unwrap_or(0)) as f64,
                0.0,
            );
        }
        let mut gauges: BTreeMap<&'static str, f64> = BTreeMap::new();
        for ((name, _), value) in &after.gauges {
            *gauges.entry(name).or_default() += value;
        }
        for (name, value) in gauges {
            self.sum(name, "", value * seconds, seconds);
        }
        for (name, measured) in &after.measured {
            let since = before.measured.get(name).cloned().unwrap_or_default();
            let count = measured.count.saturating_sub(since.count);
            self.sum(name, "", measured.sum - since.sum, count as f64);
            if !SPREAD.contains(name) {
                continue;
            }
            let Spread(counts) = measured.spread;
            for (class, count) in counts.iter().enumerate() {
                self.sum(name, &class.to_string(), count - since.spread.0[class], 0.0);
            }
        }
    }

    /// What came to nothing is left out.
    fn sum(&mut self, metric: &'static str, part: &str, total: f64, weight: f64) {
        if total != 0.0 || weight != 0.0 {
            let sums = self.0.entry((metric, part.to_owned())).or_default();
            sums.0 += total;
            sums.1 += weight;
        }
    }

    /// All of it, to be kept.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let figures = self.0.iter().map(|((metric, part), sums)| Figure {
            metric: (*metric).to_owned(),
            part: part.clone(),
            total: sums.0,
            weight: sums.1,
        });
        figures.collect()
    }

    /// What there is of a metric: each part with its sums.
    pub(super) fn of(&self, metric: &str) -> impl Iterator<Item = (&str, (f64, f64))> {
        let all = self.0.iter().filter(move |((name, _), _)| *name == metric);
        all.map(|((_, part), sums)| (&**part, *sums))
    }

    /// The sum over all parts.
    pub(super) fn total(&self, metric: &str) -> f64 {
        self.of(metric).map(|(_, sums)| sums.0).sum()
    }

    /// Seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.total(UP)
    }

    /// How a metric is spread.
    pub(super) fn spread(&self, metric: &str) -> Spread {
        let mut spread = Spread::default();
        for (part, (total, _)) in self.of(metric) {
            // The part without a name is the sum of all.
            if let Ok(class) = part.parse::<usize>()
                && let Some(count) = spread.0.get_mut(class)
            {
                *count += total;
            }
        }
        spread
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::spread::class;
    use super::*;

    /// A moment at which so much had been counted.
    pub(in super::super) fn moment(accepted: u64, devices: f64, commits: &[f64]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let named = |name, part: &str| (name, part.to_owned());
        snapshot.counters.insert(named("accepted", ""), accepted);
        let refused = snapshot
            .counters
            .insert(named("refused", "vapid"), accepted / 2);
        assert_eq!(refused, None);
        snapshot.gauges.insert(named("devices", "tcp 5.0"), devices);
        snapshot
            .gauges
            .insert(named("devices", "websocket 5.0"), 1.0);
        let measured = snapshot.measured.entry("commit").or_default();
        for commit in commits {
            measured.spread.0[class(*commit)] += 1.0;
            measured.sum += commit;
            measured.count += 1;
        }
        snapshot
    }

    #[test]
    fn what_was_counted_before_is_not_counted_again() {
        let mut happened = Happened::default();
        let moments = [
            moment(10, 1.0, &[0.1]),
            moment(14, 2.0, &[0.1, 0.2]),
            moment(14, 5.0, &[0.1, 0.2, 0.2]),
        ];
        happened.add(&moments[0], &moments[1], 2.0);
        happened.add(&moments[1], &moments[2], 1.0);
        assert_eq!(happened.seconds(), 3.0);
        assert_eq!(happened.total("accepted"), 4.0);
        assert_eq!(happened.total("refused"), 2.0);
        let devices: Vec<_> = happened.of("devices").collect();
        assert_eq!(
            devices,
            [("", (2.0 * 3.0 + 6.0, 3.0))],
            "by how long it was so"
        );
        let commits = happened.spread("commit");
        assert_eq!(commits.0[class(0.2)], 2.0);
        assert_eq!(commits.0.iter().sum::<f64>(), 2.0);
        let all = happened.of("commit").find(|(part, _)| part.is_empty());
        let (total, count) = all.expect("a sum").1;
        assert!((total - 0.4).abs() < 1e-9, "{total}");
        assert_eq!(count, 2.0);
    }

    #[test]
    fn a_quiet_time_is_little_to_keep() {
        let mut happened = Happened::default();
        let moment = moment(10, 1.0, &[0.1]);
        happened.add(&moment, &moment, 10.0);
        let names: Vec<_> = happened
            .figures()
            .iter()
            .map(|f| f.metric.clone())
            .collect();
        assert_eq!(names, ["devices", "up"]);
    }
}
