//! What became of a notification, for who asks by its message URL: when a first device had it, and when
//! and why it went. It is kept apart from the entry, which is gone by then, and only for as long as
//! history is.

use super::{Meta, UserState};
use crate::mailbox::entry::{Content, Seq};
use crate::mailbox::rows::TraceRow;
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a notification is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// Nobody was owed it any more by its expiry, or it expired before.
    Expired,
    /// The site took it back.
    Withdrawn,
    /// A later one with its collapse key came.
    Replaced,
    /// There was no room for it.
    PushedOut,
    /// The permission was revoked.
    Revoked,
}

/// What has changed of a trace.
#[derive(Debug, Clone, Default)]
pub(in crate::mailbox) struct Traced {
    pub(in crate::mailbox) delivered: Option<Timestamp>,
    /// What the entry was, and why and when it went.
    pub(in crate::mailbox) ended: Option<(Meta, Ended, Timestamp)>,
    /// Its time as history is over: nothing is left to be asked for.
    pub(in crate::mailbox) forgotten: bool,
}

impl UserState {
    fn traced(&mut self, seq: Seq) -> &mut Traced {
        self.changes.traced.entry(seq).or_default()
    }

    pub(super) fn trace_delivered(&mut self, seq: Seq, now: Timestamp) {
        self.traced(seq).delivered = Some(now);
    }

    /// Remembers why one went that was removed.
    pub(super) fn trace_end(&mut self, removed: &Meta, why: Ended, now: Timestamp) {
        if matches!(removed.entry.content, Content::Notification { .. }) {
            self.traced(removed.entry.seq).ended = Some((removed.clone(), why, now));
        }
    }

    /// The same of one that went because it was not to be kept any longer.
    pub(super) fn trace_cleared(&mut self, removed: &Meta, now: Timestamp) {
        if !removed.live(now) {
            self.trace_end(removed, Ended::Expired, removed.entry.expires);
        } else if removed.done.is_some() {
            self.traced(removed.entry.seq).forgotten = true;
        } else {
            self.trace_end(removed, Ended::PushedOut, now);
        }
    }
}

impl Traced {
    /// Adds what came later.
    pub(in crate::mailbox) fn add(&mut self, later: Self) {
        self.delivered = self.delivered.or(later.delivered);
        self.forgotten |= later.forgotten;
        if later.ended.is_some() {
            self.ended = later.ended;
        }
    }

    /// The row that this makes of the one before; nothing where it is to go.
    pub(in crate::mailbox) fn row(&self, before: Option<TraceRow>) -> Option<TraceRow> {
        if self.forgotten && self.ended.is_none() {
            return None;
        }
        let mut row = before.unwrap_or_default();
        if let Some(delivered) = self.delivered {
            row.delivered = Some(delivered.as_millis());
        }
        if let Some((meta, why, at)) = &self.ended
            && let Content::Notification { permission, .. } = &meta.entry.content
        {
            row.permission = *permission.as_bytes();
            row.bytes = meta.bytes;
            row.sent = meta.entry.sent.as_millis();
            row.expires = meta.entry.expires.as_millis();
            row.ended = Some((*why, at.as_millis()));
        }
        Some(row)
    }
}
