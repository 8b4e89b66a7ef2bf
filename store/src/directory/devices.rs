//! Devices and their passwords.

use super::{Directory, DirectoryError, execute, fetch, hash, id, millis, time};
use belfry_protocol::id::{DeviceId, SessionId, UserId};
use belfry_protocol::push::Urgency;
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
    /// The lowest urgency that it is sent.
    pub urgency_min: Urgency,
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

/// What is asked of a device as it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) password: SecretHash,
    pub(super) urgency_min: Urgency,
}

type DeviceRow = (
    Vec<u8>,
    String,
    String,
    Vec<u8>,
    Option<String>,
    i64,
    Option<i64>,
);

fn device(row: DeviceRow) -> Result<Device, DirectoryError> {
    let (device, name, kind, public_key, urgency_min, created, last_seen) = row;
    let kind = DeviceKind::ALL.into_iter().find(|(_, name)| *name == kind);
    Ok(Device {
        id: id(&device)?,
        name,
        kind: kind.ok_or(DirectoryError::Unreadable("a device's kind"))?.0,
        public_key: public_key
            .try_into()
            .map_err(|_| DirectoryError::Unreadable("a public key"))?,
        urgency_min: urgency(urgency_min.as_deref())?,
        created: time(created),
        last_seen: last_seen.map(time),
    })
}

fn urgency(text: Option<&str>) -> Result<Urgency, DirectoryError> {
    let urgency = text.map_or(Ok(Urgency::VeryLow), str::parse);
    urgency.map_err(|_| DirectoryError::Unreadable("an urgency"))
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
            "INSERT INTO devices (user_id, device_id, name, kind, public_key, password_hash, created, urgency_min) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            user,
            &made.id.as_bytes()[..],
            &made.name,
            made.kind.as_str(),
            &made.public_key[..],
            &new.password.as_bytes()[..],
            millis(made.created),
            made.urgency_min.as_str()
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
            "SELECT device_id, name, kind, public_key, urgency_min, created, last_seen FROM devices \
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
        let known = self.known_device(user, device).await?;
        Ok(known.is_some_and(|known| known.password == presented))
    }

    /// The lowest urgency that a device is sent; of one that is not there, all.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn urgency_min(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<Urgency, DirectoryError> {
        let known = self.known_device(user, device).await?;
        Ok(known.map_or(Urgency::VeryLow, |known| known.urgency_min))
    }

    async fn known_device(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<Option<Known>, DirectoryError> {
        if let Some(known) = self.known_devices.get(&(user, device)).await {
            return Ok(Some(known));
        }
        let since = self.moment();
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>, Option<String>),
            "SELECT password_hash, urgency_min FROM devices WHERE user_id = $1 AND device_id = $2",
            &user.as_bytes()[..],
            &device.as_bytes()[..]
        )?;
        let Some((password, urgency_min)) = row else {
            return Ok(None);
        };
        let known = Known {
            password: hash(password)?,
            urgency_min: urgency(urgency_min.as_deref())?,
        };
        self.remember(&self.known_devices, (user, device), known, since)
            .await;
        Ok(Some(known))
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

    /// Gives a device another name or minimum; false where there is none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn change_device(
        &self,
        user: UserId,
        device: DeviceId,
        name: Option<&str>,
        urgency_min: Option<Urgency>,
    ) -> Result<bool, DirectoryError> {
        let changed = execute!(
            self,
            "UPDATE devices SET name = COALESCE($1, name), urgency_min = COALESCE($2, urgency_min) \
             WHERE user_id = $3 AND device_id = $4",
            name,
            urgency_min.map(Urgency::as_str),
            &user.as_bytes()[..],
            &device.as_bytes()[..]
        )?;
        self.changed();
        self.known_devices.invalidate(&(user, device)).await;
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
        self.known_devices.invalidate(&(user, device)).await;
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
