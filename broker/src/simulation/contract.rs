//! The contract's *Delivery* paragraph as a model so naive that it can be seen to be right: nothing is
//! ever removed, each session remembers each entry that it has settled, and who is owed what is
//! looked up anew each time.
//!
//! It is told of each command in the order in which it became durable, and judges the answers; and
//! it is asked by the [judge](super::judge) about what is sent. It shares no rule with the mailbox.

mod bounds;
mod commands;
mod session;

use super::time::Millis;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId};
use belfry_protocol::push::Urgency;
pub(super) use session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// What went wrong, in words.
pub(super) type Violation = String;

macro_rules! must {
    ($holds:expr, $($wrong:tt)*) => {
        if !$holds {
            return Err(format!($($wrong)*));
        }
    };
}
pub(super) use must;

/// How long acknowledgements may take to be durable.
pub(super) const SETTLED_WITHIN: Millis = 200;

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Notification {
        id: NotificationId,
        permission: PermissionId,
        urgency: Urgency,
        collapse: Option<String>,
    },
    Private {
        name: String,
        publisher: DeviceId,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) kind: Kind,
    pub(super) sent: Millis,
    pub(super) expires: Millis,
    /// Since when, and why, it is owed to nobody.
    pub(super) dead: Option<(Millis, &'static str)>,
    /// Sessions of its publisher that asked not to get their own.
    not_for: BTreeSet<usize>,
}

impl Entry {
    fn live(&self, now: Millis) -> bool {
        self.dead.is_none() && self.expires > now
    }

    /// Whether it is gone from the mailbox, and not only seen.
    pub(super) fn gone(&self) -> bool {
        self.dead.is_some_and(|(_, why)| why != "seen")
    }

    /// Its topic below `u/{user}/`.
    pub(super) fn topic(&self) -> String {
        match &self.kind {
            Kind::Notification { permission, .. } => format!("n/{permission}"),
            Kind::Private { name, .. } => format!("x/{name}"),
        }
    }

    fn permission(&self) -> Option<PermissionId> {
        match &self.kind {
            Kind::Notification { permission, .. } => Some(*permission),
            Kind::Private { .. } => None,
        }
    }
}

/// MQTT's matching (§4.7), on the text.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            // "sport/#" also matches "sport".
            (Some(_), None) | (None, Some(_)) | (Some(_), Some(_)) => return false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    Allowed,
    Muted,
    Revoked,
}

/// All that was ever promised to one user's devices.
#[derive(Default)]
pub(super) struct Contract {
    pub(super) log: Vec<Entry>,
    pub(super) sessions: Vec<Session>,
    /// The stored session of a device, by its place among the sessions.
    pub(super) stored: BTreeMap<DeviceId, usize>,
    pub(super) permissions: BTreeMap<PermissionId, Permission>,
    pub(super) blocked: bool,
    /// Private messages by their number: what came of them.
    pub(super) published: BTreeMap<u64, Option<u64>>,
    /// Whether the mailbox may push entries out.
    pub(super) bounded_to: Option<usize>,
    /// The most that was owed of each permission, and in all, since it was last looked at.
    most: BTreeMap<Option<PermissionId>, usize>,
    most_in_all: usize,
    /// Stored sessions as they were opened: when, and whether there was an earlier one.
    pub(super) openings: Vec<(DeviceId, Millis, bool)>,
    /// When the process began, and of which connections it knows.
    started: Millis,
    connected: BTreeSet<DeviceId>,
    /// Which connection of a stored session is the latest.
    epochs: BTreeMap<DeviceId, u64>,
    /// Devices whose connection ended without the mailbox taking it in, and when.
    unclosed: BTreeMap<DeviceId, Millis>,
}

