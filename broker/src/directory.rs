//! What the broker asks of the directory of devices and permissions.

use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use bytes::Bytes;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// A future that owns what it works on or borrows it for `'a`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The directory cannot answer now; a client may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the directory is unavailable")]
pub struct Unavailable;

/// Who may connect, and to which exact notification topics.
pub trait DeviceDirectory: Send + Sync + 'static {
    /// Whether this device belongs to this user, has this password and is not blocked.
    fn authenticate(
        &self,
        device: DeviceId,
        user: UserId,
        password: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// Whether the permission is the user's and not revoked.
    fn owns_permission(
        &self,
        user: UserId,
        permission: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// How long the user's active devices have notifications to themselves; `None` where the user leaves
    /// that to the server.
    fn away_grace(&self, user: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>>;

    /// The lowest urgency that the device takes.
    fn urgency_min(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> BoxFuture<'_, Result<Urgency, Unavailable>>;

    /// Whether this user is kept out now. Asked from memory, for each connection there is where bans have
    /// changed.
    fn is_banned(&self, _user: UserId) -> bool {
        false
    }

    /// Whether this address is; of an IPv6 address its /64 counts.
    fn is_address_banned(&self, _address: IpAddr) -> bool {
        false
    }

    /// The longest that a message may be kept, where it is not what the broker was told at its start.
    fn ttl_max(&self) -> Option<Duration> {
        None
    }

    /// How many connections an address may have, in the same way.
    fn connections_per_address(&self) -> Option<usize> {
        None
    }

    /// A device is connected, or was until now. Called as a connection begins and as it ends, which
    /// neither waits for: keep it and write it down later.
    fn note_seen(&self, user: UserId, device: DeviceId, at: Timestamp);
}
