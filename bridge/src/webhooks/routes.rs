//! What a site asks of its events: `/v1/site/webhook` and `/v1/site/events`.

use super::Webhooks;
use super::event::Event;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use belfry_edge::{ApiError, Query, media_type, not_json, read_body};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::SiteOutbox;
use belfry_store::mailbox::{Mailbox as _, OutboxPage, Owner};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A request to set a webhook: its URL, and room for what a later version says beside it.
const REQUEST_BYTES_MAX: usize = 4_096;
/// Events in a page, and how many if nothing is said.
const PAGE_MAX: u32 = 1_000;
const PAGE: u32 = 100;

impl Webhooks {
    /// The routes.
    pub fn router(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(webhook, set_webhook, remove_webhook))
            .routes(routes!(events))
            .with_state(self.clone())
    }
}

/// Where events are to be sent.
#[derive(Deserialize, ToSchema)]
struct SetWebhook {
    /// An https URL.
    #[schema(max_length = 1_024)]
    url: String,
}

/// How sending goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WebhookState {
    /// What there was to send was taken.
    Ok,
    /// The next event was not taken, and is tried again.
    Retrying,
    /// It was not taken for a day, or the receiver said that it wants no more (410). Events are kept
    /// for `GET /v1/site/events`; setting the webhook anew goes on where it stopped.
    Failing,
}

/// A site's webhook.
#[derive(Serialize, ToSchema)]
struct Webhook {
    url: String,
    state: WebhookState,
    /// The newest event that was taken.
    after: String,
    /// What was wrong at the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Since when the next event is not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try: Option<Timestamp>,
}

/// A webhook that was set.
#[derive(Serialize, ToSchema)]
struct NewWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// What requests are signed with (Standard Webhooks), shown this once.
    secret: String,
}

impl Webhook {
    fn of(outbox: SiteOutbox) -> Option<Self> {
        let url = outbox.webhook?;
        let state = match &outbox.trouble {
            None => WebhookState::Ok,
            Some(trouble) if trouble.next_try.is_some() => WebhookState::Retrying,
            Some(_) => WebhookState::Failing,
        };
        let trouble = outbox.trouble;
        Some(Self {
            url,
            state,
            after: outbox.told.to_string(),
            failing_since: trouble.as_ref().map(|trouble| trouble.since),
            next_try: trouble.as_ref().and_then(|trouble| trouble.next_try),
            failure: trouble.map(|trouble| trouble.failure),
        })
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
struct Events {
    items: Vec<NumberedEvent>,
    /// To be asked after for what comes next, also where nothing is there yet.
    next: String,
}

/// An event with its place.
#[derive(Serialize, ToSchema)]
struct NumberedEvent {
    /// As `webhook-id`.
    id: String,
    #[serde(flatten)]
    event: Event,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// `next` of the page before; from the oldest that is kept if not given
    #[param(format = "uint64")]
    after: Option<u64>,
    /// At most, 100 if not given
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// The site's webhook, and how sending to it goes.
#[utoipa::path(
    get, path = "/v1/site/webhook", tag = "Publishing",
    responses(
        (status = 200, description = "It", body = Webhook),
        (status = 401, description = "No API key that is in force", body = Problem),
        (status = 403, description = "The site's origin is not proven yet", body = Problem),
        (status = 404, description = "The site has none", body = Problem),
    ),
    security(("site" = [])),
)]
async fn webhook(
    State(webhooks): State<Webhooks>,
    headers: HeaderMap,
) -> Result<axum::Json<Webhook>, ApiError> {
    let bridge = &webhooks.0.bridge.0;
    let caller = bridge.caller(&headers).await?;
    let outbox = bridge.directory.site_outbox(caller.site()).await?;
    let webhook = outbox.and_then(Webhook::of).ok_or_else(none)?;
    Ok(axum::Json(webhook))
}

/// Sends the site's events to a URL from now on, signed as Standard Webhooks has it.
///
/// Each time with a new secret; the former one signs beside it for a day.
#[utoipa::path(
    put, path = "/v1/site/webhook", tag = "Publishing", request_body = SetWebhook,
    responses(
        (status = 200, description = "Set", body = NewWebhook),
        (status = 400, description = "Not JSON of this form", body = Problem),
        (status = 401, description = "No API key that is in force", body = Problem),
        (status = 403, description = "The site's origin is not proven yet", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "Too large", body = Problem),
        (status = 415, description = "Not JSON", body = Problem),
        (status = 422, description = "No URL that this server calls", body = Problem),
        (status = 503, description = "Not now", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(("site" = [])),
)]
async fn set_webhook(
    State(webhooks): State<Webhooks>,
    request: Request,
) -> Result<axum::Json<NewWebhook>, ApiError> {
    let inner = &webhooks.0;
    let bridge = &inner.bridge.0;
    let caller = bridge.caller(request.headers()).await?;
    let given = given(request).await?;
    let url = inner.reach.webhook(&given.url);
    let url = url.map_err(|error| ApiError::invalid("url", error.to_string()))?;
    let owner = inner.open(&caller).await?;
    let newest = inner.newest(owner).await?;
    let (site, directory) = (caller.site(), &bridge.directory);
    directory
        .set_webhook(site, url.as_str(), newest, inner.now())
        .await?;
    let outbox = directory.site_outbox(site).await?.ok_or_else(none)?;
    inner.changed.notify_one();
    let secret = inner.secrets.of(site, outbox.generation).expose();
    let webhook = Webhook::of(outbox).ok_or_else(none)?;
    Ok(axum::Json(NewWebhook { webhook, secret }))
}

async fn given(request: Request) -> Result<SetWebhook, ApiError> {
    if media_type(request.headers()) != "application/json" {
        return Err(not_json());
    }
    let body = read_body(request.into_body(), REQUEST_BYTES_MAX, "send less").await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::malformed("body", error.to_string()))
}

