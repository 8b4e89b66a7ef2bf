//! Limits and retention: what holds, what was set over the configuration for all or for one site or user,
//! and what retention would remove now.
//!
//! What is set holds when it is answered: whoever judges by a limit reads the value in memory that the act
//! has replaced (`store::directory::limits`).

mod own;
mod retention;

use crate::Admin;
use crate::bans::Dry;
use crate::seat::{Reader, Writer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use belfry_acl::limit::{Limits, Name, Of, Unit, Whose};
use belfry_config::Config;
use belfry_edge::given::Given;
use belfry_edge::paging::Page;
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_protocol::site::Origin;
use retention::WouldRemove;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use own::{OwnLimit, of};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list, set))
        .routes(routes!(set_of_site))
        .routes(routes!(set_of_user))
        .merge(retention::router())
}

/// What the configuration says of the limits that can be changed while the server runs.
#[derive(Debug, Clone, Default)]
pub struct Configured(HashMap<Name, u64>);

impl Configured {
    /// As this configuration has them.
    pub fn of(config: &Config) -> Self {
        let (limits, retention) = (&config.limits, &config.retention);
        let value = |name| match name {
            Name::PermissionPerMinute => limits.permission_per_minute.into(),
            Name::PermissionBurst => limits.permission_burst.into(),
            Name::SitePerSecond => limits.site_per_second.into(),
            Name::SitePerDay => limits.site_per_day,
            Name::UnprovenPerSecond => limits.unproven_per_second.into(),
            Name::UnprovenAddressPerSecond => limits.unproven_address_per_second.into(),
            Name::MailboxNotifications => limits.mailbox_notifications as u64,
            Name::MailboxBytes => limits.mailbox_bytes.0,
            Name::ConnectionsPerAddress => limits.connections_per_address as u64,
            Name::DevicesPerUser => limits.devices_per_user,
            Name::PermissionsPerUser => limits.permissions_per_user,
            Name::AccountsPerHour => limits.accounts_per_hour.into(),
            Name::SignInFailuresPerMinute => limits.sign_in_failures_per_minute.into(),
            Name::TtlMax => retention.ttl_max.as_secs(),
            Name::History => retention.history.as_secs(),
            Name::DeviceIdle => retention.device_idle.as_secs(),
            Name::AccountIdle => retention.account_idle.as_secs(),
            Name::AuditAge => retention.audit.as_secs(),
        };
        Self(Name::ALL.iter().map(|name| (*name, value(*name))).collect())
    }

    /// What it says of one.
    pub fn get(&self, name: Name) -> u64 {
        self.0.get(&name).copied().unwrap_or_default()
    }

    /// How long that is, where these were set over it.
    pub(crate) fn duration(&self, limits: &Limits, name: Name) -> Duration {
        Duration::from_secs(limits.for_all(name, self.get(name)))
    }
}

/// A limit as it holds for all that have none of their own.
#[derive(Debug, Serialize, ToSchema)]
struct LimitInfo {
    /// Its key in the configuration.
    #[schema(example = "limits.site_per_second")]
    name: &'static str,
    /// `count`, `bytes` or `seconds`.
    unit: &'static str,
    /// What the configuration says.
    configured: u64,
    /// What was set over it; null where nothing was.
    set: Option<u64>,
    in_force: u64,
    minimum: u64,
    maximum: u64,
    /// How many sites or users have one of their own.
    overrides: usize,
}

/// The limits that can be changed while the server runs, in the order of the configuration, on one page.
#[utoipa::path(
    get, path = "/admin/v1/limits", tag = "Administration", operation_id = "admin_list_limits",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "All of them", body = Page<LimitInfo>),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn list(State(admin): State<Admin>, _: Reader) -> axum::Json<Page<LimitInfo>> {
    let limits = admin.directory.limits();
    let info = |name: &Name| {
        let configured = admin.settings.configured.get(*name);
        let (minimum, maximum) = name.range();
        LimitInfo {
            name: name.key(),
            unit: match name.unit() {
                Unit::Count => "count",
                Unit::Bytes => "bytes",
                Unit::Seconds => "seconds",
            },
            configured,
            set: limits.set(*name),
            in_force: limits.for_all(*name, configured),
            minimum,
            maximum,
            overrides: limits.overrides(*name),
        }
    };
    let all: Vec<LimitInfo> = Name::ALL.iter().map(info).collect();
    let count = all.len();
    axum::Json(Page::of(all, count, |limit| limit.name.to_owned()))
}

/// Limits by name; null takes away what was set.
type Changes = BTreeMap<String, Option<u64>>;

