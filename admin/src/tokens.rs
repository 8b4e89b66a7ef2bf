//! API tokens: for programs that administer.

use crate::Admin;
use crate::desk::{self, NewToken};
use crate::lists::PAGE_MAX;
use crate::seat::{Reader, Writer};
use axum::extract::State;
use axum::http::StatusCode;
use belfry_edge::given::Given;
use belfry_edge::paging::{Key, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::id::AdminTokenId;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{AdminToken, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(end))
}

#[derive(Serialize, ToSchema)]
struct AdminTokenInfo {
    id: AdminTokenId,
    name: String,
    /// `viewer` or `admin`.
    role: Role,
    /// Who made it.
    author: String,
    created: Timestamp,
    ends: Option<Timestamp>,
    /// To the minute.
    last_used: Option<Timestamp>,
    /// Whether it has ended by itself.
    expired: bool,
}

/// The API tokens, newest first.
#[utoipa::path(
    get, path = "/admin/v1/tokens", tag = "Administration", operation_id = "admin_list_tokens", params(Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<AdminTokenInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<AdminTokenInfo>>, ApiError> {
    let now = admin.now();
    let mut tokens = admin.directory.admin_tokens().await?;
    let newest_first =
        |token: &AdminToken| Key(u64::MAX - token.created.as_millis(), token.id.to_string());
    tokens.sort_by_cached_key(newest_first);
    let page = Page::cut(tokens, &paging, PAGE_MAX, newest_first)?;
    Ok(axum::Json(page.map(|token| AdminTokenInfo {
        id: token.id,
        name: token.name,
        role: token.role,
        author: token.author,
        created: token.created,
        ends: token.ends,
        last_used: token.last_used,
        expired: token.ends.is_some_and(|ends| ends <= now),
    })))
}

#[derive(Deserialize, ToSchema)]
struct NewAdminToken {
    /// 1 to 100 characters, none of them control characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `viewer` or `admin`.
    role: Role,
    /// When it ends by itself; null for never.
    ends: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct MadeAdminToken {
    id: AdminTokenId,
    /// Shown this once.
    #[schema(example = "belfry_admin_…")]
    token: String,
}

/// Makes an API token.
#[utoipa::path(
    post, path = "/admin/v1/tokens", tag = "Administration", operation_id = "admin_create_token",
    request_body = NewAdminToken, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Made", body = MadeAdminToken),
        (status = 401, description = "Signed out, or a sign-in older than 10 minutes", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "There are too many", body = Problem),
        (status = 422, description = "What it cannot be", body = Problem),
    )
)]
async fn create(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Given(new): Given<NewAdminToken>,
) -> Result<(StatusCode, axum::Json<MadeAdminToken>), ApiError> {
    let now = admin.now();
    seat.fresh(now)?;
    let new = NewToken {
        name: new.name,
        role: new.role,
        ends: new.ends,
    };
    let (id, token) = desk::create_token(&admin.directory, new, &seat.actor, now).await?;
    admin.changed.tell("tokens");
    Ok((
        StatusCode::CREATED,
        axum::Json(MadeAdminToken { id, token }),
    ))
}

/// Ends an API token at once.
#[utoipa::path(
    delete, path = "/admin/v1/tokens/{id}", tag = "Administration", operation_id = "admin_end_token",
    params(("id" = AdminTokenId, Path)), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such token", body = Problem),
    )
)]
async fn end(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<AdminTokenId>,
) -> Result<StatusCode, ApiError> {
    let ended = admin
        .directory
        .end_admin_token(id, &seat.actor, admin.now());
    if !ended.await? {
        return Err(ApiError::not_found("there is no such API token"));
    }
    admin.changed.tell("tokens");
    Ok(StatusCode::NO_CONTENT)
}
