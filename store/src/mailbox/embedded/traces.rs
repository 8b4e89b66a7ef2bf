//! What became of notifications, on its way to the disk: it waits in memory for the next look at what is
//! over, so that no post and no acknowledgement takes longer for it, and none that makes room, replaces
//! another or is muted takes longer than one that does not. A crash loses the last second of it.

use super::disk::{Disk, ReadError};
use crate::mailbox::entry::Seq;
use crate::mailbox::rows::{self, TraceRow};
use crate::mailbox::user::trace::Traced;
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use fjall::OwnedWriteBatch;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Notifications of which something waits: some tens of megabytes, and several seconds' worth. What is
/// new beyond that is not kept.
const WAITING_MAX: usize = 200_000;

/// Of which notification.
pub(super) type Place = (UserId, Seq);

/// What waits.
#[derive(Default)]
pub(super) struct Traces(Mutex<BTreeMap<Place, Traced>>);

impl Traces {
    /// Adds what a batch did.
    pub(super) fn note(&self, traced: Vec<(Place, Traced)>) {
        if traced.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        for (place, traced) in traced {
            if waiting.len() < WAITING_MAX || waiting.contains_key(&place) {
                waiting.entry(place).or_default().add(traced);
            }
        }
    }

    /// What waits of one.
    pub(super) fn of(&self, place: Place) -> Option<Traced> {
        self.waiting().get(&place).cloned()
    }

    /// Some of what waits.
    pub(super) fn first(&self, limit: usize) -> Vec<(Place, Traced)> {
        let waiting = self.waiting();
        let first = waiting.iter().take(limit);
        first.map(|(place, it)| (*place, it.clone())).collect()
    }

    /// These wait no longer. Only the writer adds to them, and it has not since it took them.
    pub(super) fn written(&self, places: &[(Place, Traced)]) {
        let mut waiting = self.waiting();
        for (place, _) in places {
            waiting.remove(place);
        }
    }

    /// Nothing of these users is to be left.
    pub(super) fn forget(&self, users: &[UserId]) {
        if !users.is_empty() {
            self.waiting().retain(|(user, _), _| !users.contains(user));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Place, Traced>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds one to a batch; when its row goes, where that is known now.
pub(super) fn put(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    ((user, seq), traced): &(Place, Traced),
    kept: Duration,
) -> Result<Option<Timestamp>, ReadError> {
    let key = rows::seq_key(*user, *seq);
    let before = disk.traces.get(&key)?;
    let before: Option<TraceRow> = before.map(|row| rows::decode(&row)).transpose()?;
    let Some(mut row) = traced.row(before) else {
        batch.remove(&disk.traces, key);
        return Ok(None);
    };
    let until = row
        .ended
        .map(|(_, at)| Timestamp::from_millis(at).plus(kept));
    if let Some(until) = until {
        row.until = until.as_millis();
        let end = rows::trace_end(row.until, &key);
        batch.insert(&disk.trace_ends, end, Vec::new());
    }
    batch.insert(&disk.traces, key, rows::encode(&row));
    Ok(until)
}
