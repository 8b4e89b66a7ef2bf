//! What is to go: whose mailbox has something of it, and which idempotency keys are over.

use super::disk::{Disk, ReadError};
use crate::mailbox::rows::{self, HeadRow, IdempotencyRow};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;

/// Users with something due, from after the cursor on, and where to go on next time.
pub(super) fn due_users(
    disk: &Disk,
    cursor: Option<UserId>,
    slice: usize,
    now: Timestamp,
) -> Result<(Vec<UserId>, Option<UserId>), ReadError> {
    let from = cursor.map_or(std::ops::Bound::Unbounded, |user| {
        std::ops::Bound::Excluded(user.as_bytes().to_vec())
    });
    let mut due = Vec::new();
    let mut seen = 0;
    for row in disk
        .heads
        .range::<Vec<u8>, _>((from, std::ops::Bound::Unbounded))
    {
        let (key, value) = row.into_inner()?;
        let user = rows::user_of(&key)?;
        let head: HeadRow = rows::decode(&value)?;
        if head.due <= now.as_millis() {
            due.push(user);
        }
        seen += 1;
        if seen == slice {
            return Ok((due, Some(user)));
        }
    }
    Ok((due, None))
}

/// Up to `limit` rows of [`Disk::idempotency_ends`] whose time is over, each with whether its key is
/// too: it may have been used again since. In the order of their time, so that however many keys there
/// are, only those that go are looked at.
pub(super) fn idempotency_over(
    disk: &Disk,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(Vec<u8>, bool)>, ReadError> {
    let over = ..rows::idempotency_end(now.as_millis().saturating_add(1), &[]);
    let ends = disk.idempotency_ends.range(over).take(limit);
    ends.map(|row| {
        let end = row.key()?.to_vec();
        let row = disk.idempotency.get(rows::idempotency_of(&end)?)?;
        let row: Option<IdempotencyRow> = row.map(|row| rows::decode(&row)).transpose()?;
        Ok((end, row.is_some_and(|row| row.until <= now.as_millis())))
    })
    .collect()
}
