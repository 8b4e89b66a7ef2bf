//! How much may be posted: by permission, by proven site, and by user and address for the unproven.

use belfry_acl::rate::{Cell, Limit};
use belfry_edge::{AddressKey, ApiError};
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counted things kept at a time, about 60 bytes each. Idle ones go when it is reached; then, while
/// an attack fills it, all do, which forgives at most one burst each.
const CELLS_MAX: usize = 500_000;

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
    pub(crate) fn count(
        &self,
        user: UserId,
        permission: PermissionId,
        poster: Poster,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= CELLS_MAX {
            cells.retain(|_, cell| !cell.is_idle(now));
            if cells.len() >= CELLS_MAX {
                cells.clear();
            }
        }
        let counted = self.counted(user, permission, poster);
        for (at, (what, limit)) in counted.iter().enumerate() {
            if let Err(wait) = cells.entry(*what).or_default().count(*limit, now) {
                for (what, limit) in &counted[..at] {
                    cells.entry(*what).or_default().refund(*limit);
                }
                return Err(refused(*what, wait));
            }
        }
        Ok(())
    }

    /// Gives back what [`Self::count`] took, for a repeated post.
    pub(crate) fn refund(&self, user: UserId, permission: PermissionId, poster: Poster) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, limit) in self.counted(user, permission, poster) {
            cells.entry(what).or_default().refund(limit);
        }
    }

    fn counted(
        &self,
        user: UserId,
        permission: PermissionId,
        poster: Poster,
    ) -> Vec<(Counted, Limit)> {
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

/// Names the limit by the sender's own scope: that it was the user's is told as the address's, since
/// a site must not learn that two endpoints share a mailbox.
fn refused(what: Counted, wait: Duration) -> ApiError {
    let scope = match what {
        Counted::Permission(..) => "permission",
        Counted::SiteSecond(_) | Counted::SiteDay(_) => "site",
        Counted::User(_) | Counted::Address(_) => "address",
    };
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    ApiError::rate_limited(
        format!("the limit of this {scope} is reached; try again in {seconds} s"),
        seconds,
    )
}
