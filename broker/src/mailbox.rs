//! The mailbox behind one pointer, so that connections are compiled once whatever the engine.

use crate::directory::BoxFuture;
use belfry_protocol::id::UserId;
use belfry_store::mailbox::{Command, Entry, Mailbox, Outcome, Page, Refusal, Retained, Seq, View};
use std::sync::Arc;
use tokio::sync::Semaphore;

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

/// Commands of connections that may be in the mailbox's queue: so many share a sync, and a post waits
/// for no more of them. What else connections want waits here, in the order of its coming, so that
/// thousands who come or go together do not fill that queue, which would refuse them.
const COMMANDS_MAX: u32 = 128;

/// A mailbox that connections take turns at.
pub(crate) struct InTurn<M> {
    mailbox: Arc<M>,
    turns: Semaphore,
}

impl<M: Mailbox> InTurn<M> {
    pub(crate) fn new(mailbox: Arc<M>) -> Self {
        Self {
            mailbox,
            turns: Semaphore::new(COMMANDS_MAX as usize),
        }
    }
}

impl<M: Mailbox> AnyMailbox for InTurn<M> {
    fn apply(&self, commands: Vec<Command>) -> BoxFuture<'_, Vec<Result<Outcome, Refusal>>> {
        Box::pin(async move {
            let places = u32::try_from(commands.len()).unwrap_or(u32::MAX);
            // An error would be that the semaphore was closed, which nobody does.
            let _turn = self.turns.acquire_many(places.min(COMMANDS_MAX)).await;
            Mailbox::apply(&*self.mailbox, commands).await
        })
    }

    fn owed(
        &self,
        user: UserId,
        view: View,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, Refusal>> {
        Box::pin(Mailbox::owed(&*self.mailbox, user, view, after, limit))
    }

    fn entries(&self, user: UserId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<Vec<Entry>, Refusal>> {
        Box::pin(Mailbox::entries(&*self.mailbox, user, seqs))
    }

    fn heads(&self, users: Vec<UserId>) -> BoxFuture<'_, Result<Vec<Seq>, Refusal>> {
        Box::pin(Mailbox::heads(&*self.mailbox, users))
    }

    fn retained(&self, user: UserId) -> BoxFuture<'_, Result<Vec<Retained>, Refusal>> {
        Box::pin(Mailbox::retained(&*self.mailbox, user))
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
