//! Who may read a page of what is owed, when thousands want to at once.
//!
//! Each page is a thread that reads, and then a connection that wants to run. More of them than keep
//! the processors busy would only stand in the way of the mailbox's writer and of those who are
//! connected. Those who had caught up once, and now miss something, do not wait behind those who come
//! back to a backlog.

use std::num::NonZeroUsize;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Pages for each processor that are under way at a time: some wait for the disk.
const PER_PROCESSOR: usize = 4;

/// The turns of both kinds of connections, each in the order in which they ask.
pub(crate) struct Pages {
    coming_back: Semaphore,
    caught_up: Semaphore,
}

/// Held until the page is read and passed on.
pub(crate) struct Turn<'a> {
    /// None only if the semaphore were closed, which nobody does.
    _turn: Option<SemaphorePermit<'a>>,
}

impl Default for Pages {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            coming_back: Semaphore::new(processors * PER_PROCESSOR),
            caught_up: Semaphore::new(processors * PER_PROCESSOR),
        }
    }
}

impl Pages {
    /// Resolves when the connection may read.
    pub(crate) async fn turn(&self, caught_up: bool) -> Turn<'_> {
        let line = match caught_up {
            true => &self.caught_up,
            false => &self.coming_back,
        };
        Turn {
            _turn: line.acquire().await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_had_caught_up_does_not_wait_for_those_who_come_back() {
        let pages = Pages::default();
        let mut reading = Vec::new();
        while pages.coming_back.available_permits() > 0 {
            reading.push(pages.turn(false).await);
        }
        let mut waiting = std::pin::pin!(pages.turn(false));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("more than there are turns"),
            _ = pages.turn(true) => {}
        }
        reading.pop();
        waiting.await;
    }
}
