//! What a mailbox holds, counted, and kept true with each entry that comes, goes or becomes history: so
//! that a notification for which a full mailbox has to make room is not taken in noticeably later than
//! another (docs/privacy.md).

use super::Meta;
use crate::mailbox::entry::Seq;
use belfry_protocol::id::PermissionId;
use belfry_protocol::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// The entries of a mailbox, counted.
#[derive(Debug)]
pub(in crate::mailbox) struct Census {
    /// Notifications that are owed to nobody.
    pub(super) history: Tally,
    /// What is owed, private messages included.
    pub(super) owed: Tally,
    /// The notifications that are owed, by permission.
    pub(super) each: BTreeMap<PermissionId, Tally>,
    /// None of them expires before this.
    pub(super) expires: Timestamp,
}

impl Census {
    pub(super) fn of<'a>(metas: impl Iterator<Item = &'a Meta>) -> Self {
        let mut census = Self {
            history: Tally::default(),
            owed: Tally::default(),
            each: BTreeMap::new(),
            expires: Timestamp::NEVER,
        };
        metas.for_each(|meta| census.add(meta));
        census
    }

    pub(super) fn add(&mut self, meta: &Meta) {
        self.expires = self.expires.min(meta.entry.expires);
        for tally in self.of_mut(meta, meta.done.is_some()).into_iter().flatten() {
            tally.add(meta);
        }
    }

    /// One that was counted is gone.
    pub(super) fn take(&mut self, meta: &Meta) {
        self.take_as(meta, meta.done.is_some());
    }

    /// One that was counted as owed is not any more.
    pub(super) fn finish(&mut self, meta: &Meta) {
        self.take_as(meta, false);
        self.add(meta);
    }

    fn take_as(&mut self, meta: &Meta, done: bool) {
        for tally in self.of_mut(meta, done).into_iter().flatten() {
            tally.take(meta);
        }
        if let Some(holder) = meta.permission()
            && self
                .each
                .get(&holder)
                .is_some_and(|tally| tally.seqs.is_empty())
        {
            self.each.remove(&holder);
        }
    }

    /// Where such an entry is counted.
    fn of_mut(&mut self, meta: &Meta, done: bool) -> [Option<&mut Tally>; 2] {
        match (done, meta.permission()) {
            (true, Some(_)) => [Some(&mut self.history), None],
            // Bounded by the private quarter, and no part of the history.
            (true, None) => [None, None],
            (false, holder) => {
                let each = holder.map(|holder| self.each.entry(holder).or_default());
                [Some(&mut self.owed), each]
            }
        }
    }

    /// The oldest of the permission that holds most.
    pub(super) fn oldest_of_the_fullest(&self) -> Option<Seq> {
        let fullest = self.each.values().max_by_key(|tally| tally.seqs.len());
        fullest.and_then(|tally| tally.seqs.front()).copied()
    }

    /// Whether it is what counting anew gives.
    #[cfg(test)]
    pub(super) fn is_of<'a>(&self, metas: impl Iterator<Item = &'a Meta>) -> bool {
        let anew = Self::of(metas);
        self.history == anew.history
            && self.owed == anew.owed
            && self.each == anew.each
            && self.expires <= anew.expires
    }
}

/// Entries counted, in the order in which they are to go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    seqs: VecDeque<Seq>,
    bytes: u64,
}

impl Tally {
    pub(super) fn of<'a>(metas: impl Iterator<Item = &'a Meta>) -> Self {
        let mut tally = Self::default();
        metas.for_each(|meta| tally.add(meta));
        tally
    }

    fn add(&mut self, meta: &Meta) {
        let seq = meta.entry.seq;
        // Mostly the last one; what becomes history need not be.
        let at = match self.seqs.back() {
            Some(last) if *last > seq => self.seqs.partition_point(|other| *other < seq),
            _ => self.seqs.len(),
        };
        self.seqs.insert(at, seq);
        self.bytes += u64::from(meta.bytes);
    }

    pub(super) fn take(&mut self, meta: &Meta) {
        if let Ok(at) = self.seqs.binary_search(&meta.entry.seq) {
            self.seqs.remove(at);
            self.bytes -= u64::from(meta.bytes);
        }
    }

    /// The oldest, where with so many bytes more there are too many or too much.
    pub(super) fn over(&self, count: usize, bytes: u64, more: u32) -> Option<Seq> {
        let over = self.seqs.len() > count || self.bytes + u64::from(more) > bytes;
        self.seqs.front().copied().filter(|_| over)
    }

    /// Whether there are too many or too much.
    pub(super) fn is_over(&self, count: usize, bytes: u64, more: u32) -> bool {
        self.seqs.len() > count || self.bytes + u64::from(more) > bytes
    }
}
