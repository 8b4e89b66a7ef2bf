//! What there is room for, and what goes when there is none.

use super::{Context, Meta, UserState};
use crate::mailbox::command::{PrivatePublish, Refusal, WhenFull};
use crate::mailbox::entry::Seq;
use belfry_protocol::id::PermissionId;
use belfry_protocol::topic::PrivateTopic;
use std::collections::{BTreeMap, VecDeque};

impl UserState {
    /// Makes room for one more entry that is owed: what is over and history go first, then the oldest
    /// of its own permission where that holds its share, then the oldest of whichever permission holds
    /// most. Gives the number of notifications that were still owed and went.
    pub(super) fn make_room(
        &mut self,
        permission: Option<PermissionId>,
        bytes: u32,
        context: &Context<'_>,
    ) -> u32 {
        let limits = context.limits;
        let share = (limits.notifications / 4).max(1);
        let all: u64 = self.metas.values().map(|meta| u64::from(meta.bytes)).sum();
        if self.metas.len() < share && all + u64::from(bytes) <= limits.bytes / 4 {
            return 0;
        }
        self.remove_expired(context.now);
        let mut history = Tally::default();
        let mut owed = Tally::default();
        let mut each: BTreeMap<PermissionId, Tally> = BTreeMap::new();
        for meta in self.metas.values() {
            match (meta.done, meta.permission()) {
                (Some(_), Some(_)) => history.add(meta),
                // Bounded by the private quarter, and no part of the history.
                (Some(_), None) => {}
                (None, holder) => {
                    owed.add(meta);
                    if let Some(holder) = holder {
                        each.entry(holder).or_default().add(meta);
                    }
                }
            }
        }
        while history.over(limits.notifications, limits.bytes, 0) {
            let Some(seq) = history.seqs.pop_front() else {
                break;
            };
            history.take(self.remove(seq));
        }
        let mut pushed_out = 0;
        if let Some(mine) = permission.and_then(|permission| each.get_mut(&permission)) {
            while mine.over(share - 1, limits.bytes / 4, bytes) {
                let Some(seq) = mine.seqs.pop_front() else {
                    break;
                };
                let removed = self.remove(seq);
                owed.take(removed.clone());
                mine.take(removed);
                pushed_out += 1;
            }
        }
        while owed.over(limits.notifications.max(1) - 1, limits.bytes, bytes) {
            let fullest = each.values_mut().max_by_key(|tally| tally.count);
            let Some(fullest) = fullest else { break };
            let Some(seq) = fullest.seqs.pop_front() else {
                break;
            };
            let removed = self.remove(seq);
            owed.take(removed.clone());
            fullest.take(removed);
            pushed_out += 1;
        }
        self.changes.pushed_out += pushed_out;
        pushed_out
    }

    /// Makes room for one more notification that is owed to nobody: nothing that is owed goes for it.
    pub(super) fn make_history_room(&mut self, bytes: u32, context: &Context<'_>) {
        self.remove_expired(context.now);
        let history = self.metas.values();
        let history = history.filter(|meta| meta.done.is_some() && meta.permission().is_some());
        let mut history = Tally::of(history);
        let limits = context.limits;
        while history.over(limits.notifications.max(1) - 1, limits.bytes, bytes) {
            let Some(seq) = history.seqs.pop_front() else {
                break;
            };
            history.take(self.remove(seq));
        }
    }

    /// Whether the private space has room for another message, or makes it: settled messages go
    /// first, and where it is full of owed ones, `when_full` says. A refusal changes nothing.
    pub(super) fn make_private_room(
        &mut self,
        bytes: usize,
        context: &Context<'_>,
        when_full: WhenFull,
    ) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let count_max = (context.limits.notifications / 4).max(1) - 1;
        let bytes_max = context.limits.bytes / 4;
        if u64::from(bytes) > bytes_max {
            return false;
        }
        let private = self.metas.values();
        let private = private.filter(|meta| meta.permission().is_none());
        let (owed, settled): (Vec<&Meta>, Vec<&Meta>) =
            private.partition(|meta| meta.done.is_none() && meta.live(context.now));
        let owed_alone = Tally::of(owed.iter().copied());
        if when_full == WhenFull::Refuse && owed_alone.over(count_max, bytes_max, bytes) {
            return false;
        }
        let mut all = Tally::of(settled.into_iter().chain(owed));
        while all.over(count_max, bytes_max, bytes) {
            let Some(seq) = all.seqs.pop_front() else {
                return false;
            };
            all.take(self.remove(seq));
        }
        self.make_room(None, bytes, context);
        true
    }

    /// The retained messages that are to go for one more: none where there is room, and otherwise,
    /// where the publisher cannot be refused, those that would go first.
    pub(super) fn retained_over(
        &self,
        publish: &PrivatePublish,
        bytes: usize,
        context: &Context<'_>,
    ) -> Result<Vec<PrivateTopic>, Refusal> {
        let limits = context.limits;
        let others = self.retained.iter();
        let others = others
            .filter(|(topic, (_, expires))| **topic != publish.topic && *expires > context.now);
        let mut others: Vec<_> = others
            .map(|(topic, (bytes, expires))| (*expires, topic, *bytes))
            .collect();
        let mut used = bytes + others.iter().map(|(_, _, bytes)| bytes).sum::<usize>();
        let mut count = 1 + others.len();
        let over = |count, used| count > limits.retained_topics || used > limits.retained_bytes;
        if !over(count, used) {
            return Ok(Vec::new());
        }
        if publish.when_full == WhenFull::Refuse || over(1, bytes) {
            return Err(Refusal::RetainedFull);
        }
        others.sort_unstable();
        let mut gone = Vec::new();
        for (_, topic, bytes) in others {
            if !over(count, used) {
                break;
            }
            count -= 1;
            used -= bytes;
            gone.push(topic.clone());
        }
        Ok(gone)
    }
}

/// Entries counted, in the order in which they are to go.
#[derive(Default)]
struct Tally {
    seqs: VecDeque<Seq>,
    count: usize,
    bytes: u64,
}

impl Tally {
    fn of<'a>(metas: impl Iterator<Item = &'a Meta>) -> Self {
        let mut tally = Self::default();
        metas.for_each(|meta| tally.add(meta));
        tally
    }

    fn add(&mut self, meta: &Meta) {
        self.seqs.push_back(meta.entry.seq);
        self.count += 1;
        self.bytes += u64::from(meta.bytes);
    }

    fn take(&mut self, removed: Option<Meta>) {
        if let Some(meta) = removed {
            self.count -= 1;
            self.bytes -= u64::from(meta.bytes);
        }
    }

    fn over(&self, count: usize, bytes: u64, more: u32) -> bool {
        self.count > count || self.bytes + u64::from(more) > bytes
    }
}
