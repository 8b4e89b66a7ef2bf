//! The generic cell rate algorithm: a limit as one stored time a counted thing.

use belfry_protocol::time::Timestamp;
use std::time::Duration;

/// So many in a period on average, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The time that one takes off the allowance, in microseconds.
    interval_micros: u64,
    burst: u32,
}

impl Limit {
    /// `count` (at least 1) in each `period`, of which `burst` (at least 1) may come at once.
    pub fn new(count: u64, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        Self {
            // Rounded up, so that rounding never lets more through.
            interval_micros: period.div_ceil(count.max(1)).max(1),
            burst: burst.max(1),
        }
    }
}

/// The state of one counted thing: when its allowance is whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    full_at_micros: u64,
}

impl Cell {
    /// Counts one, or says how long to wait.
    ///
    /// # Errors
    /// The limit is reached; nothing was counted.
    pub fn count(&mut self, limit: Limit, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_millis().saturating_mul(1_000);
        let after = self
            .full_at_micros
            .max(now)
            .saturating_add(limit.interval_micros);
        let furthest =
            now.saturating_add(limit.interval_micros.saturating_mul(u64::from(limit.burst)));
        if after > furthest {
            return Err(Duration::from_micros(after - furthest));
        }
        self.full_at_micros = after;
        Ok(())
    }

    /// Counts one that was let through whatever the limit says.
    pub fn charge(&mut self, limit: Limit, now: Timestamp) {
        let now = now.as_millis().saturating_mul(1_000);
        let from = self.full_at_micros.max(now);
        self.full_at_micros = from.saturating_add(limit.interval_micros);
    }

    /// Gives one back that turned out not to count.
    pub fn refund(&mut self, limit: Limit) {
        self.full_at_micros = self.full_at_micros.saturating_sub(limit.interval_micros);
    }

    /// Whether forgetting it changes nothing.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.full_at_micros <= now.as_millis().saturating_mul(1_000)
    }

    /// Microseconds since the epoch from which on forgetting it changes nothing: the later, the more
    /// was counted lately.
    pub fn full_at_micros(&self) -> u64 {
        self.full_at_micros
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate() {
        let limit = Limit::new(60, Duration::from_secs(60), 3);
        let mut cell = Cell::default();
        let now = Timestamp::from_millis(1_000_000);
        for _ in 0..3 {
            assert_eq!(cell.count(limit, now), Ok(()));
        }
        assert_eq!(cell.count(limit, now), Err(Duration::from_secs(1)));
        cell.refund(limit);
        assert_eq!(cell.count(limit, now), Ok(()));
        assert_eq!(cell.count(limit, now.plus(Duration::from_secs(1))), Ok(()));
        let mut charged = cell;
        charged.charge(limit, now);
        charged.refund(limit);
        assert_eq!(charged, cell);
        assert!(!cell.is_idle(now) && cell.is_idle(now.plus(Duration::from_secs(9))));
        let whole = now.plus(Duration::from_secs(4));
        assert_eq!(cell.full_at_micros(), whole.as_millis() * 1_000);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            steps in proptest::collection::vec(0u64..3_000, 1..200),
            count in 1u64..100,
            burst in 1u32..50,
        ) {
            let limit = Limit::new(count, Duration::from_secs(10), burst);
            let mut cell = Cell::default();
            let begin = 1_000_000;
            let (mut now, mut taken) = (begin, 0u64);
            for step in steps {
                now += step;
                let moment = Timestamp::from_millis(now);
                match cell.count(limit, moment) {
                    Ok(()) => taken += 1,
                    // Waiting as long as it says is enough.
                    Err(wait) => {
                        let mut later = cell;
                        let wait = wait + Duration::from_millis(1);
                        prop_assert_eq!(later.count(limit, moment.plus(wait)), Ok(()));
                    }
                }
                let allowed = u64::from(burst) + (now - begin) * count / 10_000 + 1;
                prop_assert!(taken <= allowed, "{} of {}", taken, allowed);
            }
        }
    }
}
