//! What is to go: whose mailbox has something of it, and which idempotency keys are over. Both are
//! found by rows in the order of time, so that however much there is, only what goes is looked at.

use super::disk::{Disk, ReadError};
use crate::mailbox::rows::{self, IdempotencyRow};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use std::ops::Range;

/// Up to `limit` users with something due within this time, each with when, the earliest first.
pub(super) fn due_users(
    disk: &Disk,
    within: Range<Timestamp>,
    limit: usize,
) -> Result<Vec<(Timestamp, UserId)>, ReadError> {
    let bound = |at: Timestamp| at.as_millis().to_be_bytes();
    let rows = disk.dues.range(bound(within.start)..bound(within.end));
    rows.take(limit)
        .map(|row| Ok(rows::due_of(&row.key()?)?))
        .collect()
}

/// Up to `limit` rows of [`Disk::idempotency_ends`] whose time is over, each with whether its key is
/// too: it may have been used again since.
pub(super) fn idempotency_over(
    disk: &Disk,
    within: Range<Timestamp>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, bool)>, ReadError> {
    let bound = |at: Timestamp| rows::idempotency_end(at.as_millis(), &[]);
    let over = bound(within.start)..bound(within.end);
    let ends = disk.idempotency_ends.range(over).take(limit);
    ends.map(|row| {
        let end = row.key()?.to_vec();
        let row = disk.idempotency.get(rows::idempotency_of(&end)?)?;
        let row: Option<IdempotencyRow> = row.map(|row| rows::decode(&row)).transpose()?;
        Ok((
            end,
            row.is_some_and(|row| row.until < within.end.as_millis()),
        ))
    })
    .collect()
}
