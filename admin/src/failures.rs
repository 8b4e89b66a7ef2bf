//! How many failed sign-ins are written down.

use belfry_acl::rate::{Cell, Limit};
use belfry_protocol::time::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Rows of an hour: what a person reads, and some 10 MB a year of a flood without end.
const PER_HOUR: u32 = 60;

/// Counts them.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Cell>);

impl Failures {
    /// Whether one more is written down.
    pub(crate) fn count(&self, now: Timestamp) -> bool {
        let limit = Limit::new(u64::from(PER_HOUR), Duration::from_secs(3_600), PER_HOUR);
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cell.count(limit, now).is_ok()
    }
}
