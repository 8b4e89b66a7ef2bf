//! The embedded mailbox behind a gate, so that a test says when it is unavailable or slow.

use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use belfry_store::mailbox::command::Idempotency;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use belfry_store::mailbox::{
    Accepted, Command, Entry, HistoryRange, Holding, Mailbox, OutboxPage, Outcome, Owner, Page,
    Refusal, Retained, Seq, View,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

pub(super) struct Gate {
    mailbox: Arc<EmbeddedMailbox>,
    refusing: AtomicBool,
    holding: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new(mailbox: Arc<EmbeddedMailbox>) -> Self {
        Self {
            mailbox,
            refusing: AtomicBool::new(false),
            holding: watch::Sender::new(false),
        }
    }

    /// Whether everything is refused as unavailable from now on.
    pub(super) fn refuse(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Whether the ends of sessions wait from now on.
    pub(super) fn hold_ends(&self, holding: bool) {
        self.holding.send_replace(holding);
    }

    fn open(&self) -> Result<&EmbeddedMailbox, Refusal> {
        match self.refusing.load(Ordering::SeqCst) {
            true => Err(Refusal::Unavailable),
            false => Ok(&self.mailbox),
        }
    }
}

impl Mailbox for Gate {
    async fn apply(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Refusal>> {
        let ends = |command: &Command| matches!(command, Command::CloseSession { .. });
        if commands.iter().any(ends) {
            let mut holding = self.holding.subscribe();
            let _ = holding.wait_for(|holding| !holding).await;
        }
        match self.open() {
            Ok(mailbox) => mailbox.apply(commands).await,
            Err(refusal) => vec![Err(refusal); commands.len()],
        }
    }

    async fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> Result<Page, Refusal> {
        self.open()?.owed(user, view, after, limit).await
    }

    async fn entries(&self, user: UserId, seqs: Vec<Seq>) -> Result<Vec<Entry>, Refusal> {
        self.open()?.entries(user, seqs).await
    }

    async fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        self.open()?.history(user, range, limit).await
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Entry>, Refusal> {
        self.open()?.notification(user, id).await
    }

    async fn heads(&self, users: Vec<UserId>) -> Result<Vec<Seq>, Refusal> {
        self.open()?.heads(users).await
    }

    async fn holdings(&self, users: Vec<UserId>) -> Result<Vec<Holding>, Refusal> {
        self.open()?.holdings(users).await
    }

    async fn idempotent(
        &self,
        user: UserId,
        permission: PermissionId,
        key: Idempotency,
    ) -> Result<Option<Accepted>, Refusal> {
        self.open()?.idempotent(user, permission, key).await
    }

    async fn outbox(
        &self,
        owner: Owner,
        after: u64,
        limit: usize,
    ) -> Result<Option<OutboxPage>, Refusal> {
        self.open()?.outbox(owner, after, limit).await
    }

    async fn retained(&self, user: UserId) -> Result<Vec<Retained>, Refusal> {
        self.open()?.retained(user).await
    }
}
