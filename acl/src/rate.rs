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
    /// The time that one takes off the allowance.
    pub fn interval(self) -> Duration {
        Duration::from_micros(self.interval_micros)
    }

    /// How many may come at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

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

    /// The same count against another limit than it was counted against, at most a whole burst of it: who
    /// has used two of two a day has used two of five million.
    #[must_use]
    pub fn against(self, before: Limit, limit: Limit, now: Timestamp) -> Self {
        if before == limit {
            return self;
        }
        let now = now.as_millis().saturating_mul(1_000);
        let taken = u128::from(self.full_at_micros.saturating_sub(now));
        let taken = taken * u128::from(limit.interval_micros) / u128::from(before.interval_micros);
        let whole = u128::from(limit.interval_micros) * u128::from(limit.burst);
        let taken = u64::try_from(taken.min(whole)).unwrap_or(u64::MAX);
        Self {
            full_at_micros: now.saturating_add(taken),
        }
    }

    /// Gives one back that turned out not to count.
    pub fn refund(&mut self, limit: Limit) {
        self.full_at_micros = self.full_at_micros.saturating_sub(limit.interval_micros);
    }

    /// How many of the burst are taken now: more than there are only after [`Self::charge`].
    pub fn used(&self, limit: Limit, now: Timestamp) -> u64 {
        let now = now.as_millis().saturating_mul(1_000);
        let taken = self.full_at_micros.saturating_sub(now);
        taken.div_ceil(limit.interval_micros)
    }

    /// The same as a share, in thousandths of the burst. At 0 forgetting the cell changes nothing;
    /// whoever is at the limit has 1000 or nearly so, whatever the limit is.
    pub fn share(&self, limit: Limit, now: Timestamp) -> u64 {
        let now = now.as_millis().saturating_mul(1_000);
        let taken = u128::from(self.full_at_micros.saturating_sub(now)) * 1_000;
        let whole = u128::from(limit.interval_micros) * u128::from(limit.burst);
        u64::try_from(taken.div_ceil(whole)).unwrap_or(u64::MAX)
    }

    /// Microseconds since the epoch from which on forgetting it changes nothing: the later, the more
    /// was counted lately.
    pub fn full_at_micros(&self) -> u64 {
        self.full_at_micros
    }

    /// When the allowance is whole again, to the millisecond above.
    pub fn resets(&self) -> Timestamp {
        Timestamp::from_millis(self.full_at_micros.div_ceil(1_000))
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
        let at = |secs| now.plus(Duration::from_secs(secs));
        assert_eq!(cell.resets(), at(4));
        for (secs, used, share) in [
            (1, 3, 1_000),
            (2, 2, 667),
            (3, 1, 334),
            (4, 0, 0),
            (9, 0, 0),
        ] {
            assert_eq!(cell.used(limit, at(secs)), used, "{secs}");
            assert_eq!(cell.share(limit, at(secs)), share, "{secs}");
        }
        cell.charge(limit, at(1));
        assert_eq!(cell.used(limit, at(1)), 4);
    }

    #[test]
    fn what_was_used_is_as_much_of_another_limit() {
        let day = Duration::from_secs(86_400);
        let (few, many) = (Limit::new(2, day, 2), Limit::new(5_000_000, day, 5_000_000));
        let now = Timestamp::from_millis(1_000_000);
        let mut cell = Cell::default();
        for _ in 0..2 {
            assert_eq!(cell.count(few, now), Ok(()));
        }
        assert!(cell.count(few, now).is_err());
        let mut raised = cell.against(few, many, now);
        assert_eq!(raised.used(many, now), 2);
        for _ in 0..8 {
            assert_eq!(raised.count(many, now), Ok(()));
        }
        let mut lowered = raised.against(many, few, now);
        assert_eq!(lowered.used(few, now), 2, "no more than there are");
        assert_eq!(lowered.count(few, now), Err(day / 2));
        assert_eq!(cell.against(few, few, now), cell);
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
