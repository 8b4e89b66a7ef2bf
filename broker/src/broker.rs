//! The broker as the rest of the process sees it.

use crate::admission::{Admission, Bounds};
use crate::detached::Detached;
use crate::directory::{DeviceDirectory, Unavailable};
use crate::figures::SweepCause;
use crate::hub::Hub;
use crate::inbox::{CloseCause, Inbox};
use crate::mailbox::{AnyMailbox, InTurn};
use crate::notice::Notice;
use crate::pages::Pages;
use crate::presence::Presence;
use crate::settings::Settings;
use crate::settle::Settler;
use belfry_protocol::event::Event;
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::shard::BUCKETS;
use belfry_store::mailbox::Mailbox;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Users whose heads are read at once in a sweep.
const SWEEP_USERS: usize = 1_024;

/// A running broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) hub: Hub,
    pub(crate) mailbox: Arc<dyn AnyMailbox>,
    pub(crate) directory: Arc<dyn DeviceDirectory>,
    pub(crate) settings: Settings,
    pub(crate) settler: Settler,
    pub(crate) detached: Detached,
    pub(crate) admission: Admission,
    pub(crate) pages: Pages,
    /// Every connection.
    pub(crate) connections: TaskTracker,
    /// Cancelled when no connection may begin any more.
    pub(crate) draining: CancellationToken,
    /// The sweep and the settler.
    workers: TaskTracker,
    stopped: CancellationToken,
}

impl Broker {
    /// Starts a broker over a mailbox that was opened with the hub's
    /// [commit listener](Hub::commit_listener). Needs a tokio runtime.
    pub fn start<M: Mailbox>(
        hub: Hub,
        mailbox: Arc<M>,
        directory: Arc<dyn DeviceDirectory>,
        settings: Settings,
    ) -> Self {
        let mailbox: Arc<dyn AnyMailbox> = Arc::new(InTurn::new(mailbox));
        let admission = Admission::new(Bounds {
            connections: settings.connections,
            per_address: settings.connections_per_address,
            opening: settings.connections_opening,
            waiting: settings.connections_waiting,
        });
        let broker = Self(Arc::new(Inner {
            hub,
            settler: Settler::new(Arc::clone(&mailbox)),
            mailbox,
            directory,
            settings,
            detached: Detached::default(),
            admission,
            pages: Pages::default(),
            connections: TaskTracker::new(),
            draining: CancellationToken::new(),
            workers: TaskTracker::new(),
            stopped: CancellationToken::new(),
        }));
        let worker = broker.clone();
        broker.0.workers.spawn(async move {
            let settling = worker.0.settler.run(worker.0.settings.settle_delay);
            worker.0.stopped.run_until_cancelled(settling).await;
        });
        let worker = broker.clone();
        broker.0.workers.spawn(async move {
            worker
                .0
                .stopped
                .run_until_cancelled(worker.sweep_for_ever())
                .await;
        });
        broker
    }

    /// Tells the user's connected devices of a change, at QoS 0.
    pub fn publish_event(&self, user: UserId, event: &Event) {
        self.0.hub.publish_event(user, event);
    }

    /// Ends the connection of a device, if it has one.
    pub fn disconnect_device(&self, user: UserId, device: DeviceId, cause: CloseCause) {
        self.0.hub.close(user, Some(device), cause);
    }

    /// Ends the connections of whom and from where is kept out now; how many.
    pub fn disconnect_banned(&self) -> usize {
        let directory = &self.0.directory;
        let banned =
            |user, address| directory.is_banned(user) || directory.is_address_banned(address);
        self.0.hub.close_where(CloseCause::Banned, banned)
    }

    /// How many connections there are of whom and from where this says; of IPv6 it is asked of the /64.
    pub fn count_connections(&self, counts: impl Fn(UserId, IpAddr) -> bool) -> usize {
        self.0.hub.count_where(counts)
    }

    /// The longest that a message may be kept now.
    pub(crate) fn ttl_max(&self) -> Duration {
        let directory = &self.0.directory;
        directory.ttl_max().unwrap_or(self.0.settings.ttl_max)
    }

    /// Ends all connections of a user.
    pub fn disconnect_user(&self, user: UserId, cause: CloseCause) {
        self.0.hub.close(user, None, cause);
    }

    /// Takes the exact subscription of a revoked permission away from connected devices. A
    /// revocation in the mailbox does this by itself.
    pub fn forget_permission(&self, user: UserId, permission: PermissionId) {
        self.0.hub.publish(Notice::Forget { user, permission });
    }

    /// The user's grace was written down, and is in force for connected devices at once; `None` where
    /// the user leaves it to the server.
    pub fn set_away_grace(&self, user: UserId, grace: Option<Duration>) {
        let grace = grace.unwrap_or(self.0.settings.away_grace);
        self.0.hub.away_grace(user, grace);
    }

    /// The lowest urgency that a device takes was written down, and is in force at once.
    pub fn set_urgency_min(&self, user: UserId, device: DeviceId, urgency_min: Urgency) {
        self.0.hub.urgency_min(user, device, urgency_min);
    }

    /// Reads for a connection what the directory says of what is held for it.
    pub(crate) async fn read_holds(&self, user: UserId, inbox: &Inbox) -> Result<(), Unavailable> {
        inbox.reading_holds();
        let directory = &self.0.directory;
        let grace = directory.away_grace(user).await?;
        let urgency_min = directory.urgency_min(user, inbox.device).await?;
        inbox.read_holds(grace.unwrap_or(self.0.settings.away_grace), urgency_min);
        Ok(())
    }

    /// Whether the bus carries what it is given, as soon as that is known: a bus that is stuck does not
    /// say so.
    pub async fn bus_works(&self) -> bool {
        self.0.hub.bus_works().await
    }

    /// The user's connected devices.
    pub fn online(&self, user: UserId) -> Vec<(DeviceId, Presence)> {
        self.0.hub.online(user)
    }

    /// Lets no connection begin, ends all there are, and makes their acknowledgements durable.
    /// Bounded by the time that writing a last packet to each may take.
    pub async fn drain(&self) {
        self.0.draining.cancel();
        self.0.hub.close_all(CloseCause::ShuttingDown);
        self.0.connections.close();
        self.0.connections.wait().await;
        self.0.stopped.cancel();
        self.0.workers.close();
        self.0.workers.wait().await;
        self.0.settler.flush().await;
    }

    async fn sweep_for_ever(&self) {
        let mut interval = tokio::time::interval(self.0.settings.sweep_interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = interval.tick() => {
                    crate::figures::swept(SweepCause::Interval);
                    for bucket in 0..BUCKETS {
                        self.sweep(bucket, SweepCause::Interval).await;
                    }
                }
                bucket = self.0.hub.jumped() => {
                    crate::figures::swept(SweepCause::Jump);
                    self.sweep(bucket, SweepCause::Jump).await;
                }
            }
        }
    }

    /// Tells the connections of a bucket how far their logs reach: what the bus lost costs latency.
    /// After a jump they also look at what else they may have missed.
    async fn sweep(&self, bucket: u16, cause: SweepCause) {
        let users = self.0.hub.connected(bucket);
        if cause == SweepCause::Jump {
            users.iter().for_each(|user| self.0.hub.missed(*user));
        }
        for users in users.chunks(SWEEP_USERS) {
            let Ok(heads) = self.0.mailbox.heads(users.to_vec()).await else {
                return;
            };
            for (user, head) in users.iter().zip(heads) {
                self.0.hub.reached(*user, head);
            }
        }
    }
}

#[cfg(test)]
mod tests;
