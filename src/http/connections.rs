//! How many HTTP connections there are, and how many one address has of them.
//!
//! When there are as many as there may be, new ones wait in the system's queue until one ends, which a
//! silent one soon does. One address cannot bring that about: it has a quarter of them at most. Those
//! of trusted proxies are not counted by address: they are everybody's.

use super::{Limits, PerAddress};
use belfry_edge::{AddressKey, ClientAddress, TrustedProxies};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of all connections that one address may have.
const SHARE: usize = 4;

/// The connections that there are, by IPv4 address or IPv6 /64.
#[derive(Clone)]
pub(super) struct Connections {
    counts: Arc<Mutex<HashMap<AddressKey, usize>>>,
    room: Arc<Semaphore>,
    max: usize,
    per_address: PerAddress,
    trusted: TrustedProxies,
}

/// One counted connection; dropping it ends the count.
pub(super) struct Counted {
    address: Option<(Connections, AddressKey)>,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(limits: &Limits) -> Self {
        let max = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            counts: Arc::default(),
            room: Arc::new(Semaphore::new(max)),
            max,
            per_address: Arc::clone(&limits.connections_per_address),
            trusted: limits.trusted_proxies.clone(),
        }
    }

    /// Resolves when there is room for another one.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.room).acquire_owned().await;
        room.expect("nobody closes the semaphore")
    }

    /// Counts one more, unless its address has too many.
    pub(super) fn enter(&self, address: IpAddr, room: OwnedSemaphorePermit) -> Option<Counted> {
        let address = address.to_canonical();
        if self.trusted.0.iter().any(|range| range.contains(&address)) {
            return Some(Counted::new(None, room));
        }
        let key = ClientAddress(address).key();
        let mut counts = self.counts();
        let count = counts.entry(key).or_default();
        if *count >= (self.per_address)().min((self.max / SHARE).max(1)) {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Counted::new(Some((self.clone(), key)), room))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn new(address: Option<(Connections, AddressKey)>, room: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("belfry_http_connections").increment(1.0);
        Self {
            address,
            _room: room,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("belfry_http_connections").decrement(1.0);
        let Some((connections, key)) = &self.address else {
            return;
        };
        let mut counts = connections.counts();
        if let Some(count) = counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(connections: usize, connections_per_address: usize) -> Limits {
        Limits {
            head_timeout: Duration::ZERO,
            write_timeout: Duration::ZERO,
            connections,
            connections_per_address: Arc::new(move || connections_per_address),
            trusted_proxies: TrustedProxies(["10.0.0.0/8".parse().expect("a range")].into()),
        }
    }

    #[tokio::test]
    async fn an_address_has_so_many_and_a_proxy_as_many_as_it_likes() {
        for (all, per_address) in [(100, 1), (7, 100)] {
            let connections = Connections::new(&limits(all, per_address));
            let enter = async |text: &str| {
                let room = connections.room().await;
                connections.enter(text.parse().expect("an address"), room)
            };
            let first = enter("192.0.2.1").await;
            assert!(first.is_some());
            assert!(enter("::ffff:192.0.2.1").await.is_none());
            assert!(enter("192.0.2.2").await.is_some());
            let proxied = [enter("10.0.0.1").await, enter("::ffff:10.0.0.1").await];
            assert!(proxied.iter().all(Option::is_some));
            drop(first);
            assert!(enter("192.0.2.1").await.is_some());
            drop(proxied);
            assert!(connections.counts().is_empty());
            assert_eq!(connections.room.available_permits(), all);
        }
    }
}
