//! Receipts as they are written: a page of JSON, or a stream of events or of lines.

use super::reading::Reading;
use crate::Inner;
use crate::seats::Seat;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::ApiError;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{News, Told};
use bytes::Bytes;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use utoipa::ToSchema;

/// A stream says that it is alive this often: proxies end what is silent for a minute.
const ALIVE: Duration = Duration::from_secs(15);

/// What became of one notification.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipt {
    /// Its message URL, as `Location` was.
    message: String,
    /// 204: a first device took it. 410: it is given up.
    #[schema(example = 204)]
    status: u16,
    /// When that was.
    at: Timestamp,
}

/// A page of receipts.
#[derive(Serialize, ToSchema)]
pub(super) struct ReceiptPage {
    /// The oldest first.
    items: Vec<Receipt>,
    /// To be given as `after` for what comes later.
    next: String,
}

/// What a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Page,
    Events,
    Lines,
}

impl Shape {
    /// The first that is accepted; a page where none of them is named.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let accepted = accepted.filter_map(|value| value.to_str().ok());
        let types = accepted.flat_map(|value| value.split(','));
        let shapes = types.filter_map(|range| {
            let range = range.split(';').next()?.trim();
            match &*range.to_ascii_lowercase() {
                "application/json" => Some(Self::Page),
                "text/event-stream" => Some(Self::Events),
                "application/x-ndjson" => Some(Self::Lines),
                _ => None,
            }
        });
        shapes.into_iter().next().unwrap_or(Self::Page)
    }

    pub(super) fn is_stream(self) -> bool {
        self != Self::Page
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Page => "application/json",
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// What is written while nothing is told, and is to be passed over.
    fn silence(self) -> &'static str {
        match self {
            Self::Page | Self::Lines => "\n",
            Self::Events => ":\n\n",
        }
    }

    fn write(self, inner: &Inner, told: &Told, text: &mut String) -> Result<(), ApiError> {
        let Some(receipt) = Receipt::of(inner, told)? else {
            return Ok(());
        };
        let line = Line {
            receipt,
            next: told.n.to_string(),
        };
        let json = serde_json::to_string(&line).map_err(|_| ApiError::unavailable())?;
        match self {
            Self::Page | Self::Lines => text.push_str(&json),
            Self::Events => {
                text.push_str("id: ");
                text.push_str(&line.next);
                text.push_str("\nevent: receipt\ndata: ");
                text.push_str(&json);
                text.push('\n');
            }
        }
        text.push('\n');
        Ok(())
    }
}

/// One receipt of a stream, with the place to read on from.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    receipt: Receipt,
    next: String,
}

impl Receipt {
    /// Nothing of what is for a site.
    fn of(inner: &Inner, told: &Told) -> Result<Option<Self>, ApiError> {
        let (message, status) = match &told.news {
            News::Delivered(message) => (message, 204),
            News::GivenUp(message) => (message, 410),
            News::Revoked { .. } | News::Expired(_) => return Ok(None),
        };
        Ok(Some(Self {
            message: inner.message_url(message)?,
            status,
            at: told.at,
        }))
    }
}

impl ReceiptPage {
    pub(super) fn of(inner: &Inner, rows: &[Told], after: u64) -> Result<Self, ApiError> {
        let mut items = Vec::with_capacity(rows.len());
        for told in rows {
            items.extend(Receipt::of(inner, told)?);
        }
        let next = after.to_string();
        Ok(Self { items, next })
    }
}

/// A stream that ends when the receipt subscription does, when the server stops, or where it cannot be
/// read: whoever comes back with its last place misses nothing.
pub(super) fn stream(reading: Reading, seat: Seat, shape: Shape) -> Response {
    let parts =
        futures_util::stream::unfold((reading, seat), move |(mut reading, seat)| async move {
            let part = part(&mut reading, shape).await?;
            Some((Ok::<_, Infallible>(part), (reading, seat)))
        });
    let mut response = Body::from_stream(parts).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(shape.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers would keep what is told (nginx).
    let at_once = HeaderValue::from_static("no");
    headers.insert("x-accel-buffering", at_once);
    response
}

/// The next of a stream; `None` at its end.
async fn part(reading: &mut Reading, shape: Shape) -> Option<Bytes> {
    if reading.is_draining() {
        return None;
    }
    let mut rows = reading.page().await.ok()?;
    if rows.is_empty() {
        rows = reading.wait(ALIVE).await.ok()?;
    }
    let mut text = String::new();
    for told in &rows {
        shape.write(reading.inner(), told, &mut text).ok()?;
    }
    if text.is_empty() {
        text.push_str(shape.silence());
    }
    Some(text.into())
}
