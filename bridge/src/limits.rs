//! How much may be posted: by permission, by proven site, and by user and address for the unproven.

use crate::cells::Cells;
use belfry_acl::limit::{Limits, Name};
use belfry_acl::rate::{Cell, Limit};
use belfry_edge::{AddressKey, ApiError, Exceeded, Scope};
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counted things kept at a time, about 60 bytes each: several times what 50,000 posts a second keep
/// from being idle.
const CELLS_MAX: usize = 500_000;

/// Endpoints of one user that may all take their burst at once before the user's own limit is met. Who
/// meets it by one endpoint and not by another sees that both are one user's, so fewer than these tell
/// nothing (decision 009). More permissions than that are with one sender by accident, if at all.
const UNLINKED_ENDPOINTS: u32 = 10;

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
    /// A second to one user, from senders who prove nothing. At once as many as several permissions take.
    pub unproven_per_second: u32,
    /// A second from one address that proves nothing.
    pub unproven_address_per_second: u32,
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

/// A post that was one too many.
pub(crate) struct Over {
    what: Counted,
    /// How long until one more may come.
    pub(crate) wait: Duration,
    /// What its sender is told.
    pub(crate) error: ApiError,
}

impl Over {
    /// Whether only the pace of its own site was too fast.
    pub(crate) fn is_pace(&self) -> bool {
        matches!(self.what, Counted::SiteSecond(_))
    }
}

/// Who posts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Poster {
    /// By the hash of its VAPID key, or of the origin that its API key is for.
    Proven([u8; 32]),
    Unproven(AddressKey),
}

/// Under which permission whose post comes from whom, and what holds for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) user: UserId,
    pub(crate) permission: PermissionId,
    pub(crate) poster: Poster,
    pub(crate) limits: InForce,
}

/// The limits of one sender's post.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InForce {
    push: PushLimits,
    /// What one permission takes at once where its site has no less of its own: by it the user's own rate
    /// is measured, so that no site meets that sooner than it would meet its permission's.
    usual_burst: u32,
}

pub(crate) struct Rates {
    cells: Mutex<Cells<Counted>>,
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self {
            cells: Mutex::new(Cells::new(CELLS_MAX)),
        }
    }

    /// Counts one post everywhere it counts, or nowhere.
    pub(crate) fn count(&self, sender: Sender, now: Timestamp) -> Result<(), Over> {
        let mut cells = self.cells();
        let counted = sender.counted();
        let limits = sender.limits;
        for (at, what) in counted.iter().enumerate() {
            let limit = limits.of(*what);
            let cell = cells.cell(*what, limit, now);
            if let Err(wait) = cell.count(limit, now) {
                let cell = *cell;
                for what in &counted[..at] {
                    let limit = limits.of(*what);
                    cells.cell(*what, limit, now).refund(limit);
                }
                let (what, error) = (*what, limits.refused(*what, cell, wait, now));
                return Err(Over { what, wait, error });
            }
        }
        Ok(())
    }

    /// Refuses what [`Self::count`] would refuse, and counts nothing.
    pub(crate) fn look(&self, sender: Sender, now: Timestamp) -> Result<(), Over> {
        let cells = self.cells();
        for what in sender.counted() {
            let limit = sender.limits.of(what);
            let cell = cells.look(&what, limit, now);
            if let Err(wait) = { cell }.count(limit, now) {
                let error = sender.limits.refused(what, cell, wait, now);
                return Err(Over { what, wait, error });
            }
        }
        Ok(())
    }

    /// Gives back what [`Self::count`] took, for a repeated post.
    pub(crate) fn refund(&self, sender: Sender, now: Timestamp) {
        let mut cells = self.cells();
        for what in sender.counted() {
            let limit = sender.limits.of(what);
            cells.cell(what, limit, now).refund(limit);
        }
    }

    /// Counts one that was taken without asking.
    pub(crate) fn charge(&self, sender: Sender, now: Timestamp) {
        let mut cells = self.cells();
        for what in sender.counted() {
            let limit = sender.limits.of(what);
            cells.cell(what, limit, now).charge(limit, now);
        }
    }

    fn cells(&self) -> MutexGuard<'_, Cells<Counted>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// What its post is counted against.
    fn counted(self) -> [Counted; 3] {
        let permission = Counted::Permission(self.user, self.permission);
        match self.poster {
            Poster::Proven(key) => [permission, Counted::SiteSecond(key), Counted::SiteDay(key)],
            Poster::Unproven(address) => [
                permission,
                Counted::Address(address),
                Counted::User(self.user),
            ],
        }
    }
}