impl Contract {
    pub(super) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn entry(&self, seq: u64) -> Option<&Entry> {
        self.log.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    fn by_id(&mut self, id: NotificationId) -> Option<&mut Entry> {
        self.log.iter_mut().rev().find(
            |entry| matches!(entry.kind, Kind::Notification { id: theirs, .. } if theirs == id),
        )
    }

    /// Whether the session is owed the entry now, beyond doubt: not where it published that itself and
    /// has asked for No Local since.
    pub(super) fn owes(&self, session: usize, entry: &Entry, now: Millis) -> bool {
        let device = self.sessions[session].device;
        let own = matches!(entry.kind, Kind::Private { publisher, .. } if publisher == device);
        self.owes_save(session, entry, own, now)
    }

    /// Whether the session is owed the entry now, save through filters with No Local where it is its
    /// `own`.
    fn owes_save(&self, session: usize, entry: &Entry, own: bool, now: Millis) -> bool {
        let row = &self.sessions[session];
        let topic = entry.topic();
        row.ended.is_none()
            && entry.live(now)
            && !row.has_settled(entry.seq)
            && !entry.not_for.contains(&session)
            && row.subscriptions.iter().any(|made| {
                made.at_least_once
                    && made.until.is_none()
                    && made.from.is_some_and(|from| from < entry.seq)
                    && !(made.no_local && own)
                    && matches(&made.filter, &topic)
            })
    }

    /// Whether the session may have been owed the entry at some time since `from`: at least once, with
    /// since when the broker may not know what was acknowledged over HTTP, or at most once.
    pub(super) fn may_owe(
        &self,
        session: usize,
        entry: &Entry,
        at_least_once: Option<Option<Millis>>,
        from: Millis,
    ) -> Result<(), Violation> {
        let row = &self.sessions[session];
        let seq = entry.seq;
        must!(
            entry.expires > from,
            "{seq} went out after it expired at {}",
            entry.expires
        );
        if let Some((at, why)) = entry.dead {
            must!(at >= from, "{seq} went out though it was {why} at {at}");
        }
        if let (Some(unheard), Some(at)) = (at_least_once, row.over_http.get(&seq)) {
            must!(
                *at >= from.min(unheard.unwrap_or(Millis::MAX)),
                "{seq} went out though it was acknowledged over HTTP at {at}"
            );
        }
        let own = matches!(entry.kind, Kind::Private { publisher, .. } if publisher == row.device);
        must!(
            at_least_once.is_none() || !entry.not_for.contains(&session),
            "{seq} went back to its publisher, who asked for No Local"
        );
        let topic = entry.topic();
        let through = row.subscriptions.iter().any(|made| {
            made.at_least_once == at_least_once.is_some()
                && made.from_earliest < seq
                && made.until.is_none_or(|until| until >= from)
                && (at_least_once.is_some() || !(made.no_local && own))
                && matches(&made.filter, &topic)
        });
        must!(
            through,
            "{seq} on {topic} went out through no filter of that QoS"
        );
        Ok(())
    }

    /// Whether a stored session is owed it.
    fn owed_to_any(&self, entry: &Entry, now: Millis) -> bool {
        let mut stored = self.stored.values();
        stored.any(|session| self.owes_save(*session, entry, false, now))
    }

    fn end(&mut self, device: DeviceId, now: Millis) {
        if let Some(session) = self.stored.remove(&device) {
            self.sessions[session].ended = Some(now);
        }
    }

    fn expire(&mut self, now: Millis) {
        let over: Vec<DeviceId> = self
            .stored
            .iter()
            .filter(|(_, session)| {
                let row = &self.sessions[**session];
                row.disconnected.is_some_and(|at| at + row.expiry <= now)
            })
            .map(|(device, _)| *device)
            .collect();
        for device in over {
            self.end(device, now);
        }
    }

    /// A process begins: it knows of no connection.
    pub(super) fn began(&mut self, now: Millis) {
        self.started = now;
        self.connected.clear();
        self.unclosed.clear();
    }

    /// Whether there are sessions whose end no process has written down.
    pub(super) fn has_lost(&self) -> bool {
        self.stored.iter().any(|(device, session)| {
            self.sessions[*session].disconnected.is_none() && !self.connected.contains(device)
        })
    }

    /// Sessions that no process has closed are without a connection since this one began, at the
    /// latest; it is written down with the first that is.
    fn note_lost(&mut self) {
        for (device, session) in &self.stored {
            let row = &mut self.sessions[*session];
            if row.disconnected.is_none() && !self.connected.contains(device) {
                let at = self.unclosed.get(device).unwrap_or(&self.started);
                row.disconnected = Some(*at);
            }
        }
    }

    /// The process ended. What was taken in before `durable_since` has to be durable.
    pub(super) fn stopped(&mut self, durable_since: Millis, now: Millis) -> Result<(), Violation> {
        for session in self.stored.values() {
            let row = &self.sessions[*session];
            let late = row.taken.iter().find(|(seq, at)| {
                let entry = self.entry(**seq);
                let owed = entry.is_some_and(|entry| self.owes(*session, entry, now));
                **at < durable_since && owed
            });
            must!(
                late.is_none(),
                "{late:?} was acknowledged, and is not durable at {now}: {:?}",
                row.device
            );
        }
        for row in &mut self.sessions {
            let settled = &row.settled;
            row.taken.retain(|seq, _| settled.contains(seq));
            row.forgets = true;
            if !row.stored {
                row.ended.get_or_insert(now);
            }
        }
        Ok(())
    }

    pub(super) fn is_live(&self, id: NotificationId, now: Millis) -> bool {
        let mut log = self.log.iter();
        log.any(|entry| {
            matches!(entry.kind, Kind::Notification { id: theirs, .. } if theirs == id)
                && entry.live(now)
        })
    }
}
