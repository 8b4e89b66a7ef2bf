//! The mailbox over HTTP, with its history.

use crate::caller::{CallingDevice, Reader};
use crate::{Accounts, PAGE_DEFAULT, PAGE_MAX, Page};
use axum::extract::State;
use axum::http::StatusCode;
use belfry_edge::{ApiError, Json, Path, Query};
use belfry_protocol::envelope::Notification;
use belfry_protocol::id::NotificationId;
use belfry_protocol::problem::Problem;
use belfry_store::mailbox::{Command, Entry, HistoryRange, Mailbox as _, Seq};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Ids in one acknowledgement: a mailbox full.
const ACK_IDS_MAX: usize = 1_000;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get_one))
        .routes(routes!(acknowledge))
}

/// A notification as devices receive it over MQTT, and whether a device has shown it.
#[derive(Serialize, ToSchema)]
struct Item {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    notification: Notification,
    seen: bool,
}

fn item(entry: &Entry) -> Result<Item, ApiError> {
    let notification =
        serde_json::from_slice(&entry.payload).map_err(|_| ApiError::unavailable())?;
    Ok(Item {
        notification,
        seen: entry.meta.seen,
    })
}

#[derive(Deserialize, IntoParams)]
struct Range {
    /// Later than this `seq`, oldest first.
    after: Option<u64>,
    /// Earlier than this `seq`, newest first.
    before: Option<u64>,
    /// At most 100, 50 if not given.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<u64>,
}

/// A page of the mailbox with its history.
#[utoipa::path(
    get, path = "/v1/notifications", tag = "Notifications", params(Range),
    responses((status = 200, body = Page<Item>), (status = 400, body = Problem), (status = 401, body = Problem))
)]
async fn list(
    State(accounts): State<Accounts>,
    Reader(user): Reader,
    Query(range): Query<Range>,
) -> Result<axum::Json<Page<Item>>, ApiError> {
    let limit = range.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let wanted = match (range.after, range.before) {
        (Some(_), Some(_)) => {
            return Err(ApiError::malformed(
                "after",
                "give after or before, not both",
            ));
        }
        (None, Some(before)) => HistoryRange::Before(Seq(range.cursor.unwrap_or(before))),
        (after, None) => HistoryRange::After(Seq(range.cursor.or(after).unwrap_or(0))),
    };
    let entries = accounts
        .0
        .mailbox
        .history(user, wanted, limit as usize)
        .await?;
    let full = entries.len() == limit as usize;
    let next = entries
        .last()
        .filter(|_| full)
        .map(|last| last.meta.seq.0.to_string());
    let items = entries.iter().map(item).collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next }))
}

/// One notification.
#[utoipa::path(
    get, path = "/v1/notifications/{id}", tag = "Notifications", params(("id" = NotificationId, Path)),
    responses((status = 200, body = Item), (status = 401, body = Problem), (status = 404, body = Problem))
)]
async fn get_one(
    State(accounts): State<Accounts>,
    Reader(user): Reader,
    Path(id): Path<NotificationId>,
) -> Result<axum::Json<Item>, ApiError> {
    let entry = accounts.0.mailbox.notification(user, id).await?;
    let entry = entry.ok_or_else(|| ApiError::not_found("there is no such notification"))?;
    Ok(axum::Json(item(&entry)?))
}

#[derive(Deserialize, ToSchema)]
struct Acknowledgement {
    /// At most 1,000.
    ids: Vec<NotificationId>,
}

/// Acknowledges for the calling device, as PUBACK does. With HTTP Basic: device id and password.
#[utoipa::path(
    post, path = "/v1/notifications/ack", tag = "Notifications", request_body = Acknowledgement,
    responses((status = 204), (status = 401, body = Problem), (status = 404, description = "The device has no session", body = Problem))
)]
async fn acknowledge(
    State(accounts): State<Accounts>,
    CallingDevice { user, device }: CallingDevice,
    Json(acknowledgement): Json<Acknowledgement>,
) -> Result<StatusCode, ApiError> {
    if acknowledgement.ids.len() > ACK_IDS_MAX {
        return Err(ApiError::invalid("ids", "at most 1000 at a time"));
    }
    accounts
        .0
        .command(Command::Acknowledge {
            user,
            device,
            ids: acknowledgement.ids,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
