//! What is remembered of one session, stored or of one connection alone.

use crate::simulation::time::Millis;
use belfry_protocol::id::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

/// A subscription, with when it was made and for how long it lasted.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Subscription {
    /// Below `u/{user}/`.
    pub(in crate::simulation) filter: String,
    pub(in crate::simulation) at_least_once: bool,
    pub(in crate::simulation) no_local: bool,
    /// What is later than this is certainly owed through it; none while it is not yet granted.
    pub(in crate::simulation) from: Option<u64>,
    /// What is later than this may be owed through it.
    pub(in crate::simulation) from_earliest: u64,
    pub(in crate::simulation) until: Option<Millis>,
}

/// What is remembered of one session, stored or of one connection alone.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Session {
    pub(in crate::simulation) device: DeviceId,
    pub(in crate::simulation) stored: bool,
    pub(in crate::simulation) subscriptions: Vec<Subscription>,
    /// The head when it was made.
    pub(in crate::simulation) start: u64,
    /// What the mailbox was told of as settled.
    pub(in crate::simulation) settled: BTreeSet<u64>,
    /// What was acknowledged over HTTP, and when.
    pub(in crate::simulation) over_http: BTreeMap<u64, Millis>,
    /// What the device has sent a PUBACK for.
    pub(in crate::simulation) acknowledged: BTreeSet<u64>,
    /// Those that the broker is known to have taken in, and since when.
    pub(in crate::simulation) taken: BTreeMap<u64, Millis>,
    /// What was sent to it at QoS 1: the packet id and the connection of the last time.
    pub(in crate::simulation) sent: BTreeMap<u64, (u16, u64)>,
    /// The order in which these were last sent to it as new.
    pub(in crate::simulation) order: BTreeMap<u64, u64>,
    /// How many were.
    pub(in crate::simulation) sendings: u64,
    /// The largest window of its connections.
    pub(in crate::simulation) window: usize,
    /// Whether the broker may not know any more what it had sent.
    pub(in crate::simulation) forgets: bool,
    /// Whether a connection of it ended with packets that were never written.
    pub(in crate::simulation) cut_short: bool,
    pub(in crate::simulation) expiry: Millis,
    pub(in crate::simulation) disconnected: Option<Millis>,
    pub(in crate::simulation) ended: Option<Millis>,
}

impl Session {
    pub(in crate::simulation) fn new(device: DeviceId, stored: bool, head: u64) -> Self {
        Self {
            device,
            stored,
            subscriptions: Vec::new(),
            start: head,
            settled: BTreeSet::new(),
            over_http: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            taken: BTreeMap::new(),
            sent: BTreeMap::new(),
            order: BTreeMap::new(),
            sendings: 0,
            window: 0,
            forgets: false,
            cut_short: false,
            expiry: 0,
            disconnected: None,
            ended: None,
        }
    }

    pub(in crate::simulation) fn has_settled(&self, seq: u64) -> bool {
        self.settled.contains(&seq) || self.over_http.contains_key(&seq)
    }

    /// A filter is made at this head, or made again.
    pub(in crate::simulation) fn subscribe(
        &mut self,
        filter: &str,
        at_least_once: bool,
        no_local: bool,
        head: u64,
        now: Millis,
    ) {
        let mut from = head;
        for old in &mut self.subscriptions {
            if old.filter == filter && old.until.is_none() {
                if old.at_least_once && at_least_once {
                    from = old.from_earliest;
                }
                old.until = Some(now);
            }
        }
        self.subscriptions.push(Subscription {
            filter: filter.to_owned(),
            at_least_once,
            no_local,
            from: Some(from),
            from_earliest: from,
            until: None,
        });
    }

    pub(in crate::simulation) fn unsubscribe(&mut self, filter: &str, now: Millis) {
        for old in &mut self.subscriptions {
            if old.filter == filter && old.until.is_none() {
                old.until = Some(now);
            }
        }
    }

    /// A connection that is not stored asks: what it is granted may be owed from here on.
    pub(in crate::simulation) fn asked(
        &mut self,
        filter: &str,
        at_least_once: bool,
        no_local: bool,
        head: u64,
    ) {
        let mut old = self.subscriptions.iter();
        let old = old.find(|old| {
            old.filter == filter && old.until.is_none() && old.at_least_once && at_least_once
        });
        let from_earliest = old.map_or(head, |old| old.from_earliest);
        self.subscriptions.push(Subscription {
            filter: filter.to_owned(),
            at_least_once,
            no_local,
            from: None,
            from_earliest,
            until: None,
        });
    }

    /// The answer to it: the options that were granted.
    pub(in crate::simulation) fn granted(
        &mut self,
        filter: &str,
        granted: Option<(bool, bool)>,
        head: u64,
        now: Millis,
    ) {
        let mut from = head;
        for made in &mut self.subscriptions {
            if made.filter != filter || made.until.is_some() {
                continue;
            }
            match (made.from, granted) {
                (None, Some(_)) => {}
                (None, None) => made.until = Some(now),
                (Some(old), Some((true, _))) if made.at_least_once => {
                    from = old;
                    made.until = Some(now);
                }
                (Some(_), Some(_)) => made.until = Some(now),
                (Some(_), None) => {}
            }
        }
        for made in &mut self.subscriptions {
            if made.filter == filter && made.until.is_none() && made.from.is_none() {
                made.from = Some(from);
            }
        }
    }

    /// Whether it has the filter, and had it with these options: it may be told of that late.
    pub(in crate::simulation) fn has_granted(
        &self,
        filter: &str,
        at_least_once: bool,
        no_local: bool,
    ) -> bool {
        let mut subscriptions = self.subscriptions.iter();
        self.has(filter)
            && subscriptions.any(|made| {
                made.filter == filter
                    && (made.at_least_once, made.no_local) == (at_least_once, no_local)
            })
    }

    pub(in crate::simulation) fn has(&self, filter: &str) -> bool {
        let mut subscriptions = self.subscriptions.iter();
        subscriptions.any(|made| made.filter == filter && made.until.is_none())
    }
}
