//! How entries become history, and when things are removed.

use super::{Context, Meta, UserState};
use crate::mailbox::entry::Seq;
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::PrivateTopic;

impl UserState {
    /// Removes what is over: expired entries, sessions and retained messages, and old history; wills
    /// that are due are published, and who awaits an outcome is told of what expired.
    pub(in crate::mailbox) fn prune(&mut self, user: UserId, context: &Context<'_>) {
        let now = context.now;
        self.lapse(user, context);
        self.tell_expired(user, now);
        self.remove_expired(now);
        let over = self.metas.values().filter(|meta| self.gone_at(meta) <= now);
        let over: Vec<Seq> = over.map(|meta| meta.entry.seq).collect();
        for seq in over {
            if let Some(removed) = self.remove(seq) {
                self.trace_cleared(&removed, now);
            }
        }
        let stale = self
            .retained
            .iter()
            .filter(|(_, (_, expires))| *expires <= now);
        let stale: Vec<PrivateTopic> = stale.map(|(topic, _)| topic.clone()).collect();
        for topic in stale {
            self.retained.remove(&topic);
            self.changes.retained.insert(topic, None);
        }
        let entries = self.metas.values().map(|meta| self.gone_at(meta));
        let sessions = self
            .sessions
            .values()
            .filter_map(|row| Some(row.disconnected?.plus(row.expiry)));
        let retained = self.retained.values().map(|(_, expires)| *expires);
        let wills = self.wills.keys();
        let wills = wills.filter_map(|device| self.will_due(*device));
        let awaited = self.awaited.due();
        let dues = entries.chain(sessions).chain(retained).chain(wills);
        let dues = dues.chain(awaited);
        self.due = dues.min();
        self.changes.head = true;
    }

    /// Removes the entries that expired, and counts the notifications among them that were owed.
    pub(super) fn remove_expired(&mut self, now: Timestamp) {
        let expired = self.metas.values().filter(|meta| !meta.live(now));
        let expired: Vec<Seq> = expired.map(|meta| meta.entry.seq).collect();
        for seq in expired {
            let owed = |meta: &Meta| meta.done.is_none() && meta.permission().is_some();
            let removed = self.remove(seq);
            if let Some(removed) = &removed {
                self.trace_cleared(removed, now);
            }
            self.changes.expired += u32::from(removed.as_ref().is_some_and(owed));
        }
    }

    pub(super) fn finish_all_unowed(&mut self, now: Timestamp) {
        let owed: Vec<Seq> = self
            .metas
            .values()
            .filter(|meta| meta.done.is_none())
            .map(|m| m.entry.seq)
            .collect();
        self.finish_unowed(owed.into_iter(), now);
    }

    /// What of these no session is owed any more becomes history.
    pub(super) fn finish_unowed(&mut self, seqs: impl Iterator<Item = Seq>, now: Timestamp) {
        let mut finished = false;
        for seq in seqs {
            let Some(meta) = self.metas.get_mut(&seq) else {
                continue;
            };
            if meta.done.is_none() && !self.sessions.values().any(|row| row.owes(&meta.entry, now))
            {
                meta.done = Some(now);
                if let Some(census) = &mut self.census {
                    census.finish(meta);
                }
                self.changes.depth.take(meta);
                self.changes.metas.insert(seq);
                finished = true;
            }
        }
        if finished {
            self.due_at(now.plus(self.history));
        }
    }

    /// When an entry is to be removed: at its expiry, or after its time as history.
    pub(super) fn gone_at(&self, meta: &Meta) -> Timestamp {
        let history = meta
            .done
            .map_or(Timestamp::NEVER, |done| done.plus(self.history));
        meta.entry.expires.min(history)
    }

    pub(super) fn due_at(&mut self, at: Timestamp) {
        if self.due.is_none_or(|due| at < due) {
            self.due = Some(at);
            self.changes.head = true;
        }
    }
}
