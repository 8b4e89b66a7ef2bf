//! Who waits for the outbox, by whose log: rung after each commit that wrote to it. A bell says no more
//! than "look now"; what is to be told is in the log.

use belfry_store::mailbox::{Commit, CommitListener, Owner};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The bells of all logs that somebody waits for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Bells(Arc<Mutex<HashMap<Owner, Hung>>>);

struct Hung {
    sender: watch::Sender<()>,
    /// How many wait for it.
    waiting: usize,
}

/// Somebody who waits. To be made before the log is read, so that nothing that is written meanwhile is
/// slept through.
pub struct Bell {
    bells: Bells,
    owner: Owner,
    rung: watch::Receiver<()>,
}

impl Bells {
    /// A listener that rings for what concerns the outbox, and passes all else on.
    pub fn before(&self, listener: CommitListener) -> CommitListener {
        let bells = self.clone();
        Box::new(move |commits: Vec<Commit>| {
            let mut others = Vec::with_capacity(commits.len());
            for commit in commits {
                match commit {
                    Commit::Told { owner } => bells.ring(owner),
                    other => others.push(other),
                }
            }
            if !others.is_empty() {
                listener(others);
            }
        })
    }

    /// Waits for what is written to this log from now on.
    pub fn wait_for(&self, owner: Owner) -> Bell {
        let mut bells = self.bells();
        let bell = bells.entry(owner).or_insert_with(|| Hung {
            sender: watch::channel(()).0,
            waiting: 0,
        });
        bell.waiting += 1;
        let rung = bell.sender.subscribe();
        drop(bells);
        let bells = self.clone();
        Bell { bells, owner, rung }
    }

    fn ring(&self, owner: Owner) {
        if let Some(bell) = self.bells().get(&owner) {
            bell.sender.send_replace(());
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<Owner, Hung>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    /// Returns once the log was written to since this bell was made or last returned.
    pub async fn rung(&mut self) {
        if self.rung.changed().await.is_err() {
            // The bell is in the map for as long as this is.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.bells();
        if let Some(bell) = bells.get_mut(&self.owner) {
            bell.waiting -= 1;
            if bell.waiting == 0 {
                bells.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_bell_rings_for_its_log_alone_and_goes_with_who_waits() {
        let bells = Bells::default();
        let passed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&passed);
        let listener = bells.before(Box::new(move |commits| {
            counted.fetch_add(commits.len(), Ordering::SeqCst);
        }));
        let owner = |number| Owner::receipts([number; 16]);
        let mut one = bells.wait_for(owner(1));
        let mut other = bells.wait_for(owner(1));
        let mut another = bells.wait_for(owner(2));
        let user = belfry_protocol::id::UserId::from_bytes([1; 16]);
        let ids = Vec::new();
        let told = Commit::Told { owner: owner(1) };
        listener(vec![told, Commit::Seen { user, ids }]);
        assert_eq!(passed.load(Ordering::SeqCst), 1);
        one.rung().await;
        other.rung().await;
        assert!(another.rung().now_or_never().is_none());
        drop(one);
        assert_eq!(bells.bells().len(), 2);
        drop((other, another));
        assert!(bells.bells().is_empty());
    }
}
