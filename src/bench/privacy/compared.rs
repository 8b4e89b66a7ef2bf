//! How well two sorts of samples can be told apart.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What a pair of sorts looks like from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Compared {
    one: &'static str,
    other: &'static str,
    samples: usize,
    one_p50_us: f64,
    other_p50_us: f64,
    /// The probability that a sample of the one is longer than a sample of the other (Mann and Whitney's
    /// U over their product): 0.5 tells nothing.
    longer: f64,
    /// Two standard errors of that where nothing is told: what is within is chance.
    chance: f64,
}

impl Compared {
    pub(super) fn of(
        one: &'static str,
        other: &'static str,
        [mut ones, mut others]: [Vec<Duration>; 2],
    ) -> Self {
        ones.sort_unstable();
        others.sort_unstable();
        let (n, m) = (ones.len() as f64, others.len() as f64);
        let mut longer = 0.0;
        for sample in &ones {
            let below = others.partition_point(|other| other < sample);
            let up_to = others.partition_point(|other| other <= sample);
            longer += (below + up_to) as f64 / 2.0;
        }
        Self {
            one,
            other,
            samples: ones.len().min(others.len()),
            one_p50_us: median(&ones),
            other_p50_us: median(&others),
            longer: longer / (n * m),
            chance: 2.0 * ((n + m + 1.0) / (12.0 * n * m)).sqrt(),
        }
    }
}

fn median(sorted: &[Duration]) -> f64 {
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1e6
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            one,
            other,
            samples,
            one_p50_us,
            other_p50_us,
            longer,
            chance,
        } = self;
        write!(
            f,
            "{one:>7} beside {other:<7}: longer with a probability of {longer:.3} \
             (0.5 ± {chance:.3} tells nothing); p50 {one_p50_us:.0} µs and {other_p50_us:.0} µs, {samples} of each"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ones: &[u64], others: &[u64], longer: f64) {
        let micros = |samples: &[u64]| samples.iter().copied().map(Duration::from_micros).collect();
        let compared = Compared::of("one", "other", [micros(ones), micros(others)]);
        assert!((compared.longer - longer).abs() < 1e-9, "{compared:?}");
    }

    #[test]
    fn a_half_is_what_cannot_be_told_apart() {
        check(&[1, 2, 3], &[1, 2, 3], 0.5);
        check(&[7, 7], &[7], 0.5);
        check(&[4, 5, 6], &[1, 2, 3], 1.0);
        check(&[1], &[2, 3], 0.0);
        check(&[1, 4], &[2, 3], 0.5);
        check(&[2, 3, 9], &[1, 5], 4.0 / 6.0);
    }

    #[test]
    fn the_medians_and_what_is_chance_stand_beside_it() {
        let times = (1..=101).map(Duration::from_micros).collect::<Vec<_>>();
        let compared = Compared::of("one", "other", [times.clone(), times]);
        assert_eq!((compared.one_p50_us, compared.samples), (51.0, 101));
        assert!((compared.chance - 0.0814).abs() < 1e-3, "{compared:?}");
    }
}
