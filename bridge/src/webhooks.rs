//! What happens to a site's permissions and notifications, told to the site: sent to its webhook as
//! Standard Webhooks has it, or asked for by the site. Both read the same log, the mailbox's outbox.
//!
//! The server calls where a site says, so it goes out to the open internet alone (see [`address`]), and
//! follows nothing that an answer says.

mod address;
mod client;
mod event;
mod routes;
mod schedule;
mod sender;
mod signature;

pub use client::{Names, system_names};

use crate::Bridge;
use crate::caller::Caller;
use address::Reach;
use belfry_edge::ApiError;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Command, Mailbox as _, Owner};
use client::Client;
use ipnet::IpNet;
use signature::Secrets;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Receivers that are waited for at a time.
const SENDING_MAX: usize = 64;

/// What sending is told at its start.
pub struct WebhookSettings {
    /// Networks that may be reached although they are not of the open internet.
    pub allow: Vec<IpNet>,
    /// Whom receivers' certificates may be of.
    pub tls: rustls::ClientConfig,
    /// How names are looked up.
    pub names: Names,
    /// How long a receiver may take for its answer.
    pub answer_timeout: Duration,
    /// What the secrets of webhooks are made of.
    pub secret: [u8; 32],
}

/// Webhooks and the log of events. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    bridge: Bridge,
    reach: Reach,
    client: Client,
    secrets: Secrets,
    /// Rung where a webhook was set or removed.
    changed: Notify,
    sending: Semaphore,
}

impl Webhooks {
    /// For the sites of this bridge.
    ///
    /// # Errors
    /// No client can be made of the settings.
    pub fn new(bridge: Bridge, settings: WebhookSettings) -> Result<Self, WebhookError> {
        let local = address::is_loopback_url(&bridge.0.settings.public_url);
        let reach = Reach::new(settings.allow, local);
        let client = Client::new(
            reach.clone(),
            settings.tls,
            settings.names,
            settings.answer_timeout,
        );
        Ok(Self(Arc::new(Inner {
            bridge,
            reach,
            client: client.map_err(WebhookError)?,
            secrets: Secrets::new(settings.secret),
            changed: Notify::new(),
            sending: Semaphore::new(SENDING_MAX),
        })))
    }
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made: {0}")]
pub struct WebhookError(reqwest::Error);

impl Inner {
    fn now(&self) -> Timestamp {
        (self.bridge.0.clock)()
    }

    /// Keeps a site's events from now on, if it does not yet.
    async fn open(&self, caller: &Caller) -> Result<Owner, ApiError> {
        let inner = &self.bridge.0;
        inner.not_draining()?;
        let (site, owner) = (caller.site(), Owner::site(caller.site()));
        // Noted first: what is open without a note would never be closed.
        inner.directory.open_site_outbox(site, self.now()).await?;
        inner.command(Command::OpenOutbox { owner }).await?;
        Ok(owner)
    }

    /// The place of the newest event.
    async fn newest(&self, owner: Owner) -> Result<u64, ApiError> {
        let page = self.bridge.0.mailbox.outbox(owner, u64::MAX, 1).await?;
        Ok(page.map_or(0, |page| page.newest))
    }
}
