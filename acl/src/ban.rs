//! Who is kept out: sites, VAPID keys, users and addresses, as one value that does not change.
//!
//! Whoever changes a ban makes a new value; whoever judges by an old one has judged before. What has
//! ended is judged by the time that is handed in, so that a ban ends by itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::id::UserId;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of an uncompressed P-256 point, as VAPID keys are.
pub const VAPID_KEY_BYTES: usize = 65;

/// The longest prefix of an IPv6 range: a /64 counts as one address, in limits and bans alike.
const IPV6_PREFIX_MAX: u8 = 64;

/// A range of addresses as limits and bans count them: no IPv6 range is smaller than a /64, and what
/// maps IPv4 is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// A text that is neither an address nor a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an address nor a range")]
pub struct InvalidNetwork;

impl Network {
    /// Whether it is this one or has it in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    fn of(range: IpNet) -> Self {
        match range {
            IpNet::V4(range) => Self(IpNet::V4(range.trunc())),
            IpNet::V6(range) => {
                let mapped = range.addr().to_ipv4_mapped();
                if let (Some(address), Some(prefix)) = (mapped, range.prefix_len().checked_sub(96))
                {
                    // No longer than 32, since an IPv6 prefix is no longer than 128.
                    return Self(IpNet::V4(Ipv4Net::new_assert(address, prefix).trunc()));
                }
                let prefix = range.prefix_len().min(IPV6_PREFIX_MAX);
                Self(IpNet::V6(Ipv6Net::new_assert(range.addr(), prefix).trunc()))
            }
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self::of(address.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let range = address.or_else(|_| text.parse::<IpNet>());
        let range = range.map_err(|_| InvalidNetwork)?;
        // More than maps IPv4: who wrote an IPv4 address meant its neighbours, and not `::/64`.
        let wider =
            |range: Ipv6Net| range.addr().to_ipv4_mapped().is_some() && range.prefix_len() < 96;
        match range {
            IpNet::V6(range) if wider(range) => Err(InvalidNetwork),
            range => Ok(Self::of(range)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNet::V4(range) if range.prefix_len() == 32 => range.addr().fmt(f),
            range => range.fmt(f),
        }
    }
}

/// What is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A site, by its origin.
    Site(Origin),
    /// A site, by a VAPID key: an uncompressed P-256 point.
    Vapid(Vec<u8>),
    /// A user.
    User(UserId),
    /// Addresses.
    Address(Network),
}

/// Which kind of thing is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// [`Subject::Site`]
    Site,
    /// [`Subject::Vapid`]
    Vapid,
    /// [`Subject::User`]
    User,
    /// [`Subject::Address`]
    Address,
}

/// A text that is no subject of its kind; says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSubject(&'static str);

impl Kind {
    /// All.
    pub const ALL: [Self; 4] = [Self::Site, Self::Vapid, Self::User, Self::Address];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Vapid => "vapid",
            Self::User => "user",
            Self::Address => "address",
        }
    }

    /// The one that is written so.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Subject {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Site(_) => Kind::Site,
            Self::Vapid(_) => Kind::Vapid,
            Self::User(_) => Kind::User,
            Self::Address(_) => Kind::Address,
        }
    }

    /// As it is written: an origin, a key in base64url, a user's id, an address or a range.
    pub fn value(&self) -> String {
        match self {
            Self::Site(site) => site.as_str().to_owned(),
            Self::Vapid(key) => URL_SAFE_NO_PAD.encode(key),
            Self::User(user) => user.to_string(),
            Self::Address(network) => network.to_string(),
        }
    }

    /// The one that is written so.
    ///
    /// # Errors
    /// It is none of this kind.
    pub fn read(kind: Kind, value: &str) -> Result<Self, InvalidSubject> {
        let invalid = |says: &'static str| move || InvalidSubject(says);
        match kind {
            Kind::Site => {
                let site = value.parse().ok().map(Self::Site);
                site.ok_or_else(invalid("a site is an origin such as https://news.example"))
            }
            Kind::Vapid => {
                let key = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
                let key = key
                    .ok()
                    .filter(|key| key.len() == VAPID_KEY_BYTES && key[0] == 4);
                let wanted = "a VAPID key is an uncompressed P-256 point, base64url, as in `k=`";
                key.map(Self::Vapid).ok_or_else(invalid(wanted))
            }
            Kind::User => {
                let user = value.parse().ok().map(Self::User);
                user.ok_or_else(invalid("a user is a name or an id"))
            }
            Kind::Address => {
                let network = value.parse().ok().map(Self::Address);
                network.ok_or_else(invalid(
                    "an address such as 192.0.2.7 or 2001:db8::1, or a range such as 192.0.2.0/24",
                ))
            }
        }
    }
}

