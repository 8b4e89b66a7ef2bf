//! What is known from outside of who is at which device, so that the judge can tell by the contract when
//! an entry was certainly held.

use super::contract::{Entry, Kind};
use super::time::Millis;
use crate::presence::Presence;
use belfry_protocol::id::DeviceId;
use belfry_protocol::push::Urgency;
use std::collections::BTreeMap;
use std::time::Duration;

/// The contract's `away_grace`, in words of its own: what is judged does not judge itself.
const AWAY_GRACE: Duration = Duration::from_secs(30);

/// When an entry goes out at the latest, whoever is where.
pub(super) fn released_by(entry: &Entry) -> Millis {
    entry.sent
        + match &entry.kind {
            Kind::Private { .. } => 0,
            Kind::Notification { urgency, .. } => match urgency {
                Urgency::High => 0,
                Urgency::Normal => AWAY_GRACE.as_millis() as u64,
                Urgency::Low | Urgency::VeryLow => entry.expires.saturating_sub(entry.sent) / 2,
            },
        }
}

/// What is known of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Gone,
    Says(Presence),
    /// It is coming, going or changing.
    Unsure,
}

/// Who is where.
#[derive(Default)]
pub(super) struct Whereabouts {
    known: BTreeMap<DeviceId, Known>,
    changed: Millis,
    /// When each device was last anything but certainly active.
    not_active: BTreeMap<DeviceId, Millis>,
}

impl Whereabouts {
    pub(super) fn unsure(&mut self, device: DeviceId, now: Millis) {
        self.set(device, Known::Unsure, now);
    }

    pub(super) fn says(&mut self, device: DeviceId, presence: Presence, now: Millis) {
        self.set(device, Known::Says(presence), now);
    }

    pub(super) fn gone(&mut self, device: DeviceId, now: Millis) {
        self.set(device, Known::Gone, now);
    }

    fn set(&mut self, device: DeviceId, known: Known, now: Millis) {
        let before = self.known.insert(device, known);
        if before != Some(known) {
            self.changed = now;
        }
        if before != Some(Known::Says(Presence::Active)) || known != Known::Says(Presence::Active) {
            self.not_active.insert(device, now);
        }
    }

    fn is(&self, device: DeviceId, presence: Presence) -> bool {
        self.known.get(&device) == Some(&Known::Says(presence))
    }

    /// Whether the entry was held for this device all the time from `from` to `to`.
    pub(super) fn held(&self, entry: &Entry, device: DeviceId, from: Millis, to: Millis) -> bool {
        let Kind::Notification { urgency, .. } = &entry.kind else {
            return false;
        };
        let sure = self.known.values().all(|known| *known != Known::Unsure);
        if !sure || self.changed >= from || !self.is(device, Presence::Away) {
            return false;
        }
        let mut everyone = self.known.keys();
        match urgency {
            Urgency::High => false,
            Urgency::Normal => {
                everyone.any(|other| self.is(*other, Presence::Active))
                    && to < entry.sent + AWAY_GRACE.as_millis() as u64
            }
            Urgency::Low | Urgency::VeryLow => {
                to < entry.sent + entry.expires.saturating_sub(entry.sent) / 2
            }
        }
    }

    /// Whether the entry may have been passed over for this device at some time since `from`.
    pub(super) fn may_have_held(&self, entry: &Entry, device: DeviceId, from: Millis) -> bool {
        let holdable =
            matches!(&entry.kind, Kind::Notification { urgency, .. } if *urgency != Urgency::High);
        let active = self.is(device, Presence::Active);
        let last = self.not_active.get(&device).copied().unwrap_or_default();
        holdable && (!active || last >= from)
    }
}
