//! The promises of every mailbox, held by this engine, and what it does about torn journals.

#![allow(clippy::unwrap_used)]

mod torn;

use super::EmbeddedMailbox;
use crate::mailbox::command::Idempotency;
use crate::mailbox::conformance::{Clock, Engine, Trial, holds_for};
use crate::mailbox::*;
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
    let kept = |trial: &Trial<Embedded>| {
        let disk = trial.mailbox().shared.disk().unwrap();
        disk.idempotency.iter().count()
    };
    let mut accept = trial.accept(1, None, Duration::from_secs(60), 10);
    accept.idempotency = Some(Idempotency {
        key: [1; 32],
        digest: [2; 32],
    });
    trial.send(accept).await.unwrap();
    // The entry goes long before its key, and leaves nothing else that is due.
    trial.pass(Duration::from_secs(120));
    trial.prune().await;
    assert_eq!((trial.history().await.len(), kept(&trial)), (0, 1));
    trial.pass(Duration::from_secs(86_400));
    trial.prune().await;
    assert_eq!(kept(&trial), 0);
}
