//! The keys of a site: API keys, and the VAPID keys that count as its own.

use crate::Admin;
use crate::registration::vapid_key;
use crate::seat::Writer;
use axum::extract::State;
use axum::http::StatusCode;
use belfry_edge::given::Given;
use belfry_edge::{ApiError, Path};
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::problem::Problem;
use belfry_protocol::site::Origin;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(create_key))
        .routes(routes!(end_key))
        .routes(routes!(register_vapid, forget_vapid))
}

#[derive(Deserialize, ToSchema)]
struct NewSiteKey {
    /// 1 to 100 characters, none of them control characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct MadeSiteKey {
    id: SiteKeyId,
    /// Shown this once.
    #[schema(example = "belfry_site_…")]
    key: String,
}

/// Makes an API key of a registered site. It counts once the origin is proven.
#[utoipa::path(
    post, path = "/admin/v1/sites/{site}/api-keys", tag = "Administration", operation_id = "admin_create_site_key",
    params(("site" = String, Path, description = "The origin, percent-encoded")),
    request_body = NewSiteKey, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Made", body = MadeSiteKey),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "It is not registered", body = Problem),
        (status = 409, description = "It has too many", body = Problem),
        (status = 422, description = "A bad name", body = Problem),
    )
)]
async fn create_key(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(origin): Path<Origin>,
    Given(new): Given<NewSiteKey>,
) -> Result<(StatusCode, axum::Json<MadeSiteKey>), ApiError> {
    let registrar = admin.registrar(&seat);
    let site = registrar.site(&origin).await?.site;
    let (made, key) = registrar.make_key(&site, new.name.as_deref()).await?;
    admin.changed.tell("sites");
    Ok((
        StatusCode::CREATED,
        axum::Json(MadeSiteKey { id: made.id, key }),
    ))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfSite {
    /// The origin, percent-encoded.
    #[param(value_type = String)]
    site: Origin,
    /// The API key's id.
    id: SiteKeyId,
}

/// Ends an API key at once.
#[utoipa::path(
    delete, path = "/admin/v1/sites/{site}/api-keys/{id}", tag = "Administration", operation_id = "admin_end_site_key",
    params(OfSite), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "The site has no such key in force", body = Problem),
    )
)]
async fn end_key(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(which): Path<OfSite>,
) -> Result<StatusCode, ApiError> {
    let registrar = admin.registrar(&seat);
    registrar.end_key(&which.site, which.id).await?;
    admin.changed.tell("sites");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct VapidOfSite {
    /// The origin, percent-encoded.
    #[param(value_type = String)]
    site: Origin,
    /// The public key: an uncompressed P-256 point, base64url.
    key: String,
}

impl VapidOfSite {
    fn public(&self) -> Result<Vec<u8>, ApiError> {
        vapid_key(&self.key).ok_or_else(|| {
            let detail = "a VAPID public key is an uncompressed P-256 point: 65 bytes, base64url";
            ApiError::invalid("key", detail)
        })
    }
}

/// With which API keys.
#[derive(Default, Deserialize, ToSchema)]
struct RegisteredWith {
    /// One of the site's; null, or left out, for each of them, those made later too.
    with: Option<SiteKeyId>,
}

/// Registers a VAPID key: what is restricted to it may be published to with API keys of the site.
#[utoipa::path(
    put, path = "/admin/v1/sites/{site}/vapid/{key}", tag = "Administration", operation_id = "admin_register_vapid_key",
    params(VapidOfSite), request_body = RegisteredWith, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Registered; once more changes nothing"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "It is not registered, or has no such API key in force", body = Problem),
        (status = 409, description = "It has too many", body = Problem),
        (status = 422, description = "It is no such key", body = Problem),
    )
)]
async fn register_vapid(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(which): Path<VapidOfSite>,
    Given(given): Given<RegisteredWith>,
) -> Result<StatusCode, ApiError> {
    let public = which.public()?;
    let registrar = admin.registrar(&seat);
    let site = registrar.site(&which.site).await?.site;
    registrar.register_vapid(&site, public, given.with).await?;
    admin.changed.tell("sites");
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a VAPID key of a site, with whichever API key it was registered.
#[utoipa::path(
    delete, path = "/admin/v1/sites/{site}/vapid/{key}", tag = "Administration", operation_id = "admin_forget_vapid_key",
    params(VapidOfSite), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "It was not registered", body = Problem),
        (status = 422, description = "It is no such key", body = Problem),
    )
)]
async fn forget_vapid(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(which): Path<VapidOfSite>,
) -> Result<StatusCode, ApiError> {
    let public = which.public()?;
    let registrar = admin.registrar(&seat);
    registrar.forget_vapid(&which.site, &public).await?;
    admin.changed.tell("sites");
    Ok(StatusCode::NO_CONTENT)
}
