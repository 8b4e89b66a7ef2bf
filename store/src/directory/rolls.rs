//! Who and what there is, as it is shown to those who administer: users with their counts in pages, and
//! all sites. Never what a user approved, nor who approved a site.
//!
//! Users are paged by the database, since there may be very many; a page costs look-ups for its own rows
//! alone where it is sorted by name or age, and a count over one index where it is sorted by a count.
//! Sites are few by comparison, and are sorted together with figures that are not in one table.

use super::search::{Words, fold};
use super::transaction::execute_in;
use super::{Directory, DirectoryError, Role, fetch, id, millis, time};
use belfry_protocol::id::UserId;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// Names that are folded in one transaction.
const FOLDED_TOGETHER: i64 = 1_000;

/// A user, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUser {
    /// The user.
    pub user: UserId,
    /// The name as the user wrote it.
    pub name: String,
    /// What the user may administer.
    pub role: Role,
    /// When the account was made.
    pub created: Timestamp,
    /// When a device was last connected or a sign-in last used.
    pub last_seen: Option<Timestamp>,
    /// Devices.
    pub devices: u64,
    /// Permissions that are not revoked.
    pub permissions: u64,
    /// Where it stands in the list that was asked for.
    pub place: Place,
}

/// What users are sorted by; those that are equal, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserOrder {
    /// The name, folded.
    Name,
    /// When the account was made.
    Created,
    /// [`ListedUser::last_seen`], as it was written down; never comes before all else.
    LastSeen,
    /// How many devices.
    Devices,
    /// How many permissions.
    Permissions,
}

/// A place in a sorted list, which stays where it is when others come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a list by name.
    Name(String, UserId),
    /// In a list by a time or a count.
    Number(i64, UserId),
}

/// Which users.
#[derive(Debug, Clone)]
pub struct UsersAsked {
    /// Parts of the name.
    pub words: Words,
    /// In which order.
    pub order: UserOrder,
    /// Whether the largest come first.
    pub descending: bool,
    /// After this place; one of a list in another order is no place in this one.
    pub after: Option<Place>,
    /// How many at most.
    pub limit: u32,
}

/// What a user has, by sort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSorts {
    /// Devices by their kind.
    pub devices: BTreeMap<String, u64>,
    /// Permissions by their state: `allowed` and `muted`.
    pub permissions: BTreeMap<String, u64>,
    /// Whether a sign-in as an admin asks for more than the password.
    pub second_factor: bool,
}

/// A site, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSite {
    /// Its origin.
    pub site: Origin,
    /// Permissions that are not revoked, of all users.
    pub permissions: u64,
    /// When a notification was last accepted under any of them.
    pub last_used: Option<Timestamp>,
    /// Whether it is registered.
    pub registered: bool,
    /// Whether its origin was proven.
    pub proven: bool,
}

/// A VAPID key that posted to permissions of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKey {
    /// An uncompressed P-256 point.
    pub public: Vec<u8>,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// Whether to one that is restricted to it.
    pub proven: bool,
}

/// A page of users: the inner statement finds and sorts, the outer one counts for what it found alone.
macro_rules! users {
    (from $found:expr, $order:expr) => {
        concat!(
            "SELECT u.user_id, u.display_name, u.role, u.created, u.place, \
             (SELECT count(*) FROM devices d WHERE d.user_id = u.user_id), \
             (SELECT count(*) FROM permissions p WHERE p.user_id = u.user_id AND p.state < 2), \
             (SELECT max(d.last_seen) FROM devices d WHERE d.user_id = u.user_id), u.last_used FROM (",
            $found,
            ") u",
            $order
        )
    };
    ($place:literal, $counted:literal, $after:literal, $direction:literal) => {
        users!(
            from concat!(
                "SELECT a.user_id, a.display_name, a.role, a.created, a.last_used, ",
                $place,
                " AS place FROM accounts a",
                $counted,
                " WHERE a.words LIKE $1 ESCAPE '\\' AND a.words LIKE $2 ESCAPE '\\' \
                 AND a.words LIKE $3 ESCAPE '\\' AND a.words LIKE $4 ESCAPE '\\' AND ($5 = 0 OR (",
                $place,
                ", a.user_id) ",
                $after,
                " ($6, $7)) ORDER BY ",
                $place,
                $direction,
                ", a.user_id",
                $direction,
                " LIMIT $8"
            ),
            concat!(" ORDER BY u.place", $direction, ", u.user_id", $direction)
        )
    };
    ($place:literal, $counted:literal) => {
        [
            users!($place, $counted, ">", ""),
            users!($place, $counted, "<", " DESC"),
        ]
    };
}

