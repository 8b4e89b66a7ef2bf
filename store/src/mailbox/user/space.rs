//! What there is room for, and what goes when there is none.

use super::{Context, Meta, UserState};
use crate::mailbox::command::{PrivatePublish, WhenFull};
use crate::mailbox::entry::Seq;
use belfry_protocol::id::PermissionId;
use std::collections::BTreeMap;

impl UserState {
    /// Makes room for one more notification: history goes first, then the oldest of the permission
    /// itself where it holds its share, then the oldest of whichever holds most.
    pub(in crate::mailbox) fn make_room(
        &mut self,
        permission: PermissionId,
        bytes: u32,
        context: &Context<'_>,
    ) {
        let limits = context.limits;
        let share = (limits.notifications / 4).max(1);
        let all: u64 = self.metas.values().map(|meta| u64::from(meta.bytes)).sum();
        if self.metas.len() < share && all + u64::from(bytes) <= limits.bytes / 4 {
            return;
        }
        let expired = self.metas.values().filter(|meta| !meta.live(context.now));
        let expired: Vec<Seq> = expired.map(|meta| meta.entry.seq).collect();
        for seq in expired {
            self.remove(seq);
        }
        let mut history = Tally::default();
        let mut owed = Tally::default();
        let mut each: BTreeMap<Option<PermissionId>, Tally> = BTreeMap::new();
        for meta in self.metas.values() {
            if meta.done.is_some() {
                history.add(meta);
            } else {
                owed.add(meta);
                each.entry(meta.permission()).or_default().add(meta);
            }
        }
        while history.over(limits.notifications, limits.bytes, 0) {
            let Some(seq) = history.seqs.pop_front() else {
                break;
            };
            history.take(self.remove(seq));
        }
        let mine = each.entry(Some(permission)).or_default();
        while mine.over(share - 1, limits.bytes / 4, bytes) {
            let Some(seq) = mine.seqs.pop_front() else {
                break;
            };
            let removed = self.push_out(seq);
            owed.take(removed.clone());
            mine.take(removed);
        }
        while owed.over(limits.notifications - 1, limits.bytes, bytes) {
            let fullest = each
                .iter_mut()
                .filter(|(holder, _)| holder.is_some())
                .max_by_key(|(_, tally)| tally.count);
            let Some((_, fullest)) = fullest else { break };
            let Some(seq) = fullest.seqs.pop_front() else {
                break;
            };
            let removed = self.push_out(seq);
            owed.take(removed.clone());
            fullest.take(removed);
        }
    }

    /// Removes what is still owed, for want of room.
    pub(in crate::mailbox) fn push_out(&mut self, seq: Seq) -> Option<Meta> {
        metrics::counter!("belfry_pushed_out_total").increment(1);
        self.remove(seq)
    }

    /// Whether the private space has room for another message, or makes it.
    pub(in crate::mailbox) fn private_fits(
        &mut self,
        bytes: usize,
        context: &Context<'_>,
        when_full: WhenFull,
    ) -> bool {
        let mut private = Tally::default();
        let owed = |meta: &&Meta| {
            meta.permission().is_none() && meta.done.is_none() && meta.live(context.now)
        };
        for meta in self.metas.values().filter(owed) {
            private.add(meta);
        }
        let share = (context.limits.notifications / 4).max(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if u64::from(bytes) > context.limits.bytes / 4 {
            return false;
        }
        while private.over(share - 1, context.limits.bytes / 4, bytes) {
            if when_full == WhenFull::Refuse {
                return false;
            }
            let Some(seq) = private.seqs.pop_front() else {
                return false;
            };
            private.take(self.push_out(seq));
        }
        true
    }

    pub(in crate::mailbox) fn retained_fits(
        &self,
        publish: &PrivatePublish,
        bytes: usize,
        context: &Context<'_>,
    ) -> bool {
        let others = self
            .retained
            .iter()
            .filter(|(topic, _)| **topic != publish.topic);
        let (count, used) = others.fold((0, 0), |(count, used), (_, (bytes, _))| {
            (count + 1, used + bytes)
        });
        count < context.limits.retained_topics && used + bytes <= context.limits.retained_bytes
    }
}

/// Entries counted, oldest first.
#[derive(Default)]
struct Tally {
    seqs: std::collections::VecDeque<Seq>,
    count: usize,
    bytes: u64,
}

impl Tally {
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
