//! How often permissions are used, for the counts that users see.

use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Permissions whose use is remembered between two writes; more are not counted until then.
const USES_MAX: usize = 100_000;

/// How often each permission was used since it was last written down: one write for many posts.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<(UserId, PermissionId), (u64, Timestamp)>>);

impl Uses {
    pub(crate) fn count(&self, user: UserId, permission: PermissionId, now: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < USES_MAX || uses.contains_key(&(user, permission)) {
            let entry = uses.entry((user, permission)).or_insert((0, now));
            *entry = (entry.0 + 1, now);
        }
    }

    pub(crate) async fn write(&self, directory: &Directory) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for ((user, permission), (count, last)) in uses {
            if let Err(error) = directory.note_use(user, permission, count, last).await {
                tracing::warn!(%error, "cannot note the use of permissions");
                return;
            }
        }
    }
}
