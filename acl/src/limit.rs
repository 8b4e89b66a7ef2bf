//! Which limit is in force: what an admin says of one site or user, else what was set at run time,
//! else the configuration.

use belfry_protocol::id::UserId;
use belfry_protocol::site::Origin;
use std::collections::HashMap;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// For whom it can be another number than for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// For one site.
    Site,
    /// For one user.
    User,
    /// For nobody.
    None,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $unit:ident, $of:ident, $minimum:expr, $maximum:expr;)*) => {
        /// A limit that can be changed while the server runs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Name {
            $($(#[$doc])* $name,)*
        }

        impl Name {
            /// All, in the order of the configuration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its key in the configuration.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What it counts.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// For whom it can be another.
            pub const fn of(self) -> Of {
                match self { $(Self::$name => Of::$of,)* }
            }

            /// The least and the most that it can be.
            pub const fn range(self) -> (u64, u64) {
                match self { $(Self::$name => ($minimum, $maximum),)* }
            }
        }
    };
}

const DAY: u64 = 86_400;
/// The shortest age of the audit: whoever would hide an act by it has to wait for as long, in which the
/// head goes to the log and the act is seen.
const AUDIT_AGE_MIN: u64 = 7 * DAY;
/// A hundred years: later than that is never.
const SECONDS_MAX: u64 = 36_500 * DAY;
/// As [`crate::rate::Limit`] counts a burst.
const COUNT_MAX: u64 = u32::MAX as u64;

names! {
    /// Notifications a minute under one permission.
    PermissionPerMinute = "limits.permission_per_minute", Count, Site, 1, COUNT_MAX;
    /// Notifications at once under one permission.
    PermissionBurst = "limits.permission_burst", Count, Site, 1, COUNT_MAX;
    /// Notifications a second from one proven site.
    SitePerSecond = "limits.site_per_second", Count, Site, 1, COUNT_MAX;
    /// Notifications a day from one proven site.
    SitePerDay = "limits.site_per_day", Count, Site, 1, COUNT_MAX;
    /// Notifications a second to one user whose senders prove nothing.
    UnprovenPerSecond = "limits.unproven_per_second", Count, User, 1, COUNT_MAX;
    /// Notifications a second from one address that proves nothing.
    UnprovenAddressPerSecond = "limits.unproven_address_per_second", Count, None, 1, COUNT_MAX;
    /// Notifications owed in one mailbox.
    MailboxNotifications = "limits.mailbox_notifications", Count, User, 4, 1_000_000;
    /// Posted body bytes owed in one mailbox: a quarter of it takes the longest notification.
    MailboxBytes = "limits.mailbox_bytes", Bytes, User, 16 * 1024, 1 << 40;
    /// MQTT connections from one address, and as many HTTP connections.
    ConnectionsPerAddress = "limits.connections_per_address", Count, None, 1, COUNT_MAX;
    /// Devices of one user.
    DevicesPerUser = "limits.devices_per_user", Count, User, 1, COUNT_MAX;
    /// Permissions of one user that are not revoked.
    PermissionsPerUser = "limits.permissions_per_user", Count, User, 1, COUNT_MAX;
    /// New accounts an hour from one address.
    AccountsPerHour = "limits.accounts_per_hour", Count, None, 1, COUNT_MAX;
    /// Failed sign-ins a minute by name and address before waits grow.
    SignInFailuresPerMinute = "limits.sign_in_failures_per_minute", Count, None, 1, COUNT_MAX;
    /// The longest that a notification may wait.
    TtlMax = "retention.ttl_max", Seconds, None, 1, SECONDS_MAX;
    /// How long what every device has is kept.
    History = "retention.history", Seconds, None, 0, SECONDS_MAX;
    /// How long a device may stay away before it is removed; 0 for ever.
    DeviceIdle = "retention.device_idle", Seconds, None, 0, SECONDS_MAX;
    /// How long nobody may be at an account before it is removed; 0 for ever.
    AccountIdle = "retention.account_idle", Seconds, None, 0, SECONDS_MAX;
    /// How long what admins did is kept; 0 for ever, else at least a week.
    AuditAge = "retention.audit", Seconds, None, 0, SECONDS_MAX;
}

impl Name {
    /// The one with this key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.key() == key)
    }

    /// What it is called of one site or user: the key without its section.
    pub fn short(self) -> &'static str {
        let key = self.key();
        key.split_once('.').map_or(key, |(_, short)| short)
    }

    /// The one that a site, or a user, can have of its own, by what it is called there.
    pub fn of_short(of: Of, short: &str) -> Option<Self> {
        let mut named = Self::ALL.iter().copied();
        named.find(|name| name.of() == of && name.short() == short)
    }

    /// The least that it can be where it is not 0, if that is more than 1.
    pub fn least_but_0(self) -> Option<u64> {
        (self == Self::AuditAge).then_some(AUDIT_AGE_MIN)
    }

    /// Whether it can be this much.
    pub fn takes(self, value: u64) -> bool {
        let (minimum, maximum) = self.range();
        let enough = |least| value == 0 || value >= least;
        (minimum..=maximum).contains(&value) && self.least_but_0().is_none_or(enough)
    }
}

/// Whose own limit it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A site's.
    Site(Origin),
    /// A user's.
    User(UserId),
}

impl Whose {
    /// Which limits it can have.
    pub fn of(&self) -> Of {
        match self {
            Self::Site(_) => Of::Site,
            Self::User(_) => Of::User,
        }
    }
}

type Values = HashMap<Name, u64>;