/// Sends the site's events nowhere any more; they are kept for `GET /v1/site/events`.
#[utoipa::path(
    delete, path = "/v1/site/webhook", tag = "Publishing",
    responses(
        (status = 204, description = "Removed, also where there was none"),
        (status = 401, description = "No API key that is in force", body = Problem),
        (status = 403, description = "The site's origin is not proven yet", body = Problem),
    ),
    security(("site" = [])),
)]
async fn remove_webhook(
    State(webhooks): State<Webhooks>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let bridge = &webhooks.0.bridge.0;
    let caller = bridge.caller(&headers).await?;
    bridge.directory.remove_webhook(caller.site()).await?;
    webhooks.0.changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// The site's events, oldest first. They are kept from the first time that the site asks for them or
/// sets a webhook.
#[utoipa::path(
    get, path = "/v1/site/events", tag = "Publishing", params(After),
    responses(
        (status = 200, description = "A page", body = Events),
        (status = 400, description = "A parameter is no number", body = Problem),
        (status = 401, description = "No API key that is in force", body = Problem),
        (status = 403, description = "The site's origin is not proven yet", body = Problem),
        (status = 503, description = "Not now", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(("site" = [])),
)]
async fn events(
    State(webhooks): State<Webhooks>,
    query: Result<Query<After>, ApiError>,
    headers: HeaderMap,
) -> Result<axum::Json<Events>, ApiError> {
    let inner = &webhooks.0;
    let bridge = &inner.bridge.0;
    let caller = bridge.caller(&headers).await?;
    let Query(After { after, limit }) = query?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        let detail = format!("limit is 1 to {PAGE_MAX}");
        return Err(ApiError::malformed("limit", detail));
    }
    let after = after.unwrap_or(0);
    let owner = Owner::site(caller.site());
    let page = match bridge.mailbox.outbox(owner, after, limit as usize).await? {
        Some(page) => page,
        None => {
            inner.open(&caller).await?;
            OutboxPage::default()
        }
    };
    let next = page
        .rows
        .last()
        .map_or(after.min(page.newest), |last| last.n);
    let items = page.rows.iter().filter_map(|told| {
        Some(NumberedEvent {
            id: Event::id(told),
            event: Event::of(told, &bridge.sealing, &bridge.settings.public_url)?,
        })
    });
    Ok(axum::Json(Events {
        items: items.collect(),
        next: next.to_string(),
    }))
}

fn none() -> ApiError {
    ApiError::not_found("this site has no webhook; PUT one")
}
