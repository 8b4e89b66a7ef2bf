//! How much may be posted: by permission, by proven site, and by user and address for the unproven.

use belfry_acl::rate::{Cell, Limit};
use belfry_edge::{AddressKey, ApiError};
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counted things kept at a time, about 60 bytes each; few under test, so that they are reached.
const CELLS_MAX: usize = if cfg!(test) { 1_000 } else { 500_000 };

/// The limits, with the contract's defaults in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct PushLimits {
    /// A minute under one permission.
    pub permission_per_minute: u32,
    /// At once under one permission.
    pub permission_burst: u32,
    /// A second from one proven site.
    pub site_per_second: u32,
    /// A day from one proven site.
    pub site_per_day: u64,
    /// A second to one user, and from one address, from senders who prove nothing.
    pub unproven_per_second: u32,
}

/// What a post is counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    Permission(UserId, PermissionId),
    SiteSecond([u8; 32]),
    SiteDay([u8; 32]),
    User(UserId),
    Address(AddressKey),
}

/// Who posts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Poster {
    /// By the hash of its VAPID key.
    Proven([u8; 32]),
    Unproven(AddressKey),
}

/// Under which permission whose post comes from whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) user: UserId,
    pub(crate) permission: PermissionId,
    pub(crate) poster: Poster,
}

pub(crate) struct Rates {
    limits: PushLimits,
    cells: Mutex<HashMap<Counted, Cell>>,
}

impl Rates {
    pub(crate) fn new(limits: PushLimits) -> Self {
        Self {
            limits,
            cells: Mutex::default(),
        }
    }

    /// Counts one post everywhere it counts, or nowhere.
    pub(crate) fn count(&self, sender: Sender, now: Timestamp) -> Result<(), ApiError> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= CELLS_MAX {
            forget_the_calmer_half(&mut cells);
        }
        let counted = self.counted(sender);
        for (at, (what, limit)) in counted.iter().enumerate() {
            if let Err(wait) = cells.entry(*what).or_default().count(*limit, now) {
                for (what, limit) in &counted[..at] {
                    cells.entry(*what).or_default().refund(*limit);
                }
                return Err(self.refused(*what, wait));
            }
        }
        Ok(())
    }

    /// Gives back what [`Self::count`] took, for a repeated post.
    pub(crate) fn refund(&self, sender: Sender) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, limit) in self.counted(sender) {
            cells.entry(what).or_default().refund(limit);
        }
    }

    /// Counts one that was taken without asking.
    pub(crate) fn charge(&self, sender: Sender, now: Timestamp) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, limit) in self.counted(sender) {
            cells.entry(what).or_default().charge(limit, now);
        }
    }

    /// Names the rate by the sender's own scope: that it was the user's is told as the address's,
    /// since a site must not learn that two endpoints share a mailbox.
    fn refused(&self, what: Counted, wait: Duration) -> ApiError {
        let limits = &self.limits;
        let rate = match what {
            Counted::Permission(..) => format!(
                "this permission takes {} notifications a minute, {} at once",
                limits.permission_per_minute, limits.permission_burst
            ),
            Counted::SiteSecond(_) => {
                format!("a site may post {} a second", limits.site_per_second)
            }
            Counted::SiteDay(_) => format!("a site may post {} a day", limits.site_per_day),
            Counted::User(_) | Counted::Address(_) => format!(
                "an address may post {} a second without VAPID",
                limits.unproven_per_second
            ),
        };
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        ApiError::rate_limited(format!("{rate}; try again in {seconds} s"), seconds)
    }

    fn counted(&self, sender: Sender) -> Vec<(Counted, Limit)> {
        let Sender {
            user,
            permission,
            poster,
        } = sender;
        let limits = &self.limits;
        let second = |count: u32| Limit::new(u64::from(count), Duration::from_secs(1), count);
        let minute = Limit::new(
            u64::from(limits.permission_per_minute),
            Duration::from_secs(60),
            limits.permission_burst,
        );
        let mut counted = vec![(Counted::Permission(user, permission), minute)];
        match poster {
            Poster::Proven(key) => {
                let burst = u32::try_from(limits.site_per_day).unwrap_or(u32::MAX);
                let day = Limit::new(limits.site_per_day, Duration::from_secs(86_400), burst);
                counted.push((Counted::SiteSecond(key), second(limits.site_per_second)));
                counted.push((Counted::SiteDay(key), day));
            }
            Poster::Unproven(address) => {
                counted.push((
                    Counted::Address(address),
                    second(limits.unproven_per_second),
                ));
                counted.push((Counted::User(user), second(limits.unproven_per_second)));
            }
        }
        counted
    }
}

/// Makes room: whoever posted most lately is remembered, however many strangers come.
fn forget_the_calmer_half(cells: &mut HashMap<Counted, Cell>) {
    let mut full_at: Vec<u64> = cells.values().map(Cell::full_at_micros).collect();
    let half = full_at.len() / 2;
    let (_, median, _) = full_at.select_nth_unstable(half);
    let median = *median;
    cells.retain(|_, cell| cell.full_at_micros() > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_does_not_clear_an_offender() {
        let rates = Rates::new(PushLimits {
            permission_per_minute: 60,
            permission_burst: 20,
            site_per_second: 600,
            site_per_day: 5_000_000,
            unproven_per_second: 10,
        });
        let now = Timestamp::from_millis(1_800_000_000_000);
        let post = |user: u32, key: u8| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&user.to_be_bytes());
            let permission = PermissionId::from_bytes(bytes);
            let sender = Sender {
                user: UserId::from_bytes(bytes),
                permission,
                poster: Poster::Proven([key; 32]),
            };
            rates.count(sender, now)
        };
        while post(0, 1).is_ok() {}
        for stranger in 1..10 * CELLS_MAX as u32 {
            assert!(post(stranger, (stranger % 250) as u8 + 2).is_ok());
            assert!(post(0, 1).is_err(), "forgiven after {stranger} strangers");
            let cells = rates.cells.lock().expect("not poisoned").len();
            assert!(cells <= CELLS_MAX + 4, "{cells}");
        }
    }
}
