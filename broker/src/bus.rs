//! The way of a notice to the process where its user is connected: rumqttd's router, embedded. The
//! simulation has a bus of its own, that is late and loses when it is told to.
//!
//! Two links and 128 fixed topics at QoS 0, which is what that router is fast at. It drops from its
//! log when the reader lags, so what follows from commits carries a counter a bucket: a jump means
//! that the bucket is to be swept. Losing a notice costs latency, never a notification.
//!
//! The router's thread cannot be ended, so a bus lives as long as the process.

use crate::directory::BoxFuture;
use crate::figures;
use crate::hub::Registry;
use crate::notice::codec::Stamp;
use crate::notice::{Notice, codec};
use belfry_protocol::shard::{BUCKETS, bucket};
use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::{Notification, Router, RouterConfig};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};

/// Bytes of notices that the router keeps for a reader that lags, in each of its two logs.
const LOG_SEGMENT_BYTES: usize = 1024 * 1024;
const LOG_SEGMENTS: usize = 8;
/// Notices that the router hands to the reader at once: as many as its own buffer has room for.
const OUTGOING_MAX: u64 = 100;

/// What a pulse begins with.
const PULSE: &[u8] = b"pulse";

/// What a notice follows from. Within one, a user's notices stay in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// A commit. What is lost of it is noticed.
    Mail,
    /// Anything else.
    Change,
}

/// Carries notices to the registry.
pub(crate) trait Bus: Send + Sync {
    /// Sends a notice on its way.
    fn publish(&self, channel: Channel, notice: Notice);

    /// Resolves to a bucket of which something was lost.
    fn jumped(&self) -> BoxFuture<'_, u16>;

    /// Whether what is sent arrives, as soon as that is known.
    fn works(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { true })
    }
}

/// The router in this process.
pub(crate) struct RouterBus {
    writer: Arc<Mutex<Writer>>,
    /// The newest pulse that arrived; closed once the reader has ended.
    pulses: watch::Receiver<u64>,
    jumps: Arc<Jumps>,
    registry: Arc<Registry>,
}

struct Writer {
    link: LinkTx,
    mail: Vec<(Bytes, u64)>,
    change: Vec<Bytes>,
    /// Pulses sent so far.
    pulses: u64,
}

/// Buckets that are to be swept.
#[derive(Default)]
pub(crate) struct Jumps {
    buckets: Mutex<BTreeSet<u16>>,
    some: Notify,
}

/// The counter that each bucket's next notice should have.
struct Expected(Vec<u64>);

impl RouterBus {
    /// Starts the router with its reader.
    pub(crate) fn start(registry: Arc<Registry>) -> Self {
        let config = RouterConfig {
            max_connections: 2,
            max_outgoing_packet_count: OUTGOING_MAX,
            max_segment_size: LOG_SEGMENT_BYTES,
            max_segment_count: LOG_SEGMENTS,
            ..RouterConfig::default()
        };
        let router = Router::new(0, config).spawn();
        let link = |name| {
            LinkBuilder::new(name, router.clone())
                .build()
                .expect("a router that was just started takes two links")
        };
        let (mut subscriber, reader, _) = link("reader");
        for filter in ["mail/+", "change/+"] {
            subscriber
                .subscribe(filter)
                .expect("a router that was just started takes two filters");
        }
        let (link, ..) = link("writer");
        let jumps = Arc::new(Jumps::default());
        let (heard, pulses) = watch::channel(0);
        let (told, to) = (Arc::clone(&jumps), Arc::clone(&registry));
        std::thread::Builder::new()
            .name("bus-reader".to_owned())
            .spawn(move || read(reader, &to, &told, &heard))
            .expect("a thread can be started while the process starts");
        let topics = |kind| (0..BUCKETS).map(move |bucket| Bytes::from(format!("{kind}/{bucket}")));
        let writer = Writer {
            link,
            mail: topics("mail").map(|topic| (topic, 0)).collect(),
            change: topics("change").collect(),
            pulses: 0,
        };
        Self {
            writer: Arc::new(Mutex::new(writer)),
            pulses,
            jumps,
            registry,
        }
    }
}

impl Bus for RouterBus {
    /// Waits at most for the router to take what was sent before.
    fn publish(&self, channel: Channel, notice: Notice) {
        let bucket = usize::from(bucket(notice.user()));
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer {
            link, mail, change, ..
        } = &mut *writer;
        let (topic, counter) = match channel {
            Channel::Mail => {
                // A bucket is below their number.
                let (topic, counter) = &mut mail[bucket];
                *counter += 1;
                (topic.clone(), *counter)
            }
            Channel::Change => (change[bucket].clone(), 0),
        };
        let sent = link.publish(
            topic,
            codec::encode(
                Stamp {
                    counter,
                    sent_micros: micros(),
                },
                &notice,
            ),
        );
        drop(writer);
        if sent.is_err() {
            // The router is gone, and with it the order of what it still had: all of this process
            // goes the short way from here on.
            self.registry.dispatch(notice);
        }
    }

