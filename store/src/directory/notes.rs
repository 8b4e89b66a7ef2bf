//! What is noted often and written down seldom: when devices were connected, how often permissions were
//! used, and when API keys were. It waits in memory, many notes to a write; whoever reads sees what waits as if it were
//! written. A crash loses the last few seconds of it and nothing that was promised.

use super::transaction::execute_in;
use super::{
    Device, Directory, DirectoryError, ListedSite, ListedUser, Permission, Pool, SiteKey, millis,
};
use belfry_protocol::id::{DeviceId, PermissionId, SiteKeyId, UserId};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Notes of one kind that wait at a time: some megabytes. What is new beyond that is not noted.
const WAITING_MAX: usize = 100_000;
/// Notes to a transaction: others wait for SQLite's one writer no longer than this many rows take.
const NOTES_PER_WRITE: usize = 1_000;

/// VAPID keys of one site that posted to its endpoints and are restricted to by none.
const UNPROVEN_KEYS_MAX: i64 = 1_000;

type Seen = HashMap<(UserId, DeviceId), Timestamp>;
type Used = HashMap<(UserId, PermissionId), Use>;
type Keys = HashMap<(Origin, Vec<u8>), Shown>;
type Called = HashMap<(Origin, SiteKeyId), Timestamp>;
type SitesUsed = HashMap<Origin, Timestamp>;

/// How often a permission was used since that was last written down, and when last.
#[derive(Debug, Clone, Copy)]
struct Use {
    times: u64,
    last: Timestamp,
}

/// When a VAPID key posted to permissions of a site, since that was last written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    first: Timestamp,
    last: Timestamp,
    /// When first to one that is restricted to it.
    proven: Option<Timestamp>,
}

#[derive(Default)]
struct Waiting {
    seen: Seen,
    used: Used,
    called: Called,
    keys: Keys,
    sites_used: SitesUsed,
}

/// The notes that wait.
#[derive(Default)]
pub(super) struct Notes {
    waiting: Mutex<Waiting>,
    /// Held to read by whoever reads rows and then what waits, and to write while notes go from one to
    /// the other, so that none is counted twice or not at all.
    writing: tokio::sync::RwLock<()>,
}

