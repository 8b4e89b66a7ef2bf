//! When an event that was not taken is sent again: after ever longer, with some chance in it, so that
//! receivers that came back are not met by all at once; for a day.

use belfry_protocol::time::Timestamp;
use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most, so that a receiver that came back is noticed within it.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How long one event is tried.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(86_400);

/// When the next try is; nothing once it is given up. `failures` counts from 1.
pub(super) fn next_try(
    failures: u32,
    since: Timestamp,
    now: Timestamp,
    random: u64,
) -> Option<Timestamp> {
    if now.since(since) >= GIVEN_UP_AFTER {
        return None;
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20));
    let whole = doubled.min(LONGEST);
    let half = whole / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    Some(now.plus(half + Duration::from_millis(random % (millis + 1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn wait(failures: u32, after: Duration, random: u64) -> Option<Duration> {
        let now = BEGIN.plus(after);
        next_try(failures, BEGIN, now, random).map(|next| next.since(now))
    }

    #[test]
    fn it_waits_ever_longer_for_a_day() {
        let check = |failures: u32, shortest: u64, longest: u64| {
            let millis =
                |random| wait(failures, Duration::ZERO, random).map(|wait| wait.as_millis());
            assert_eq!(millis(0), Some(shortest.into()));
            assert_eq!(millis(shortest), Some(longest.into()));
        };
        check(1, 500, 1_000);
        check(2, 1_000, 2_000);
        check(3, 2_000, 4_000);
        check(12, 1_024_000, 2_048_000);
        check(13, 1_800_000, 3_600_000);
        check(u32::MAX, 1_800_000, 3_600_000);
        let day = Duration::from_secs(86_400);
        assert!(wait(30, day - Duration::from_millis(1), 0).is_some());
        assert_eq!(wait(30, day, 0), None);
    }

    proptest! {
        #[test]
        fn a_receiver_that_is_down_is_tried_some_dozens_of_times(randoms in proptest::collection::vec(0u64.., 200)) {
            let (mut now, mut tries) = (BEGIN, 0);
            while let Some(next) = next_try(tries + 1, BEGIN, now, randoms[tries as usize]) {
                prop_assert!(next > now);
                now = next;
                tries += 1;
            }
            prop_assert!((30..80).contains(&tries), "{tries}");
        }
    }
}
