//! The operators' side: who administers, and what they see and decide, under `/admin/v1`.
//!
//! Each room is one group of routes. Who may call is decided by [`seat`], which asks the directory at each
//! request; what an act changes and the row that tells of it are one transaction of the directory's. No
//! content, endpoint or key of a user passes through here.

mod apns;
mod audit;
pub mod bans;
mod challenges;
pub mod changed;
mod dashboard;
pub mod desk;
mod failures;
pub mod figures;
pub mod health;
pub mod limits;
mod links;
mod lists;
mod nodes;
mod own;
mod passkeys;
pub mod proof;
pub mod registration;
pub mod seat;
mod session;
mod setup;
mod sign_in;
mod sites;
mod standing;
mod tokens;
mod totp;
pub mod trace;
mod users;
mod webauthn;

use axum::extract::FromRef;
use belfry_broker::Broker;
use belfry_edge::{SignIns, TrustedProxies, no_such_method};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use challenges::Challenges;
use changed::Changed;
use failures::Failures;
pub use figures::{Figures, Tally};
pub use health::{Health, HealthSettings};
pub use limits::Configured;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::Mutex;
pub use trace::OpenMessage;
use utoipa_axum::router::OpenApiRouter;

/// What the rooms are told at their start.
pub struct Settings {
    /// What users open and links begin with, without a slash at its end.
    pub public_url: String,
    /// What the pages of admins begin with, the same way.
    pub admin_url: String,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
    /// What the configuration says of limits.
    pub configured: Configured,
    /// How proofs of sites are looked for.
    pub looking: proof::Looking,
    /// Which message a message URL stands for.
    pub open_message: OpenMessage,
}

/// What looks on.
#[derive(Clone)]
pub struct Watched {
    /// What is counted.
    pub figures: Figures,
    /// Whether all works.
    pub health: Health,
}

/// The rooms. Cheap to clone.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

/// What they share.
pub struct Inner {
    /// Who exists and who allowed what.
    pub directory: Directory,
    /// What is owed to whom.
    pub mailbox: Arc<EmbeddedMailbox>,
    /// Who is connected.
    pub broker: Broker,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// What passwords are checked with.
    pub sign_ins: Arc<SignIns>,
    /// What is counted.
    pub figures: Figures,
    /// Whether all works.
    pub health: Health,
    /// What was told at the start.
    pub settings: Settings,
    /// Where acts are told to who looks on.
    pub changed: Changed,
    /// Sign-ins whose password was right.
    challenges: Challenges,
    /// Those by passkey alone, which anybody may begin.
    alone: Challenges,
    /// Passkeys that are being made.
    enrolling: Challenges,
    failures: Failures,
    told_bans: Mutex<bans::enforce::Told>,
    /// Counting what retention would remove reads whole tables: one at a time does.
    counting: Mutex<()>,
}

impl Deref for Admin {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl FromRef<Admin> for TrustedProxies {
    fn from_ref(admin: &Admin) -> Self {
        admin.settings.trusted_proxies.clone()
    }
}

impl Admin {
    /// Over this directory, mailbox and broker. `sign_ins` is the users', so that nobody guesses a
    /// password twice as often by asking here too.
    pub fn new(
        directory: Directory,
        mailbox: Arc<EmbeddedMailbox>,
        broker: Broker,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        sign_ins: Arc<SignIns>,
        watched: Watched,
        settings: Settings,
    ) -> Self {
        let Watched { figures, health } = watched;
        Self(Arc::new(Inner {
            directory,
            mailbox,
            broker,
            clock,
            sign_ins,
            figures,
            health,
            settings,
            changed: Changed::default(),
            challenges: Challenges::default(),
            alone: Challenges::default(),
            enrolling: Challenges::default(),
            failures: Failures::default(),
            told_bans: Mutex::default(),
            counting: Mutex::default(),
        }))
    }

    /// The pages that make all of this something to look at.
    pub fn pages() -> axum::Router {
        dashboard::router()
    }

    /// The routes.
    pub fn router(self) -> OpenApiRouter {
        let (routes, document) = OpenApiRouter::new()
            .merge(sign_in::router())
            .merge(setup::router())
            .merge(own::router())
            .merge(passkeys::router())
            .merge(links::router())
            .merge(tokens::router())
            .merge(audit::router())
            .merge(bans::router())
            .merge(limits::router())
            .merge(figures::router())
            .merge(nodes::router())
            .merge(sites::router())
            .merge(users::router())
            .merge(apns::router())
            .merge(trace::router())
            .with_state(self)
            .split_for_parts();
        let routes = routes.method_not_allowed_fallback(no_such_method);
        let mut router = OpenApiRouter::from(routes);
        *router.get_openapi_mut() = document;
        router
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests;
