//! What the broker asks of the directory, without either knowing the other.

use belfry_broker::{BoxFuture, DeviceDirectory, Unavailable};
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Directory, PermissionState};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// When each device was last connected, until it is written down. No larger than the directory: only
/// devices that it knows get here.
type Seen = HashMap<(UserId, DeviceId), Timestamp>;

/// The directory as the broker sees it.
pub(crate) struct Devices {
    directory: Directory,
    seen: Mutex<Seen>,
}

impl Devices {
    pub(crate) fn new(directory: Directory) -> Self {
        Self {
            directory,
            seen: Mutex::default(),
        }
    }

    /// Writes down when devices were last connected. What the directory does not take now is left for
    /// the next time.
    pub(crate) async fn write_down_seen(&self) {
        let mut seen = std::mem::take(&mut *self.seen()).into_iter();
        while let Some(((user, device), at)) = seen.next() {
            if let Err(error) = self.directory.note_seen(user, device, at).await {
                tracing::warn!(%error, "when devices were last connected is not written down yet");
                let mut newer = self.seen();
                newer.entry((user, device)).or_insert(at);
                for (device, at) in seen {
                    newer.entry(device).or_insert(at);
                }
                return;
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeviceDirectory for Devices {
    fn authenticate(
        &self,
        device: DeviceId,
        user: UserId,
        password: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let verified = self
                .directory
                .verify_device(user, device, SecretHash::of(&password))
                .await;
            verified.map_err(|error| unavailable(&error))
        })
    }

    fn owns_permission(
        &self,
        user: UserId,
        permission: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let found = self
                .directory
                .permission(user, permission)
                .await
                .map_err(|error| unavailable(&error))?;
            Ok(found.is_some_and(|permission| permission.state != PermissionState::Revoked))
        })
    }

    fn note_seen(&self, user: UserId, device: DeviceId, at: Timestamp) {
        self.seen().insert((user, device), at);
    }
}

fn unavailable(error: &belfry_store::directory::DirectoryError) -> Unavailable {
    tracing::error!(%error, "the directory failed");
    Unavailable
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use belfry_protocol::id::SessionId;
    use belfry_store::directory::{Device, DeviceKind, NewDevice};

    #[tokio::test]
    async fn the_last_time_is_written_down_once_the_directory_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("d.sqlite").display());
        let directory = Directory::open(&url).await.unwrap();
        let (user, device) = (UserId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let at = Timestamp::from_millis;
        directory
            .create_account(user, "ada", "", at(1_000))
            .await
            .unwrap();
        let new = NewDevice {
            device: Device {
                id: device,
                name: "laptop".to_owned(),
                kind: DeviceKind::Cli,
                public_key: [9; 32],
                created: at(1_000),
                last_seen: None,
            },
            password: SecretHash::of(b"password"),
            made_with: SessionId::from_bytes([3; 16]),
        };
        directory.create_device(user, &new).await.unwrap();
        let devices = Devices::new(directory.clone());
        devices.note_seen(user, device, at(5_000));
        devices.note_seen(user, device, at(9_000));
        devices.write_down_seen().await;
        let found = directory.devices(user).await.unwrap();
        assert_eq!(found[0].last_seen, Some(at(9_000)));
        assert!(devices.seen().is_empty(), "it is written once");

        devices.note_seen(user, device, at(10_000));
        directory.close().await;
        devices.write_down_seen().await;
        assert_eq!(devices.seen()[&(user, device)], at(10_000));
    }
}
