//! How fast one connection is read, whatever it sends.
//!
//! Each packet costs the server something, also one that is refused or answers nothing, and so does
//! a WebSocket frame that holds no packet. Acknowledgements of what was sent cost nothing here: they
//! are bounded by it. A connection over its allowance is not refused but read more slowly, which
//! works alike for each packet and in both versions; what it sends meanwhile waits in its own
//! socket.

use crate::session::Action;
use std::time::{Duration, Instant};

/// Packets that are dealt with, and reads that are taken, before others have their turn.
pub(super) const PACKETS_PER_TURN: u32 = 64;
/// As [`PACKETS_PER_TURN`]: a packet of 64 KiB in frames of a byte each is half a megabyte to look at.
pub(super) const READS_PER_TURN: u32 = 8;

/// The most that one packet costs: filters beyond these are refused without a look
/// (`FILTERS_PER_PACKET_MAX`).
const COST_MAX: u32 = 64;

/// How much may be done now: refilled evenly, a second's worth at most.
#[derive(Debug)]
pub(super) struct Allowance {
    /// When it will be full.
    full_at: Instant,
}

impl Allowance {
    pub(super) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes so much of it, though it may not be there yet.
    pub(super) fn take(&mut self, cost: u32, per_second: u32, now: Instant) {
        let each = Duration::from_secs(1) / per_second.max(1);
        self.full_at = self.full_at.max(now) + each * cost;
    }

    /// When all that was taken is there, where that is yet to come.
    pub(super) fn paid_at(&self, now: Instant) -> Option<Instant> {
        let paid_at = self.full_at.checked_sub(Duration::from_secs(1))?;
        (paid_at > now).then_some(paid_at)
    }
}

/// What it costs to deal with a packet, by what the session makes of it.
pub(super) fn cost(action: &Action) -> u32 {
    let looked_at = |filters: usize| u32::try_from(filters).unwrap_or(COST_MAX).min(COST_MAX);
    match action {
        Action::Settled(_) => 0,
        Action::Subscribe(subscribe) => 1 + looked_at(subscribe.filters.len()),
        Action::Unsubscribe(unsubscribe) => 1 + looked_at(unsubscribe.filters.len()),
        Action::Nothing
        | Action::Send(_)
        | Action::Connect(_)
        | Action::Publish(_)
        | Action::Release(_)
        | Action::End(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_messages_is_free_and_then_they_come_evenly() {
        let now = Instant::now();
        let mut allowance = Allowance::full(now);
        for _ in 0..20 {
            allowance.take(1, 20, now);
            assert_eq!(allowance.paid_at(now), None);
        }
        let millis = Duration::from_millis;
        allowance.take(1, 20, now);
        assert_eq!(allowance.paid_at(now), Some(now + millis(50)));
        assert_eq!(allowance.paid_at(now + millis(50)), None);
        allowance.take(10, 20, now + millis(50));
        assert_eq!(
            allowance.paid_at(now + millis(50)),
            Some(now + millis(550)),
            "what costs ten is waited for ten times as long"
        );
    }
}
