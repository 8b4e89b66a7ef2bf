//! A bounded memory of what was seen lately, to drop what comes again.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The last `capacity` different values.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    order: VecDeque<T>,
    known: HashSet<T>,
    capacity: usize,
}

impl<T: Clone + Eq + Hash> Recent<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            order: VecDeque::new(),
            known: HashSet::new(),
            capacity: capacity.max(1),
        }
    }

    /// Remembers a value and says whether it is new; the oldest is forgotten to make room.
    pub(crate) fn insert(&mut self, value: T) -> bool {
        if !self.known.insert(value.clone()) {
            return false;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut recent = Recent::new(2);
        assert!(recent.insert(1) && recent.insert(2));
        assert!(!recent.insert(1));
        assert!(recent.insert(3));
        assert!(
            !recent.known.contains(&1) && recent.known.contains(&2) && recent.known.contains(&3)
        );
    }

    proptest! {
        #[test]
        fn it_never_grows_past_its_capacity(values in proptest::collection::vec(0..20u8, 0..200), capacity in 1..10usize) {
            let mut recent = Recent::new(capacity);
            for value in values {
                recent.insert(value);
                prop_assert!(recent.known.contains(&value));
                prop_assert!(recent.order.len() <= capacity);
                prop_assert_eq!(recent.order.len(), recent.known.len());
            }
        }
    }
}
