//! What changed of a user, as rows of a batch.

use super::disk::{Disk, ReadError};
use crate::mailbox::entry::Content;
use crate::mailbox::rows::{self, BodyRow, HeadRow, IdempotencyRow, RetainedRow, TraceRow};
use crate::mailbox::user::{Changes, UserState};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use fjall::OwnedWriteBatch;

/// Adds what changed. Holes of entries that are gone are dropped on the way.
///
/// # Errors
/// The rows of a user who is to be erased cannot be read.
pub(super) fn put(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    user: UserId,
    state: &mut UserState,
    changes: &Changes,
) -> Result<(), ReadError> {
    if changes.erased {
        put_due(batch, disk, user, state.due_kept.take(), None);
        return erase(batch, disk, user);
    }
    put_log(batch, disk, user, state, changes);
    for device in &changes.sessions {
        let key = rows::key(user, device.as_bytes());
        match state.sessions.get_mut(device) {
            Some(row) => {
                let metas = &state.metas;
                row.holes.retain(|hole| metas.contains_key(hole));
                batch.insert(&disk.sessions, key, rows::encode_session(row));
            }
            None => batch.remove(&disk.sessions, key),
        }
    }
    for device in &changes.wills {
        let key = rows::key(user, device.as_bytes());
        match state.wills.get(device) {
            Some(will) => batch.insert(&disk.wills, key, rows::encode_will(will)),
            None => batch.remove(&disk.wills, key),
        }
    }
    for permission in &changes.permissions {
        if let Some(row) = state.permissions.get(permission) {
            let key = rows::key(user, permission.as_bytes());
            batch.insert(&disk.permissions, key, rows::encode_permission(row));
        }
    }
    for seq in &changes.awaited {
        let key = rows::seq_key(user, *seq);
        match state.awaited.get(*seq) {
            Some(awaited) => batch.insert(&disk.awaited, key, rows::encode_awaited(awaited)),
            None => batch.remove(&disk.awaited, key),
        }
    }
    put_retained(batch, disk, user, changes);
    for ((permission, key), row) in &changes.idempotency {
        let key = rows::idempotency_key(user, *permission, key);
        let end = rows::idempotency_end(row.until, &key);
        batch.insert(&disk.idempotency_ends, end, Vec::new());
        batch.insert(&disk.idempotency, key, rows::encode(row));
    }
    if changes.head {
        let due = state.due.map_or(u64::MAX, Timestamp::as_millis);
        let row = HeadRow {
            head: state.head.0,
            blocked: state.blocked,
            due,
        };
        batch.insert(&disk.heads, user.as_bytes().to_vec(), rows::encode(&row));
        put_due(batch, disk, user, state.due_kept, state.due);
        state.due_kept = state.due;
    }
    Ok(())
}

fn put_due(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    user: UserId,
    was: Option<Timestamp>,
    is: Option<Timestamp>,
) {
    if was == is {
        return;
    }
    if let Some(was) = was {
        batch.remove(&disk.dues, rows::due_key(was, user));
    }
    if let Some(is) = is {
        batch.insert(&disk.dues, rows::due_key(is, user), Vec::new());
    }
}

/// Removes every row of a user, and notes that nothing comes again.
fn erase(batch: &mut OwnedWriteBatch, disk: &Disk, user: UserId) -> Result<(), ReadError> {
    let spaces = [
        &disk.heads,
        &disk.metas,
        &disk.bodies,
        &disk.sessions,
        &disk.wills,
        &disk.permissions,
        &disk.awaited,
        &disk.retained,
        &disk.idempotency,
    ];
    for row in disk.idempotency.prefix(user.as_bytes()) {
        let (key, value) = row.into_inner()?;
        let row: IdempotencyRow = rows::decode(&value)?;
        batch.remove(
            &disk.idempotency_ends,
            rows::idempotency_end(row.until, &key),
        );
    }
    for row in disk.traces.prefix(user.as_bytes()) {
        let (key, value) = row.into_inner()?;
        let row: TraceRow = rows::decode(&value)?;
        batch.remove(&disk.trace_ends, rows::trace_end(row.until, &key));
        batch.remove(&disk.traces, key);
    }
    for space in spaces {
        for row in space.prefix(user.as_bytes()) {
            batch.remove(space, row.key()?);
        }
    }
    batch.insert(&disk.erased, user.as_bytes().to_vec(), Vec::new());
    Ok(())
}

fn put_log(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    user: UserId,
    state: &UserState,
    changes: &Changes,
) {
    for entry in &changes.bodies {
        if !state.metas.contains_key(&entry.meta.seq) {
            continue;
        }
        let properties = match &entry.meta.content {
            Content::Private { properties, .. } => properties.as_ref(),
            Content::Notification { .. } => &[],
        };
        let row = BodyRow {
            properties,
            payload: &entry.payload,
        };
        batch.insert(
            &disk.bodies,
            rows::seq_key(user, entry.meta.seq),
            rows::encode(&row),
        );
    }
    for seq in &changes.metas {
        let key = rows::seq_key(user, *seq);
        match state.metas.get(seq) {
            Some(meta) => batch.insert(&disk.metas, key, rows::encode_meta(meta)),
            None => {
                batch.remove(&disk.metas, key.clone());
                batch.remove(&disk.bodies, key);
            }
        }
    }
}

fn put_retained(batch: &mut OwnedWriteBatch, disk: &Disk, user: UserId, changes: &Changes) {
    for (topic, message) in &changes.retained {
        let key = rows::key(user, topic.as_str().as_bytes());
        match message {
            None => batch.remove(&disk.retained, key),
            Some(message) => {
                let row = RetainedRow {
                    properties: message.properties.to_vec(),
                    payload: message.payload.to_vec(),
                    at_least_once: message.at_least_once,
                    expires: message.expires.as_millis(),
                };
                batch.insert(&disk.retained, key, rows::encode(&row));
            }
        }
    }
}
