//! Posts under way by their idempotency key, so that a repeat of one that has no answer yet costs no
//! quota. It decides only who is counted: which post is accepted, and that it is one, is the
//! mailbox's to say.

use belfry_protocol::id::PermissionId;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What names a post: its permission and the hash of its key.
type Name = (PermissionId, [u8; 32]);

/// The names of posts that were counted and are not answered yet: at most one a connection.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashSet<Name>>);

/// How a post came to be let through.
pub(crate) enum Turn<'a> {
    /// It was counted; its name is under way until this is dropped.
    Counted(#[expect(dead_code, reason = "held to be dropped")] Option<Entered<'a>>),
    /// It repeats one that was counted.
    Repeat,
}

/// A name that is under way.
pub(crate) struct Entered<'a> {
    under_way: &'a UnderWay,
    name: Name,
}

impl UnderWay {
    /// Counts the post, unless one of its name is under way, which then was counted.
    ///
    /// # Errors
    /// What `count` refuses with.
    pub(crate) fn enter<E>(
        &self,
        name: Name,
        count: impl FnOnce() -> Result<(), E>,
    ) -> Result<Turn<'_>, E> {
        let mut names = self.names();
        if names.contains(&name) {
            return Ok(Turn::Repeat);
        }
        // Under the lock: whoever finds the name must be able to rely on the count.
        count()?;
        names.insert(name);
        let under_way = self;
        Ok(Turn::Counted(Some(Entered { under_way, name })))
    }

    fn names(&self) -> MutexGuard<'_, HashSet<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.under_way.names().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_name_one_is_counted_until_it_is_answered() {
        let under_way = UnderWay::default();
        let name = |key| (PermissionId::from_bytes([1; 16]), [key; 32]);
        let enter = |key, counted: Result<(), ()>| {
            let mut asked = false;
            let turn = under_way.enter(name(key), || {
                asked = true;
                counted
            });
            (turn, asked)
        };
        let (first, asked) = enter(1, Ok(()));
        assert!(asked && matches!(first, Ok(Turn::Counted(_))));
        let (second, asked) = enter(1, Err(()));
        assert!(!asked && matches!(second, Ok(Turn::Repeat)));
        let (refused, asked) = enter(2, Err(()));
        assert!(asked && refused.is_err());
        let (again, asked) = enter(2, Ok(()));
        assert!(asked && again.is_ok(), "a refused one is not under way");
        drop((first, second, again));
        let (later, asked) = enter(1, Err(()));
        assert!(asked && later.is_err());
        assert!(under_way.names().is_empty());
    }
}
