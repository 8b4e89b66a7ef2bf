//! Messages outside the log that wait for a connection's window: retained ones, and what comes for a
//! session that is not stored.
//!
//! Bounded, and what does not fit is dropped: such a session is promised nothing that it is too slow
//! for.

use crate::notice::Live;
use std::collections::VecDeque;

/// Messages that wait. Above the number of retained messages that a user may have, so that those all
/// arrive.
const MESSAGES_MAX: usize = 1_024;
/// Bytes that they keep alive: the retained messages that a user may have, and as much again.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// A queue that costs nothing while it is empty.
#[derive(Debug, Default)]
pub(super) struct Unlogged {
    messages: VecDeque<Live>,
    bytes: usize,
}

impl Unlogged {
    /// Adds a message where there is room for it.
    pub(super) fn push(&mut self, message: Live) {
        let bytes = self.bytes + weight(&message);
        if self.messages.len() < MESSAGES_MAX && bytes <= BYTES_MAX {
            self.bytes = bytes;
            self.messages.push_back(message);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Live> {
        let message = self.messages.pop_front()?;
        self.bytes -= weight(&message);
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

fn weight(message: &Live) -> usize {
    message.payload.len() + message.properties.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_protocol::topic::Topic;
    use bytes::Bytes;

    #[test]
    fn it_is_bounded_in_count_and_in_bytes() {
        let check = |bytes: usize, expected| {
            let mut unlogged = Unlogged::default();
            for _ in 0..2 {
                for _ in 0..2_000 {
                    unlogged.push(Live {
                        topic: Topic::Events,
                        properties: Bytes::new(),
                        payload: vec![0; bytes].into(),
                        publisher: None,
                        retain: false,
                        at_least_once: true,
                        urgency: None,
                        expires: None,
                    });
                }
                let mut count = 0;
                while unlogged.pop().is_some() {
                    count += 1;
                }
                assert_eq!(count, expected, "{bytes}");
                assert!(unlogged.is_empty());
            }
        };
        check(0, 1_024);
        check(64 * 1024, 32);
    }
}
