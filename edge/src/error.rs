//! Errors as answers: the one place where a status is chosen for what the inner rooms refuse.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_acl::ban::Ban;
use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::DirectoryError;
use belfry_store::mailbox::Refusal;
use serde::Serialize;

/// Seconds after which an overloaded or draining server is asked again.
pub const RETRY_SECS: u64 = 5;

/// What a rate is counted by, as the caller may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The permission that is posted under.
    Permission,
    /// The site, by its VAPID key.
    Site,
    /// The network address of the sender.
    Address,
}

/// The rate that a request went over, beside the problem.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
pub struct Exceeded {
    /// How many may come at once.
    pub limit: u64,
    /// How many of them are taken now.
    pub used: u64,
    /// When none will be; the next may come earlier, after `Retry-After`.
    pub resets: Timestamp,
    /// What is counted.
    pub scope: Scope,
}

/// A problem with the rate that was exceeded.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateProblem {
    /// What was wrong.
    #[serde(flatten)]
    pub problem: Problem,
    /// Which rate.
    #[serde(flatten)]
    pub exceeded: Option<Exceeded>,
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct ApiError {
    body: Box<RateProblem>,
    retry_after_secs: Option<u64>,
    authenticate: Option<&'static str>,
}

impl ApiError {
    /// A problem; `kind` is the last segment of its `type`.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            body: Box::new(RateProblem {
                problem: Problem::new(status.as_u16(), kind, title, detail),
                exceeded: None,
            }),
            retry_after_secs: None,
            authenticate: None,
        }
    }

    /// 400, with the field at fault.
    pub fn malformed(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail).at(field)
    }

    /// 422, with the field at fault.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).at(field)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 401 for a bearer token.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).asking_for("Bearer")
    }

    /// 429, to be tried again after so many seconds.
    pub fn rate_limited(detail: impl Into<String>, retry_after_secs: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail).after(retry_after_secs)
    }

    /// Adds which rate was exceeded, and how far.
    #[must_use]
    pub fn over(mut self, exceeded: Exceeded) -> Self {
        self.body.exceeded = Some(exceeded);
        self
    }

    /// 403 for whoever is kept out, with why and until when: `what` is what is blocked.
    pub fn banned(what: &str, ban: &Ban) -> Self {
        let until = ban.ends.map(|ends| format!(" until {ends}"));
        let until = until.unwrap_or_default();
        let detail = format!("{what} is blocked{until}: {}", ban.reason);
        Self::new(StatusCode::FORBIDDEN, "banned", detail)
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the server cannot do this now; try again",
        )
        .after(RETRY_SECS)
    }

    /// The last segment of the `type`, for a metric's label.
    pub fn kind(&self) -> &str {
        self.body
            .problem
            .kind
            .rsplit('/')
            .next()
            .unwrap_or_default()
    }

    /// What the caller is told, with the seconds of `Retry-After`, where it is one of many answers and
    /// has no status and headers of its own.
    pub fn into_problem(self) -> (RateProblem, Option<u64>) {
        (*self.body, self.retry_after_secs)
    }

    /// Names the field at fault as it is called where it came from, if it is called so here.
    pub fn rename_field(&mut self, here: &str, there: &str) {
        let field = &mut self.body.problem.field;
        if field.as_deref() == Some(here) {
            *field = Some(there.to_owned());
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        self.body.problem.field = Some(field.to_owned());
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds.max(1));
        self
    }

    /// Adds `WWW-Authenticate`.
    #[must_use]
    pub fn asking_for(mut self, scheme: &'static str) -> Self {
        self.authenticate = Some(scheme);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.body.problem.status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&*self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_CONTENT_TYPE),
        );
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(scheme) = self.authenticate {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Taken => Self::new(StatusCode::CONFLICT, "taken", "it is taken"),
            DirectoryError::Full => Self::new(
                StatusCode::CONFLICT,
                "full",
                "there are as many as there may be",
            ),
            DirectoryError::LastAdmin => {
                let detail = "this is the last admin; give somebody else the role first";
                Self::new(StatusCode::CONFLICT, "last-admin", detail)
            }
            DirectoryError::Unavailable(_)
            | DirectoryError::Migration(_)
            | DirectoryError::Unreadable(_)
            | DirectoryError::Url => {
                tracing::error!(%error, "the directory failed");
                Self::unavailable()
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownPermission | Refusal::UnknownSession => Self::not_found(detail),
            Refusal::Revoked => Self::new(StatusCode::GONE, "revoked", detail),
            Refusal::Blocked => Self::new(StatusCode::FORBIDDEN, "blocked", detail),
            Refusal::UnknownReceipts => Self::malformed("Link", detail),
            Refusal::IdempotencyMismatch => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-mismatch",
                detail,
            )
            .at("Idempotency-Key"),
            Refusal::PrivateSpaceFull | Refusal::RetainedFull => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", detail)
            }
            Refusal::Unavailable => Self::unavailable(),
        }
    }
}
