//! How many may wait: each holds a connection and some kilobytes for as long as it likes.

use belfry_edge::ApiError;
use belfry_store::mailbox::Owner;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Readers that wait in all: a part of the connections that there are, so that posts find one.
const SEATS: usize = if cfg!(test) { 6 } else { 1_024 };
/// Of one receipt subscription: a sender reads with one, and has some more while it is restarted.
const SEATS_EACH: usize = if cfg!(test) { 2 } else { 4 };
/// When another may have gone.
const RETRY_SECS: u64 = 10;

/// The readers that wait now, by what they wait for.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    each: HashMap<Owner, usize>,
    all: usize,
}

/// A place that is taken until this is dropped.
pub(super) struct Seat {
    seats: Seats,
    owner: Owner,
}

impl Seats {
    /// Takes a place to wait.
    ///
    /// # Errors
    /// 429 where this receipt subscription has as many as it may, 503 where all are taken.
    pub(super) fn take(&self, owner: Owner) -> Result<Seat, ApiError> {
        let mut taken = self.taken();
        if taken
            .each
            .get(&owner)
            .is_some_and(|each| *each >= SEATS_EACH)
        {
            let detail = format!("{SEATS_EACH} may wait for one receipt subscription at a time");
            return Err(ApiError::rate_limited(detail, RETRY_SECS));
        }
        if taken.all >= SEATS {
            return Err(ApiError::unavailable());
        }
        taken.all += 1;
        *taken.each.entry(owner).or_default() += 1;
        drop(taken);
        let seats = self.clone();
        Ok(Seat { seats, owner })
    }

    /// How many wait now.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let seats = Seats::default();
        let owner = |number| Owner::receipts([number; 16]);
        let refused = |number| {
            let refused = seats.take(owner(number)).err().expect("refused");
            let response = refused.into_response();
            assert!(response.headers().contains_key("retry-after"));
            response.status().as_u16()
        };
        let mut taken = Vec::new();
        for number in 0..3 {
            for _ in 0..SEATS_EACH {
                taken.push(seats.take(owner(number)).expect("a seat"));
            }
            assert_eq!(refused(number), 429);
        }
        assert_eq!(taken.len(), SEATS);
        assert_eq!(refused(9), 503);
        taken.pop();
        assert!(seats.take(owner(9)).is_ok(), "for as long as it is held");
        assert!(seats.take(owner(2)).is_ok());
        taken.clear();
        assert!(seats.taken().each.is_empty() && seats.taken().all == 0);
    }
}