impl PushLimits {
    /// What holds for posts under permissions of this site and user. `known` says that the site is proven
    /// to be the one that posts: of the site's rates whoever else is counted by a key may have less by
    /// what the site has of its own, and never more. What a permission may is the same for all who post.
    pub(crate) fn in_force(
        &self,
        limits: &Limits,
        site: &Origin,
        user: UserId,
        known: bool,
    ) -> InForce {
        let count = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let of_site = |name, configured: u64| {
            let all = limits.for_all(name, configured);
            let own = limits.own_of_site(site, name);
            own.map_or(all, |own| if known { own } else { own.min(all) })
        };
        let of_permission = |name, configured: u32| {
            let value = limits.for_site(site, name, configured.into());
            count(value)
        };
        let name = Name::UnprovenPerSecond;
        let unproven = limits.for_user(user, name, self.unproven_per_second.into());
        let name = Name::UnprovenAddressPerSecond;
        let address = limits.for_all(name, self.unproven_address_per_second.into());
        let burst = of_permission(Name::PermissionBurst, self.permission_burst);
        let usual = limits.for_all(Name::PermissionBurst, self.permission_burst.into());
        InForce {
            usual_burst: count(usual).max(burst),
            push: Self {
                permission_per_minute: of_permission(
                    Name::PermissionPerMinute,
                    self.permission_per_minute,
                ),
                permission_burst: burst,
                site_per_second: count(of_site(Name::SitePerSecond, self.site_per_second.into())),
                site_per_day: of_site(Name::SitePerDay, self.site_per_day),
                unproven_per_second: count(unproven),
                unproven_address_per_second: count(address),
            },
        }
    }
}

impl InForce {
    fn of(&self, what: Counted) -> Limit {
        let limits = &self.push;
        let second = |count: u32| Limit::new(u64::from(count), Duration::from_secs(1), count);
        match what {
            Counted::Permission(..) => Limit::new(
                u64::from(limits.permission_per_minute),
                Duration::from_secs(60),
                limits.permission_burst,
            ),
            Counted::SiteSecond(_) => second(limits.site_per_second),
            Counted::SiteDay(_) => {
                let burst = u32::try_from(limits.site_per_day).unwrap_or(u32::MAX);
                Limit::new(limits.site_per_day, Duration::from_secs(86_400), burst)
            }
            Counted::User(_) => Limit::new(
                u64::from(limits.unproven_per_second),
                Duration::from_secs(1),
                self.usual_burst
                    .saturating_mul(UNLINKED_ENDPOINTS)
                    .max(limits.unproven_per_second),
            ),
            Counted::Address(_) => second(limits.unproven_address_per_second),
        }
    }

    /// Names the rate. That it was the user's is told as the permission's, with nothing of what
    /// others took of it: a site must not learn that two endpoints share a mailbox.
    fn refused(&self, what: Counted, cell: Cell, wait: Duration, now: Timestamp) -> ApiError {
        let (limit, limits) = (self.of(what), &self.push);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let mut exceeded = Exceeded {
            limit: u64::from(limit.burst()),
            used: cell.used(limit, now),
            resets: cell.resets(),
            scope: Scope::Permission,
        };
        let rate = match what {
            Counted::Permission(..) => format!(
                "this permission takes {} notifications a minute, {} at once",
                limits.permission_per_minute, limits.permission_burst
            ),
            Counted::User(_) => {
                exceeded.used = exceeded.limit;
                exceeded.resets = now.plus(Duration::from_secs(seconds));
                format!(
                    "this permission takes {} notifications a second without VAPID",
                    limits.unproven_per_second
                )
            }
            Counted::SiteSecond(_) => {
                exceeded.scope = Scope::Site;
                format!("a site may post {} a second", limits.site_per_second)
            }
            Counted::SiteDay(_) => {
                exceeded.scope = Scope::Site;
                format!("a site may post {} a day", limits.site_per_day)
            }
            Counted::Address(_) => {
                exceeded.scope = Scope::Address;
                format!(
                    "an address may post {} a second without VAPID",
                    limits.unproven_address_per_second
                )
            }
        };
        ApiError::rate_limited(format!("{rate}; try again in {seconds} s"), seconds).over(exceeded)
    }
}
