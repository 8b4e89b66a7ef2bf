//! The cells of all rates in one bounded table.
//!
//! Forgetting a cell forgives what it counted, so a flood of strangers must not push out whoever is
//! at a limit. Idle cells go first, which changes nothing; only where too few are idle go those that
//! took the least of their own limit.

use belfry_acl::rate::{Cell, Limit};
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;

/// Cells by what they count, each with the limit that it was last counted against: limits change while
/// the server runs.
pub(crate) struct Cells<K> {
    cells: HashMap<K, (Limit, Cell)>,
    cells_max: usize,
}

impl<K: Hash + Eq + Copy> Cells<K> {
    /// A table of at most `cells_max` cells.
    pub(crate) fn new(cells_max: usize) -> Self {
        Self {
            cells: HashMap::new(),
            cells_max,
        }
    }

    /// The cell of this, which is counted against this limit from now on.
    pub(crate) fn cell(&mut self, what: K, limit: Limit, now: Timestamp) -> &mut Cell {
        if self.cells.len() >= self.cells_max && !self.cells.contains_key(&what) {
            self.make_room(now);
        }
        let (against, cell) = self.cells.entry(what).or_insert((limit, Cell::default()));
        *cell = cell.against(*against, limit, now);
        *against = limit;
        cell
    }

    /// The cell of this as it is against this limit; a whole one where there is none.
    pub(crate) fn look(&self, what: &K, limit: Limit, now: Timestamp) -> Cell {
        let found = self.cells.get(what);
        found.map_or_else(Cell::default, |(against, cell)| {
            cell.against(*against, limit, now)
        })
    }

    /// Frees at least a quarter of the table, so that looking through all of it is rare.
    fn make_room(&mut self, now: Timestamp) {
        let share = |(limit, cell): &(Limit, Cell)| cell.share(*limit, now);
        self.cells.retain(|_, cell| share(cell) > 0);
        let kept_max = self.cells_max - self.cells_max.div_ceil(4);
        let Some(too_many) = self.cells.len().checked_sub(kept_max).filter(|&n| n > 0) else {
            return;
        };
        let mut shares: Vec<u64> = self.cells.values().map(share).collect();
        let (calmer, highest, _) = shares.select_nth_unstable(too_many - 1);
        let highest = *highest;
        // Of those with the highest share that goes, only as many as must.
        let below = calmer.iter().filter(|&&share| share < highest).count();
        let mut at_highest = too_many - below;
        self.cells.retain(|_, cell| {
            let share = share(cell);
            if share == highest && at_highest > 0 {
                at_highest -= 1;
                return false;
            }
            share >= highest
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const CELLS_MAX: usize = 64;
    const BEGIN: u64 = 1_800_000_000_000;

    /// Small numbers may do much over long, large ones little in a second: shares, not times, count.
    fn limit_of(what: &u64) -> Limit {
        match what % 3 {
            0 => Limit::new(60, Duration::from_secs(60), 20),
            1 => Limit::new(10, Duration::from_secs(1), 10),
            _ => Limit::new(1_000, Duration::from_secs(86_400), 1_000),
        }
    }

    fn count(cells: &mut Cells<u64>, what: u64, millis: u64) -> bool {
        let now = Timestamp::from_millis(BEGIN + millis);
        let limit = limit_of(&what);
        cells.cell(what, limit, now).count(limit, now).is_ok()
    }

    #[test]
    fn only_idle_cells_go_while_that_is_enough() {
        let mut cells = Cells::new(CELLS_MAX);
        // Busy for 20 s each, and few enough to stay.
        for busy in 0..30 {
            while count(&mut cells, busy * 3, 0) {}
        }
        // Taken up less, by strangers that are forgotten a tenth of a second later.
        assert!(count(&mut cells, 1, 0));
        for stranger in 100..5_000 {
            assert!(count(&mut cells, stranger * 3 + 1, stranger * 100));
            if stranger < 110 {
                let still = cells
                    .cells
                    .get(&0)
                    .map(|(limit, cell)| cell.share(*limit, Timestamp::from_millis(BEGIN)));
                assert_eq!(still, Some(1_000));
            }
            assert!(cells.cells.len() <= CELLS_MAX);
        }
    }

    proptest! {
        #[test]
        fn who_is_at_the_limit_is_never_forgiven_by_a_flood_of_strangers(
            offender in 0u64..3,
            flood in proptest::collection::vec((3u64..100_000, 1u32..4, 0u64..3), 1..2_000),
        ) {
            let mut cells = Cells::new(CELLS_MAX);
            let limit = limit_of(&offender);
            let (mut taken, mut millis) = (0, 0);
            for (stranger, posts, later) in flood {
                millis += later;
                for _ in 0..posts {
                    count(&mut cells, stranger, millis);
                }
                // Tries on and on, and gets no more than alone.
                while count(&mut cells, offender, millis) {
                    taken += 1;
                }
                prop_assert!(cells.cells.len() <= CELLS_MAX);
                let mut alone = Cell::default();
                let mut allowed = 0;
                let at = |millis| Timestamp::from_millis(BEGIN + millis);
                while alone.count(limit, at(0)).is_ok() {
                    allowed += 1;
                }
                let more = u128::from(millis) * 1_000 / limit.interval().as_micros();
                prop_assert!(taken <= allowed + more, "{} of {} + {}", taken, allowed, more);
            }
        }
    }
}
