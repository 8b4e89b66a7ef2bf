//! Sites: every origin that somebody approved or that is registered. How many permissions it has and how
//! much it posts; never whose.

mod detail;
mod keys;

use crate::Admin;
use crate::lists::{self, PAGE_MAX};
use crate::registration::Registrar;
use crate::seat::{Reader, Seat, Writer};
use crate::standing::Standing;
use axum::extract::State;
use axum::http::StatusCode;
use belfry_acl::limit::Whose;
use belfry_edge::given::Given;
use belfry_edge::paging::{Page, Paging, bad_cursor};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::problem::Problem;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::ListedSite;
use belfry_store::directory::series::Posts;
use detail::SiteDetail;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Posts are counted for so long.
const DAY: Duration = Duration::from_secs(86_400);
/// The columns that sites are sorted by.
const COLUMNS: [&str; 5] = ["site", "permissions", "accepted", "refused", "last_used"];

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(one, remove))
        .routes(routes!(verify))
        .merge(keys::router())
}

impl Admin {
    /// For what somebody decides about sites now.
    fn registrar<'a>(&'a self, seat: &'a Seat) -> Registrar<'a> {
        Registrar {
            directory: &self.directory,
            by: &seat.actor,
            now: self.now(),
        }
    }
}

/// A site in a list.
#[derive(Serialize, ToSchema)]
struct SiteInfo {
    #[schema(value_type = String, example = "https://news.example")]
    site: Origin,
    /// Of all users, that are not revoked.
    permissions: u64,
    /// Posts of the last 24 hours that were accepted.
    accepted: u64,
    /// Posts of the last 24 hours that were refused.
    refused: u64,
    /// When a post was last accepted.
    last_used: Option<Timestamp>,
    /// Whether it may have API keys.
    registered: bool,
    /// Whether its origin was proven.
    proven: bool,
    #[serde(flatten)]
    standing: Standing,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Parts of the origin that all occur; at most 4.
    search: Option<String>,
    /// `site`, `permissions`, `accepted`, `refused` or `last_used`, with `-` for the largest first;
    /// `-accepted` if not given.
    sort: Option<String>,
}

/// Where a site stands in a list, by its origin among equals.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64, String);

impl Place {
    fn of(site: &SiteInfo, column: &str) -> Self {
        let number = match column {
            "permissions" => site.permissions,
            "accepted" => site.accepted,
            "refused" => site.refused,
            "last_used" => site.last_used.map_or(0, Timestamp::as_millis),
            _ => 0,
        };
        Self(number, site.site.to_string())
    }

    fn read(cursor: &str) -> Result<Self, ApiError> {
        let (number, site) = cursor.split_once('.').ok_or_else(bad_cursor)?;
        let number = u64::from_str_radix(number, 16).map_err(|_| bad_cursor())?;
        Ok(Self(number, site.to_owned()))
    }

    fn written(&self) -> String {
        format!("{:x}.{}", self.0, self.1)
    }
}

/// The sites.
#[utoipa::path(
    get, path = "/admin/v1/sites", tag = "Administration", operation_id = "admin_list_sites", params(Which, Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<SiteInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A page of none, too many words, or an order that there is not", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<SiteInfo>>, ApiError> {
    let limit = paging.limit_of(PAGE_MAX)?;
    let words = lists::words(which.search.as_deref())?;
    let (column, descending) = lists::sort(which.sort.as_deref(), "-accepted", &COLUMNS)?;
    let after = paging.cursor.as_deref().map(Place::read).transpose()?;
    let posts = admin.posts_of_a_day().await?;
    let sites = admin.directory.listed_sites().await?;
    let found = sites
        .into_iter()
        .filter(|site| words.occur_in(site.site.as_str()))
        .map(|site| {
            let posts = posts.get(&site.site).copied().unwrap_or_default();
            let info = SiteInfo::of(site, posts);
            (Place::of(&info, column), info)
        });
    let mut found: Vec<(Place, SiteInfo)> = found.collect();
    let beyond = |place: &Place| match &after {
        None => true,
        Some(after) if descending => place < after,
        Some(after) => place > after,
    };
    found.retain(|(place, _)| beyond(place));
    if descending {
        found.sort_unstable_by(|(one, _), (other, _)| Reverse(one).cmp(&Reverse(other)));
    } else {
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }
    found.truncate(limit + 1);
    let shown = found.iter().take(limit);
    let shown: Vec<_> = shown
        .map(|(_, site)| Whose::Site(site.site.clone()))
        .collect();
    let standings = admin.standings(&shown).await?;
    for ((_, site), standing) in found.iter_mut().zip(standings) {
        site.standing = standing;
    }
    let page = Page::of(found, limit, |(place, _)| place.written());
    Ok(axum::Json(page.map(|(_, site)| site)))
}

