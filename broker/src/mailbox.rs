//! The mailbox behind one pointer, so that connections are compiled once whatever the engine.

use crate::directory::BoxFuture;
use belfry_protocol::id::UserId;
use belfry_store::mailbox::{Command, Entry, Mailbox, Outcome, Page, Refusal, Retained, Seq, View};

/// The part of [`Mailbox`] that the broker uses, with its futures boxed: an idle connection then
/// holds a pointer where it would hold the largest of them.
pub(crate) trait AnyMailbox: Send + Sync + 'static {
    fn apply(&self, commands: Vec<Command>) -> BoxFuture<'_, Vec<Result<Outcome, Refusal>>>;
    fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, Refusal>>;
    fn entries(&self, user: UserId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<Vec<Entry>, Refusal>>;
    fn heads(&self, users: Vec<UserId>) -> BoxFuture<'_, Result<Vec<Seq>, Refusal>>;
    fn retained(&self, user: UserId) -> BoxFuture<'_, Result<Vec<Retained>, Refusal>>;
}

impl<M: Mailbox> AnyMailbox for M {
    fn apply(&self, commands: Vec<Command>) -> BoxFuture<'_, Vec<Result<Outcome, Refusal>>> {
        Box::pin(Mailbox::apply(self, commands))
    }

    fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, Refusal>> {
        Box::pin(Mailbox::owed(self, user, view, after, limit))
    }

    fn entries(&self, user: UserId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<Vec<Entry>, Refusal>> {
        Box::pin(Mailbox::entries(self, user, seqs))
    }

    fn heads(&self, users: Vec<UserId>) -> BoxFuture<'_, Result<Vec<Seq>, Refusal>> {
        Box::pin(Mailbox::heads(self, users))
    }

    fn retained(&self, user: UserId) -> BoxFuture<'_, Result<Vec<Retained>, Refusal>> {
        Box::pin(Mailbox::retained(self, user))
    }
}

/// Applies one command.
pub(crate) async fn apply_one(
    mailbox: &dyn AnyMailbox,
    command: Command,
) -> Result<Outcome, Refusal> {
    let mut answers = mailbox.apply(vec![command]).await;
    answers.pop().unwrap_or(Err(Refusal::Unavailable))
}