    fn jumped(&self) -> BoxFuture<'_, u16> {
        Box::pin(self.jumps.next())
    }

    /// By sending a pulse and waiting for it.
    fn works(&self) -> BoxFuture<'_, bool> {
        let (writer, mut pulses) = (Arc::clone(&self.writer), self.pulses.clone());
        Box::pin(async move {
            // A router that takes nothing would keep the thread.
            let sent = tokio::task::spawn_blocking(move || pulse(&writer)).await;
            match sent {
                Ok(Some(number)) => pulses.wait_for(|heard| *heard >= number).await.is_ok(),
                _ => false,
            }
        })
    }
}

/// Sends a pulse, and gives its number where the router takes it.
fn pulse(writer: &Mutex<Writer>) -> Option<u64> {
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let Writer {
        link,
        change,
        pulses,
        ..
    } = &mut *writer;
    *pulses += 1;
    let payload = [PULSE, &pulses.to_be_bytes()].concat();
    link.publish(change[0].clone(), payload)
        .is_ok()
        .then_some(*pulses)
}

/// The number of a pulse, where it is one. A notice begins with a counter and a time, and is longer.
fn pulse_of(payload: &[u8]) -> Option<u64> {
    let number = payload.strip_prefix(PULSE)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

impl Jumps {
    pub(crate) async fn next(&self) -> u16 {
        loop {
            if let Some(bucket) = self.take() {
                return bucket;
            }
            self.some.notified().await;
        }
    }

    pub(crate) fn add(&self, bucket: u16) {
        let buckets = self.buckets.lock();
        buckets
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket);
        self.some.notify_one();
    }

    fn take(&self) -> Option<u16> {
        let buckets = self.buckets.lock();
        buckets.unwrap_or_else(PoisonError::into_inner).pop_first()
    }
}

impl Expected {
    fn new() -> Self {
        Self(vec![1; usize::from(BUCKETS)])
    }

    /// Whether this one follows the last one of its bucket.
    fn follows(&mut self, bucket: u16, counter: u64) -> bool {
        let Some(expected) = self.0.get_mut(usize::from(bucket)) else {
            return false;
        };
        let follows = *expected == counter;
        *expected = counter.wrapping_add(1);
        follows
    }
}

/// Reads for as long as the router lives.
fn read(mut link: LinkRx, registry: &Registry, jumps: &Jumps, heard: &watch::Sender<u64>) {
    let mut expected = Expected::new();
    loop {
        match link.recv() {
            Ok(Some(Notification::Forward(forward))) => {
                if let Some(number) = pulse_of(&forward.publish.payload) {
                    heard.send_replace(number);
                    continue;
                }
                let Some((stamp, notice)) = codec::decode(forward.publish.payload) else {
                    continue;
                };
                let bucket = bucket(notice.user());
                if stamp.counter > 0 {
                    figures::bus_lag(micros().saturating_sub(stamp.sent_micros));
                    if !expected.follows(bucket, stamp.counter) {
                        jumps.add(bucket);
                    }
                }
                registry.dispatch(notice);
            }
            // The router paused this link since its buffer was full; it is empty again.
            Ok(Some(Notification::Unschedule)) => {
                if link.ready().is_err() {
                    break;
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    tracing::error!("the bus ended; notices go on without it");
    (0..BUCKETS).for_each(|bucket| jumps.add(bucket));
}

/// The time of day, in microseconds since 1970.
fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Hub;
    use belfry_protocol::id::{DeviceId, PermissionId, UserId};
    use std::net::{IpAddr, Ipv4Addr};

    const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    #[tokio::test]
    async fn notices_of_a_user_arrive_in_their_order() {
        let hub = Hub::start();
        let (here, _) = hub.enter(user(1), DeviceId::from_bytes([2; 16]), ANYWHERE);
        let permission = |number: u16| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            PermissionId::from_bytes(bytes)
        };
        // More than the router's buffers hold at once, so that it also pauses the reader.
        let count = 2_000;
        for number in 0..count {
            for user in [user(1), user(2)] {
                let permission = permission(number);
                hub.publish(Notice::Forget { user, permission });
            }
        }
        let mut arrived = Vec::new();
        while arrived.len() < usize::from(count) {
            here.inbox.filled().await;
            arrived.extend(here.inbox.take().forget);
        }
        let expected: Vec<_> = (0..count).map(permission).collect();
        assert_eq!(arrived, expected);
    }

    #[tokio::test]
    async fn a_bus_that_carries_says_so_each_time() {
        let hub = Hub::start();
        for _ in 0..3 {
            assert!(hub.bus_works().await);
        }
    }

    #[test]
    fn a_missing_number_is_a_jump_of_its_bucket_alone() {
        let mut expected = Expected::new();
        assert!(expected.follows(3, 1));
        assert!(expected.follows(3, 2));
        assert!(!expected.follows(3, 5));
        assert!(expected.follows(3, 6));
        assert!(expected.follows(4, 1));
        assert!(!expected.follows(BUCKETS, 1));
    }

    #[tokio::test]
    async fn a_jump_is_told_of_once() {
        let jumps = Jumps::default();
        jumps.add(7);
        jumps.add(7);
        assert_eq!(jumps.take(), Some(7));
        assert_eq!(jumps.take(), None);
    }
}
