//! The mailbox over HTTP, with its history.

use crate::Accounts;
use crate::caller::{CallingDevice, Reader};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use belfry_edge::given::Given;
use belfry_edge::paging::{self, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::envelope::Notification;
use belfry_protocol::id::{NotificationId, PermissionId};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Command, Entry, HistoryRange, Mailbox as _, Refusal, Seq};
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
#[schema(as = MailboxItem)]
struct Item {
    id: NotificationId,
    permission: PermissionId,
    site: Origin,
    /// Orders the user's log; gaps mean nothing.
    seq: u64,
    sent: Timestamp,
    expires: Timestamp,
    urgency: Urgency,
    /// Web Push's `Topic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    encoding: ContentEncoding,
    /// Encrypted, base64url.
    body: String,
    seen: bool,
}

fn item(entry: &Entry) -> Result<Item, ApiError> {
    let notification: Notification = serde_json::from_slice(&entry.payload).map_err(|error| {
        tracing::error!(%error, "a stored notification cannot be read");
        ApiError::unavailable()
    })?;
    Ok(Item {
        id: notification.id,
        permission: notification.permission,
        site: notification.site,
        seq: entry.meta.seq.0,
        sent: notification.sent,
        expires: notification.expires,
        urgency: notification.urgency,
        topic: notification.topic,
        encoding: notification.encoding,
        body: notification.body,
        seen: entry.meta.seen,
    })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Range {
    /// Later than this `seq`, oldest first; from the beginning if neither is given.
    #[param(value_type = Option<u64>, format = "uint64")]
    after: Option<String>,
    /// Earlier than this `seq`, newest first.
    #[param(value_type = Option<u64>, format = "uint64")]
    before: Option<String>,
}

impl Range {
    fn read(&self) -> Result<HistoryRange, ApiError> {
        let seq = |field, text: &str| {
            let seq = text.parse().map(Seq);
            seq.map_err(|_| ApiError::malformed(field, "a seq is a number"))
        };
        match (&self.after, &self.before) {
            (Some(_), Some(_)) => Err(ApiError::malformed(
                "before",
                "give after or before, not both",
            )),
            (None, Some(before)) => Ok(HistoryRange::Before(seq("before", before)?)),
            (Some(after), None) => Ok(HistoryRange::After(seq("after", after)?)),
            (None, None) => Ok(HistoryRange::After(Seq(0))),
        }
    }
}

/// Where a page ended, and which way it went.
fn cursor(range: HistoryRange, seq: Seq) -> String {
    match range {
        HistoryRange::After(_) => format!("a{}", seq.0),
        HistoryRange::Before(_) => format!("b{}", seq.0),
    }
}

fn read_cursor(text: &str) -> Result<HistoryRange, ApiError> {
    let (way, seq) = text.split_at_checked(1).ok_or_else(paging::bad_cursor)?;
    let seq = Seq(seq.parse().map_err(|_| paging::bad_cursor())?);
    match way {
        "a" => Ok(HistoryRange::After(seq)),
        "b" => Ok(HistoryRange::Before(seq)),
        _ => Err(paging::bad_cursor()),
    }
}

/// A page of the mailbox with its history.
///
/// With a user's token, or with HTTP Basic: a device's id and its password. A cursor goes on where its
/// page ended, whatever `after` or `before` say.
#[utoipa::path(
    get, path = "/v1/notifications", tag = "Notifications", operation_id = "list_notifications", params(Range, Paging),
    security(("token" = []), ("device" = [])),
    responses(
        (status = 200, description = "A page of it", body = Page<Item>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Neither a good token nor a device's password", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(accounts): State<Accounts>,
    Reader(user): Reader,
    Query(range): Query<Range>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<Item>>, ApiError> {
    let limit = paging.limit()?;
    let asked = range.read()?;
    let range = paging.cursor.as_deref().map_or(Ok(asked), read_cursor)?;
    let entries = accounts.0.mailbox.history(user, range, limit + 1).await?;
    let items = entries.iter().map(item).collect::<Result<_, _>>()?;
    Ok(axum::Json(Page::of(items, limit, |item: &Item| {
        cursor(range, Seq(item.seq))
    })))
}

/// One notification.
#[utoipa::path(
    get, path = "/v1/notifications/{id}", tag = "Notifications", operation_id = "get_notification", params(("id" = NotificationId, Path)),
    security(("token" = []), ("device" = [])),
    responses(
        (status = 200, description = "The notification", body = Item, headers(
            ("Last-Modified" = String, description = "When it was posted"),
        )),
        (status = 401, description = "Neither a good token nor a device's password", body = Problem),
        (status = 404, description = "The user has no such notification (any more)", body = Problem),
    )
)]
async fn get_one(
    State(accounts): State<Accounts>,
    Reader(user): Reader,
    Path(id): Path<NotificationId>,
) -> Result<([(HeaderName, String); 1], axum::Json<Item>), ApiError> {
    let entry = accounts.0.mailbox.notification(user, id).await?;
    let entry = entry.ok_or_else(|| ApiError::not_found("there is no such notification"))?;
    // When delivery was asked for (RFC 8030 §7.2).
    let posted = [(header::LAST_MODIFIED, entry.meta.sent.http_date())];
    Ok((posted, axum::Json(item(&entry)?)))
}

#[derive(Deserialize, ToSchema)]
struct Acknowledgement {
    /// At most 1,000; ids that the user does not have are passed over.
    #[schema(max_items = 1000)]
    ids: Vec<NotificationId>,
}

/// Acknowledges for the calling device, as PUBACK does.
///
/// With HTTP Basic: the device's id and its password.
#[utoipa::path(
    post, path = "/v1/notifications/ack", tag = "Notifications", request_body = Acknowledgement,
    security(("device" = [])),
    responses(
        (status = 204, description = "They are not owed to the device any more"),
        (status = 401, description = "Not a device's password", body = Problem),
        (status = 422, description = "No ids, or too many", body = Problem),
    )
)]
async fn acknowledge(
    State(accounts): State<Accounts>,
    CallingDevice { user, device }: CallingDevice,
    Given(acknowledgement): Given<Acknowledgement>,
) -> Result<StatusCode, ApiError> {
    let ids = acknowledgement.ids;
    if ids.len() > ACK_IDS_MAX {
        return Err(ApiError::invalid("ids", "at most 1000 at a time"));
    }
    let command = Command::Acknowledge { user, device, ids };
    let mut outcomes = accounts.0.mailbox.apply(vec![command]).await;
    match outcomes.pop().unwrap_or(Err(Refusal::Unavailable)) {
        // A device without a session is owed nothing.
        Ok(_) | Err(Refusal::UnknownSession) => Ok(StatusCode::NO_CONTENT),
        Err(refusal) => Err(refusal.into()),
    }
}
