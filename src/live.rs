//! What the broker asks of the directory, without either knowing the other.

use belfry_acl::limit::Name;
use belfry_broker::{BoxFuture, DeviceDirectory, Unavailable};
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Directory, PermissionState};
use bytes::Bytes;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The directory as the broker sees it.
pub(crate) struct Devices {
    directory: Directory,
}

impl Devices {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory }
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

    fn away_grace(&self, user: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        Box::pin(async move {
            let grace = self.directory.away_grace(user).await;
            grace.map_err(|error| unavailable(&error))
        })
    }

    fn urgency_min(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async move {
            let urgency_min = self.directory.urgency_min(user, device).await;
            urgency_min.map_err(|error| unavailable(&error))
        })
    }

    fn is_banned(&self, user: UserId) -> bool {
        let bans = self.directory.bans();
        bans.user(user, now()).is_some()
    }

    fn is_address_banned(&self, address: IpAddr) -> bool {
        let bans = self.directory.bans();
        bans.address(address, now()).is_some()
    }

    fn ttl_max(&self) -> Option<Duration> {
        let set = self.directory.limits().set(Name::TtlMax);
        set.map(Duration::from_secs)
    }

    fn connections_per_address(&self) -> Option<usize> {
        let set = self.directory.limits().set(Name::ConnectionsPerAddress);
        set.map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn note_seen(&self, user: UserId, device: DeviceId, at: Timestamp) {
        self.directory.note_seen(user, device, at);
    }
}

fn now() -> Timestamp {
    Timestamp::of(SystemTime::now())
}

fn unavailable(error: &belfry_store::directory::DirectoryError) -> Unavailable {
    tracing::error!(%error, "the directory failed");
    Unavailable
}
