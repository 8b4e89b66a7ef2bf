//! `GET /admin/v1/live`: an event stream of the figures of now, of what somebody changed, and of the end
//! of the right to look on, which is asked for again and again.

use super::live::Live;
use crate::Admin;
use crate::seat::{Reader, Refused, Seat};
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::ApiError;
use belfry_protocol::problem::Problem;
use belfry_store::directory::Actor;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Who looks on at a time: for each account or token, and in all.
const EACH_MAX: usize = 8;
const ALL_MAX: usize = 64;
/// A stream says that it is alive this often: proxies end what is silent for a minute.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Between two of what was changed.
const CHANGED_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked whether they may still look on. Whatever is changed asks at once.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// What may have changed where some of it was missed.
const ANYTHING: [&str; 8] = [
    "account", "audit", "bans", "limits", "nodes", "sites", "tokens", "users",
];
/// What counts as use of a session, which a stream is not.
const IN_USE: &str = "x-belfry-admin";

pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Who looks on, and how often.
#[derive(Clone, Default)]
pub(super) struct Lookers(Arc<Mutex<HashMap<String, usize>>>);

/// One of them; dropping it leaves.
struct Looking {
    lookers: Lookers,
    who: String,
}

impl Lookers {
    fn enter(&self, seat: &Seat) -> Result<Looking, ApiError> {
        let who = match &seat.actor {
            Actor::Account { id, .. } => format!("account {id}"),
            Actor::Token { id, .. } => format!("token {id}"),
            Actor::Operator | Actor::Server => String::new(),
        };
        let mut lookers = self.lock();
        let all: usize = lookers.values().sum();
        let own = lookers.get(&who).copied().unwrap_or_default();
        if own >= EACH_MAX || all >= ALL_MAX {
            let detail = format!("{EACH_MAX} may look on at a time; close another page first");
            return Err(ApiError::rate_limited(detail, ALIVE_EVERY.as_secs()));
        }
        lookers.insert(who.clone(), own + 1);
        drop(lookers);
        let lookers = self.clone();
        Ok(Looking { lookers, who })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut lookers = self.lookers.lock();
        if let Some(count) = lookers.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                lookers.remove(&self.who);
            }
        }
    }
}

/// An event of the stream.
#[derive(ToSchema)]
#[schema(as = AdminEvent)]
#[expect(
    dead_code,
    reason = "events are written as text; this is how they are described"
)]
struct Event {
    /// `figures`, `changed` or `ended`.
    event: String,
    /// JSON.
    data: String,
}

/// The figures as they are, and what is changed, as an event stream: `figures` about each two seconds,
/// `changed` with `{"what":[…]}`, and `ended` with `{"why":"expired"|"role"|"signed-out"}` at the end of
/// the session. It does not count as use of the session.
#[utoipa::path(
    get, path = "/admin/v1/live", tag = "Administration", operation_id = "admin_live",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Events until the session ends", body = Event, content_type = "text/event-stream"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 429, description = "As many look on as may", body = Problem, headers(("Retry-After" = u64))),
    )
)]
async fn live(State(admin): State<Admin>, request: Request) -> Result<Response, Refused> {
    let (mut parts, _) = request.into_parts();
    let Reader(seat) = Reader::from_request_parts(&mut parts, &admin).await?;
    parts.headers.remove(IN_USE);
    let looking = admin.figures.lookers().enter(&seat)?;
    let feed = Feed::new(admin, parts, looking);
    let events = futures_util::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy that gathers would keep what is told (nginx).
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// What one looker is sent.
struct Feed {
    admin: Admin,
    /// The request, to be judged again.
    parts: Parts,
    _looking: Looking,
    live: watch::Receiver<Option<Live>>,
    changes: broadcast::Receiver<&'static str>,
    /// What was changed and is not told yet.
    changed: BTreeSet<&'static str>,
    /// Before then no change is told.
    tell_at: Instant,
    ask_at: Instant,
    /// When something was sent last.
    sent: Instant,
    ended: bool,
}

impl Feed {
    fn new(admin: Admin, parts: Parts, looking: Looking) -> Self {
        let mut live = admin.figures.live();
        live.mark_changed();
        let now = Instant::now();
        Self {
            changes: admin.changed.listen(),
            live,
            admin,
            parts,
            _looking: looking,
            changed: BTreeSet::new(),
            tell_at: now,
            ask_at: now + ASK_EVERY,
            sent: now,
            ended: false,
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        loop {
            let over = self.admin.figures.over();
            let telling = !self.changed.is_empty();
            tokio::select! {
                biased;
                () = over.cancelled() => return None,
                () = tokio::time::sleep_until(self.ask_at) => {
                    self.ask_at = Instant::now() + ASK_EVERY;
                    if let Some(why) = self.may_not().await {
                        self.ended = true;
                        return Some(self.event("ended", &json!({ "why": why })));
                    }
                }
                change = self.changes.recv() => match change {
                    Ok(what) => {
                        self.changed.insert(what);
                        self.ask_at = Instant::now();
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => self.changed.extend(ANYTHING),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.tell_at), if telling => {
                    self.tell_at = Instant::now() + CHANGED_EVERY;
                    let what = std::mem::take(&mut self.changed);
                    return Some(self.event("changed", &json!({ "what": what })));
                }
                changed = self.live.changed() => {
                    changed.ok()?;
                    let live = self.live.borrow_and_update().clone();
                    if let Some(live) = live {
                        return Some(self.event("figures", &live));
                    }
                }
                () = tokio::time::sleep_until(self.sent + ALIVE_EVERY) => {
                    self.sent = Instant::now();
                    return Some(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    fn event(&mut self, name: &str, data: &impl Serialize) -> Bytes {
        // What is written here has no key that is no text, and no number that JSON has not.
        let data = serde_json::to_string(data).unwrap_or_default();
        if name == "figures" {
            // Only a comment says that a stream is alive while figures do not come.
            self.sent = Instant::now();
        }
        format!("event: {name}\ndata: {data}\n\n").into()
    }

    /// Why the looker may not look on any more.
    async fn may_not(&mut self) -> Option<&'static str> {
        let asked = Reader::from_request_parts(&mut self.parts, &self.admin).await;
        match asked.err()? {
            Refused::Ended(why) => Some(why),
            Refused::Problem(error) => {
                let (told, _) = error.into_problem();
                // The directory does not answer: nobody lost a right by that.
                let unavailable = StatusCode::SERVICE_UNAVAILABLE.as_u16();
                (told.problem.status != unavailable).then_some("signed-out")
            }
        }
    }
}
