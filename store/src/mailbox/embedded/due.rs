//! What is to go: whose mailbox has something of it, which idempotency keys are over, and what of the
//! outbox. All are found by rows in the order of time, so that however much there is, only what goes is looked at.

use super::disk::{Disk, ReadError};
use super::outboxes::{Gone, Over};
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

/// Up to `limit` ends of traces whose time is over.
pub(super) fn traces_over(
    disk: &Disk,
    within: Range<Timestamp>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let bound = |at: Timestamp| rows::trace_end(at.as_millis(), &[]);
    let over = bound(within.start)..bound(within.end);
    let ends = disk.trace_ends.range(over).take(limit);
    ends.map(|row| Ok(row.key()?.to_vec())).collect()
}

/// Up to `limit` rows of the outbox, and logs, whose time is over.
pub(super) fn outbox_over(
    disk: &Disk,
    within: Range<Timestamp>,
    limit: usize,
) -> Result<Vec<Over>, ReadError> {
    let bound = |at: Timestamp| at.as_millis().to_be_bytes();
    let dues = disk
        .outbox_dues
        .range(bound(within.start)..bound(within.end));
    dues.take(limit)
        .map(|due| {
            let due = due.key()?.to_vec();
            let (_, owner, n) = rows::outbox_due_of(&due)?;
            let gone = match n {
                0 => Gone::Log(owner.as_bytes().to_vec()),
                n => Gone::Row(rows::told_key(owner, n)),
            };
            Ok(Over { due, gone })
        })
        .collect()
}
