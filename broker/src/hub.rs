//! Who is connected here, and the way from a commit to their inboxes.
//!
//! Made before the mailbox, which is given [`Hub::commit_listener`] when it is opened. What the
//! listener is told goes over the bus and comes back to [`Hub::dispatch`], so that in a cluster
//! another bus can carry it to the node where the user is.

use crate::bus::{Bus, Channel, RouterBus};
use crate::connection::wall_clock;
use crate::inbox::{CloseCause, Inbox};
use crate::notice::{Live, Notice};
use crate::presence::{Presence, Situation};
use belfry_protocol::envelope::Envelope;
use belfry_protocol::event::Event;
use belfry_protocol::id::{DeviceId, NotificationId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::shard::{BUCKETS, bucket};
use belfry_protocol::topic::Topic;
use belfry_store::mailbox::{Commit, CommitListener, PrivatePublish, Seq};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The connected devices of this process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    registry: Arc<Registry>,
    bus: Box<dyn Bus>,
}

/// The users of one bucket with their connections.
type Users = HashMap<UserId, Vec<Slot>>;

/// Connections by user. Locked by bucket, so that one busy user does not stop all the others.
pub(crate) struct Registry {
    buckets: Vec<Mutex<Users>>,
}

struct Slot {
    inbox: Arc<Inbox>,
    /// As limits and bans count it.
    address: IpAddr,
    /// Dropped by the connection when it has left the mailbox in order.
    gone: watch::Receiver<()>,
}

/// A connection's place in the registry; dropping it leaves.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    user: UserId,
    pub(crate) inbox: Arc<Inbox>,
    _here: watch::Sender<()>,
}

/// Resolves when an older connection of the device has left.
pub(crate) struct Older(Option<watch::Receiver<()>>);

impl Older {
    pub(crate) async fn gone(self) {
        if let Some(mut gone) = self.0 {
            // It only ever reports that its sender was dropped.
            let _ = gone.changed().await;
        }
    }
}

impl Hub {
    /// A hub with its bus running.
    pub fn start() -> Self {
        Self::over(|registry| Box::new(RouterBus::start(registry)))
    }

    /// A hub over a bus that leads to its registry.
    pub(crate) fn over(bus: impl FnOnce(Arc<Registry>) -> Box<dyn Bus>) -> Self {
        let registry = Arc::new(Registry {
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
        });
        let bus = bus(Arc::clone(&registry));
        Self(Arc::new(Inner { registry, bus }))
    }

    /// What the mailbox is to tell of its commits.
    pub fn commit_listener(&self) -> CommitListener {
        let hub = self.clone();
        Box::new(move |commits| {
            for commit in commits {
                hub.committed(commit);
            }
        })
    }

    fn committed(&self, commit: Commit) {
        let notice = match commit {
            Commit::Delivered { sent } => {
                crate::figures::delivered(sent, wall_clock());
                return;
            }
            Commit::Transient {
                user,
                envelope,
                urgency,
            } => transient(user, &envelope, urgency),
            Commit::Acknowledged {
                user,
                device,
                acked,
                holes,
                accepted,
            } => {
                for accepted in accepted {
                    crate::figures::acknowledged(accepted, wall_clock());
                }
                Notice::Acknowledged {
                    user,
                    device,
                    acked,
                    holes,
                }
            }
            // For whoever waits outside, and no device's.
            Commit::Told { .. } => return,
            Commit::Stored { user, entry } => Notice::Stored { user, entry },
            Commit::Seen { user, ids } => {
                self.unowed(user, ids.clone());
                event(user, &Event::NotificationSeen { ids })
            }
            Commit::Withdrawn { user, id, replaced } => {
                self.unowed(user, vec![id]);
                if replaced {
                    // The one that replaces it is told of by itself.
                    return;
                }
                event(user, &Event::NotificationWithdrawn { id })
            }
            Commit::Will { message } => private(*message),
            Commit::Revoked { user, permission } => Notice::Forget { user, permission },
        };
        self.0.bus.publish(Channel::Mail, notice);
    }

    fn unowed(&self, user: UserId, ids: Vec<NotificationId>) {
        let notice = Notice::Unowed { user, ids };
        self.0.bus.publish(Channel::Mail, notice);
    }

    /// Publishes what comes of no commit.
    pub(crate) fn publish(&self, notice: Notice) {
        self.0.bus.publish(Channel::Change, notice);
    }

    pub(crate) fn publish_event(&self, user: UserId, change: &Event) {
        self.publish(event(user, change));
    }

