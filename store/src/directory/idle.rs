//! Devices that stay away and accounts at which nobody is: who they are, and who was warned.

use super::{Directory, DirectoryError, execute, fetch, id, millis, time};
use belfry_acl::ban::Network;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::time::Timestamp;
use std::collections::HashSet;

/// Idle ones that are read at a time.
pub const IDLE_PAGE: u32 = 500;

/// Something idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Whose.
    pub user: UserId,
    /// The device; the account itself without.
    pub device: Option<DeviceId>,
    /// When it was last used.
    pub since: Timestamp,
    /// When it was warned of.
    pub warned: Option<Timestamp>,
}

/// Accounts at which nobody was since a time, which is asked for three times: nobody signed in, no device
/// connected. Who administers may be away for long and is not among them.
macro_rules! of_idle_accounts {
    ($select:literal, $rest:literal) => {
        concat!($select, "FROM accounts WHERE role = 0 AND COALESCE(last_used, created) < $1 \
     AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = accounts.user_id AND sessions.used >= $2) \
     AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.user_id = accounts.user_id \
         AND COALESCE(devices.last_seen, devices.created) >= $3)", $rest)
    };
}

impl Directory {
    /// Devices that were last seen before this, in no order, after the one named.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn idle_devices(
        &self,
        before: Timestamp,
        after: Option<(UserId, DeviceId)>,
    ) -> Result<Vec<Idle>, DirectoryError> {
        type Row = (Vec<u8>, Vec<u8>, i64, Option<i64>);
        self.write_down_notes().await?;
        let (user, device) = after.map_or((Vec::new(), Vec::new()), |(user, device)| {
            (user.as_bytes().to_vec(), device.as_bytes().to_vec())
        });
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT devices.user_id, devices.device_id, COALESCE(last_seen, created), warned FROM devices \
             LEFT JOIN idle_warnings ON idle_warnings.user_id = devices.user_id \
             AND idle_warnings.device_id = devices.device_id \
             WHERE COALESCE(last_seen, created) < $1 \
             AND (devices.user_id > $2 OR (devices.user_id = $3 AND devices.device_id > $4)) \
             ORDER BY devices.user_id, devices.device_id LIMIT $5",
            millis(before),
            &user[..],
            &user[..],
            &device[..],
            i64::from(IDLE_PAGE)
        )?;
        rows.into_iter()
            .map(|(user, device, since, warned)| {
                Ok(Idle {
                    user: id(&user)?,
                    device: Some(id(&device)?),
                    since: time(since),
                    warned: warned.map(time),
                })
            })
            .collect()
    }

    /// How many there are.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn count_idle_devices(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        self.write_down_notes().await?;
        let (count,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM devices WHERE COALESCE(last_seen, created) < $1",
            millis(before)
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Accounts at which nobody was since before this, after the one named.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn idle_accounts(
        &self,
        before: Timestamp,
        after: Option<UserId>,
    ) -> Result<Vec<Idle>, DirectoryError> {
        type Row = (Vec<u8>, i64, Option<i64>);
        self.write_down_notes().await?;
        let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
        let sql = of_idle_accounts!(
            "SELECT user_id, COALESCE(last_used, created), \
             (SELECT warned FROM idle_warnings WHERE idle_warnings.user_id = accounts.user_id AND length(device_id) = 0) ",
            " AND user_id > $4 ORDER BY user_id LIMIT $5"
        );
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            sql,
            millis(before),
            millis(before),
            millis(before),
            &after[..],
            i64::from(IDLE_PAGE)
        )?;
        rows.into_iter()
            .map(|(user, since, warned)| {
                Ok(Idle {
                    user: id(&user)?,
                    device: None,
                    since: time(since),
                    warned: warned.map(time),
                })
            })
            .collect()
    }

    /// How many there are.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn count_idle_accounts(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        self.write_down_notes().await?;
        let (count,) = fetch!(
            self,
            fetch_one,
            (i64,),
            of_idle_accounts!("SELECT count(*) ", ""),
            millis(before),
            millis(before),
            millis(before)
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Notes that somebody was warned of this, and is not again.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn warn_idle(&self, idle: &Idle, now: Timestamp) -> Result<(), DirectoryError> {
        let device = idle.device.map_or(Vec::new(), |it| it.as_bytes().to_vec());
        execute!(
            self,
            "INSERT INTO idle_warnings (user_id, device_id, warned) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, device_id) DO UPDATE SET warned = excluded.warned",
            &idle.user.as_bytes()[..],
            &device[..],
            millis(now)
        )?;
        Ok(())
    }

    /// Forgets warnings of what was used since, or is gone.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_idle_warnings(&self) -> Result<(), DirectoryError> {
        self.write_down_notes().await?;
        execute!(
            self,
            "DELETE FROM idle_warnings WHERE (length(device_id) > 0 AND NOT EXISTS (SELECT 1 FROM devices \
             WHERE devices.user_id = idle_warnings.user_id AND devices.device_id = idle_warnings.device_id \
             AND COALESCE(devices.last_seen, devices.created) < idle_warnings.warned)) \
             OR (length(device_id) = 0 AND (NOT EXISTS (SELECT 1 FROM accounts \
             WHERE accounts.user_id = idle_warnings.user_id \
             AND COALESCE(accounts.last_used, accounts.created) < idle_warnings.warned) \
             OR EXISTS (SELECT 1 FROM devices WHERE devices.user_id = idle_warnings.user_id \
             AND devices.last_seen >= idle_warnings.warned)))"
        )?;
        Ok(())
    }

    /// Rows of the audit from before a time.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn count_audit(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        let (count,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM audit WHERE at < $1",
            millis(before)
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// How many accounts with a role are signed in to administer from these addresses, by sessions that
    /// were used since then.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn admins_from(
        &self,
        network: Network,
        since: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (Vec<u8>, String),
            "SELECT user_id, address FROM admin_sessions WHERE used >= $1",
            millis(since)
        )?;
        let from_there = rows.into_iter().filter(|(_, address)| {
            let address = address.split('/').next().unwrap_or_default();
            address
                .parse()
                .is_ok_and(|address| network.contains(address))
        });
        let users: HashSet<Vec<u8>> = from_there.map(|(user, _)| user).collect();
        Ok(users.len() as u64)
    }
}
