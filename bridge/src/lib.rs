//! The sites' side: Web Push (RFC 8030) over the mailbox, one post or many in a call. A 201 is answered after the commit and not
//! before; nothing answered tells who the user is or whether anyone listens.

mod bells;
mod caller;
mod cells;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod headers;
mod limits;
mod message;
mod milestones;
mod posting;
mod prefer;
mod publish;
mod push;
mod receipts;
mod seats;
mod under_way;
mod unifiedpush;
mod vapid;
mod webhooks;

pub use bells::{Bell, Bells};
pub use limits::PushLimits;
pub use message::SealingKey;
pub use webhooks::{Names, WebhookError, WebhookSettings, Webhooks, system_names};

use belfry_edge::TrustedProxies;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::mailbox::Message;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

/// What stands in a message URL behind the public URL.
const PATH: &str = "/push/message/";

/// What the bridge is told at its start.
pub struct Settings {
    /// What message URLs begin with; VAPID tokens name its origin.
    pub public_url: String,
    /// Former public URLs, whose VAPID tokens stay good.
    pub public_url_former: Vec<String>,
    /// The longest TTL; a longer one is capped.
    pub ttl_max: Duration,
    /// How much may be posted.
    pub limits: PushLimits,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
}

/// The bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge(Arc<Inner>);

struct Inner {
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    bells: Bells,
    sealing: SealingKey,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    rates: limits::Rates,
    under_way: under_way::UnderWay,
    /// The origins that a VAPID token may name.
    audiences: Vec<String>,
    draining: watch::Sender<bool>,
    /// Who waits for receipts.
    seats: seats::Seats,
    /// Who publishes many in a call.
    calls: seats::Seats,
    /// The same as a stream.
    streams: seats::Seats,
    proofs: vapid::Proofs,
    settings: Settings,
}

impl Bridge {
    /// A bridge between this directory and this mailbox, whose listener rings these bells.
    pub fn new(
        directory: Directory,
        mailbox: Arc<EmbeddedMailbox>,
        bells: Bells,
        sealing: SealingKey,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        settings: Settings,
    ) -> Self {
        let rates = limits::Rates::new();
        let under_way = under_way::UnderWay::default();
        let urls = std::iter::once(&settings.public_url).chain(&settings.public_url_former);
        let audiences = vapid::audiences(urls);
        Self(Arc::new(Inner {
            directory,
            mailbox,
            bells,
            sealing,
            clock,
            rates,
            under_way,
            proofs: vapid::Proofs::default(),
            audiences,
            draining: watch::Sender::new(false),
            seats: seats::Seats::new(receipts::SEATS),
            calls: seats::Seats::new(publish::CALLS),
            streams: seats::Seats::new(publish::STREAMS),
            settings,
        }))
    }

    /// The message that a message URL of this server stands for, or one of its former addresses.
    pub fn message(&self, url: &str) -> Option<Message> {
        let settings = &self.0.settings;
        let mut urls = std::iter::once(&settings.public_url).chain(&settings.public_url_former);
        let sealed = urls.find_map(|base| url.strip_prefix(base.as_str())?.strip_prefix(PATH))?;
        self.0.sealing.open(sealed)
    }

    /// From now on whatever comes anew is told to come back (503); what is under way ends as it would,
    /// a stream of items with those that it has begun, and whoever waits for receipts with none.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
    }
}

/// The routes of the bridge.
pub fn router(bridge: Bridge) -> OpenApiRouter {
    push::router()
        .merge(milestones::router())
        .merge(publish::router())
        .merge(receipts::router())
        .with_state(bridge)
}

#[cfg(test)]
mod tests;
