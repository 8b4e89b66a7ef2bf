//! What a ban asks of others than the requests that are judged by it: the mailbox, which takes nothing in
//! of a blocked site or user, and the connections there are.

use crate::{Admin, Inner};
use belfry_acl::ban::Subject;
use belfry_protocol::id::UserId;
use belfry_protocol::site::Origin;
use belfry_store::directory::DirectoryError;
use belfry_store::mailbox::{Command, Mailbox as _, Refusal};
use std::collections::HashSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How soon the mailbox is asked again where it did not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How long at most until ends are looked at again: the clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the mailbox was told.
#[derive(Default)]
pub(crate) struct Told {
    sites: HashSet<Origin>,
    users: HashSet<UserId>,
}

/// What it has to be told so that it knows of these and of no others.
fn missing(told: &Told, sites: &HashSet<Origin>, users: &HashSet<UserId>) -> Vec<Command> {
    let site = |site: &Origin, blocked| Command::BlockSite {
        site: site.clone(),
        blocked,
    };
    let user = |user: &UserId, blocked| Command::BlockUser {
        user: *user,
        blocked,
    };
    let mut commands = Vec::new();
    commands.extend(sites.difference(&told.sites).map(|it| site(it, true)));
    commands.extend(told.sites.difference(sites).map(|it| site(it, false)));
    commands.extend(users.difference(&told.users).map(|it| user(it, true)));
    commands.extend(told.users.difference(users).map(|it| user(it, false)));
    commands
}

impl Inner {
    /// Tells the mailbox what has changed of the bans, and ends the connections of who is kept out.
    /// Whether the mailbox knows; where it does not, what is asked of the server is refused all the same.
    pub(crate) async fn enforce_bans(&self) -> bool {
        let mut told = self.told_bans.lock().await;
        // Under the lock, so that what is told last is what holds.
        let (sites, users) = self.directory.bans().of_mailboxes(self.now());
        let (sites, users) = (sites.into_iter().collect(), users.into_iter().collect());
        let commands = missing(&told, &sites, &users);
        let outcomes = self.mailbox.apply(commands).await;
        let known = !outcomes.contains_refusal();
        if known {
            *told = Told { sites, users };
        } else {
            tracing::warn!("the mailbox does not know of all bans yet");
        }
        self.broker.disconnect_banned();
        known
    }

    /// Tells the mailbox of every ban there is and of every one that is over, whatever it was told before.
    async fn tell_all_bans(&self) -> Result<(), DirectoryError> {
        let rows = self.directory.all_bans().await?;
        let mut told = self.told_bans.lock().await;
        let (sites, users) = self.directory.bans().of_mailboxes(self.now());
        let (sites, users): (HashSet<_>, HashSet<_>) =
            (sites.into_iter().collect(), users.into_iter().collect());
        // As if it knew those that are over, and none that is not.
        let mut before = Told::default();
        for row in rows {
            match row.subject {
                Subject::Site(site) if !sites.contains(&site) => {
                    before.sites.insert(site);
                }
                Subject::User(user) if !users.contains(&user) => {
                    before.users.insert(user);
                }
                _ => {}
            }
        }
        let commands = missing(&before, &sites, &users);
        let outcomes = self.mailbox.apply(commands).await;
        if !outcomes.contains_refusal() {
            before = Told { sites, users };
        }
        *told = before;
        Ok(())
    }
}

trait Refusals {
    fn contains_refusal(&self) -> bool;
}

impl<T> Refusals for Vec<Result<T, Refusal>> {
    fn contains_refusal(&self) -> bool {
        self.iter().any(Result::is_err)
    }
}

impl Admin {
    /// Brings the mailbox to what the directory says of bans. To be done before anything is accepted.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn reconcile_bans(&self) -> Result<(), DirectoryError> {
        self.tell_all_bans().await
    }

    /// Lets bans end in their time, until `stopping`.
    pub async fn keep_bans(self, stopping: CancellationToken) {
        let mut changes = self.directory.watch_bans();
        loop {
            let known = self.enforce_bans().await;
            let now = self.now();
            let ends = changes.borrow_and_update().next_end(now);
            let wait = match ends {
                _ if !known => AGAIN,
                Some(ends) => ends.since(now).min(LOOK_EVERY),
                None => LOOK_EVERY,
            };
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                // The act itself has told of it; only the next end is another now.
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mailbox_is_told_what_has_changed_and_nothing_else() {
        let site = |text: &str| text.parse::<Origin>().expect("a site");
        let (old, kept, new) = (
            site("https://old.example"),
            site("https://kept.example"),
            site("https://new.example"),
        );
        let told = Told {
            sites: [old.clone(), kept.clone()].into(),
            users: [UserId::from_bytes([1; 16])].into(),
        };
        let commands = missing(&told, &[kept, new.clone()].into(), &HashSet::new());
        assert_eq!(commands.len(), 3, "{commands:?}");
        assert!(matches!(&commands[0], Command::BlockSite { site, blocked: true } if *site == new));
        assert!(
            matches!(&commands[1], Command::BlockSite { site, blocked: false } if *site == old)
        );
        assert!(matches!(
            &commands[2],
            Command::BlockUser { blocked: false, .. }
        ));
    }
}