impl UserOrder {
    /// Upwards and downwards.
    const fn statements(self) -> [&'static str; 2] {
        match self {
            Self::Name => users!("a.words", ""),
            Self::Created => users!("a.created", ""),
            Self::LastSeen => users!(
                "CASE WHEN COALESCE(c.counted, 0) > COALESCE(a.last_used, 0) THEN c.counted \
                 ELSE COALESCE(a.last_used, 0) END",
                " LEFT JOIN (SELECT user_id, max(last_seen) AS counted FROM devices GROUP BY user_id) c \
                 ON c.user_id = a.user_id"
            ),
            Self::Devices => users!(
                "COALESCE(c.counted, 0)",
                " LEFT JOIN (SELECT user_id, count(*) AS counted FROM devices GROUP BY user_id) c \
                 ON c.user_id = a.user_id"
            ),
            Self::Permissions => users!(
                "COALESCE(c.counted, 0)",
                " LEFT JOIN (SELECT user_id, count(*) AS counted FROM permissions WHERE state < 2 \
                 GROUP BY user_id) c ON c.user_id = a.user_id"
            ),
        }
    }
}

type UserRow<P> = (
    Vec<u8>,
    String,
    i64,
    i64,
    P,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

fn user<P>(
    row: UserRow<P>,
    place: impl FnOnce(P, UserId) -> Place,
) -> Result<ListedUser, DirectoryError> {
    let (user, name, role, created, at, devices, permissions, connected, signed_in) = row;
    let user = id(&user)?;
    Ok(ListedUser {
        user,
        name,
        role: Role::of(role),
        created: time(created),
        last_seen: connected.max(signed_in).map(time),
        devices: count(devices),
        permissions: count(permissions),
        place: place(at, user),
    })
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Directory {
    /// A page of the users.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn users(&self, asked: &UsersAsked) -> Result<Vec<ListedUser>, DirectoryError> {
        let [first, second, third, fourth] = asked.words.patterns();
        let statement = asked.order.statements()[usize::from(asked.descending)];
        let limit = i64::from(asked.limit);
        let _reading = self.notes.reading().await;
        let mut users: Vec<ListedUser> = if asked.order == UserOrder::Name {
            let (after, name, user) = match &asked.after {
                Some(Place::Name(name, user)) => (1_i64, name.as_str(), user.as_bytes().to_vec()),
                _ => (0, "", Vec::new()),
            };
            let rows = fetch!(
                self,
                fetch_all,
                UserRow<String>,
                statement,
                &first,
                &second,
                &third,
                &fourth,
                after,
                name,
                &user,
                limit
            )?;
            let users = rows.into_iter().map(|row| self::user(row, Place::Name));
            users.collect::<Result<_, _>>()?
        } else {
            let (after, number, user) = match &asked.after {
                Some(Place::Number(number, user)) => (1_i64, *number, user.as_bytes().to_vec()),
                _ => (0, 0, Vec::new()),
            };
            let rows = fetch!(
                self,
                fetch_all,
                UserRow<i64>,
                statement,
                &first,
                &second,
                &third,
                &fourth,
                after,
                number,
                &user,
                limit
            )?;
            let users = rows.into_iter().map(|row| self::user(row, Place::Number));
            users.collect::<Result<_, _>>()?
        };
        self.notes.add_to_users(&mut users);
        Ok(users)
    }

    /// One user, as in a list by age.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn listed_user(&self, which: UserId) -> Result<Option<ListedUser>, DirectoryError> {
        const STATEMENT: &str = users!(
            from "SELECT a.user_id, a.display_name, a.role, a.created, a.last_used, a.created AS place FROM accounts a \
                  WHERE a.user_id = $1",
            ""
        );
        let _reading = self.notes.reading().await;
        let row = fetch!(
            self,
            fetch_optional,
            UserRow<i64>,
            STATEMENT,
            &which.as_bytes()[..]
        )?;
        let mut found = row.map(|row| user(row, Place::Number)).transpose()?;
        self.notes.add_to_users(found.as_mut_slice());
        Ok(found)
    }

    /// What a user has, by sort.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn user_sorts(&self, which: UserId) -> Result<UserSorts, DirectoryError> {
        let user = &which.as_bytes()[..];
        let devices = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT kind, count(*) FROM devices WHERE user_id = $1 GROUP BY kind",
            user
        )?;
        let permissions = fetch!(
            self,
            fetch_all,
            (i64, i64),
            "SELECT state, count(*) FROM permissions WHERE user_id = $1 AND state < 2 GROUP BY state",
            user
        )?;
        let (factors,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT (SELECT count(*) FROM totp WHERE user_id = $1 AND since IS NOT NULL) \
             + (SELECT count(*) FROM passkeys WHERE user_id = $1)",
            user
        )?;
        let devices = devices.into_iter().map(|(kind, many)| (kind, count(many)));
        let permissions = permissions.into_iter().map(|(state, many)| {
            let state = if state == 0 { "allowed" } else { "muted" };
            (state.to_owned(), count(many))
        });
        Ok(UserSorts {
            devices: devices.collect(),
            permissions: permissions.collect(),
            second_factor: factors > 0,
        })
    }

    /// Every site that somebody approved or that is registered, by its origin.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn listed_sites(&self) -> Result<Vec<ListedSite>, DirectoryError> {
        let _reading = self.notes.reading().await;
        let approved = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT site, count(*) FROM permissions WHERE state < 2 GROUP BY site"
        )?;
        let registered = fetch!(
            self,
            fetch_all,
            (String, Option<i64>),
            "SELECT site, proven FROM sites"
        )?;
        let used = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT site, last_used FROM site_uses"
        )?;
        self.sites_of(approved, registered, used)
    }

    /// One of them.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn listed_site(&self, which: &Origin) -> Result<Option<ListedSite>, DirectoryError> {
        let _reading = self.notes.reading().await;
        let approved = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT site, count(*) FROM permissions WHERE site = $1 AND state < 2 GROUP BY site",
            which.as_str()
        )?;
        let registered = fetch!(
            self,
            fetch_all,
            (String, Option<i64>),
            "SELECT site, proven FROM sites WHERE site = $1",
            which.as_str()
        )?;
        let used = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT site, last_used FROM site_uses WHERE site = $1",
            which.as_str()
        )?;
        Ok(self.sites_of(approved, registered, used)?.pop())
    }

    fn sites_of(
        &self,
        approved: Vec<(String, i64)>,
        registered: Vec<(String, Option<i64>)>,
        used: Vec<(String, i64)>,
    ) -> Result<Vec<ListedSite>, DirectoryError> {
        #[derive(Default)]
        struct Found {
            permissions: i64,
            registered: bool,
            proven: bool,
        }
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        for (site, permissions) in approved {
            found.entry(site).or_default().permissions = permissions;
        }
        for (site, proven) in registered {
            let found = found.entry(site).or_default();
            (found.registered, found.proven) = (true, proven.is_some());
        }
        let used: HashMap<String, i64> = used.into_iter().collect();
        let mut sites = Vec::with_capacity(found.len());
        for (site, found) in found {
            sites.push(ListedSite {
                last_used: used.get(&site).copied().map(time),
                site: site
                    .parse()
                    .map_err(|_| DirectoryError::Unreadable("a site"))?,
                permissions: count(found.permissions),
                registered: found.registered,
                proven: found.proven,
            });
        }
        self.notes.add_to_sites(&mut sites);
        Ok(sites)
    }

    /// VAPID keys that posted to permissions of a site, the last first, at most so many.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn seen_keys(
        &self,
        site: &Origin,
        limit: u32,
    ) -> Result<Vec<SeenKey>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (Vec<u8>, i64, i64, Option<i64>),
            "SELECT public_key, first_seen, last_seen, proven FROM vapid_seen WHERE site = $1 \
             ORDER BY last_seen DESC, public_key LIMIT $2",
            site.as_str(),
            i64::from(limit)
        )?;
        let keys = rows
            .into_iter()
            .map(|(public, first, last, proven)| SeenKey {
                public,
                first_seen: time(first),
                last_seen: time(last),
                proven: proven.is_some(),
            });
        Ok(keys.collect())
    }

    /// Folds the names of accounts that were made before they were folded.
    pub(super) async fn fold_names(&self) -> Result<(), DirectoryError> {
        loop {
            let names = fetch!(
                self,
                fetch_all,
                (Vec<u8>, String),
                "SELECT user_id, display_name FROM accounts WHERE words IS NULL LIMIT $1",
                FOLDED_TOGETHER
            )?;
            if names.is_empty() {
                return Ok(());
            }
            let mut transaction = self.begin().await?;
            for (user, name) in names {
                execute_in!(
                    &mut transaction,
                    "UPDATE accounts SET words = $1 WHERE user_id = $2",
                    fold(&name),
                    user
                )?;
            }
            transaction.commit().await?;
        }
    }

    /// Writes down when sites were last used.
    pub(super) async fn write_site_uses(
        &self,
        batch: &[(Origin, Timestamp)],
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        for (site, at) in batch {
            execute_in!(
                &mut transaction,
                "INSERT INTO site_uses (site, last_used) VALUES ($1, $2) \
                 ON CONFLICT (site) DO UPDATE SET last_used = excluded.last_used",
                site.as_str(),
                millis(*at)
            )?;
        }
        transaction.commit().await
    }
}
