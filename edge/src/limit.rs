//! Refusals over a limit: problem details that name the limit, so that a caller need not guess.

use crate::ApiError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// A problem with the limit that was reached (RFC 9457 §3.2, extension members).
#[derive(Serialize, ToSchema)]
pub struct LimitReached {
    #[serde(flatten)]
    problem: Box<Problem>,
    /// How many there may be.
    limit: u64,
    /// How many there are.
    used: u64,
    /// When one more is allowed; absent where only making room helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets: Option<Timestamp>,
    /// What is counted, and for whom.
    #[schema(example = "accounts/address")]
    scope: &'static str,
    #[serde(skip)]
    retry_after_secs: Option<u64>,
}

impl LimitReached {
    /// 429: too often; to be tried again after `wait`.
    pub fn rate(
        detail: &str,
        scope: &'static str,
        (limit, used): (u64, u64),
        (now, wait): (Timestamp, Duration),
    ) -> Self {
        // Rounded up: who waits as long as told is not refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("{detail}; try again in {seconds} s");
        Self {
            problem: problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail),
            limit,
            used,
            resets: Some(now.plus(wait)),
            scope,
            retry_after_secs: Some(seconds.max(1)),
        }
    }

    /// 409: as many as there may be; to be tried again once there are fewer.
    pub fn count(kind: &str, detail: String, scope: &'static str, limit: u64) -> Self {
        Self {
            problem: problem(StatusCode::CONFLICT, kind, detail),
            limit,
            used: limit,
            resets: None,
            scope,
            retry_after_secs: None,
        }
    }
}

fn problem(status: StatusCode, kind: &str, detail: String) -> Box<Problem> {
    let title = status.canonical_reason().unwrap_or("Error");
    Box::new(Problem::new(status.as_u16(), kind, title, detail))
}

impl IntoResponse for LimitReached {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let mut response =
            (status.unwrap_or(StatusCode::CONFLICT), axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        let media = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
        headers.insert(header::CONTENT_TYPE, media);
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What a handler that counts refuses with.
pub enum Refused {
    /// A problem like any other.
    Problem(ApiError),
    /// One that names the limit.
    Limit(LimitReached),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Problem(error)
    }
}

impl From<LimitReached> for Refused {
    fn from(reached: LimitReached) -> Self {
        Self::Limit(reached)
    }
}

impl From<belfry_store::directory::DirectoryError> for Refused {
    fn from(error: belfry_store::directory::DirectoryError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(error) => error.into_response(),
            Self::Limit(reached) => reached.into_response(),
        }
    }
}
