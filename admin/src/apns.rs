//! Wake-ups of iPhones and iPads: how they are set up, and a try. There are none yet, and it says so.

use crate::Admin;
use crate::seat::{Reader, Writer};
use axum::http::StatusCode;
use belfry_edge::ApiError;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(state))
        .routes(routes!(test))
}

#[derive(Serialize, ToSchema)]
struct ApnsState {
    configured: bool,
    /// The apps that are woken.
    bundle_ids: Vec<String>,
    /// Devices with a token of Apple's.
    devices: u64,
    last_result: Option<ApnsResult>,
}

/// How the last wake-up went.
#[derive(Serialize, ToSchema)]
struct ApnsResult {
    at: Timestamp,
    ok: bool,
    detail: String,
}

#[derive(Serialize, ToSchema)]
struct ApnsTried {
    detail: String,
}

/// How wake-ups by Apple's service are set up.
#[utoipa::path(
    get, path = "/admin/v1/apns", tag = "Administration", operation_id = "admin_get_apns",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Its state", body = ApnsState),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn state(_: Reader) -> axum::Json<ApnsState> {
    axum::Json(ApnsState {
        configured: false,
        bundle_ids: Vec::new(),
        devices: 0,
        last_result: None,
    })
}

/// Sends a wake-up to the devices of whoever asks.
#[utoipa::path(
    post, path = "/admin/v1/apns/test", tag = "Administration", operation_id = "admin_test_apns",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Sent", body = ApnsTried),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "It is not set up", body = Problem),
    )
)]
async fn test(_: Writer) -> Result<axum::Json<ApnsTried>, ApiError> {
    let detail = "this server is not set up to wake iPhones and iPads";
    Err(ApiError::new(
        StatusCode::CONFLICT,
        "not-configured",
        detail,
    ))
}
