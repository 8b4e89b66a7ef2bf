//! Whose mailbox has something that is to go.

use super::disk::{Disk, ReadError};
use crate::mailbox::rows::{self, HeadRow, IdempotencyRow};
use crate::mailbox::user::IdempotencyKey;
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

/// A user's idempotency keys that are over, and when the next one is.
pub(super) fn idempotency_over(
    disk: &Disk,
    user: UserId,
    now: Timestamp,
) -> Result<(Vec<IdempotencyKey>, Option<Timestamp>), ReadError> {
    let mut over = Vec::new();
    let mut next = None;
    for row in disk.idempotency.prefix(user.as_bytes()) {
        let (key, value) = row.into_inner()?;
        let row: IdempotencyRow = rows::decode(&value)?;
        if row.until <= now.as_millis() {
            over.push(rows::idempotency_of(&key)?);
        } else if next.is_none_or(|next| row.until < next) {
            next = Some(row.until);
        }
    }
    Ok((over, next.map(Timestamp::from_millis)))
}