impl SiteInfo {
    /// Without what was decided about it.
    fn of(site: ListedSite, posts: Posts) -> Self {
        Self {
            site: site.site,
            permissions: site.permissions,
            accepted: posts.accepted,
            refused: posts.refused,
            last_used: site.last_used,
            registered: site.registered,
            proven: site.proven,
            standing: Standing::default(),
        }
    }
}

/// One site.
#[utoipa::path(
    get, path = "/admin/v1/sites/{site}", tag = "Administration", operation_id = "admin_get_site",
    params(("site" = String, Path, description = "The origin, percent-encoded")),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "The site", body = SiteDetail),
        (status = 401, description = "Signed out", body = Problem),
        (status = 404, description = "Nobody approved it, and it is not registered", body = Problem),
    )
)]
async fn one(
    State(admin): State<Admin>,
    _: Reader,
    Path(origin): Path<Origin>,
) -> Result<axum::Json<SiteDetail>, ApiError> {
    Ok(axum::Json(admin.site_detail(&origin).await?))
}

#[derive(Deserialize, ToSchema)]
struct NewSite {
    /// Its origin.
    #[schema(value_type = String, example = "https://news.example")]
    site: Origin,
}

/// Registers a site, so that it may have API keys.
#[utoipa::path(
    post, path = "/admin/v1/sites", tag = "Administration", operation_id = "admin_register_site",
    request_body = NewSite, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Registered; `proof` is the line that proves its origin", body = SiteDetail),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "It is registered already", body = Problem),
        (status = 422, description = "It is no origin", body = Problem),
    )
)]
async fn register(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Given(new): Given<NewSite>,
) -> Result<(StatusCode, axum::Json<SiteDetail>), ApiError> {
    admin.registrar(&seat).register(&new.site).await?;
    admin.changed.tell("sites");
    let detail = admin.site_detail(&new.site).await?;
    Ok((StatusCode::CREATED, axum::Json(detail)))
}

/// Ends the registration of a site with its API keys; what users allowed it stays.
#[utoipa::path(
    delete, path = "/admin/v1/sites/{site}", tag = "Administration", operation_id = "admin_remove_site",
    params(("site" = String, Path, description = "The origin, percent-encoded")),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "It is not registered", body = Problem),
    )
)]
async fn remove(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(origin): Path<Origin>,
) -> Result<StatusCode, ApiError> {
    admin.registrar(&seat).remove(&origin).await?;
    admin.changed.tell("sites");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
struct Verified {
    proven: bool,
    /// What was found at each place.
    detail: String,
}

/// Looks for the proof of a site's origin now.
///
/// One that was proven before stays so, whatever is found.
#[utoipa::path(
    post, path = "/admin/v1/sites/{site}/verify", tag = "Administration", operation_id = "admin_verify_site",
    params(("site" = String, Path, description = "The origin, percent-encoded")),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "What was found", body = Verified),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "It is not registered", body = Problem),
        (status = 429, description = "Other proofs are looked for now", body = Problem),
    )
)]
async fn verify(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(origin): Path<Origin>,
) -> Result<axum::Json<Verified>, ApiError> {
    let registrar = admin.registrar(&seat);
    let mut site = registrar.site(&origin).await?;
    let looks = registrar.prove(&mut site, &admin.settings.looking).await?;
    let proven = looks.iter().any(|look| look.proves);
    if proven {
        admin.changed.tell("sites");
    }
    let found = looks
        .iter()
        .map(|look| format!("{}: found {}", look.at, look.found));
    Ok(axum::Json(Verified {
        proven,
        detail: found.collect::<Vec<_>>().join("\n"),
    }))
}

impl Admin {
    /// What each site posted in the last 24 hours, to five minutes.
    async fn posts_of_a_day(&self) -> Result<HashMap<Origin, Posts>, ApiError> {
        let since = self.now().minus(DAY);
        Ok(self.directory.site_posts_since(since).await?)
    }
}
