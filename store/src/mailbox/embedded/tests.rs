//! The promises of every mailbox, held by this engine, and what it does about torn journals.

#![allow(clippy::unwrap_used)]

mod torn;

use super::EmbeddedMailbox;
use crate::mailbox::command::Idempotency;
use crate::mailbox::conformance::{Clock, Engine, Trial, holds_for};
use crate::mailbox::*;
use belfry_protocol::time::Timestamp;
use std::time::Duration;

struct Embedded(tempfile::TempDir);

impl Engine for Embedded {
    type Mailbox = EmbeddedMailbox;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(
        &self,
        limits: MailboxLimits,
        clock: Clock,
        listener: CommitListener,
    ) -> EmbeddedMailbox {
        EmbeddedMailbox::open(self.0.path(), limits, clock, listener).unwrap()
    }

    async fn prune(mailbox: &EmbeddedMailbox) {
        mailbox.prune_now().await.unwrap();
    }
}

holds_for!(Embedded);

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_a_day_also_alone() {
    let mut trial = Trial::<Embedded>::with_device().await;
    let mut accept = trial.accept(1, None, Duration::from_secs(60), 10);
    accept.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [2; 32],
    });
    trial.send(accept).await.unwrap();
    // The entry goes long before its key, and leaves nothing else that is due.
    trial.pass(Duration::from_secs(120));
    trial.prune().await;
    assert_eq!(
        (trial.history().await.len(), keys_kept(&trial)),
        (0, (1, 1))
    );
    trial.pass(Duration::from_secs(86_400));
    trial.prune().await;
    assert_eq!(keys_kept(&trial), (0, 0));
}

/// The idempotency keys that are kept, and what is kept of when they are over.
fn keys_kept(trial: &Trial<Embedded>) -> (usize, usize) {
    let disk = trial.mailbox().shared.disk().unwrap();
    let (keys, ends) = (disk.idempotency.iter(), disk.idempotency_ends.iter());
    (keys.count(), ends.count())
}

#[tokio::test]
async fn only_the_idempotency_keys_that_are_over_are_looked_at() {
    let mut trial = Trial::<Embedded>::with_device().await;
    let day = Duration::from_secs(86_400);
    let post = async |trial: &mut Trial<Embedded>, number: u8| {
        let mut accept = trial.accept(1, None, Duration::ZERO, 10);
        accept.idempotency = Some(Idempotency {
            key: [number; 32],
            digest: [2; 32],
        });
        trial.send(accept).await.unwrap();
    };
    for number in 1..=5 {
        post(&mut trial, number).await;
        trial.pass(Duration::from_secs(1));
    }
    trial.pass(day - Duration::from_secs(3));
    // Used again: it is over a day later than it was to be.
    post(&mut trial, 1).await;
    assert_eq!(keys_kept(&trial), (5, 6));
    let over = |trial: &Trial<Embedded>, limit| {
        let disk = trial.mailbox().shared.disk().unwrap();
        let until = trial.clock()().plus(Duration::from_millis(1));
        let over = super::due::idempotency_over(&disk, Timestamp::from_millis(0)..until, limit);
        let over = over.unwrap();
        over.into_iter().map(|(_, over)| over).collect::<Vec<_>>()
    };
    assert_eq!(over(&trial, 9), [false, true, true]);
    assert_eq!(over(&trial, 2), [false, true]);
    trial.prune().await;
    assert_eq!(keys_kept(&trial), (3, 3));
    trial.pass(Duration::from_secs(2));
    trial.prune().await;
    assert_eq!(keys_kept(&trial), (1, 1));
    let user = crate::mailbox::conformance::USER;
    trial.ask(Command::EraseUser { user }).await.unwrap();
    assert_eq!(keys_kept(&trial), (0, 0));
}
