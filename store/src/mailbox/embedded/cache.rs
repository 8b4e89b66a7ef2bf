//! The users whose state stays in memory between batches, bounded by what they hold.

use crate::mailbox::user::UserState;
use belfry_protocol::id::UserId;
use std::collections::HashMap;

/// Entries whose metadata may stay: about 100 MB.
const METAS_MAX: usize = if cfg!(test) { 2_000 } else { 500_000 };
/// Users who may stay; few under test, so that they do go.
const USERS_MAX: usize = if cfg!(test) { 100 } else { 20_000 };

struct Cached {
    state: UserState,
    /// When it was last used, on the cache's own count of uses.
    used: u64,
    /// How much of it is in [`Cache::metas`].
    counted: usize,
}

/// Bytes of a will that weigh as much as an entry's metadata.
const META_BYTES: usize = 200;

/// How much a state holds, in entries' metadata.
fn weight(state: &UserState) -> usize {
    let wills = state.wills.values();
    let bytes: usize = wills.map(|will| will.last_word.weight()).sum();
    state.metas.len() + state.awaited.len() + bytes / META_BYTES
}

/// States by user; the least recently used go first.
#[derive(Default)]
pub(super) struct Cache {
    users: HashMap<UserId, Cached>,
    metas: usize,
    uses: u64,
}

impl Cache {
    pub(super) fn contains(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    pub(super) fn get_mut(&mut self, user: UserId) -> Option<&mut UserState> {
        self.uses += 1;
        let cached = self.users.get_mut(&user)?;
        cached.used = self.uses;
        Some(&mut cached.state)
    }

    pub(super) fn insert(&mut self, user: UserId, state: UserState) {
        self.uses += 1;
        let cached = Cached {
            state,
            used: self.uses,
            counted: 0,
        };
        if let Some(old) = self.users.insert(user, cached) {
            self.metas -= old.counted;
        }
    }

    pub(super) fn clear(&mut self) {
        self.users.clear();
        self.metas = 0;
    }

    /// Counts anew what these users hold, and lets others go until memory is bounded again. Not to be
    /// called while a state has changes that are not written.
    pub(super) fn shrink(&mut self, changed: &[UserId]) {
        for user in changed {
            if let Some(cached) = self.users.get_mut(user) {
                let counted = weight(&cached.state);
                self.metas = self.metas - cached.counted + counted;
                cached.counted = counted;
            }
        }
        if self.metas <= METAS_MAX && self.users.len() <= USERS_MAX {
            return;
        }
        // Down to three quarters, so that the sort is paid for once in a while.
        let mut oldest: Vec<(u64, UserId)> = self
            .users
            .iter()
            .map(|(user, cached)| (cached.used, *user))
            .collect();
        oldest.sort_unstable();
        for (_, user) in oldest {
            if self.metas <= METAS_MAX / 4 * 3 && self.users.len() <= USERS_MAX / 4 * 3 {
                return;
            }
            if let Some(gone) = self.users.remove(&user) {
                self.metas -= gone.counted;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::entry::{Content, EntryMeta, Seq};
    use crate::mailbox::user::Meta;
    use belfry_protocol::id::{NotificationId, PermissionId};
    use belfry_protocol::push::Urgency;
    use belfry_protocol::time::Timestamp;

    fn user(number: usize) -> UserId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        UserId::from_bytes(bytes)
    }

    #[test]
    fn those_not_used_for_longest_go_first() {
        let mut cache = Cache::default();
        for number in 0..USERS_MAX {
            cache.insert(user(number), UserState::default());
            cache.shrink(&[user(number)]);
        }
        assert!((0..USERS_MAX).all(|number| cache.contains(user(number))));
        assert!(cache.get_mut(user(0)).is_some());
        cache.insert(user(USERS_MAX), UserState::default());
        cache.shrink(&[user(USERS_MAX)]);
        assert_eq!(cache.users.len(), USERS_MAX / 4 * 3);
        assert!(cache.contains(user(0)) && cache.contains(user(USERS_MAX)));
        assert!(!cache.contains(user(1)));
    }

    fn holding(entries: u64) -> UserState {
        let meta = |seq| Meta {
            entry: EntryMeta {
                seq: Seq(seq),
                content: Content::Notification {
                    id: NotificationId::from_bytes([0; 16]),
                    permission: PermissionId::from_bytes([0; 16]),
                    urgency: Urgency::Normal,
                    muted: false,
                },
                sent: Timestamp::from_millis(0),
                expires: Timestamp::from_millis(1),
                seen: false,
            },
            bytes: 1,
            collapse: None,
            done: None,
            delivered: false,
        };
        UserState {
            metas: (1..=entries).map(|seq| (Seq(seq), meta(seq))).collect(),
            ..UserState::default()
        }
    }

    #[test]
    fn few_who_hold_much_go_too() {
        let mut cache = Cache::default();
        let each = METAS_MAX as u64 / 4;
        for number in 0..4 {
            cache.insert(user(number), holding(each));
            // Twice named in a batch is still held once.
            cache.shrink(&[user(number), user(number)]);
        }
        assert_eq!((cache.metas, cache.users.len()), (METAS_MAX, 4));
        cache.insert(user(4), holding(1));
        cache.shrink(&[user(4)]);
        assert!(!cache.contains(user(0)) && !cache.contains(user(1)) && cache.contains(user(2)));
        cache.clear();
        assert_eq!(cache.metas, 0);
    }
}
