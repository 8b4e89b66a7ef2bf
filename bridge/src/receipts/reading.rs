//! One who reads a log of the outbox from some place on, and may wait for what comes.

use crate::{Bell, Inner};
use belfry_edge::ApiError;
use belfry_store::mailbox::{Owner, Told};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

pub(super) struct Reading {
    inner: Arc<Inner>,
    owner: Owner,
    after: u64,
    bell: Bell,
    draining: watch::Receiver<bool>,
}

impl Reading {
    pub(super) fn of(inner: &Arc<Inner>, owner: Owner, after: u64) -> Self {
        Self {
            inner: Arc::clone(inner),
            owner,
            after,
            bell: inner.bells.wait_for(owner),
            draining: inner.draining.subscribe(),
        }
    }

    /// The place that was read up to.
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// Who makes the URLs of what is read.
    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Whether the server is about to stop.
    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// What is there, the oldest first.
    ///
    /// # Errors
    /// 404 where there is no such log any more.
    pub(super) async fn page(&mut self) -> Result<Vec<Told>, ApiError> {
        let page = self.inner.told(self.owner, self.after).await?;
        // Who is ahead of all that there is would wait for what is told for ever.
        self.after = page
            .rows
            .last()
            .map_or(self.after.min(page.newest), |last| last.n);
        Ok(page.rows)
    }

    /// What is there once something is; nothing where the time is over or the server is about to stop.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub(super) async fn wait(&mut self, time: Duration) -> Result<Vec<Told>, ApiError> {
        let deadline = tokio::time::sleep(time);
        tokio::pin!(deadline);
        loop {
            let over = tokio::select! {
                () = self.bell.rung() => false,
                _ = self.draining.wait_for(|draining| *draining) => true,
                () = &mut deadline => true,
            };
            let rows = self.page().await?;
            if over || !rows.is_empty() {
                return Ok(rows);
            }
        }
    }
}