/// What is to be changed of the limits that `named` knows.
fn changes(
    given: Changes,
    named: impl Fn(&str) -> Option<Name>,
) -> Result<Vec<(Name, Option<u64>)>, ApiError> {
    let change = |(key, value): (String, Option<u64>)| {
        let name = named(&key);
        let name = name.ok_or_else(|| ApiError::invalid(&key, "there is no such limit here"))?;
        let (minimum, maximum) = name.range();
        if value.is_some_and(|value| !name.takes(value)) {
            let detail = match name.least_but_0() {
                Some(least) => {
                    format!("{key} is {minimum}, for ever, or from {least} to {maximum}")
                }
                None => format!("{key} is from {minimum} to {maximum}"),
            };
            return Err(ApiError::invalid(&key, detail));
        }
        Ok((name, value))
    };
    given.into_iter().map(change).collect()
}

/// Sets limits for all, or, with null, goes back to the configuration; all of them or none.
#[utoipa::path(
    put, path = "/admin/v1/limits", tag = "Administration", operation_id = "admin_set_limits", params(Dry),
    request_body(content = HashMap<String, Option<u64>>, description = "Limits by their key in the configuration; what is not named stays"),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "With `dry_run=true`: what retention would remove by these", body = Page<WouldRemove>),
        (status = 204, description = "They hold"),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 422, description = "There is no such limit, or it cannot be that; `field` is its name", body = Problem),
    )
)]
async fn set(
    State(admin): State<Admin>,
    Reader(seat): Reader,
    Query(dry): Query<Dry>,
    Given(given): Given<Changes>,
) -> Result<Response, ApiError> {
    let dry = dry.is()?;
    if !dry {
        seat.may_write()?;
    }
    let changes = changes(given, Name::of_key)?;
    if dry {
        let limits = admin.directory.limits().with(&changes);
        let page = retention::would_remove(&admin, &limits).await?;
        return Ok(axum::Json(page).into_response());
    }
    let now = admin.now();
    if !changes.is_empty() {
        let set = admin.directory.set_limits(&changes, &seat.actor, now);
        set.await?;
        admin.changed.tell("limits");
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives a site limits of its own, or, with null, takes them away; all of them or none.
#[utoipa::path(
    put, path = "/admin/v1/sites/{site}/limits", tag = "Administration", operation_id = "admin_set_site_limits",
    params(("site" = String, Path, description = "The origin, percent-encoded")),
    request_body(content = HashMap<String, Option<u64>>, description = "`site_per_second`, `site_per_day`, `permission_per_minute`, `permission_burst`; what is not named stays"),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "They hold"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "That is no origin", body = Problem),
        (status = 422, description = "There is no such limit, or it cannot be that; `field` is its name", body = Problem),
    )
)]
async fn set_of_site(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(site): Path<String>,
    Given(given): Given<Changes>,
) -> Result<StatusCode, ApiError> {
    let site: Origin = site
        .parse()
        .map_err(|_| ApiError::not_found("a site is an origin such as https://news.example"))?;
    let changes = changes(given, |key| Name::of_short(Of::Site, key))?;
    let label = site.as_str().to_owned();
    set_own(&admin, &seat.actor, (Whose::Site(site), &label), &changes).await?;
    admin.changed.tell("sites");
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a user limits of their own, or, with null, takes them away; all of them or none.
#[utoipa::path(
    put, path = "/admin/v1/users/{id}/limits", tag = "Administration", operation_id = "admin_set_user_limits",
    params(("id" = UserId, Path)),
    request_body(content = HashMap<String, Option<u64>>, description = "`mailbox_notifications`, `mailbox_bytes`, `unproven_per_second`, `devices_per_user`, `permissions_per_user`; what is not named stays"),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "They hold"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such user", body = Problem),
        (status = 422, description = "There is no such limit, or it cannot be that; `field` is its name", body = Problem),
    )
)]
async fn set_of_user(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(user): Path<UserId>,
    Given(given): Given<Changes>,
) -> Result<StatusCode, ApiError> {
    let account = admin.directory.account(user).await?;
    let account = account.ok_or_else(|| ApiError::not_found("there is no such user"))?;
    let changes = changes(given, |key| Name::of_short(Of::User, key))?;
    let label = account.display_name;
    set_own(&admin, &seat.actor, (Whose::User(user), &label), &changes).await?;
    admin.changed.tell("users");
    Ok(StatusCode::NO_CONTENT)
}

async fn set_own(
    admin: &Admin,
    by: &belfry_store::directory::Actor,
    (whose, label): (Whose, &str),
    changes: &[(Name, Option<u64>)],
) -> Result<(), ApiError> {
    if changes.is_empty() {
        return Ok(());
    }
    let now = admin.now();
    let set = admin
        .directory
        .set_own_limits((&whose, label), changes, by, now);
    set.await?;
    admin.changed.tell("limits");
    Ok(())
}
