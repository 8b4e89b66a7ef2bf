//! What one session is to be sent next, and what it has settled: pure, beside the connection that
//! reads the mailbox and writes the socket for it.
//!
//! The session walks the user's log once. `position` is how far it has considered it, `head` how
//! far the log is known to reach. While the two are equal it is live, and the next hint is
//! considered as it comes; otherwise pages are read from the mailbox until they are equal again.

use crate::notice::Live;
use crate::presence::{Parcel, Release, ReleaseRule, Situation};
use belfry_protocol::id::{DeviceId, PermissionId};
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::{Filter, Topic};
use belfry_store::mailbox::{EntryMeta, Seq, SubscribedFilter, View};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// Entries that the away rule may hold back for one session. A mailbox owes no more than some
/// thousand; past this they go out early rather than take memory. What is below the device's minimum
/// never does: past this, and each time that they have doubled since, it is looked which of them are
/// there still, so that they are bounded by the mailbox.
const HELD_MAX: usize = 4_096;

/// What to do about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it at QoS 1.
    Send,
    /// Send it at QoS 0, if that is possible now.
    SendOnce,
    /// It is owed, but not to be sent yet, or not again.
    Wait,
    /// It is owed by the rule, but never to be sent: settle it.
    Settle,
    /// It is none of this session's.
    PassOver,
    /// It is not the next one: read the mailbox instead.
    Behind,
}

/// What the mailbox has as settled by a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Everything up to here, save `holes`.
    pub(crate) acked: Seq,
    /// Ascending.
    pub(crate) holes: Vec<Seq>,
}

/// One session's way through the log.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    view: View,
    position: Seq,
    head: Seq,
    /// When each may go out or, where that is not a matter of time, when it expires.
    held: BTreeMap<Seq, Timestamp>,
    held_crowd: u32,
    /// Settled beyond what was considered: entries that were on their way on an earlier connection and
    /// went out again before anything was read, so no more than a window.
    #[expect(
        clippy::box_collection,
        reason = "few connections ever have any, and each holds room for it"
    )]
    ahead: Option<Box<BTreeSet<Seq>>>,
    rule: ReleaseRule,
}

impl Delivery {
    /// Attaches at what a session has settled. The log is first read from there to `head`.
    pub(crate) fn attach(view: View, head: Seq, rule: ReleaseRule) -> Self {
        let position = match view.holes.first() {
            Some(hole) => Seq(hole.0.saturating_sub(1)),
            None => view.acked,
        };
        Self {
            view,
            position,
            head: head.max(position),
            held: BTreeMap::new(),
            held_crowd: HELD_MAX as u32,
            ahead: None,
            rule,
        }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn position(&self) -> Seq {
        self.position
    }

    /// Whether there is nothing to read: the next entry will come as a hint.
    pub(crate) fn is_live(&self) -> bool {
        self.position >= self.head
    }

    /// The log reaches at least this far.
    pub(crate) fn reached(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Replaces the filters. A session that has none yet wants nothing of what there is, so it goes
    /// straight to the head at which they were made.
    pub(crate) fn set_filters(&mut self, filters: Vec<SubscribedFilter>, head: Seq) {
        if self.view.filters.is_empty() && self.view.holes.is_empty() {
            self.view.acked = self.view.acked.max(head);
            self.position = self.position.max(head);
        }
        self.view.filters = filters;
        self.reached(head);
    }

    /// Drops the filter on exactly this permission, which was revoked.
    pub(crate) fn forget(&mut self, permission: PermissionId) {
        let revoked = Filter::Notification(permission);
        let filters = &mut self.view.filters;
        filters.retain(|subscribed| subscribed.filter != revoked);
    }

    /// An entry that the bus brought.
    pub(crate) fn hint(
        &mut self,
        meta: &EntryMeta,
        publisher_is_self: bool,
        sent: impl Fn(Seq) -> bool,
        situation: Situation,
        now: Timestamp,
    ) -> Verdict {
        if meta.seq <= self.position {
            return Verdict::PassOver;
        }
        let next = self.is_live() && meta.seq.0 == self.position.0 + 1;
        self.reached(meta.seq);
        if !next {
            return Verdict::Behind;
        }
        self.position = meta.seq;
        if !self.owes(meta, now) {
            let once = self.at_most_once(&meta.topic(), publisher_is_self);
            return if once && meta.expires > now && !meta.seen {
                self.unless_held(meta.into(), situation, now)
            } else {
                Verdict::PassOver
            };
        }
        if publisher_is_self && !self.wants_own(meta) {
            return Verdict::Settle;
        }
        self.verdict(meta, sent, situation, now)
    }

    /// An owed entry that was read from the mailbox, later than all before it.
    pub(crate) fn read(
        &mut self,
        meta: &EntryMeta,
        publisher_is_self: bool,
        sent: impl Fn(Seq) -> bool,
        situation: Situation,
        now: Timestamp,
    ) -> Verdict {
        self.position = self.position.max(meta.seq);
        if !self.owes(meta, now) {
            return Verdict::PassOver;
        }
        // The mailbox settled it as it was published, which the view of one that is behind lacks.
        if publisher_is_self && !self.wants_own(meta) {
            return Verdict::Settle;
        }
        self.verdict(meta, sent, situation, now)
    }

    /// A page after `after` was read to its end. Whether that led anywhere, be it past entries that are
    /// settled already: it need not be tried again at once otherwise.
    pub(crate) fn page_read(&mut self, after: Seq, considered: Seq, head: Seq) -> bool {
        self.position = self.position.max(considered);
        self.head = if considered < head {
            self.head.max(head)
        } else {
            // There is no more, also where more was heard of: the log of an erased user is gone.
            self.position
        };
        self.is_live() || self.position > after
    }

    /// Held entries whose time has come, and those after `review`, where the situation changed; at
    /// most `limit`.
    pub(crate) fn due(&self, now: Timestamp, review: Option<Seq>, limit: usize) -> Vec<Seq> {
        let reviewed = |seq| review.is_some_and(|after| after < seq);
        let held = self.held.iter();
        let due = held.filter(|(seq, until)| **until <= now || reviewed(**seq));
        due.map(|(seq, _)| *seq).take(limit).collect()
    }

    /// When the next held entry is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.held.values().min().copied()
    }

    /// Whether so many are held that all are to be looked at again.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held.len() > self.held_crowd as usize
    }

