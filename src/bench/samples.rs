//! Times that were measured, and what is said of them.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The 50th and 99th percentile and the worst, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Percentiles {
    /// By nearest rank; all zero where nothing was measured.
    pub(super) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            let sample = samples.get(rank - 1).copied().unwrap_or_default();
            sample.as_secs_f64() * 1000.0
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50_ms,
            p99_ms,
            max_ms,
        } = self;
        write!(
            f,
            "p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.2} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(milliseconds: impl Iterator<Item = u64>, expected: [f64; 3]) {
        let of = Percentiles::of(milliseconds.map(Duration::from_millis).collect());
        assert_eq!([of.p50_ms, of.p99_ms, of.max_ms], expected);
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        check((1..=1000).rev(), [500.0, 990.0, 1000.0]);
        check([3, 1, 2].into_iter(), [2.0, 3.0, 3.0]);
        check([7].into_iter(), [7.0, 7.0, 7.0]);
        check(std::iter::empty(), [0.0, 0.0, 0.0]);
    }
}
