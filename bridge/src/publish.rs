//! `POST /v1/publish`: many notifications in one call, for a site that has an API key.
//!
//! As JSON all are there before the first is sent; as NDJSON they come and are answered as long as the
//! site likes, and no more of them is held at a time than one group. Each item is judged by itself, by
//! the rules of a post ([`crate::posting`]): what is wrong with one is its own answer.

mod item;
mod lines;
mod stream;

use item::Items;
pub(crate) use item::Parsed;

use crate::caller::Caller;
use crate::posting::{Admitted, Created, NotAdmitted};
use crate::seats::Limits;
use crate::{Bridge, Inner};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, RateProblem, read_body};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::Owner;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use stream::Streaming;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Items in one call as JSON; more is what NDJSON is for.
const ITEMS_MAX: usize = 1_000;
/// An item as it is written: a body of 4096 bytes is 5,462 characters, and the rest is a URL and a few
/// words.
const ITEM_BYTES_MAX: usize = 8 * 1_024;
const CALL_BYTES_MAX: usize = ITEMS_MAX * ITEM_BYTES_MAX;
/// Items that go to the mailbox together. One sync covers them; a larger group would only keep others'
/// posts waiting for it.
const GROUP_MAX: usize = 128;

/// Calls as JSON at a time: the whole of each is in memory, so that all of them together may be half a
/// gigabyte at worst.
pub(crate) const CALLS: Limits = Limits {
    all: if cfg!(test) { 3 } else { 64 },
    each: if cfg!(test) { 2 } else { 16 },
    what: "calls as JSON may be under way for a site at a time; NDJSON takes any number of items",
};
/// Streams at a time: each holds a group of items, a megabyte at worst.
pub(crate) const STREAMS: Limits = Limits {
    all: if cfg!(test) { 3 } else { 512 },
    each: if cfg!(test) { 2 } else { 64 },
    what: "streams may be open for a site at a time",
};

const NDJSON: &str = "application/x-ndjson";

pub(crate) fn router() -> OpenApiRouter<Bridge> {
    OpenApiRouter::new().routes(routes!(publish))
}

/// Notifications to send.
#[derive(Deserialize, ToSchema)]
struct Publish {
    /// At most 1,000.
    #[schema(value_type = Vec<PublishItem>, max_items = 1_000)]
    items: Items,
}