    /// Enters a connection. An older one of the same device is told to end.
    pub(crate) fn enter(
        &self,
        user: UserId,
        device: DeviceId,
        address: IpAddr,
    ) -> (Registration, Older) {
        let inbox = Arc::new(Inbox::new(device));
        let (here, gone) = watch::channel(());
        let mut users = self.0.registry.lock(user);
        let slots = users.entry(user).or_default();
        let older = slots.iter().rev().find(|slot| slot.inbox.device == device);
        if let Some(older) = older {
            // Somebody who connects again is there all the while: what others wait for is not released.
            inbox.set_presence(older.inbox.presence());
        }
        let older = Older(older.map(|slot| slot.gone.clone()));
        for slot in slots.iter().filter(|slot| slot.inbox.device == device) {
            slot.inbox.close(CloseCause::TakenOver);
        }
        slots.push(Slot {
            inbox: Arc::clone(&inbox),
            address,
            gone,
        });
        drop(users);
        let registration = Registration {
            registry: Arc::clone(&self.0.registry),
            user,
            inbox,
            _here: here,
        };
        (registration, older)
    }

    /// What the away rule asks of the user's devices, for the one of this inbox.
    pub(crate) fn situation(&self, user: UserId, inbox: &Inbox) -> Situation {
        let users = self.0.registry.lock(user);
        let any_active = users.get(&user).is_some_and(|slots| {
            let active = |slot: &Slot| slot.inbox.presence() == Presence::Active;
            slots.iter().any(active)
        });
        Situation {
            own: inbox.presence(),
            any_active,
            away_grace: inbox.away_grace(),
            urgency_min: inbox.urgency_min(),
        }
    }

    /// Tells the user's connections of a grace that was written down. It goes with what is counted, so
    /// that they read it again where it is lost.
    pub(crate) fn away_grace(&self, user: UserId, grace: Duration) {
        let notice = Notice::AwayGrace { user, grace };
        self.0.bus.publish(Channel::Mail, notice);
    }

    /// Tells a device's connection of its minimum, as [`Self::away_grace`] does.
    pub(crate) fn urgency_min(&self, user: UserId, device: DeviceId, urgency_min: Urgency) {
        let notice = Notice::UrgencyMin {
            user,
            device,
            urgency_min,
        };
        self.0.bus.publish(Channel::Mail, notice);
    }

    pub(crate) fn set_presence(&self, user: UserId, inbox: &Inbox, presence: Presence) {
        if inbox.presence() == presence {
            return;
        }
        inbox.set_presence(presence);
        self.0.registry.situation_changed(user);
    }

    pub(crate) fn online(&self, user: UserId) -> Vec<(DeviceId, Presence)> {
        let users = self.0.registry.lock(user);
        let slots = users.get(&user).map(Vec::as_slice).unwrap_or_default();
        slots
            .iter()
            .map(|slot| (slot.inbox.device, slot.inbox.presence()))
            .collect()
    }

    /// Ends the user's connections, or those of one device.
    pub(crate) fn close(&self, user: UserId, device: Option<DeviceId>, cause: CloseCause) {
        let users = self.0.registry.lock(user);
        for slot in users.get(&user).map(Vec::as_slice).unwrap_or_default() {
            if device.is_none_or(|device| slot.inbox.device == device) {
                slot.inbox.close(cause);
            }
        }
    }

    pub(crate) fn close_all(&self, cause: CloseCause) {
        self.close_where(cause, |_, _| true);
    }

    /// Ends the connections of whom and from where this says so, and gives their number.
    pub(crate) fn close_where(
        &self,
        cause: CloseCause,
        ends: impl Fn(UserId, IpAddr) -> bool,
    ) -> usize {
        let mut count = 0;
        self.each(|user, slot| {
            if ends(user, slot.address) {
                slot.inbox.close(cause);
                count += 1;
            }
        });
        count
    }

    /// How many connections are of whom and from where this says.
    pub(crate) fn count_where(&self, counts: impl Fn(UserId, IpAddr) -> bool) -> usize {
        let mut count = 0;
        self.each(|user, slot| count += usize::from(counts(user, slot.address)));
        count
    }

    fn each(&self, mut look: impl FnMut(UserId, &Slot)) {
        for users in &self.0.registry.buckets {
            let users = users.lock().unwrap_or_else(PoisonError::into_inner);
            for (user, slots) in &*users {
                slots.iter().for_each(|slot| look(*user, slot));
            }
        }
    }

    /// The connected users of one bucket.
    pub(crate) fn connected(&self, bucket: u16) -> Vec<UserId> {
        let users = self.0.registry.buckets.get(usize::from(bucket));
        users.map_or_else(Vec::new, |users| {
            let users = users.lock().unwrap_or_else(PoisonError::into_inner);
            users.keys().copied().collect()
        })
    }

    pub(crate) fn reached(&self, user: UserId, head: Seq) {
        let users = self.0.registry.lock(user);
        for slot in users.get(&user).map(Vec::as_slice).unwrap_or_default() {
            slot.inbox.reached(head);
        }
    }

    /// Something for the user's connections was lost on the bus.
    pub(crate) fn missed(&self, user: UserId) {
        let users = self.0.registry.lock(user);
        for slot in users.get(&user).map(Vec::as_slice).unwrap_or_default() {
            slot.inbox.missed();
        }
    }