    /// All that are held were looked at.
    pub(crate) fn reviewed(&mut self) {
        let twice = self.held.len().saturating_mul(2).max(HELD_MAX);
        self.held_crowd = u32::try_from(twice).unwrap_or(u32::MAX);
    }

    /// Considers again a held entry that was re-read.
    pub(crate) fn reconsider(
        &mut self,
        meta: &EntryMeta,
        situation: Situation,
        now: Timestamp,
    ) -> Verdict {
        self.held.remove(&meta.seq);
        if self.view.owes(meta, now) {
            self.verdict(meta, |_| false, situation, now)
        } else {
            Verdict::PassOver
        }
    }

    /// A held entry that is no longer there.
    pub(crate) fn gone(&mut self, seq: Seq) {
        self.held.remove(&seq);
        self.view.holes.retain(|hole| *hole != seq);
    }

    /// The session has this entry. `unsettled` are those sent and not yet acknowledged: what of them
    /// and of the held ones lies below it is still owed.
    pub(crate) fn settle(&mut self, seq: Seq, unsettled: impl Iterator<Item = Seq>) {
        if seq <= self.view.acked {
            self.view.holes.retain(|hole| *hole != seq);
            return;
        }
        if seq > self.position {
            // What lies between was not looked at, and may have to wait.
            self.ahead.get_or_insert_default().insert(seq);
            return;
        }
        let between = self.view.acked.0.saturating_add(1)..seq.0;
        let held = self.held.keys().copied();
        let left = unsettled.chain(held).filter(|seq| between.contains(&seq.0));
        self.view.holes.extend(left);
        self.view.holes.sort_unstable();
        self.view.holes.dedup();
        self.view.acked = seq;
        if let Some(ahead) = &mut self.ahead {
            ahead.retain(|settled| *settled > seq);
        }
        self.ahead = self.ahead.take().filter(|ahead| !ahead.is_empty());
    }

    /// Whether the session is owed this no more, by an acknowledgement of whichever way.
    pub(crate) fn has_settled(&self, seq: Seq) -> bool {
        let by_view = seq <= self.view.acked && self.view.holes.binary_search(&seq).is_err();
        by_view || self.is_ahead(seq)
    }

