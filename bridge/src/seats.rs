//! How many may be served at a time where each holds memory or a connection for as long as it likes:
//! who waits for receipts, and who publishes many in a call.

use belfry_edge::ApiError;
use belfry_store::mailbox::Owner;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When another may have gone.
const RETRY_SECS: u64 = 10;

/// How many seats there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) all: usize,
    /// Of one owner.
    pub(crate) each: usize,
    /// What one owner has so many of, to be said after the number.
    pub(crate) what: &'static str,
}

/// The seats that are taken now.
#[derive(Clone)]
pub(crate) struct Seats {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    each: HashMap<Owner, usize>,
    all: usize,
}

/// A place that is taken until this is dropped.
pub(crate) struct Seat {
    seats: Seats,
    owner: Owner,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// Takes a seat.
    ///
    /// # Errors
    /// 429 where this owner has as many as it may, 503 where all are taken.
    pub(crate) fn take(&self, owner: Owner) -> Result<Seat, ApiError> {
        let Limits { all, each, what } = self.limits;
        let mut taken = self.taken();
        if taken.each.get(&owner).is_some_and(|its| *its >= each) {
            let detail = format!("{each} {what}");
            return Err(ApiError::rate_limited(detail, RETRY_SECS));
        }
        if taken.all >= all {
            return Err(ApiError::unavailable());
        }
        taken.all += 1;
        *taken.each.entry(owner).or_default() += 1;
        drop(taken);
        let seats = self.clone();
        Ok(Seat { seats, owner })
    }

    /// How many are taken now.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Some(each) = taken.each.get_mut(&self.owner) {
            *each -= 1;
            if *each == 0 {
                taken.each.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[test]
    fn each_has_some_and_all_have_no_more_than_there_are() {
        let (all, each) = (6, 2);
        let seats = Seats::new(Limits {
            all,
            each,
            what: "at a time",
        });
        let owner = |number| Owner::receipts([number; 16]);
        let refused = |number| {
            let refused = seats.take(owner(number)).err().expect("refused");
            let response = refused.into_response();
            assert!(response.headers().contains_key("retry-after"));
            response.status().as_u16()
        };
        let mut taken = Vec::new();
        for number in 0..3 {
            for _ in 0..each {
                taken.push(seats.take(owner(number)).expect("a seat"));
            }
            assert_eq!(refused(number), 429);
        }
        assert_eq!(taken.len(), all);
        assert_eq!(refused(9), 503);
        taken.pop();
        assert!(seats.take(owner(9)).is_ok(), "for as long as it is held");
        assert!(seats.take(owner(2)).is_ok());
        taken.clear();
        assert!(seats.taken().each.is_empty() && seats.taken().all == 0);
    }
}
