//! Keyrings: sealed by the user's devices, and opaque here.

use super::{Directory, DirectoryError, Pool, execute, fetch};
use belfry_protocol::id::UserId;

const PUT_FIRST: &str = "INSERT INTO keyrings (user_id, sealed, version) VALUES ($1, $2, 1) \
     ON CONFLICT (user_id) DO NOTHING";
const PUT_NEXT: &str = "UPDATE keyrings SET sealed = $2, version = version + 1 \
     WHERE user_id = $1 AND version = $3";
const PUT_WRAP: &str = "INSERT INTO keyring_wraps (user_id, recipient, wrap) VALUES ($1, $2, $3) \
     ON CONFLICT (user_id, recipient) DO UPDATE SET wrap = excluded.wrap";

/// Puts a keyring and wraps in one transaction; whether the version was the right one. The keyring
/// comes first: its row is what two devices meet at.
macro_rules! put_whole {
    ($pool:expr, $user:expr, $sealed:expr, $replaces:expr, $wraps:expr) => {{
        let mut transaction = $pool.begin().await?;
        let put = match i64::try_from($replaces).unwrap_or(i64::MAX) {
            0 => sqlx::query(PUT_FIRST).bind($user).bind($sealed),
            version => sqlx::query(PUT_NEXT)
                .bind($user)
                .bind($sealed)
                .bind(version),
        };
        let changed = put.execute(&mut *transaction).await?.rows_affected() > 0;
        if changed {
            for (recipient, wrap) in $wraps {
                let put = sqlx::query(PUT_WRAP).bind($user).bind(recipient).bind(wrap);
                put.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        changed
    }};
}

/// A user's sealed keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// The blob.
    pub sealed: Vec<u8>,
    /// Grows with each put; what an `ETag` is made of.
    pub version: u64,
}

impl Directory {
    /// A user's keyring.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn keyring(&self, user: UserId) -> Result<Option<Keyring>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>, i64),
            "SELECT sealed, version FROM keyrings WHERE user_id = $1",
            &user.as_bytes()[..]
        )?;
        Ok(row.map(|(sealed, version)| Keyring {
            sealed,
            version: u64::try_from(version).unwrap_or(0),
        }))
    }

    /// Replaces the keyring of this version (0: there is none yet) together with these wraps, and gives
    /// the new version; or changes nothing and gives `None` where another device was faster. A wrap has
    /// its recipient in front; one that is not named stays as it is.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn put_keyring(
        &self,
        user: UserId,
        sealed: &[u8],
        replaces: u64,
        wraps: &[(String, Vec<u8>)],
    ) -> Result<Option<u64>, DirectoryError> {
        let user = &user.as_bytes()[..];
        let changed = match &self.pool {
            Pool::Sqlite(pool) => put_whole!(pool, user, sealed, replaces, wraps),
            Pool::Postgres(pool) => put_whole!(pool, user, sealed, replaces, wraps),
        };
        Ok(changed.then_some(replaces + 1))
    }

    /// The keyring key as wrapped for a device, or for `recovery`.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn keyring_wrap(
        &self,
        user: UserId,
        recipient: &str,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>,),
            "SELECT wrap FROM keyring_wraps WHERE user_id = $1 AND recipient = $2",
            &user.as_bytes()[..],
            recipient
        )?;
        Ok(row.map(|(wrap,)| wrap))
    }

    /// Keeps a wrap.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn put_keyring_wrap(
        &self,
        user: UserId,
        recipient: &str,
        wrap: &[u8],
    ) -> Result<(), DirectoryError> {
        execute!(self, PUT_WRAP, &user.as_bytes()[..], recipient, wrap)?;
        Ok(())
    }
}