    /// Takes over what the mailbox has as settled. What this connection settled may not be there yet,
    /// and what came over HTTP is not here yet: an entry is owed where both say so.
    pub(crate) fn adopt(&mut self, settled: &Settled) {
        let open =
            |acked: Seq, holes: &[Seq], seq: Seq| seq > acked || holes.binary_search(&seq).is_ok();
        let view = &mut self.view;
        let acked = view.acked.max(settled.acked);
        let mut holes: Vec<Seq> = view.holes.iter().chain(&settled.holes).copied().collect();
        holes.retain(|seq| {
            *seq <= acked
                && open(view.acked, &view.holes, *seq)
                && open(settled.acked, &settled.holes, *seq)
        });
        holes.sort_unstable();
        holes.dedup();
        (view.acked, view.holes) = (acked, holes);
    }

    /// What a message that is never stored is to this session.
    pub(crate) fn live(
        &self,
        message: &Live,
        own: DeviceId,
        situation: Situation,
        now: Timestamp,
    ) -> Verdict {
        if message.expires.is_some_and(|expires| expires <= now) {
            return Verdict::PassOver;
        }
        let publisher_is_self = message.publisher == Some(own);
        let matching = || self.matching(&message.topic, publisher_is_self);
        if matching().next().is_none() {
            return Verdict::PassOver;
        }
        if message.at_least_once && matching().any(|filter| filter.options.at_least_once) {
            return Verdict::Send;
        }
        let parcel = Parcel {
            urgency: message.urgency,
            sent: now,
            expires: message.expires.unwrap_or(Timestamp::NEVER),
        };
        self.unless_held(parcel, situation, now)
    }

    /// The Subscription Identifiers of the filters that match (MQTT 5.0 §3.3.4).
    pub(crate) fn identifiers(&self, topic: &Topic) -> Vec<NonZeroU32> {
        let matching = self.matching(topic, false);
        matching
            .filter_map(|filter| filter.options.identifier)
            .collect()
    }

    /// Whether a filter that matches asked for RETAIN as it was published.
    pub(crate) fn retain_as_published(&self, topic: &Topic) -> bool {
        self.matching(topic, false)
            .any(|filter| filter.options.retain_as_published)
    }

    fn owes(&self, meta: &EntryMeta, now: Timestamp) -> bool {
        self.view.owes(meta, now) && !self.is_ahead(meta.seq)
    }

    fn is_ahead(&self, seq: Seq) -> bool {
        let ahead = self.ahead.as_ref();
        ahead.is_some_and(|ahead| ahead.contains(&seq))
    }

    fn verdict(
        &mut self,
        meta: &EntryMeta,
        sent: impl Fn(Seq) -> bool,
        situation: Situation,
        now: Timestamp,
    ) -> Verdict {
        if sent(meta.seq) {
            return Verdict::Wait;
        }
        match (self.rule)(meta.into(), situation, now) {
            Release::HoldUntil(until) if until > now && self.held.len() < HELD_MAX => {
                self.held.insert(meta.seq, until);
                Verdict::Wait
            }
            Release::Hold => {
                self.held.insert(meta.seq, meta.expires);
                Verdict::Wait
            }
            _ => Verdict::Send,
        }
    }

    fn unless_held(&self, parcel: Parcel, situation: Situation, now: Timestamp) -> Verdict {
        match (self.rule)(parcel, situation, now) {
            Release::HoldUntil(until) if until > now => Verdict::PassOver,
            Release::Hold => Verdict::PassOver,
            _ => Verdict::SendOnce,
        }
    }

    fn matching(
        &self,
        topic: &Topic,
        publisher_is_self: bool,
    ) -> impl Iterator<Item = &SubscribedFilter> {
        self.view.filters.iter().filter(move |subscribed| {
            subscribed.filter.matches(topic) && !(publisher_is_self && subscribed.options.no_local)
        })
    }

    fn at_most_once(&self, topic: &Topic, publisher_is_self: bool) -> bool {
        self.matching(topic, publisher_is_self)
            .any(|subscribed| !subscribed.options.at_least_once)
    }

    fn wants_own(&self, meta: &EntryMeta) -> bool {
        self.matching(&meta.topic(), true)
            .any(|subscribed| subscribed.options.at_least_once && subscribed.start < meta.seq)
    }
}

#[cfg(test)]
mod tests;
