//! What ceases to be owed: settled, acknowledged, seen, taken back.

use super::trace::Ended;
use super::{Meta, UserState};
use crate::mailbox::command::{Commit, Outcome, Refusal};
use crate::mailbox::entry::{Content, Seq};
use belfry_protocol::id::{DeviceId, NotificationId, UserId};
use belfry_protocol::time::Timestamp;

impl UserState {
    pub(super) fn settle(
        &mut self,
        user: UserId,
        device: DeviceId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        self.settle_entries(user, device, seqs, now)?;
        Ok(Outcome::Done)
    }

    /// Settles, and says when the notifications that this settled were accepted.
    fn settle_entries(
        &mut self,
        user: UserId,
        device: DeviceId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Vec<Timestamp>, Refusal> {
        let Some(mut row) = self.sessions.remove(&device) else {
            return Err(Refusal::UnknownSession);
        };
        let mut settled = Vec::new();
        let mut seqs = seqs.to_vec();
        seqs.sort_unstable();
        for seq in seqs {
            if let Ok(at) = row.holes.binary_search(&seq) {
                row.holes.remove(at);
            } else if seq > row.acked
                && self
                    .metas
                    .get(&seq)
                    .is_some_and(|meta| row.owes(&meta.entry, now))
            {
                let after = Seq(row.acked.0 + 1);
                let passed = self
                    .metas
                    .range(after..seq)
                    .filter(|(_, meta)| row.owes(&meta.entry, now));
                let passed: Vec<Seq> = passed.map(|(seq, _)| *seq).collect();
                row.holes.extend(passed);
                row.acked = seq;
            } else {
                continue;
            }
            settled.push(seq);
        }
        self.sessions.insert(device, row);
        let notifications = settled.iter().filter_map(|seq| self.metas.get(seq));
        let notifications = notifications.filter(|meta| meta.permission().is_some());
        let accepted = notifications.map(|meta| meta.entry.sent).collect();
        if !settled.is_empty() {
            self.changes.sessions.insert(device);
            self.note_delivered(user, &settled, now);
            self.finish_unowed(settled.iter().copied(), now);
        }
        Ok(accepted)
    }

    /// Tells of the notifications that no device had settled before.
    fn note_delivered(&mut self, user: UserId, settled: &[Seq], now: Timestamp) {
        for seq in settled {
            let first = |meta: &&mut Meta| !meta.delivered && meta.permission().is_some();
            let Some(meta) = self.metas.get_mut(seq).filter(first) else {
                continue;
            };
            meta.delivered = true;
            let sent = meta.entry.sent;
            self.changes.metas.insert(*seq);
            self.changes.commits.push(Commit::Delivered { sent });
            self.trace_delivered(*seq, now);
            self.tell_delivered(user, *seq);
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        user: UserId,
        device: DeviceId,
        ids: &[NotificationId],
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let seqs: Vec<Seq> = self.seqs_of(ids).into_values().collect();
        let accepted = self.settle_entries(user, device, &seqs, now)?;
        if let Some(row) = self.sessions.get(&device) {
            self.changes.commits.push(Commit::Acknowledged {
                user,
                device,
                acked: row.acked,
                holes: row.holes.clone(),
                accepted,
            });
        }
        Ok(Outcome::Done)
    }

    pub(super) fn seen(&mut self, user: UserId, ids: &[NotificationId], now: Timestamp) -> Outcome {
        let places = self.seqs_of(ids);
        let mut seen = Vec::new();
        for id in ids {
            let meta = places.get(id).and_then(|seq| self.metas.get_mut(seq));
            let Some(meta) = meta else { continue };
            if !meta.entry.seen {
                meta.entry.seen = true;
                if meta.done.is_none() {
                    meta.done = Some(now);
                    if let Some(census) = &mut self.census {
                        census.finish(meta);
                    }
                    self.changes.depth.take(meta);
                }
                self.changes.metas.insert(meta.entry.seq);
                seen.push(*id);
            }
        }
        if !seen.is_empty() {
            self.due_at(now.plus(self.history));
            self.changes.commits.push(Commit::Seen { user, ids: seen });
        }
        Outcome::Done
    }

    pub(super) fn withdraw(&mut self, user: UserId, seq: Seq, now: Timestamp) -> Outcome {
        self.give_up(user, seq, now);
        let removed = self.remove(seq);
        if let Some(removed) = &removed {
            self.trace_end(removed, Ended::Withdrawn, now);
        }
        if let Some(Content::Notification { id, .. }) = removed.map(|meta| meta.entry.content) {
            self.changes.commits.push(Commit::Withdrawn {
                user,
                id,
                replaced: false,
            });
        }
        Outcome::Done
    }
}
