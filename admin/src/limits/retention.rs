//! How long things are kept: what would go now, and, of what is the operators' own, that it goes.
//!
//! The mailbox clears its history away itself, and the account rooms remove who is idle; here go rows of
//! the audit, bans that are over, and keys that proved nothing.

use super::{Limits, Name};
use crate::Admin;
use crate::seat::Reader;
use axum::extract::State;
use belfry_edge::ApiError;
use belfry_edge::paging::Page;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, DirectoryError};
use serde::Serialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How often what is too old is looked for.
const CLEAR_EVERY: Duration = Duration::from_secs(3_600);
/// How long a VAPID key is remembered that posted without a permission that is restricted to it.
const UNPROVEN_KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What a time of retention would remove, were it heeded now.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = WouldRemove)]
pub(crate) struct WouldRemove {
    #[schema(example = "retention.history")]
    name: &'static str,
    notifications: u64,
    /// Posted bytes of them.
    bytes: u64,
    devices: u64,
    users: u64,
    /// Of the audit.
    rows: u64,
}

/// What retention would remove now.
///
/// The longest TTL removes nothing: it holds for what is accepted from then on. Who is idle is warned a
/// week before and is counted here all the same.
#[utoipa::path(
    get, path = "/admin/v1/retention", tag = "Administration", operation_id = "admin_list_retention",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Each time, on one page", body = Page<WouldRemove>),
        (status = 401, description = "Signed out", body = Problem),
        (status = 503, description = "Not now", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
) -> Result<axum::Json<Page<WouldRemove>>, ApiError> {
    let limits = admin.directory.limits();
    would_remove(&admin, &limits).await.map(axum::Json)
}

/// The same by these limits.
pub(super) async fn would_remove(
    admin: &Admin,
    limits: &Limits,
) -> Result<Page<WouldRemove>, ApiError> {
    let _counting = admin.counting.lock().await;
    let configured = &admin.settings.configured;
    let age = |name| configured.duration(limits, name);
    let (notifications, bytes) = admin.mailbox.history_over(age(Name::History)).await?;
    let now = admin.now();
    let directory = &admin.directory;
    let devices = match before(now, age(Name::DeviceIdle)) {
        Some(before) => directory.count_idle_devices(before).await?,
        None => 0,
    };
    let users = match before(now, age(Name::AccountIdle)) {
        Some(before) => directory.count_idle_accounts(before).await?,
        None => 0,
    };
    let rows = match before(now, age(Name::AuditAge)) {
        Some(before) => directory.count_audit(before).await?,
        None => 0,
    };
    let named = |name: Name| WouldRemove {
        name: name.key(),
        ..WouldRemove::default()
    };
    let all = vec![
        named(Name::TtlMax),
        WouldRemove {
            notifications,
            bytes,
            ..named(Name::History)
        },
        WouldRemove {
            devices,
            ..named(Name::DeviceIdle)
        },
        WouldRemove {
            users,
            ..named(Name::AccountIdle)
        },
        WouldRemove {
            rows,
            ..named(Name::AuditAge)
        },
    ];
    let count = all.len();
    Ok(Page::of(all, count, |item| item.name.to_owned()))
}

/// When what is so old began; nothing is too old for an age of zero.
fn before(now: Timestamp, age: Duration) -> Option<Timestamp> {
    (!age.is_zero()).then(|| now.minus(age))
}

impl Admin {
    /// Removes what is too old of the audit, of bans that are over and of keys that were seen, until
    /// `stopping`.
    pub async fn clear_away(self, stopping: CancellationToken) {
        let mut every = tokio::time::interval(CLEAR_EVERY);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.clear().await {
                tracing::warn!(%error, "what is too old is not removed yet");
            }
        }
    }

    async fn clear(&self) -> Result<(), DirectoryError> {
        let now = self.now();
        let limits = self.directory.limits();
        let age = self.settings.configured.duration(&limits, Name::AuditAge);
        if let Some(before) = before(now, age) {
            let pruned = self.directory.prune_audit(before, &Actor::Server, now);
            if pruned.await? > 0 {
                self.changed.tell("audit");
            }
            self.directory.forget_bans(before).await?;
        }
        let before = now.minus(UNPROVEN_KEPT);
        self.directory.forget_unproven_keys(before).await?;
        Ok(())
    }
}
