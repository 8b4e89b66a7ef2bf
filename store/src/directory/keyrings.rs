//! Keyrings: sealed by the user's devices, and opaque here.

use super::{Directory, DirectoryError, execute, fetch};
use belfry_protocol::id::UserId;

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

    /// Replaces the keyring of this version (0: there is none yet) and gives the new version, or
    /// `None` where another device was faster.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn put_keyring(
        &self,
        user: UserId,
        sealed: &[u8],
        replaces: u64,
    ) -> Result<Option<u64>, DirectoryError> {
        let bytes = &user.as_bytes()[..];
        let changed = if replaces == 0 {
            execute!(
                self,
                "INSERT INTO keyrings (user_id, sealed, version) VALUES ($1, $2, 1) ON CONFLICT (user_id) DO NOTHING",
                bytes,
                sealed
            )?
        } else {
            execute!(
                self,
                "UPDATE keyrings SET sealed = $1, version = version + 1 WHERE user_id = $2 AND version = $3",
                sealed,
                bytes,
                i64::try_from(replaces).unwrap_or(i64::MAX)
            )?
        };
        Ok((changed > 0).then_some(replaces + 1))
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
        execute!(
            self,
            "INSERT INTO keyring_wraps (user_id, recipient, wrap) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, recipient) DO UPDATE SET wrap = excluded.wrap",
            &user.as_bytes()[..],
            recipient,
            wrap
        )?;
        Ok(())
    }
}