/// One ban, as whoever meets it may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Why.
    pub reason: Arc<str>,
    /// Until when; for ever without.
    pub ends: Option<Timestamp>,
}

impl Ban {
    /// Whether it holds at this time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }

    /// Of two over the same thing the one that holds longer.
    fn longer(self, other: Self) -> Self {
        let until = |ban: &Self| ban.ends.unwrap_or(Timestamp::NEVER);
        if until(&self) < until(&other) {
            other
        } else {
            self
        }
    }
}

/// All bans of one moment.
#[derive(Debug, Clone, Default)]
pub struct Bans {
    sites: HashMap<Origin, Ban>,
    vapid: HashMap<Vec<u8>, Ban>,
    users: HashMap<UserId, Ban>,
    networks: HashMap<IpNet, Ban>,
    /// The prefix lengths that ranges have, so that an address is looked up once for each and not
    /// compared with every range.
    ipv4_prefixes: BTreeSet<u8>,
    ipv6_prefixes: BTreeSet<u8>,
}

impl FromIterator<(Subject, Ban)> for Bans {
    fn from_iter<I: IntoIterator<Item = (Subject, Ban)>>(bans: I) -> Self {
        let mut all = Self::default();
        for (subject, ban) in bans {
            all.add(subject, ban);
        }
        all
    }
}

fn put<K: std::hash::Hash + Eq>(bans: &mut HashMap<K, Ban>, key: K, ban: Ban) {
    let ban = match bans.remove(&key) {
        Some(other) => other.longer(ban),
        None => ban,
    };
    bans.insert(key, ban);
}

impl Bans {
    fn add(&mut self, subject: Subject, ban: Ban) {
        match subject {
            Subject::Site(site) => put(&mut self.sites, site, ban),
            Subject::Vapid(key) => put(&mut self.vapid, key, ban),
            Subject::User(user) => put(&mut self.users, user, ban),
            Subject::Address(Network(range)) => {
                match range {
                    IpNet::V4(range) => self.ipv4_prefixes.insert(range.prefix_len()),
                    IpNet::V6(range) => self.ipv6_prefixes.insert(range.prefix_len()),
                };
                put(&mut self.networks, range, ban);
            }
        }
    }

    /// The ban of this address: of the smallest range that it is in.
    pub fn address(&self, address: IpAddr, now: Timestamp) -> Option<&Ban> {
        let address = address.to_canonical();
        let prefixes = match address {
            IpAddr::V4(_) => &self.ipv4_prefixes,
            IpAddr::V6(_) => &self.ipv6_prefixes,
        };
        prefixes.iter().rev().find_map(|prefix| {
            let range = IpNet::new(address, *prefix).ok()?.trunc();
            self.networks.get(&range).filter(|ban| ban.holds(now))
        })
    }

    /// The ban of this site.
    pub fn site(&self, site: &Origin, now: Timestamp) -> Option<&Ban> {
        self.sites.get(site).filter(|ban| ban.holds(now))
    }

    /// The ban of this VAPID key, its own or that of the site that it was seen with.
    pub fn vapid(&self, key: &[u8], now: Timestamp) -> Option<&Ban> {
        self.vapid.get(key).filter(|ban| ban.holds(now))
    }

    /// The ban of this user.
    pub fn user(&self, user: UserId, now: Timestamp) -> Option<&Ban> {
        self.users.get(&user).filter(|ban| ban.holds(now))
    }

    /// The sites and users that are kept out now, which a mailbox has to know too.
    pub fn of_mailboxes(&self, now: Timestamp) -> (Vec<Origin>, Vec<UserId>) {
        let sites = self.sites.iter().filter(|(_, ban)| ban.holds(now));
        let users = self.users.iter().filter(|(_, ban)| ban.holds(now));
        (
            sites.map(|(site, _)| site.clone()).collect(),
            users.map(|(user, _)| *user).collect(),
        )
    }

    /// When the next one of a site or a user ends by itself.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.sites.values().chain(self.users.values());
        all.filter(|ban| ban.holds(now))
            .filter_map(|ban| ban.ends)
            .min()
    }
}

#[cfg(test)]
mod tests;
