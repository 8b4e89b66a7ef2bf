//! How many HTTP connections one address has, so that one cannot take all there are.
//!
//! Those of trusted proxies are not counted: they are everybody's.

use belfry_edge::{AddressKey, ClientAddress, TrustedProxies};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections that there are, by IPv4 address or IPv6 /64.
#[derive(Clone)]
pub(super) struct Connections {
    counts: Arc<Mutex<HashMap<AddressKey, usize>>>,
    max: usize,
    trusted: TrustedProxies,
}

/// One counted connection; dropping it ends the count.
pub(super) struct Counted(Option<(Connections, AddressKey)>);

impl Connections {
    /// At most `max` from each address.
    pub(super) fn new(max: usize, trusted: TrustedProxies) -> Self {
        Self {
            counts: Arc::default(),
            max,
            trusted,
        }
    }

    /// Counts one more, unless its address has too many.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let address = address.to_canonical();
        if self.trusted.0.iter().any(|range| range.contains(&address)) {
            return Some(Counted(None));
        }
        let key = ClientAddress(address).key();
        let mut counts = self.counts();
        let count = counts.entry(key).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Counted(Some((self.clone(), key))))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((connections, key)) = &self.0 else {
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

    #[test]
    fn an_address_has_so_many_and_a_proxy_as_many_as_it_likes() {
        let trusted = TrustedProxies(["10.0.0.0/8".parse().expect("a range")].into());
        let connections = Connections::new(1, trusted);
        let enter = |text: &str| connections.enter(text.parse().expect("an address"));
        let first = enter("192.0.2.1");
        assert!(first.is_some());
        assert!(enter("::ffff:192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        let proxied = [enter("10.0.0.1"), enter("::ffff:10.0.0.1")];
        assert!(proxied.iter().all(Option::is_some));
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop(proxied);
        assert!(connections.counts().is_empty());
    }
}
