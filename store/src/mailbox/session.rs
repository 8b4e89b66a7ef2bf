//! What a persistent MQTT session leaves behind while its device is away.

use super::entry::{EntryMeta, Seq};
use belfry_protocol::presence::Presence;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::Filter;
use std::num::NonZeroU32;
use std::time::Duration;

/// Subscription options (MQTT 5.0 §3.8.3.1) as granted; QoS is 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Whether QoS 1 was granted; only then is anything owed through this filter.
    pub at_least_once: bool,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// The Subscription Identifier.
    pub identifier: Option<NonZeroU32>,
}

/// A filter of a session with the point of the log at which it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribedFilter {
    /// The filter.
    pub filter: Filter,
    /// Its options.
    pub options: SubscriptionOptions,
    /// The user's head when it was made: only later entries are owed through it. Subscribing again
    /// with the same filter keeps it, unless that raises QoS 0 to 1.
    pub start: Seq,
}

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionRow {
    /// Its filters.
    pub filters: Vec<SubscribedFilter>,
    /// The highest settled entry: everything up to here is settled, save `holes`.
    pub acked: Seq,
    /// Entries up to `acked` that are still owed, ascending.
    pub holes: Vec<Seq>,
    /// Packet ids of QoS 2 messages received and not yet released (MQTT 5.0 §4.3.3).
    pub inbound_qos2: Vec<u16>,
    /// What the device last said of itself.
    pub presence: Presence,
    /// How long it outlives its connection.
    pub expiry: Duration,
    /// When its connection ended; `None` while connected (or after a crash).
    pub disconnected: Option<Timestamp>,
    /// Which connection has it, or had it last: a later one's is higher.
    pub epoch: u64,
}

/// What one session, stored or not, is owed: the rule of the contract's *Delivery* paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The session's filters.
    pub filters: Vec<SubscribedFilter>,
    /// As [`SessionRow::acked`].
    pub acked: Seq,
    /// As [`SessionRow::holes`].
    pub holes: Vec<Seq>,
}

impl View {
    /// Whether this entry is owed now.
    pub fn owes(&self, entry: &EntryMeta, now: Timestamp) -> bool {
        owes(&self.filters, self.acked, &self.holes, entry, now)
    }
}

/// The rule itself, for views and stored rows alike.
pub(super) fn owes(
    filters: &[SubscribedFilter],
    acked: Seq,
    holes: &[Seq],
    entry: &EntryMeta,
    now: Timestamp,
) -> bool {
    let topic = entry.topic();
    !entry.seen
        && entry.expires > now
        && (entry.seq > acked || holes.binary_search(&entry.seq).is_ok())
        && filters.iter().any(|subscribed| {
            subscribed.options.at_least_once
                && subscribed.start < entry.seq
                && subscribed.filter.matches(&topic)
        })
}

impl From<&SessionRow> for View {
    fn from(row: &SessionRow) -> Self {
        Self {
            filters: row.filters.clone(),
            acked: row.acked,
            holes: row.holes.clone(),
        }
    }
}
