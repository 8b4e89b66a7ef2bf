//! The mailbox as one process sees it: the embedded engine, written when the world says so, with reads
//! that take their time or fail. When the process ends, nobody is answered any more.

use super::chance::Chance;
use super::time::{Millis, look};
use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use belfry_store::mailbox::command::Idempotency;
use belfry_store::mailbox::embedded::stepped::SteppedMailbox;
use belfry_store::mailbox::{
    Accepted, Command, Entry, HistoryRange, Holding, Mailbox, OutboxPage, Outcome, Owner, Page,
    Refusal, Retained, Seq, View,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub(super) struct Engine {
    pub(super) mailbox: SteppedMailbox,
    disk: Mutex<Disk>,
    dead: AtomicBool,
    /// Told of each command that waits.
    stir: Arc<Notify>,
}

struct Disk {
    chance: Chance,
    read_delay_max: Millis,
    fails: bool,
}

impl Engine {
    pub(super) fn new(mailbox: SteppedMailbox, chance: Chance, stir: Arc<Notify>) -> Self {
        Self {
            mailbox,
            disk: Mutex::new(Disk {
                chance,
                read_delay_max: 0,
                fails: false,
            }),
            dead: AtomicBool::new(false),
            stir,
        }
    }

    pub(super) fn set_disk(&self, read_delay_max: Millis, fails: bool) {
        let mut disk = self.disk.lock().unwrap();
        (disk.read_delay_max, disk.fails) = (read_delay_max, fails);
    }

    /// The process ends here.
    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    async fn pass(&self) {
        let delay = {
            let mut disk = self.disk.lock().unwrap();
            let max = disk.read_delay_max;
            disk.chance.below(max + 1)
        };
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// Before and after a read: what it sees is older than its answer.
    async fn read<T>(&self, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        look();
        self.pass().await;
        let failed = {
            let mut disk = self.disk.lock().unwrap();
            disk.fails && disk.chance.percent(70)
        };
        let result = match failed {
            true => Err(Refusal::Unavailable),
            false => read.await,
        };
        self.pass().await;
        result
    }
}

impl Mailbox for Engine {
    async fn apply(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Refusal>> {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.stir.notify_one();
        let answers = self.mailbox.apply(commands).await;
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        answers
    }

    async fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> Result<Page, Refusal> {
        self.read(self.mailbox.owed(user, view, after, limit)).await
    }

    async fn entries(&self, user: UserId, seqs: Vec<Seq>) -> Result<Vec<Entry>, Refusal> {
        self.read(self.mailbox.entries(user, seqs)).await
    }

    async fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        self.read(self.mailbox.history(user, range, limit)).await
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Entry>, Refusal> {
        self.read(self.mailbox.notification(user, id)).await
    }

    async fn heads(&self, users: Vec<UserId>) -> Result<Vec<Seq>, Refusal> {
        self.read(self.mailbox.heads(users)).await
    }

    async fn holdings(&self, users: Vec<UserId>) -> Result<Vec<Holding>, Refusal> {
        self.read(self.mailbox.holdings(users)).await
    }

    async fn idempotent(
        &self,
        user: UserId,
        permission: PermissionId,
        key: Idempotency,
    ) -> Result<Option<Accepted>, Refusal> {
        let read = self.mailbox.idempotent(user, permission, key);
        self.read(read).await
    }

    async fn outbox(
        &self,
        owner: Owner,
        after: u64,
        limit: usize,
    ) -> Result<Option<OutboxPage>, Refusal> {
        self.read(self.mailbox.outbox(owner, after, limit)).await
    }

    async fn retained(&self, user: UserId) -> Result<Vec<Retained>, Refusal> {
        self.read(self.mailbox.retained(user)).await
    }
}
