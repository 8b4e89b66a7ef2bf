//! Devices and their passwords.

use super::{Directory, DirectoryError, execute, fetch, hash, id, millis, time};
use belfry_protocol::id::{DeviceId, SessionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What sort of program a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A browser's page.
    Browser,
    /// A browser extension.
    Extension,
    /// An iPhone or iPad.
    Ios,
    /// An Android phone.
    Android,
    /// A desktop program.
    Desktop,
    /// A script or terminal.
    Cli,
}

impl DeviceKind {
    const ALL: [(Self, &str); 6] = [
        (Self::Browser, "browser"),
        (Self::Extension, "extension"),
        (Self::Ios, "ios"),
        (Self::Android, "android"),
        (Self::Desktop, "desktop"),
        (Self::Cli, "cli"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("cli", |(_, name)| name)
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id, the MQTT client id.
    pub id: DeviceId,
    /// The user's name for it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its X25519 public key.
    pub public_key: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// When it last connected or disconnected.
    pub last_seen: Option<Timestamp>,
}

/// A device to make.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// What will be shown of it.
    pub device: Device,
    /// The hash of its password.
    pub password: SecretHash,
    /// The sign-in that it is made with, which from now on belongs to it.
    pub made_with: SessionId,
}

type DeviceRow = (Vec<u8>, String, String, Vec<u8>, i64, Option<i64>);

fn device(row: DeviceRow) -> Result<Device, DirectoryError> {
    let (device, name, kind, public_key, created, last_seen) = row;
    let kind = DeviceKind::ALL.into_iter().find(|(_, name)| *name == kind);
    Ok(Device {
        id: id(&device)?,
        name,
        kind: kind.ok_or(DirectoryError::Unreadable("a device's kind"))?.0,
        public_key: public_key
            .try_into()
            .map_err(|_| DirectoryError::Unreadable("a public key"))?,
        created: time(created),
        last_seen: last_seen.map(time),
    })
}

impl Directory {
    /// Makes a device.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_device(&self, user: UserId, new: &NewDevice) -> Result<(), DirectoryError> {
        let (user, made) = (&user.as_bytes()[..], &new.device);
        execute!(
            self,
            "INSERT INTO devices (user_id, device_id, name, kind, public_key, password_hash, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            user,
            &made.id.as_bytes()[..],
            &made.name,
            made.kind.as_str(),
            &made.public_key[..],
            &new.password.as_bytes()[..],
            millis(made.created)
        )?;
        execute!(
            self,
            "UPDATE sessions SET device_id = $1 WHERE user_id = $2 AND session_id = $3 AND device_id IS NULL",
            &made.id.as_bytes()[..],
            user,
            &new.made_with.as_bytes()[..]
        )?;
        Ok(())
    }

    /// A user's devices, oldest first: at most as many as a user may have.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn devices(&self, user: UserId) -> Result<Vec<Device>, DirectoryError> {
        let _reading = self.notes.reading().await;
        let rows = fetch!(
            self,
            fetch_all,
            DeviceRow,
            "SELECT device_id, name, kind, public_key, created, last_seen FROM devices \
             WHERE user_id = $1 ORDER BY created, device_id",
            &user.as_bytes()[..]
        )?;
        let mut devices: Vec<Device> = rows.into_iter().map(device).collect::<Result<_, _>>()?;
        for device in &mut devices {
            self.notes.add_to_device(user, device);
        }
        Ok(devices)
    }

    /// Whether this device is the user's and this is the hash of its password.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn verify_device(
        &self,
        user: UserId,
        device: DeviceId,
        presented: SecretHash,
    ) -> Result<bool, DirectoryError> {
        if let Some(known) = self.device_passwords.get(&(user, device)).await {
            return Ok(known == presented);
        }
        let since = self.moment();
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>,),
            "SELECT password_hash FROM devices WHERE user_id = $1 AND device_id = $2",
            &user.as_bytes()[..],
            &device.as_bytes()[..]
        )?;
        let Some((known,)) = row else {
            return Ok(false);
        };
        let known = hash(known)?;
        self.remember(&self.device_passwords, (user, device), known, since)
            .await;
        Ok(known == presented)
    }

    /// The user of a device, for a sign-in that names the device alone.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn user_of_device(&self, device: DeviceId) -> Result<Option<UserId>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>,),
            "SELECT user_id FROM devices WHERE device_id = $1",
            &device.as_bytes()[..]
        )?;
        row.map(|(user,)| id(&user)).transpose()
    }

    /// Renames a device; false where there is none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn rename_device(
        &self,
        user: UserId,
        device: DeviceId,
        name: &str,
    ) -> Result<bool, DirectoryError> {
        let changed = execute!(
            self,
            "UPDATE devices SET name = $1 WHERE user_id = $2 AND device_id = $3",
            name,
            &user.as_bytes()[..],
            &device.as_bytes()[..]
        )?;
        Ok(changed > 0)
    }

    /// Removes a device, its wrap of the keyring key and the sign-ins that belong to it; false where
    /// there is none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn delete_device(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<bool, DirectoryError> {
        let (user_bytes, bytes) = (&user.as_bytes()[..], &device.as_bytes()[..]);
        let removed = execute!(
            self,
            "DELETE FROM devices WHERE user_id = $1 AND device_id = $2",
            user_bytes,
            bytes
        )?;
        self.changed();
        self.device_passwords.invalidate(&(user, device)).await;
        execute!(
            self,
            "DELETE FROM sessions WHERE user_id = $1 AND device_id = $2",
            user_bytes,
            bytes
        )?;
        execute!(
            self,
            "DELETE FROM keyring_wraps WHERE user_id = $1 AND recipient = $2",
            user_bytes,
            device.to_string()
        )?;
        Ok(removed > 0)
    }
}