/// What goes over the configuration at one moment. It does not change: whoever sets a limit makes a
/// new one.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    set: Values,
    sites: HashMap<Origin, Values>,
    users: HashMap<UserId, Values>,
}

impl Limits {
    /// Of what was set for all, and of what was set for one.
    pub fn new(
        set: impl IntoIterator<Item = (Name, u64)>,
        own: impl IntoIterator<Item = (Whose, Name, u64)>,
    ) -> Self {
        let mut limits = Self {
            set: set.into_iter().collect(),
            ..Self::default()
        };
        for (whose, name, value) in own {
            let values = match whose {
                Whose::Site(site) => limits.sites.entry(site).or_default(),
                Whose::User(user) => limits.users.entry(user).or_default(),
            };
            values.insert(name, value);
        }
        limits
    }

    /// The same with some set otherwise, or given back to the configuration.
    #[must_use]
    pub fn with(&self, changes: &[(Name, Option<u64>)]) -> Self {
        let mut limits = self.clone();
        for (name, value) in changes {
            match value {
                Some(value) => limits.set.insert(*name, *value),
                None => limits.set.remove(name),
            };
        }
        limits
    }

    /// What was set at run time.
    pub fn set(&self, name: Name) -> Option<u64> {
        self.set.get(&name).copied()
    }

    /// What holds for all that have none of their own.
    pub fn for_all(&self, name: Name, configured: u64) -> u64 {
        self.set(name).unwrap_or(configured)
    }

    /// What a site has of its own.
    pub fn own_of_site(&self, site: &Origin, name: Name) -> Option<u64> {
        self.sites.get(site)?.get(&name).copied()
    }

    /// What a user has of their own.
    pub fn own_of_user(&self, user: UserId, name: Name) -> Option<u64> {
        self.users.get(&user)?.get(&name).copied()
    }

    /// The same of either.
    pub fn own(&self, whose: &Whose, name: Name) -> Option<u64> {
        match whose {
            Whose::Site(site) => self.own_of_site(site, name),
            Whose::User(user) => self.own_of_user(*user, name),
        }
    }

    /// What holds for a site.
    pub fn for_site(&self, site: &Origin, name: Name, configured: u64) -> u64 {
        let own = self.own_of_site(site, name);
        own.unwrap_or_else(|| self.for_all(name, configured))
    }

    /// What holds for a user.
    pub fn for_user(&self, user: UserId, name: Name, configured: u64) -> u64 {
        let own = self.own_of_user(user, name);
        own.unwrap_or_else(|| self.for_all(name, configured))
    }

    /// Whether a site or a user has any of its own.
    pub fn has_own(&self, whose: &Whose) -> bool {
        match whose {
            Whose::Site(site) => self.sites.contains_key(site),
            Whose::User(user) => self.users.contains_key(user),
        }
    }

    /// How many sites or users have this one of their own.
    pub fn overrides(&self, name: Name) -> usize {
        let named = |values: &&Values| values.contains_key(&name);
        self.sites.values().filter(named).count() + self.users.values().filter(named).count()
    }

    /// The users with limits of their own.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.users.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_goes_over_what_was_set_and_that_over_the_configuration() {
        let site: Origin = "https://news.example".parse().expect("a site");
        let other: Origin = "https://other.example".parse().expect("a site");
        let user = UserId::from_bytes([1; 16]);
        let name = Name::SitePerSecond;
        let none = Limits::default();
        assert_eq!(none.for_site(&site, name, 600), 600);
        let set = none.with(&[(name, Some(300)), (Name::DevicesPerUser, Some(5))]);
        assert_eq!(set.for_site(&site, name, 600), 300);
        let own = [
            (Whose::Site(site.clone()), name, 7),
            (Whose::User(user), Name::DevicesPerUser, 9),
        ];
        let all = [(name, 300), (Name::DevicesPerUser, 5)];
        let limits = Limits::new(all, own);
        assert_eq!(limits.for_site(&site, name, 600), 7);
        assert_eq!(limits.for_site(&other, name, 600), 300);
        assert_eq!(limits.for_user(user, Name::DevicesPerUser, 20), 9);
        let nobody = UserId::from_bytes([2; 16]);
        assert_eq!(limits.for_user(nobody, Name::DevicesPerUser, 20), 5);
        assert_eq!(limits.overrides(name), 1);
        assert!(limits.has_own(&Whose::Site(site)) && !limits.has_own(&Whose::Site(other)));
        assert_eq!(limits.with(&[(name, None)]).for_all(name, 600), 600);
    }

    #[test]
    fn what_admins_did_is_kept_a_week_or_for_ever() {
        let age = Name::AuditAge;
        assert!(age.takes(0) && age.takes(7 * DAY));
        assert!(!age.takes(1) && !age.takes(7 * DAY - 1));
        assert!(Name::DeviceIdle.takes(1), "of others a second is enough");
    }

    #[test]
    fn every_limit_has_one_key_and_a_range() {
        for name in Name::ALL {
            assert_eq!(Name::of_key(name.key()), Some(*name));
            let (minimum, maximum) = name.range();
            assert!(minimum < maximum, "{name:?}");
            assert!(name.takes(minimum) && name.takes(maximum) && !name.takes(maximum + 1));
            if name.of() != Of::None {
                assert_eq!(Name::of_short(name.of(), name.short()), Some(*name));
            }
        }
        assert_eq!(Name::of_short(Of::Site, "devices_per_user"), None);
        assert_eq!(Name::of_key("limits.unknown"), None);
    }
}