/// Runs one statement for each note, in one transaction.
macro_rules! write_each {
    ($directory:expr, $sql:expr, $notes:expr, $bind:expr) => {
        match &$directory.pool {
            Pool::Sqlite(pool) => {
                let mut transaction = pool.begin().await?;
                for note in $notes {
                    let (number, at, user, id) = ($bind)(note);
                    let row = sqlx::query($sql).bind(number).bind(at).bind(user).bind(id);
                    row.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                for note in $notes {
                    let (number, at, user, id) = ($bind)(note);
                    let row = sqlx::query($sql).bind(number).bind(at).bind(user).bind(id);
                    row.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
        }
    };
}

impl Directory {
    /// Notes that a device was connected then.
    pub fn note_seen(&self, user: UserId, device: DeviceId, at: Timestamp) {
        let seen = &mut self.notes.lock().seen;
        if seen.len() < WAITING_MAX || seen.contains_key(&(user, device)) {
            seen.insert((user, device), at);
        }
    }

    /// Counts a notification that was accepted under a permission of a site then.
    pub fn note_use(&self, user: UserId, permission: PermissionId, site: &Origin, at: Timestamp) {
        let waiting = &mut *self.notes.lock();
        let sites = &mut waiting.sites_used;
        if let Some(last) = sites.get_mut(site) {
            *last = (*last).max(at);
        } else if sites.len() < WAITING_MAX {
            sites.insert(site.clone(), at);
        }
        let used = &mut waiting.used;
        if used.len() < WAITING_MAX || used.contains_key(&(user, permission)) {
            let fresh = Use { times: 0, last: at };
            let used = used.entry((user, permission)).or_insert(fresh);
            used.times += 1;
            used.last = used.last.max(at);
        }
    }

    /// Notes that an API key was used then.
    pub fn note_call(&self, site: &Origin, key: SiteKeyId, at: Timestamp) {
        let called = &mut self.notes.lock().called;
        let key = (site.clone(), key);
        if called.len() < WAITING_MAX || called.contains_key(&key) {
            let last = called.entry(key).or_insert(at);
            *last = (*last).max(at);
        }
    }

    /// Notes that a VAPID key, an uncompressed P-256 point, posted to a permission of a site then, and
    /// whether to one that is restricted to it.
    pub fn note_vapid(&self, site: &Origin, key: &[u8], proven: bool, at: Timestamp) {
        let keys = &mut self.notes.lock().keys;
        let name = (site.clone(), key.to_vec());
        if keys.len() < WAITING_MAX || keys.contains_key(&name) {
            let fresh = Shown {
                first: at,
                last: at,
                proven: None,
            };
            let shown = keys.entry(name).or_insert(fresh);
            shown.last = shown.last.max(at);
            shown.proven = shown.proven.or(proven.then_some(at));
        }
    }

    /// Writes down what was noted. What the database does not take now waits on.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn write_down_notes(&self) -> Result<(), DirectoryError> {
        let (seen, used, called, keys, sites_used): (Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>) = {
            let waiting = self.notes.lock();
            let seen = waiting.seen.iter().map(|(key, at)| (*key, *at));
            let used = waiting.used.iter().map(|(key, used)| (*key, *used));
            let called = waiting.called.iter().map(|(key, at)| (key.clone(), *at));
            let keys = waiting.keys.iter().map(|(key, at)| (key.clone(), *at));
            let sites_used = waiting.sites_used.iter();
            let sites_used = sites_used.map(|(site, at)| (site.clone(), *at));
            (
                seen.collect(),
                used.collect(),
                called.collect(),
                keys.collect(),
                sites_used.collect(),
            )
        };
        for batch in seen.chunks(NOTES_PER_WRITE) {
            self.write_seen(batch).await?;
        }
        for batch in used.chunks(NOTES_PER_WRITE) {
            self.write_used(batch).await?;
        }
        for batch in called.chunks(NOTES_PER_WRITE) {
            self.write_called(batch).await?;
        }
        for batch in keys.chunks(NOTES_PER_WRITE) {
            self.write_keys(batch).await?;
        }
        for batch in sites_used.chunks(NOTES_PER_WRITE) {
            self.write_sites_used(batch).await?;
        }
        Ok(())
    }

    async fn write_seen(
        &self,
        batch: &[((UserId, DeviceId), Timestamp)],
    ) -> Result<(), DirectoryError> {
        let _writing = self.notes.writing.write().await;
        // The first two are the same, since the other statement has two values before its key.
        write_each!(
            self,
            "UPDATE devices SET last_seen = CASE WHEN last_seen > $1 THEN last_seen ELSE $2 END \
             WHERE user_id = $3 AND device_id = $4",
            batch,
            |((user, device), at): &((UserId, DeviceId), Timestamp)| (
                millis(*at),
                millis(*at),
                user.as_bytes().to_vec(),
                device.as_bytes().to_vec()
            )
        );
        let seen = &mut self.notes.lock().seen;
        for (key, at) in batch {
            if seen.get(key) == Some(at) {
                seen.remove(key);
            }
        }
        Ok(())
    }

    async fn write_called(
        &self,
        batch: &[((Origin, SiteKeyId), Timestamp)],
    ) -> Result<(), DirectoryError> {
        let _writing = self.notes.writing.write().await;
        write_each!(
            self,
            "UPDATE site_keys SET last_used = CASE WHEN last_used > $1 THEN last_used ELSE $2 END \
             WHERE site = $3 AND key_id = $4",
            batch,
            |((site, key), at): &((Origin, SiteKeyId), Timestamp)| (
                millis(*at),
                millis(*at),
                site.as_str().to_owned(),
                key.as_bytes().to_vec()
            )
        );
        let called = &mut self.notes.lock().called;
        for (key, at) in batch {
            if called.get(key) == Some(at) {
                called.remove(key);
            }
        }
        Ok(())
    }

    async fn write_keys(&self, batch: &[((Origin, Vec<u8>), Shown)]) -> Result<(), DirectoryError> {
        let _writing = self.notes.writing.write().await;
        let mut transaction = self.begin().await?;
        for ((site, key), shown) in batch {
            // Who proves nothing leaves no more traces than can be looked at.
            execute_in!(
                &mut transaction,
                "INSERT INTO vapid_seen (site, public_key, first_seen, last_seen, proven) \
                 SELECT $1, $2, $3, $4, $5 WHERE $6 = 1 OR (SELECT count(*) FROM vapid_seen \
                 WHERE site = $7 AND proven IS NULL) < $8 \
                 ON CONFLICT (site, public_key) DO UPDATE SET last_seen = excluded.last_seen, \
                 proven = COALESCE(vapid_seen.proven, excluded.proven)",
                site.as_str(),
                &key[..],
                millis(shown.first),
                millis(shown.last),
                shown.proven.map(millis),
                i64::from(shown.proven.is_some()),
                site.as_str(),
                UNPROVEN_KEYS_MAX
            )?;
        }
        transaction.commit().await?;
        let waiting = &mut self.notes.lock().keys;
        for (key, written) in batch {
            if waiting.get(key) == Some(written) {
                waiting.remove(key);
            }
        }
        Ok(())
    }

    async fn write_sites_used(&self, batch: &[(Origin, Timestamp)]) -> Result<(), DirectoryError> {
        let _writing = self.notes.writing.write().await;
        self.write_site_uses(batch).await?;
        let waiting = &mut self.notes.lock().sites_used;
        for (site, at) in batch {
            if waiting.get(site) == Some(at) {
                waiting.remove(site);
            }
        }
        Ok(())
    }

    async fn write_used(
        &self,
        batch: &[((UserId, PermissionId), Use)],
    ) -> Result<(), DirectoryError> {
        let _writing = self.notes.writing.write().await;
        write_each!(
            self,
            "UPDATE permissions SET accepted = accepted + $1, last_used = $2 \
             WHERE user_id = $3 AND permission_id = $4",
            batch,
            |((user, permission), used): &((UserId, PermissionId), Use)| (
                i64::try_from(used.times).unwrap_or(i64::MAX),
                millis(used.last),
                user.as_bytes().to_vec(),
                permission.as_bytes().to_vec()
            )
        );
        let waiting = &mut self.notes.lock().used;
        for (key, written) in batch {
            if let Some(used) = waiting.get_mut(key) {
                used.times -= written.times;
                if used.times == 0 {
                    waiting.remove(key);
                }
            }
        }
        Ok(())
    }
}

impl Notes {
    /// To be held from before rows are read until what waits was added to them.
    pub(super) async fn reading(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.writing.read().await
    }

    /// Adds what waits to a row that was read.
    pub(super) fn add_to_device(&self, user: UserId, device: &mut Device) {
        if let Some(at) = self.lock().seen.get(&(user, device.id)) {
            device.last_seen = device.last_seen.max(Some(*at));
        }
    }

    /// Adds what waits to a row that was read.
    pub(super) fn add_to_permission(&self, user: UserId, permission: &mut Permission) {
        if let Some(used) = self.lock().used.get(&(user, permission.id)) {
            permission.accepted += used.times;
            permission.last_used = permission.last_used.max(Some(used.last));
        }
    }

    /// Adds what waits to a row that was read.
    pub(super) fn add_to_site_key(&self, site: &Origin, key: &mut SiteKey) {
        if let Some(at) = self.lock().called.get(&(site.clone(), key.id)) {
            key.last_used = key.last_used.max(Some(*at));
        }
    }

    /// Adds what waits to rows that were read.
    pub(super) fn add_to_users(&self, users: &mut [ListedUser]) {
        let mut listed: HashMap<UserId, &mut ListedUser> =
            users.iter_mut().map(|user| (user.user, user)).collect();
        for ((user, _), at) in &self.lock().seen {
            if let Some(user) = listed.get_mut(user) {
                user.last_seen = user.last_seen.max(Some(*at));
            }
        }
    }

    /// Adds what waits to rows that were read.
    pub(super) fn add_to_sites(&self, sites: &mut [ListedSite]) {
        let waiting = &self.lock().sites_used;
        for site in sites {
            site.last_used = site.last_used.max(waiting.get(&site.site).copied());
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize, usize) {
        let waiting = self.lock();
        let Waiting {
            seen, used, called, ..
        } = &*waiting;
        (seen.len(), used.len(), called.len())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
