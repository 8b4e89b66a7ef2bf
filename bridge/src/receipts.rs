//! `/push/receipts/{receipts}`: where a sender hears what became of its notifications (RFC 8030 §6.3).
//!
//! The RFC pushes each receipt with HTTP/2, which no client and no proxy takes any more. So a reader
//! asks for what came after what it knows, and may wait for it: once (`Prefer: wait`), or for as long as
//! it likes, as a stream. Nothing is forgotten by having been read, and any number may read.

pub(crate) mod link;
mod reading;
mod written;

use crate::seats::Limits;
use crate::{Bridge, Inner};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::problem::Problem;
use belfry_store::mailbox::{Command, Mailbox as _, Message, OutboxPage, Owner};
use reading::Reading;
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use written::{ReceiptPage, Shape};

/// Receipts in one answer, or read at a time for a stream.
const PAGE: usize = 500;
/// The longest that an answer is waited for: less than the minute after which proxies give up.
const WAIT_MAX: Duration = Duration::from_secs(55);

/// Who may wait: each holds a connection and some kilobytes.
pub(crate) const SEATS: Limits = Limits {
    // A part of the connections that there are, so that posts find one.
    all: if cfg!(test) { 6 } else { 1_024 },
    // A sender reads with one, and has some more while it is restarted.
    each: if cfg!(test) { 2 } else { 4 },
    what: "may wait for one receipt subscription at a time",
};

pub(crate) fn router() -> OpenApiRouter<Bridge> {
    OpenApiRouter::new().routes(routes!(read, end))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// `next` of an earlier answer: what came after it. Without it, all that is kept.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,20}$")]
    after: Option<String>,
}

/// What became of notifications (RFC 8030 §6.3).
///
/// 204: a first device took it. 410: it is given up, at its expiry or as it was withdrawn, replaced or
/// its permission revoked. As `text/event-stream` or `application/x-ndjson` it goes on with what comes.
#[utoipa::path(
    get, path = "/push/receipts/{receipts}", tag = "Publishing", operation_id = "read_receipts",
    params(
        ("receipts" = String, Path, description = "The last part of the receipt subscription's URL"),
        From,
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): wait up to N seconds, at most 55, for something to answer"),
        ("Accept" = Option<String>, Header, description = "`application/json`, or, as a stream, `text/event-stream` or `application/x-ndjson`"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `after`, and before it: what an EventSource sends when it comes back"),
    ),
    responses(
        (status = 200, description = "What is told, the oldest first; nothing where the wait was over", content(
            (ReceiptPage = "application/json"),
            (String = "text/event-stream"),
            (String = "application/x-ndjson"),
        ), headers(
            ("Preference-Applied" = String, description = "`wait=N` where it was to wait"),
        )),
        (status = 400, description = "A malformed parameter or header", body = Problem),
        (status = 404, description = "No such receipt subscription, or it has ended", body = Problem),
        (status = 405, description = "Receipt subscriptions take GET and DELETE alone", body = Problem, headers(("Allow" = String))),
        (status = 429, description = "As many wait for this receipt subscription as may", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
        (status = 503, description = "Not now, or as many wait as may", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(()),
)]
async fn read(
    State(bridge): State<Bridge>,
    receipts: Result<Path<String>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    bridge.0.not_draining()?;
    let owner = bridge.0.receipts_named(receipts)?;
    let (mut parts, _) = request.into_parts();
    let Query(from) = Query::<From>::from_request_parts(&mut parts, &bridge).await?;
    let resumed = parts.headers.get("last-event-id");
    let after = match resumed {
        Some(id) => place("Last-Event-ID", id.to_str().unwrap_or_default())?,
        None => from
            .after
            .as_deref()
            .map_or(Ok(0), |after| place("after", after))?,
    };
    let shape = Shape::of(&parts.headers);
    let wait = crate::prefer::Preferences::of(&parts.headers).wait_secs;
    let wait = wait.map(|secs| Duration::from_secs(secs).min(WAIT_MAX));
    let mut reading = Reading::of(&bridge.0, owner, after);
    if shape.is_stream() {
        // So that one that is not there is told as that.
        bridge.0.told(owner, u64::MAX).await?;
        let seat = bridge.0.seats.take(owner)?;
        return Ok(written::stream(reading, seat, shape));
    }
    let mut rows = reading.page().await?;
    if rows.is_empty()
        && let Some(wait) = wait.filter(|wait| !wait.is_zero())
    {
        let _seat = bridge.0.seats.take(owner)?;
        rows = reading.wait(wait).await?;
    }
    let page = ReceiptPage::of(&bridge.0, &rows, reading.after())?;
    let mut response = axum::Json(page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = wait {
        let applied = format!("wait={}", wait.as_secs());
        let applied = HeaderValue::from_str(&applied).map_err(|_| ApiError::unavailable())?;
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// Which of a request's preferences were heeded (RFC 7240 §3).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Ends a receipt subscription: what it holds is gone, and nothing comes any more (RFC 8030 §7.3).
#[utoipa::path(
    delete, path = "/push/receipts/{receipts}", tag = "Publishing", operation_id = "end_receipts",
    params(("receipts" = String, Path, description = "The last part of the receipt subscription's URL")),
    responses(
        (status = 204, description = "Ended; who waits for it is told that it is gone"),
        (status = 404, description = "No such receipt subscription, or it has ended", body = Problem),
        (status = 405, description = "Receipt subscriptions take GET and DELETE alone", body = Problem, headers(("Allow" = String))),
        (status = 503, description = "Not now", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(()),
)]
async fn end(
    State(bridge): State<Bridge>,
    receipts: Result<Path<String>, ApiError>,
) -> Result<StatusCode, ApiError> {
    bridge.0.not_draining()?;
    let owner = bridge.0.receipts_named(receipts)?;
    let there = bridge.0.mailbox.outbox(owner, u64::MAX, 0).await?;
    there.ok_or_else(no_receipts)?;
    bridge.0.command(Command::CloseOutbox { owner }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Inner {
    fn receipts_named(&self, name: Result<Path<String>, ApiError>) -> Result<Owner, ApiError> {
        let owner = name
            .ok()
            .and_then(|Path(name)| self.sealing.receipts(&name));
        owner.ok_or_else(no_receipts)
    }

    /// Where a receipt subscription is read.
    pub(crate) fn receipts_url(&self, owner: Owner) -> Result<String, ApiError> {
        let secret = self.sealing.receipts_url(owner);
        let secret = secret.ok_or_else(ApiError::unavailable)?;
        Ok(format!(
            "{}{}{secret}",
            self.settings.public_url,
            link::PATH
        ))
    }

    /// A notification's message URL, as its `Location` was.
    pub(crate) fn message_url(&self, message: &Message) -> Result<String, ApiError> {
        let sealed = self.sealing.seal(*message);
        let sealed = sealed.ok_or_else(ApiError::unavailable)?;
        Ok(format!(
            "{}/push/message/{sealed}",
            self.settings.public_url
        ))
    }

    async fn told(&self, owner: Owner, after: u64) -> Result<OutboxPage, ApiError> {
        let page = self.mailbox.outbox(owner, after, PAGE).await?;
        page.ok_or_else(no_receipts)
    }
}

fn place(field: &str, text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::malformed(field, format!("{field} is the next of an earlier answer"))
    })
}

fn no_receipts() -> ApiError {
    ApiError::not_found("there is no such receipt subscription, or it has ended")
}
