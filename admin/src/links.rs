//! Links by which people come in: to make an account, and to set a new password. Each is good once and
//! until its end, and is shown once.

use crate::Admin;
use crate::desk::{self, MadeLink};
use crate::lists::PAGE_MAX;
use crate::seat::{Reader, Writer};
use axum::extract::State;
use axum::http::StatusCode;
use belfry_edge::given::Given;
use belfry_edge::paging::{Key, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::id::{LinkId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Link, LinkKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(invite))
        .routes(routes!(reset))
        .routes(routes!(list))
        .routes(routes!(end))
}

#[derive(Deserialize, ToSchema)]
struct LinkEnds {
    /// When it ends by itself, at most 30 days ahead; if not given an invitation after 7 days and a reset
    /// after one.
    ends: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct MadeLinkInfo {
    id: LinkId,
    /// Shown this once.
    #[schema(example = "https://push.example/#invite=…")]
    link: String,
    ends: Timestamp,
}

impl From<MadeLink> for MadeLinkInfo {
    fn from(made: MadeLink) -> Self {
        Self {
            id: made.id,
            link: made.link,
            ends: made.ends,
        }
    }
}

type Made = (StatusCode, axum::Json<MadeLinkInfo>);

/// Makes a link to make an account with, also where registration is by invitation or closed.
#[utoipa::path(
    post, path = "/admin/v1/invites", tag = "Administration", operation_id = "admin_create_invite",
    request_body = LinkEnds, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Made", body = MadeLinkInfo),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site's page", body = Problem),
        (status = 409, description = "There are too many", body = Problem),
        (status = 422, description = "An end that cannot be", body = Problem),
    )
)]
async fn invite(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Given(given): Given<LinkEnds>,
) -> Result<Made, ApiError> {
    let (url, now) = (&admin.settings.public_url, admin.now());
    let made = desk::create_invite(&admin.directory, url, given.ends, &seat.actor, now).await?;
    admin.changed.tell("users");
    Ok((StatusCode::CREATED, axum::Json(made.into())))
}

/// Makes a link to set a user's password with; an older one of the same user ends.
///
/// It ends every sign-in of the user when it is used. Keys are not recovered by it: those are in the user's
/// devices and under their recovery key.
#[utoipa::path(
    post, path = "/admin/v1/users/{id}/reset", tag = "Administration", operation_id = "admin_create_reset",
    params(("id" = UserId, Path)), request_body = LinkEnds, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Made", body = MadeLinkInfo),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "A viewer, or another site's page", body = Problem),
        (status = 404, description = "There is no such user", body = Problem),
        (status = 409, description = "There are too many links", body = Problem),
        (status = 422, description = "An end that cannot be", body = Problem),
    )
)]
async fn reset(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(user): Path<UserId>,
    Given(given): Given<LinkEnds>,
) -> Result<Made, ApiError> {
    let (url, now) = (&admin.settings.public_url, admin.now());
    seat.fresh(now)?;
    let made = desk::create_reset(&admin.directory, url, user, given.ends, &seat.actor, now);
    let made = made.await?;
    admin.changed.tell("users");
    Ok((StatusCode::CREATED, axum::Json(made.into())))
}

#[derive(Serialize, ToSchema)]
struct LinkInfo {
    id: LinkId,
    kind: LinkKind,
    /// Whose password it sets.
    about: Option<String>,
    /// Who made it.
    author: String,
    created: Timestamp,
    ends: Timestamp,
}

/// The links that are good now, newest first.
#[utoipa::path(
    get, path = "/admin/v1/links", tag = "Administration", operation_id = "admin_list_links", params(Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<LinkInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<LinkInfo>>, ApiError> {
    let mut links = admin.directory.links(admin.now()).await?;
    let newest_first = |link: &Link| Key(u64::MAX - link.created.as_millis(), link.id.to_string());
    links.sort_by_cached_key(newest_first);
    let page = Page::cut(links, &paging, PAGE_MAX, newest_first)?;
    Ok(axum::Json(page.map(|link| LinkInfo {
        id: link.id,
        kind: link.kind,
        about: link.about,
        author: link.author,
        created: link.created,
        ends: link.ends,
    })))
}

/// Ends a link.
#[utoipa::path(
    delete, path = "/admin/v1/links/{id}", tag = "Administration", operation_id = "admin_end_link",
    params(("id" = LinkId, Path)), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site's page", body = Problem),
        (status = 404, description = "There is no such link", body = Problem),
    )
)]
async fn end(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<LinkId>,
) -> Result<StatusCode, ApiError> {
    if !admin
        .directory
        .end_link(id, &seat.actor, admin.now())
        .await?
    {
        return Err(ApiError::not_found("there is no such link"));
    }
    admin.changed.tell("users");
    Ok(StatusCode::NO_CONTENT)
}