/// A notification to send, as a post to its endpoint would say it in headers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what the description says; `Parsed` reads it")]
struct PublishItem {
    /// The endpoint that the user gave the site.
    endpoint: String,
    /// Seconds that it may wait; capped.
    ttl: u32,
    /// `normal` if not given.
    urgency: Option<Urgency>,
    /// Replaces one of the same topic that still waits.
    #[schema(min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9_-]+$")]
    topic: Option<String>,
    /// How the body is encrypted.
    encoding: ContentEncoding,
    /// 1 to 4096 encrypted bytes, base64url.
    #[schema(pattern = "^[A-Za-z0-9_-]+=*$")]
    body: String,
    /// The same key and body within a day have the first answer again and cost nothing.
    #[schema(min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// What became of the items, in their order.
#[derive(Serialize, ToSchema)]
struct Published {
    results: Vec<PublishResult>,
}

/// What became of one item.
#[derive(Serialize, ToSchema)]
struct PublishResult {
    /// What a post of its own would have been answered.
    status: u16,
    /// The message's URL, for DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// The seconds in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    /// Why it was refused; over a rate it has the members of a `RateProblem` too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Problem>)]
    problem: Option<RateProblem>,
    /// Seconds after which to try again, where that may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl From<Result<Created, ApiError>> for PublishResult {
    fn from(outcome: Result<Created, ApiError>) -> Self {
        match outcome {
            Ok(created) => Self {
                status: StatusCode::CREATED.as_u16(),
                location: Some(created.location),
                ttl: Some(created.ttl_secs),
                problem: None,
                retry_after: None,
            },
            Err(error) => {
                metrics::counter!("belfry_refused_total", "reason" => error.kind().to_owned())
                    .increment(1);
                let (problem, retry_after) = error.into_problem();
                Self {
                    status: problem.problem.status,
                    location: None,
                    ttl: None,
                    problem: Some(problem),
                    retry_after,
                }
            }
        }
    }
}

/// Sends many notifications, each judged by itself.
///
/// As `application/json` up to 1,000 items, answered when all are on stable storage. As
/// `application/x-ndjson` any number, one a line, each answered by a line in the same order as soon as
/// it is on stable storage; the site's own rate then slows the stream down instead of refusing items.
#[utoipa::path(
    post, path = "/v1/publish", tag = "Publishing",
    request_body(content((Publish = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "What became of each item, in their order", content(
            (Published = "application/json"), (String = "application/x-ndjson"),
        )),
        (status = 400, description = "Not JSON, or not of this form", body = Problem),
        (status = 401, description = "No API key that is in force", body = Problem),
        (status = 403, description = "The site is blocked, or its origin not proven yet: then it says what to place where", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "More than 1,000 items, or 8 KiB for each", body = Problem),
        (status = 415, description = "Neither JSON nor NDJSON", body = Problem),
        (status = 429, description = "The site has as many calls under way as it may", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
        (status = 503, description = "Not now; nothing was sent", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(("site" = [])),
)]
async fn publish(State(bridge): State<Bridge>, request: Request) -> Result<Response, ApiError> {
    let inner = &bridge.0;
    inner.not_draining()?;
    let caller = inner.caller(request.headers()).await?;
    let streamed = is_streamed(&request)?;
    let body = request.into_body();
    let owner = Owner::site(caller.site());
    if streamed {
        let seat = inner.streams.take(owner)?;
        let stream = Streaming::new(bridge.clone(), caller, seat, body);
        let headers = [
            (header::CONTENT_TYPE, NDJSON),
            // nginx would keep the answers until it has enough of them.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        return Ok((headers, stream.into_body()).into_response());
    }
    let _seat = inner.calls.take(owner)?;
    let body = read_body(body, CALL_BYTES_MAX, "send fewer items, or NDJSON").await?;
    let call: Publish = serde_json::from_slice(&body)
        .map_err(|error| ApiError::malformed("body", error.to_string()))?;
    drop(body);
    let Items {
        first: mut items,
        too_many,
    } = call.items;
    if too_many {
        let detail = format!("a call has at most {ITEMS_MAX} items; send NDJSON for more");
        let large = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        return Err(large.at("items"));
    }
    let mut results = Vec::with_capacity(items.len());
    while !items.is_empty() {
        let group = inner.group(&caller, &mut items, AtPace::Refuse).await;
        results.extend(group.outcomes.into_iter().map(PublishResult::from));
    }
    Ok(axum::Json(Published { results }).into_response())
}

fn is_streamed(request: &Request) -> Result<bool, ApiError> {
    let mut values = request.headers().get_all(header::CONTENT_TYPE).iter();
    let value = match (values.next(), values.next()) {
        (Some(only), None) => only.to_str().unwrap_or_default(),
        _ => "",
    };
    let media = value.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(NDJSON) {
        return Ok(true);
    }
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(false);
    }
    let detail = format!("Content-Type is application/json or {NDJSON}");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ApiError::new(status, "media-type", detail).at("Content-Type"))
}

/// What to do with an item that comes faster than its site may post.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtPace {
    Refuse,
    /// Leave it for later.
    Wait,
}

/// What became of the first items of a queue.
struct Group {
    outcomes: Vec<Result<Created, ApiError>>,
    /// How long until the next may come, where it is too early for that.
    wait: Option<Duration>,
}

impl Inner {
    /// Sends the first of these items, as many as make a group.
    async fn group(&self, caller: &Caller, items: &mut VecDeque<Parsed>, at_pace: AtPace) -> Group {
        let now = (self.clock)();
        let ahead = items.iter().take(GROUP_MAX);
        let secrets = ahead.filter_map(|item| self.secret_of(item.endpoint()?).ok());
        let secrets: Vec<_> = secrets
            .map(|secret| SecretHash::of(secret.as_bytes()))
            .collect();
        // Where that fails, each says so itself.
        let _ = self.directory.read_endpoints(&secrets).await;
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        let mut wait = None;
        while admitted.len() + refused.len() < GROUP_MAX
            && let Some(item) = items.front()
        {
            let at = admitted.len() + refused.len();
            match self.judge(caller, item, now).await {
                Ok(one) => admitted.push(one),
                Err(NotAdmitted::Over(over)) if over.is_pace() && at_pace == AtPace::Wait => {
                    wait = Some(over.wait);
                    break;
                }
                Err(not) => refused.push((at, ApiError::from(not))),
            }
            items.pop_front();
        }
        let mut outcomes = match admitted.is_empty() {
            true => Vec::new(),
            false => self.send(admitted, now).await,
        };
        // In ascending order, so that each finds its place.
        for (at, error) in refused {
            outcomes.insert(at, Err(error));
        }
        for outcome in &mut outcomes {
            if let Err(error) = outcome {
                self.directory.note_post(caller.site(), false);
                error.rename_field("Idempotency-Key", "idempotency_key");
            }
        }
        Group { outcomes, wait }
    }

    async fn judge(
        &self,
        caller: &Caller,
        parsed: &Parsed,
        now: Timestamp,
    ) -> Result<Admitted<'_>, NotAdmitted> {
        let addressed = parsed.read()?;
        let secret = self.secret_of(&addressed.endpoint)?;
        let endpoint = self.endpoint(secret).await?;
        caller.may_post_to(&endpoint)?;
        self.not_banned(&endpoint, now)?;
        addressed.item.check()?;
        let sender = self.sender(&endpoint, caller.poster(), true);
        self.admit(&endpoint, &addressed.item, sender, now).await
    }
}
