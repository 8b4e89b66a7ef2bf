//! Who exists and who allowed what: accounts, sign-ins, devices, permissions, keyrings and sites, in
//! SQLite or PostgreSQL.
//!
//! Both speak the same statements: `$n` parameters, one migration set, ids as bytes and times as
//! milliseconds. What it hands out is never a secret: passwords, tokens and endpoints are kept hashed.

mod accounts;
mod admin_sessions;
mod admins;
mod audit;
mod bans;
mod devices;
mod idle;
mod keyrings;
mod limits;
mod links;
mod notes;
mod permissions;
mod rolls;
mod search;
mod second_factors;
pub mod series;
mod sites;
mod transaction;
mod webhooks;

pub use accounts::{Account, MadeAccount, SignIn};
pub use admin_sessions::{AdminSession, SeatedSession};
pub use admins::{AdminToken, NoRole, Role};
pub use audit::{Act, Actor, AuditFilter, AuditHead, AuditRow, Verified};
pub use bans::{BANS_MAX, BanChange, BanImport, BanRow};
pub use devices::{Device, DeviceKind, NewDevice};
pub use idle::{IDLE_PAGE, Idle};
pub use keyrings::Keyring;
pub use links::{Founder, Link, LinkKind};
pub use permissions::{Endpoint, NewPermission, Permission, PermissionState};
pub use rolls::{ListedSite, ListedUser, Place, SeenKey, UserOrder, UserSorts, UsersAsked};
pub use search::{SEARCH_WORDS_MAX, Words, fold};
pub use second_factors::{Passkey, Totp};
pub use sites::{Site, SiteCaller, SiteKey, VapidKey};
pub use webhooks::{SiteOutbox, Trouble};

use belfry_acl::ban::Bans;
use belfry_acl::limit::Limits;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use moka::future::Cache;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::hash::Hash;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, watch};

/// Connections to the database. SQLite has one writer at a time anyway.
const CONNECTIONS_MAX: u32 = 8;
/// How long a statement may wait for SQLite's write lock or a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Endpoints, what connecting devices are asked for and graces kept in memory, at most about 200 bytes each.
const CACHED_MAX: u64 = 100_000;

/// Why the directory did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database does not answer or refuses; try again.
    #[error("the directory is unavailable: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("the directory cannot be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What must be unique is taken.
    #[error("it is taken")]
    Taken,
    /// There are as many as there may be.
    #[error("there is no room for it")]
    Full,
    /// It would leave nobody who may administer all.
    #[error("this is the last admin")]
    LastAdmin,
    /// A row does not read as what it should be.
    #[error("a row of the directory cannot be read: {0}")]
    Unreadable(&'static str),
    /// The URL names neither SQLite nor PostgreSQL.
    #[error("a directory is a sqlite: or postgres:// URL")]
    Url,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The directory. Clones share its connections and caches.
#[derive(Clone)]
pub struct Directory {
    pool: Pool,
    endpoints: Cache<SecretHash, Endpoint>,
    known_devices: Cache<(UserId, DeviceId), devices::Known>,
    away_graces: Cache<UserId, Option<Duration>>,
    notes: Arc<notes::Notes>,
    site_posts: Arc<series::SitePosts>,
    /// Counts what was changed under the caches.
    changes: Arc<AtomicU64>,
    standing: Arc<Standing>,
}

/// What every request is judged by, in memory as a whole.
struct Standing {
    bans: watch::Sender<Arc<Bans>>,
    limits: watch::Sender<Arc<Limits>>,
    /// One change at a time, so that none puts back what was before another.
    changing: Mutex<()>,
}

/// A point in time, by what was changed under the caches before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(u64);

/// Runs one statement on whichever database it is; both take the same text.
macro_rules! execute {
    ($directory:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        match &$directory.pool {
            $crate::directory::Pool::Sqlite(pool) => {
                sqlx::query($sql)$(.bind($value))*.execute(pool).await.map(|done| done.rows_affected())
            }
            $crate::directory::Pool::Postgres(pool) => {
                sqlx::query($sql)$(.bind($value))*.execute(pool).await.map(|done| done.rows_affected())
            }
        }
    };
}

/// Fetches rows as tuples.
macro_rules! fetch {
    ($directory:expr, $fetch:ident, $row:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        match &$directory.pool {
            $crate::directory::Pool::Sqlite(pool) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($value))*.$fetch(pool).await
            }
            $crate::directory::Pool::Postgres(pool) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($value))*.$fetch(pool).await
            }
        }
    };
}

