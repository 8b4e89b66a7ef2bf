//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// The shortest first wait's upper bound.
const FIRST: Duration = Duration::from_millis(500);
/// Long enough to leave a server alone that is down, short enough that a laptop opened again is
/// soon connected.
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles the bound at every failure, and draws the wait from its upper half, so that the devices
/// of a restarted server do not all return at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    bound: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { bound: FIRST }
    }

    /// The next wait; `random` is any number, evenly distributed.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let half = self.bound / 2;
        let share = f64::from(random) / f64::from(u32::MAX);
        self.bound = (self.bound * 2).min(LONGEST);
        half + half.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_within_its_doubling_bounds(randoms in proptest::collection::vec(any::<u32>(), 1..40)) {
            let mut backoff = Backoff::new();
            let mut bound = FIRST;
            for random in randoms {
                let wait = backoff.next(random);
                prop_assert!(wait >= bound / 2 && wait <= bound, "{wait:?} of {bound:?}");
                bound = (bound * 2).min(LONGEST);
            }
        }
    }

    #[test]
    fn the_longest_wait_is_a_minute() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..20).map(|_| backoff.next(u32::MAX)).collect();
        assert_eq!(waits.first(), Some(&FIRST));
        assert_eq!(waits.last(), Some(&LONGEST));
    }
}
