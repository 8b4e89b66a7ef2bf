//! What this process remembers of a session whose connection ended, beside what the mailbox keeps:
//! the messages on their way.
//!
//! Losing it is allowed: then what was unacknowledged goes out again with new packet ids.

use crate::session::InFlight;
use belfry_protocol::id::DeviceId;
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sessions remembered at once: a few megabytes.
const SESSIONS_MAX: usize = 10_000;
/// How long one is remembered at most; a device that is away for longer starts as a new one would.
const KEPT_MAX: Duration = Duration::from_secs(6 * 3_600);

/// Messages on their way, with the packet ids that they have.
pub(crate) type Left = Vec<(NonZeroU16, InFlight)>;

/// The sessions without a connection.
#[derive(Default)]
pub(crate) struct Detached(Mutex<HashMap<DeviceId, (Instant, Left)>>);

impl Detached {
    pub(crate) fn keep(&self, device: DeviceId, left: Left, expiry: Duration, now: Instant) {
        if left.is_empty() {
            return;
        }
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, (until, _)| *until > now);
        }
        if sessions.len() < SESSIONS_MAX {
            sessions.insert(device, (now + expiry.min(KEPT_MAX), left));
        }
    }

    pub(crate) fn take(&self, device: DeviceId, now: Instant) -> Left {
        let left = self.lock().remove(&device);
        left.filter(|(until, _)| *until > now)
            .map(|(_, left)| left)
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, (Instant, Left)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_remembered_once_and_not_beyond_its_expiry() {
        let detached = Detached::default();
        let device = DeviceId::from_bytes([1; 16]);
        let now = Instant::now();
        let left = vec![(NonZeroU16::MIN, InFlight::Unlogged)];
        let expiry = Duration::from_secs(10);
        detached.keep(device, left.clone(), expiry, now);
        assert_eq!(detached.take(device, now), left);
        assert_eq!(detached.take(device, now), Left::default());
        detached.keep(device, left, expiry, now);
        assert_eq!(detached.take(device, now + expiry), Left::default());
    }
}