    /// Whether the bus carries what it is given; it takes as long as the bus does.
    pub(crate) async fn bus_works(&self) -> bool {
        self.0.bus.works().await
    }

    /// Resolves to a bucket whose hints were in part lost, so that it is swept at once.
    pub(crate) async fn jumped(&self) -> u16 {
        self.0.bus.jumped().await
    }
}

fn event(user: UserId, event: &Event) -> Notice {
    Notice::Live {
        user,
        message: Live {
            topic: Topic::Events,
            properties: Bytes::new(),
            payload: event.to_json().into(),
            publisher: None,
            retain: false,
            at_least_once: false,
            urgency: None,
            expires: None,
        },
    }
}

/// A message of the private space that is not stored.
pub(crate) fn private(message: PrivatePublish) -> Notice {
    Notice::Live {
        user: message.user,
        message: Live {
            topic: Topic::Private(message.topic),
            properties: message.properties,
            payload: message.payload,
            publisher: Some(message.device),
            retain: message.retain,
            at_least_once: message.at_least_once,
            urgency: None,
            expires: Some(message.expires),
        },
    }
}

/// A `TTL: 0` notification: once, at QoS 0, to the devices connected and not held now.
fn transient(user: UserId, envelope: &Envelope, urgency: Urgency) -> Notice {
    Notice::Live {
        user,
        message: Live {
            topic: Topic::Notification(envelope.permission),
            properties: Bytes::new(),
            payload: envelope.to_json(None).into(),
            publisher: None,
            retain: false,
            at_least_once: false,
            urgency: Some(urgency),
            expires: None,
        },
    }
}

impl Registry {
    fn lock(&self, user: UserId) -> MutexGuard<'_, Users> {
        // `bucket` is below `BUCKETS` by its definition.
        self.buckets[usize::from(bucket(user))]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what came over the bus to the connections that it is for.
    pub(crate) fn dispatch(&self, notice: Notice) {
        let user = notice.user();
        let users = self.lock(user);
        let Some(slots) = users.get(&user) else {
            return;
        };
        let notice = Arc::new(notice);
        for slot in slots {
            slot.inbox.push(&notice);
        }
    }

    fn situation_changed(&self, user: UserId) {
        let users = self.lock(user);
        for slot in users.get(&user).map(Vec::as_slice).unwrap_or_default() {
            slot.inbox.situation_changed();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut users = self.registry.lock(self.user);
        if let Some(slots) = users.get_mut(&self.user) {
            slots.retain(|slot| !Arc::ptr_eq(&slot.inbox, &self.inbox));
            if slots.is_empty() {
                users.remove(&self.user);
            }
        }
        drop(users);
        self.registry.situation_changed(self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_device_entering_twice_ends_its_older_connection() {
        let hub = Hub::start();
        let user = UserId::from_bytes([1; 16]);
        let device = DeviceId::from_bytes([2; 16]);
        let (first, none) = hub.enter(user, device, ANYWHERE);
        none.gone().await;
        let (_second, older) = hub.enter(user, device, ANYWHERE);
        assert_eq!(first.inbox.take().close, Some(CloseCause::TakenOver));
        drop(first);
        older.gone().await;
        // What it said of itself is not known before its session is open.
        assert_eq!(hub.online(user), [(device, Presence::Away)]);
    }

    #[tokio::test]
    async fn a_device_that_connects_again_is_as_present_in_between_as_it_was() {
        let hub = Hub::start();
        let user = UserId::from_bytes([1; 16]);
        let (other, _) = hub.enter(user, DeviceId::from_bytes([3; 16]), ANYWHERE);
        for presence in [Presence::Active, Presence::Away] {
            let device = DeviceId::from_bytes([2; 16]);
            let (first, _) = hub.enter(user, device, ANYWHERE);
            hub.set_presence(user, &first.inbox, presence);
            let (_second, older) = hub.enter(user, device, ANYWHERE);
            drop(first);
            older.gone().await;
            let any_active = hub.situation(user, &other.inbox).any_active;
            assert_eq!(any_active, presence == Presence::Active);
        }
    }

    #[tokio::test]
    async fn a_user_is_active_while_one_connected_device_is() {
        let hub = Hub::start();
        let user = UserId::from_bytes([1; 16]);
        let (away, _) = hub.enter(user, DeviceId::from_bytes([2; 16]), ANYWHERE);
        hub.set_presence(user, &away.inbox, Presence::Away);
        let (active, _) = hub.enter(user, DeviceId::from_bytes([3; 16]), ANYWHERE);
        let any_active = || hub.situation(user, &away.inbox).any_active;
        assert!(!any_active());
        hub.set_presence(user, &active.inbox, Presence::Active);
        assert!(away.inbox.take().situation_changed);
        assert!(any_active());
        drop(active);
        assert!(!any_active());
        assert!(away.inbox.take().situation_changed);
        drop(away);
        assert!(hub.connected(bucket(user)).is_empty());
    }
}
