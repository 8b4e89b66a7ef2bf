//! Wills: kept while their connection lives, published when it is over and their delay is, forgotten
//! where it ended in order or where another one goes on with the session in time.

use super::{Context, UserState};
use crate::mailbox::command::{Commit, Outcome, PrivatePublish, WhenFull};
use crate::mailbox::will::{LastWord, Will};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::time::Timestamp;

impl UserState {
    /// Publishes the wills that are due and ends the sessions whose time is over.
    pub(super) fn lapse(&mut self, user: UserId, context: &Context<'_>) {
        let due = |device: &DeviceId| Some((self.will_due(*device)?, *device));
        let due = self.wills.keys().filter_map(due);
        let mut due: Vec<_> = due.filter(|(at, _)| *at <= context.now).collect();
        due.sort_unstable();
        for (_, device) in due {
            self.publish_will(user, device, context);
        }
        self.expire_sessions(user, context);
    }

    /// When a will is due; none while its connection lives.
    pub(super) fn will_due(&self, device: DeviceId) -> Option<Timestamp> {
        let will = self.wills.get(&device)?;
        let row = self.sessions.get(&device)?;
        // The session's end is the latest time (MQTT 5.0 §3.1.3.2.2).
        Some(row.disconnected?.plus(will.delay.min(row.expiry)))
    }

    /// Puts the will of a new connection in the place of what an earlier one left.
    pub(super) fn keep_will(&mut self, device: DeviceId, will: Option<Will>) {
        let old = match will.clone() {
            Some(will) => self.wills.insert(device, will),
            None => self.wills.remove(&device),
        };
        if old != will {
            self.changes.wills.insert(device);
        }
    }

    pub(super) fn publish_will(&mut self, user: UserId, device: DeviceId, context: &Context<'_>) {
        let Some(will) = self.wills.remove(&device) else {
            return;
        };
        self.changes.wills.insert(device);
        let message = match will.last_word {
            LastWord::Presence(presence) => {
                if let Some(row) = self.sessions.get_mut(&device) {
                    row.presence = presence;
                    self.changes.sessions.insert(device);
                }
                return;
            }
            LastWord::Private {
                topic,
                properties,
                payload,
                retain,
                at_least_once,
                expiry,
            } => PrivatePublish {
                user,
                device,
                topic,
                properties,
                payload,
                retain,
                at_least_once,
                expires: context.now.plus(expiry),
                qos2: None,
                when_full: WhenFull::DropOldest,
            },
        };
        // One that is larger than all the room there is goes nowhere, as a PUBLISH of it would.
        if let Ok(Outcome::Published(None)) = self.publish_private(user, &message, context) {
            let message = Box::new(message);
            self.changes.commits.push(Commit::Will { message });
        }
    }
}