use {execute, fetch};

impl Directory {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// It cannot be reached or migrated.
    pub async fn open(url: &str) -> Result<Self, DirectoryError> {
        static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
        let pool = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(WAIT_MAX);
            let pool = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(WAIT_MAX)
                .connect_with(options)
                .await?;
            MIGRATIONS.run(&pool).await?;
            Pool::Sqlite(pool)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let pool = PgPoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(WAIT_MAX)
                .connect(url)
                .await?;
            MIGRATIONS.run(&pool).await?;
            Pool::Postgres(pool)
        } else {
            return Err(DirectoryError::Url);
        };
        let directory = Self {
            pool,
            endpoints: Cache::new(CACHED_MAX),
            known_devices: Cache::new(CACHED_MAX),
            away_graces: Cache::new(CACHED_MAX),
            notes: Arc::default(),
            site_posts: Arc::default(),
            changes: Arc::default(),
            standing: Arc::new(Standing {
                bans: watch::Sender::default(),
                limits: watch::Sender::default(),
                changing: Mutex::default(),
            }),
        };
        // What has ended by then counts for nothing, whichever clock its judges go by.
        directory
            .read_bans(Timestamp::of(SystemTime::now()))
            .await?;
        directory.read_limits().await?;
        directory.fold_names().await?;
        Ok(directory)
    }

    /// To be asked before a row is read that is to be cached.
    fn moment(&self) -> Moment {
        Moment(self.changes.load(Ordering::SeqCst))
    }

    /// Notes that rows have changed, before they are taken out of the caches: a look-up that had read
    /// one by then takes it out again itself.
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Caches what a look-up read after this moment.
    async fn remember<K, V>(&self, cache: &Cache<K, V>, key: K, value: V, since: Moment)
    where
        K: Copy + Eq + Hash + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        cache.insert(key, value).await;
        if self.moment() != since {
            cache.invalidate(&key).await;
        }
    }

    /// Ends the connections.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM about WHERE name = $1",
            ""
        )
        .is_ok()
    }

    /// A secret of the server's own by its name; the given random bytes become it where there is none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn server_secret(
        &self,
        name: &str,
        fresh: [u8; 32],
    ) -> Result<[u8; 32], DirectoryError> {
        execute!(
            self,
            "INSERT INTO about (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            name,
            &fresh[..]
        )?;
        let (value,) = fetch!(
            self,
            fetch_one,
            (Vec<u8>,),
            "SELECT value FROM about WHERE name = $1",
            name
        )?;
        value
            .try_into()
            .map_err(|_| DirectoryError::Unreadable("a server secret"))
    }
}

/// A conflict with a unique key is [`DirectoryError::Taken`].
fn unique(error: sqlx::Error) -> DirectoryError {
    match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => DirectoryError::Taken,
        _ => DirectoryError::Unavailable(error),
    }
}

fn time(millis: i64) -> belfry_protocol::time::Timestamp {
    belfry_protocol::time::Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn millis(time: belfry_protocol::time::Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn hash(bytes: Vec<u8>) -> Result<SecretHash, DirectoryError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| DirectoryError::Unreadable("a hash"))?;
    Ok(SecretHash::from_bytes(bytes))
}

/// An id of any kind from its 16 bytes.
fn id<T: for<'a> TryFrom<&'a [u8]>>(bytes: &[u8]) -> Result<T, DirectoryError> {
    T::try_from(bytes).map_err(|_| DirectoryError::Unreadable("an id"))
}

#[cfg(test)]
mod tests;
