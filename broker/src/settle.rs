//! Acknowledgements of all connections, gathered for a moment and made durable together.

use crate::mailbox::{AnyMailbox, apply_one};
use belfry_protocol::id::{DeviceId, UserId};
use belfry_store::mailbox::{Command, Refusal, Seq};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Devices settled in one call, so that one flush is not one enormous batch.
const DEVICES_PER_APPLY: usize = 1_024;

type Pending = HashMap<(UserId, DeviceId), Vec<Seq>>;

/// Gathers what persistent sessions have settled.
pub(crate) struct Settler {
    mailbox: Arc<dyn AnyMailbox>,
    pending: Mutex<Pending>,
    waiting: Notify,
    /// Held while a flush is under way, so that a session that ends comes after it.
    flushing: tokio::sync::Mutex<()>,
}

impl Settler {
    pub(crate) fn new(mailbox: Arc<dyn AnyMailbox>) -> Self {
        Self {
            mailbox,
            pending: Mutex::default(),
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

    /// Makes a session's acknowledgements durable now: at its end, before another one begins.
    pub(crate) async fn flush_session(&self, user: UserId, device: DeviceId) {
        let under_way = self.flushing.lock().await;
        let seqs = self.lock().remove(&(user, device));
        drop(under_way);
        if let Some(seqs) = seqs {
            let command = Command::Settle { user, device, seqs };
            if let Err(refusal) = apply_one(&*self.mailbox, command).await {
                tracing::warn!(device.id = %device, %refusal, "acknowledgements were not kept");
            }
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
                    self.lock().entry(session).or_default().extend(seqs);
                    self.waiting.notify_one();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
