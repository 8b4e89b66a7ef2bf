//! What becomes of notifications, for those who are told. It is remembered apart from the entries: one
//! that was pushed out or seen is given up at its expiry, like one that still waits.

use super::{PermissionRow, UserState};
use crate::mailbox::entry::Seq;
use crate::mailbox::outbox::{Message, News, Owner};
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A notification whose outcome is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mailbox) struct Awaited {
    pub(in crate::mailbox) permission: PermissionId,
    pub(in crate::mailbox) expires: Timestamp,
    pub(in crate::mailbox) collapse: Option<String>,
    /// The receipt subscription that is told.
    pub(in crate::mailbox) receipts: Option<Owner>,
    /// Whether it may be told as delivered: not once the user has turned receipts off.
    pub(in crate::mailbox) delivery: bool,
    /// The site that is told if it expires.
    pub(in crate::mailbox) site: Option<Owner>,
}

/// Those of one user.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct AwaitedAll {
    by_seq: BTreeMap<Seq, Awaited>,
    by_permission: BTreeMap<PermissionId, BTreeSet<Seq>>,
}

impl AwaitedAll {
    pub(in crate::mailbox) fn insert(&mut self, seq: Seq, awaited: Awaited) {
        let theirs = self.by_permission.entry(awaited.permission).or_default();
        theirs.insert(seq);
        self.by_seq.insert(seq, awaited);
    }

    fn remove(&mut self, seq: Seq) -> Option<Awaited> {
        let awaited = self.by_seq.remove(&seq)?;
        if let Some(theirs) = self.by_permission.get_mut(&awaited.permission) {
            theirs.remove(&seq);
            if theirs.is_empty() {
                self.by_permission.remove(&awaited.permission);
            }
        }
        Some(awaited)
    }

    pub(in crate::mailbox) fn get(&self, seq: Seq) -> Option<&Awaited> {
        self.by_seq.get(&seq)
    }

    pub(in crate::mailbox) fn len(&self) -> usize {
        self.by_seq.len()
    }

    /// When the first of them expires.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.by_seq.values().map(|awaited| awaited.expires).min()
    }

    fn of(&self, permission: PermissionId) -> Vec<Seq> {
        let theirs = self.by_permission.get(&permission);
        theirs.into_iter().flatten().copied().collect()
    }
}

impl UserState {
    /// Remembers that the outcome is to be told, and gives up the oldest of the permission where that
    /// has as many as may wait: what a site has waiting it knows by itself.
    pub(super) fn await_outcome(
        &mut self,
        user: UserId,
        seq: Seq,
        awaited: Awaited,
        awaited_max: usize,
        now: Timestamp,
    ) {
        let permission = awaited.permission;
        self.due_at(awaited.expires);
        self.awaited.insert(seq, awaited);
        self.changes.awaited.insert(seq);
        let theirs = self.awaited.of(permission);
        let over = theirs.len().saturating_sub(awaited_max);
        for seq in theirs.into_iter().take(over) {
            self.give_up(user, seq, now);
        }
    }

    /// A first device has settled it.
    pub(super) fn tell_delivered(&mut self, user: UserId, seq: Seq) {
        if !self
            .awaited
            .get(seq)
            .is_some_and(|awaited| awaited.delivery)
        {
            return;
        }
        if let Some(awaited) = self.forget(seq)
            && let Some(owner) = awaited.receipts
        {
            let news = News::Delivered(message(user, seq, &awaited));
            self.changes.told.push((owner, news));
        }
    }

    /// Nothing is told of it later: it has expired, or its site knows that nothing comes of it.
    pub(super) fn give_up(&mut self, user: UserId, seq: Seq, now: Timestamp) {
        let Some(awaited) = self.forget(seq) else {
            return;
        };
        let message = message(user, seq, &awaited);
        if let Some(owner) = awaited.receipts {
            self.changes.told.push((owner, News::GivenUp(message)));
        }
        if let Some(site) = awaited.site
            && awaited.expires <= now
        {
            self.changes.told.push((site, News::Expired(message)));
        }
    }

    /// The later one with its collapse key takes the place of what is not told yet, wherever its entry
    /// is: whether that still waited is not to be seen.
    pub(super) fn give_up_replaced(
        &mut self,
        user: UserId,
        permission: PermissionId,
        collapse: &str,
        now: Timestamp,
    ) {
        for seq in self.awaited.of(permission) {
            let awaited = self.awaited.get(seq);
            if awaited.is_some_and(|awaited| awaited.collapse.as_deref() == Some(collapse)) {
                self.give_up(user, seq, now);
            }
        }
    }

    pub(super) fn tell_expired(&mut self, user: UserId, now: Timestamp) {
        let over = self.awaited.by_seq.iter();
        let over = over.filter(|(_, awaited)| awaited.expires <= now);
        let over: Vec<Seq> = over.map(|(seq, _)| *seq).collect();
        for seq in over {
            self.give_up(user, seq, now);
        }
    }

    /// The user allows no more receipts: what waits is told at its expiry alone, and to sites not at
    /// all, which would be told that it expired whether or not it was delivered.
    pub(super) fn silence(&mut self, user: UserId, permission: PermissionId, now: Timestamp) {
        for seq in self.awaited.of(permission) {
            if self
                .awaited
                .get(seq)
                .is_some_and(|awaited| awaited.expires <= now)
            {
                self.give_up(user, seq, now);
            }
            if let Some(awaited) = self.awaited.by_seq.get_mut(&seq) {
                awaited.delivery = false;
                awaited.site = None;
                self.changes.awaited.insert(seq);
                if awaited.receipts.is_none() {
                    self.forget(seq);
                }
            }
        }
    }

    /// The permission ends: what waits is given up, and its site is told.
    pub(super) fn tell_revoked(
        &mut self,
        user: UserId,
        permission: PermissionId,
        row: Option<PermissionRow>,
        now: Timestamp,
    ) {
        for seq in self.awaited.of(permission) {
            self.give_up(user, seq, now);
        }
        if let Some(PermissionRow::Given(given)) = row {
            let endpoint = given.endpoint;
            self.changes
                .told
                .push((given.site, News::Revoked { endpoint }));
        }
    }

    fn forget(&mut self, seq: Seq) -> Option<Awaited> {
        let awaited = self.awaited.remove(seq)?;
        self.changes.awaited.insert(seq);
        Some(awaited)
    }
}

fn message(user: UserId, seq: Seq, awaited: &Awaited) -> Message {
    let expires = awaited.expires;
    Message { user, seq, expires }
}
