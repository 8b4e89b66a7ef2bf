//! Acknowledgements of all connections, gathered for a moment and made durable together.

use crate::mailbox::{AnyMailbox, apply_one};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_store::mailbox::{Command, Refusal, Seq};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Devices settled in one call, so that one flush is not one enormous batch.
const DEVICES_PER_APPLY: usize = 128;

/// In order, so that what is flushed together has one order whatever the run.
type Pending = BTreeMap<(UserId, DeviceId), Vec<Seq>>;

/// Ends of sessions, one a device: no more than there were connections when the mailbox became
/// unavailable, since none begins without it.
type Ends = BTreeMap<(UserId, DeviceId), Command>;

/// Gathers what persistent sessions have settled.
pub(crate) struct Settler {
    mailbox: Arc<dyn AnyMailbox>,
    pending: Mutex<Pending>,
    /// Those that the mailbox did not take.
    ends: Mutex<Ends>,
    waiting: Notify,
    /// Held while a flush is under way, so that a session that ends comes after it.
    flushing: tokio::sync::Mutex<()>,
}

impl Settler {
    pub(crate) fn new(mailbox: Arc<dyn AnyMailbox>) -> Self {
        Self {
            mailbox,
            pending: Mutex::default(),
            ends: Mutex::default(),
            waiting: Notify::new(),
            flushing: tokio::sync::Mutex::new(()),
        }
    }

    /// Notes that a session has this entry.
    pub(crate) fn settle(&self, user: UserId, device: DeviceId, seq: Seq) {
        let mut pending = self.lock();
        let first = pending.is_empty();
        pending.entry((user, device)).or_default().push(seq);
        drop(pending);
        if first {
            self.waiting.notify_one();
        }
    }

    /// Makes a session's acknowledgements durable now: at its end, and before another one begins. What
    /// the mailbox cannot take now is tried again with the others.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`]: what a session that began now would be sent again.
    pub(crate) async fn flush_session(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<(), Refusal> {
        let under_way = self.flushing.lock().await;
        let seqs = self.lock().remove(&(user, device));
        drop(under_way);
        if let Some(seqs) = seqs {
            let command = Command::Settle {
                user,
                device,
                seqs: seqs.clone(),
            };
            if let Err(Refusal::Unavailable) = apply_one(&*self.mailbox, command).await {
                self.settle_later((user, device), seqs);
                return Err(Refusal::Unavailable);
            }
        }
        Ok(())
    }

    /// Ends a session, after what it has settled. Where the mailbox cannot take it now it is tried again
    /// with the acknowledgements; the mailbox refuses it where a newer connection has come meanwhile.
    pub(crate) async fn end_session(&self, user: UserId, device: DeviceId, end: Command) {
        if let Err(Refusal::Unavailable) = apply_one(&*self.mailbox, end.clone()).await {
            tracing::warn!(device.id = %device, "the end of a session is kept later");
            self.lock_ends().insert((user, device), end);
            self.waiting.notify_one();
        }
    }

    /// Flushes for ever, `delay` after the first acknowledgement of each batch.
    pub(crate) async fn run(&self, delay: Duration) {
        loop {
            self.waiting.notified().await;
            tokio::time::sleep(delay).await;
            self.flush().await;
        }
    }

    /// Flushes everything.
    pub(crate) async fn flush(&self) {
        let _under_way = self.flushing.lock().await;
        self.flush_settled().await;
        self.flush_ends().await;
    }

    async fn flush_settled(&self) {
        let mut pending = std::mem::take(&mut *self.lock()).into_iter();
        loop {
            let batch: Vec<_> = pending.by_ref().take(DEVICES_PER_APPLY).collect();
            if batch.is_empty() {
                return;
            }
            let commands = batch.iter().map(|((user, device), seqs)| Command::Settle {
                user: *user,
                device: *device,
                seqs: seqs.clone(),
            });
            let answers = self.mailbox.apply(commands.collect()).await;
            for ((session, seqs), answer) in batch.into_iter().zip(answers) {
                if answer.is_err_and(|refusal| refusal == Refusal::Unavailable) {
                    self.settle_later(session, seqs);
                }
            }
        }
    }

    async fn flush_ends(&self) {
        let mut ends = std::mem::take(&mut *self.lock_ends()).into_iter();
        loop {
            let batch: Vec<_> = ends.by_ref().take(DEVICES_PER_APPLY).collect();
            if batch.is_empty() {
                return;
            }
            let commands = batch.iter().map(|(_, end)| end.clone()).collect();
            let answers = self.mailbox.apply(commands).await;
            for ((session, end), answer) in batch.into_iter().zip(answers) {
                if answer.is_err_and(|refusal| refusal == Refusal::Unavailable) {
                    // That of a later connection may be there by now.
                    self.lock_ends().entry(session).or_insert(end);
                    self.waiting.notify_one();
                }
            }
        }
    }

    fn settle_later(&self, session: (UserId, DeviceId), seqs: Vec<Seq>) {
        self.lock().entry(session).or_default().extend(seqs);
        self.waiting.notify_one();
    }

    fn lock_ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
