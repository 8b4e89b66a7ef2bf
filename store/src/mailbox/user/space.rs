//! What there is room for, and what goes when there is none.

use super::census::{Census, Tally};
use super::{Context, Meta, UserState};
use crate::mailbox::command::{PrivatePublish, Refusal, WhenFull};
use crate::mailbox::entry::Seq;
use belfry_protocol::id::PermissionId;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::PrivateTopic;

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
        if self.is_small(bytes, context) {
            return 0;
        }
        self.count(context);
        let history = |census: &Census| census.history.over(limits.notifications, limits.bytes, 0);
        self.remove_while(context.now, history);
        let mine = |census: &Census| {
            let mine = permission.and_then(|permission| census.each.get(&permission))?;
            mine.over(share - 1, limits.bytes / 4, bytes)
        };
        let owed = |census: &Census| {
            let count = limits.notifications.max(1) - 1;
            let over = census.owed.is_over(count, limits.bytes, bytes);
            census.oldest_of_the_fullest().filter(|_| over)
        };
        let pushed_out =
            self.remove_while(context.now, mine) + self.remove_while(context.now, owed);
        self.changes.pushed_out += pushed_out;
        pushed_out
    }

    /// Makes room for one more notification that is owed to nobody: nothing that is owed goes for it.
    pub(super) fn make_history_room(&mut self, bytes: u32, context: &Context<'_>) {
        if self.is_small(bytes, context) {
            return;
        }
        self.count(context);
        let limits = context.limits;
        let count = limits.notifications.max(1) - 1;
        self.remove_while(context.now, |census| {
            census.history.over(count, limits.bytes, bytes)
        });
    }

    /// Whether with so many bytes more there is no more than one permission may hold.
    fn is_small(&self, bytes: u32, context: &Context<'_>) -> bool {
        let limits = context.limits;
        let all = || -> u64 { self.metas.values().map(|meta| u64::from(meta.bytes)).sum() };
        self.metas.len() < (limits.notifications / 4).max(1)
            && all() + u64::from(bytes) <= limits.bytes / 4
    }

    /// Removes what has expired, and counts what there is, where that is not known.
    fn count(&mut self, context: &Context<'_>) {
        let known = self.census.as_ref();
        if known.is_some_and(|census| census.expires > context.now) {
            #[cfg(test)]
            assert!(known.is_some_and(|census| census.is_of(self.metas.values())));
            return;
        }
        self.census = None;
        self.remove_expired(context.now);
        self.census = Some(Census::of(self.metas.values()));
    }

    /// Removes what `next` names until it names none; gives their number.
    fn remove_while(&mut self, now: Timestamp, next: impl Fn(&Census) -> Option<Seq>) -> u32 {
        let mut removed = 0;
        while let Some(seq) = self.census.as_ref().and_then(&next) {
            let Some(meta) = self.remove(seq) else { break };
            self.trace_cleared(&meta, now);
            removed += 1;
        }
        removed
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
        if when_full == WhenFull::Refuse && owed_alone.is_over(count_max, bytes_max, bytes) {
            return false;
        }
        // In the order in which they are to go: what is settled first.
        let all: Vec<Seq> = settled
            .iter()
            .chain(&owed)
            .map(|meta| meta.entry.seq)
            .collect();
        let mut left = Tally::of(settled.into_iter().chain(owed));
        for seq in all {
            if !left.is_over(count_max, bytes_max, bytes) {
                break;
            }
            if let Some(meta) = self.remove(seq) {
                left.take(&meta);
            }
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
