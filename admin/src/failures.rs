//! Failed sign-ins to accounts that may administer, on their way to the audit log.
//!
//! They are written down apart from the answer: a name that may administer would else be known by how long
//! its refusal takes.

use crate::Admin;
use belfry_acl::rate::{Cell, Limit};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Act, Actor, DirectoryError};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Rows of an hour: what a person reads, and some 10 MB a year of a flood without end.
const PER_HOUR: u32 = 60;

/// Those that wait to be written down.
#[derive(Default)]
pub(crate) struct Failures {
    waiting: Mutex<Waiting>,
    come: Notify,
}

#[derive(Default)]
struct Waiting {
    counted: Cell,
    failures: Vec<Failure>,
}

/// One.
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) client: String,
    pub(crate) at: Timestamp,
}

impl Failure {
    fn details(&self) -> Value {
        json!({ "address": self.address, "client": self.client })
    }
}

impl Failures {
    /// Has one written down. A flood of them is written down no faster than its rate, so that it fills no
    /// disk and hides no act.
    pub(crate) fn note(&self, failure: Failure) {
        let limit = Limit::new(u64::from(PER_HOUR), Duration::from_secs(3_600), PER_HOUR);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.failures.len() < PER_HOUR as usize
            && waiting.counted.count(limit, failure.at).is_ok()
        {
            waiting.failures.push(failure);
            self.come.notify_one();
        }
    }

    fn take(&self) -> Vec<Failure> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting.failures)
    }
}

impl Admin {
    /// Writes down failed sign-ins as they come, until it is time to stop.
    pub async fn keep_failures(self, stopping: CancellationToken) {
        let come = || self.failures.come.notified();
        while stopping.run_until_cancelled(come()).await.is_some() {
            if let Err(error) = self.write_failures().await {
                tracing::error!(%error, "a failed sign-in is not written down");
            }
        }
    }

    pub(crate) async fn write_failures(&self) -> Result<(), DirectoryError> {
        for failure in self.failures.take() {
            let act = Act {
                act: "sign-in.failed",
                target: Some(failure.name.clone()),
                before: None,
                after: Some(failure.details()),
            };
            let noted = self.directory.note_act(&Actor::Server, &act, failure.at);
            noted.await?;
            self.changed.tell("audit");
        }
        Ok(())
    }
}
