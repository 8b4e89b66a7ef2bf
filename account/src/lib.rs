//! The users' side: accounts, sign-ins, devices, permissions, the mailbox over HTTP and the keyring;
//! and the console, which is all of this for a browser.
//!
//! A change that the mailbox must know goes to the mailbox first where it takes something away
//! (revoking, removing) and to the directory first where it adds, so that a crash in between leaves
//! nothing that accepts more than it should; [`reconcile()`] settles the rest at the start.

mod accounts;
mod caller;
mod console;
mod devices;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod idle;
mod keyring;
mod notifications;
mod permissions;
mod reconcile;
mod resets;
mod sessions;
mod shapes;
mod subscribe;

pub use caller::Caller;
pub use console::console;
pub use reconcile::reconcile;

use axum::extract::FromRef;
use belfry_broker::Broker;
use belfry_config::Registration;
use belfry_edge::attempts::Attempts;
use belfry_edge::password::Hashing;
use belfry_edge::{ApiError, SignIns, TrustedProxies, no_such_method};
pub(crate) use belfry_edge::{display_name, random};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use belfry_store::mailbox::{Command, Mailbox as _, Outcome, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use utoipa_axum::router::OpenApiRouter;

/// How long a sign-in lives without being used.
pub const SIGN_IN_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How recent a sign-in must be for what cannot be undone.
const RECENT: Duration = Duration::from_secs(600);
/// Locks for changes of users, each for one in so many of them: two users rarely share one, and when
/// they do one waits a moment.
const CHANGING: usize = 256;

/// What the account rooms are told at their start.
pub struct Settings {
    /// What push endpoints begin with, without a slash at its end.
    pub public_url: String,
    /// What devices are told as the WebSocket address.
    pub mqtt_url: String,
    /// What devices are told as the TCP address.
    pub mqtt_tcp: String,
    /// Who may make an account.
    pub registration: Registration,
    /// New accounts an hour from one address.
    pub accounts_per_hour: u32,
    /// Failed sign-ins a minute by name and address.
    pub sign_in_failures_per_minute: u32,
    /// Passwords hashed at a time.
    pub password_hashes: usize,
    /// Devices of one user.
    pub devices_per_user: u64,
    /// Permissions of one user.
    pub permissions_per_user: u64,
    /// How long a device may stay away before it is removed; zero for ever.
    pub device_idle: Duration,
    /// How long nobody may be at an account before it is removed; zero for ever.
    pub account_idle: Duration,
    /// How long active devices have notifications to themselves where the user says nothing else.
    pub away_grace: Duration,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
}

/// The account rooms. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    broker: Broker,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    sign_ins: Arc<SignIns>,
    changing: [Mutex<()>; CHANGING],
    settings: Settings,
}

impl Accounts {
    /// Over this directory, mailbox and broker.
    pub fn new(
        directory: Directory,
        mailbox: Arc<EmbeddedMailbox>,
        broker: Broker,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        settings: Settings,
    ) -> Self {
        let sign_ins = Arc::new(SignIns {
            hashing: Hashing::new(settings.password_hashes),
            attempts: Attempts::new(
                settings.accounts_per_hour,
                settings.sign_in_failures_per_minute,
            )
            .following(directory.watch_limits()),
        });
        Self(Arc::new(Inner {
            directory,
            mailbox,
            broker,
            clock,
            sign_ins,
            changing: std::array::from_fn(|_| Mutex::default()),
            settings,
        }))
    }

    /// What passwords are checked with here, for other rooms that take them.
    pub fn sign_ins(&self) -> Arc<SignIns> {
        Arc::clone(&self.0.sign_ins)
    }

    /// The routes.
    pub fn router(self) -> OpenApiRouter {
        let (routes, document) = OpenApiRouter::new()
            .merge(accounts::router())
            .merge(resets::router())
            .merge(sessions::router())
            .merge(devices::router())
            .merge(permissions::router())
            .merge(subscribe::router())
            .merge(notifications::router())
            .merge(keyring::router())
            .with_state(self)
            .split_for_parts();
        // Below the layers: one set later would answer preflights (Fetch §3.3.6) in their place.
        let routes = routes
            .method_not_allowed_fallback(no_such_method)
            .layer(belfry_edge::layers::cors());
        let mut router = OpenApiRouter::from(routes);
        *router.get_openapi_mut() = document;
        router
    }
}

impl FromRef<Accounts> for TrustedProxies {
    fn from_ref(accounts: &Accounts) -> Self {
        accounts.0.settings.trusted_proxies.clone()
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// One change of a user's devices, permissions or account at a time: counted limits hold, and
    /// nothing is added to an account that is being erased.
    async fn changing(&self, user: UserId) -> MutexGuard<'_, ()> {
        let at = usize::from(user.as_bytes()[0]) % CHANGING;
        self.changing[at].lock().await
    }

    /// Refuses where the account was erased while the caller waited for its turn.
    async fn still(&self, user: UserId) -> Result<(), ApiError> {
        let account = self.directory.account(user).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("the account is gone"));
        account.map(|_| ())
    }

    /// Refuses a user who is kept out, and says why and until when.
    fn not_banned(&self, user: UserId) -> Result<(), ApiError> {
        match self.directory.bans().user(user, self.now()) {
            Some(ban) => Err(ApiError::banned("this account", ban)),
            None => Ok(()),
        }
    }

    async fn command(&self, command: Command) -> Result<Outcome, ApiError> {
        let mut outcomes = self.mailbox.apply(vec![command]).await;
        Ok(outcomes.pop().unwrap_or(Err(Refusal::Unavailable))?)
    }
}

#[cfg(test)]
mod tests;
