//! A permission in the form of RFC 8030 §4 and RFC 8292 §4.1, for user agents that speak that: what
//! `POST /v1/permissions` does, with the answer in headers.
//!
//! Subscription sets are not offered: the messages of all of a user's permissions come on one
//! connection anyway.

use crate::permissions::{Approval, Created, approve, origin, server_key};
use crate::{Accounts, Caller};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::given;
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::{ApiError, Query, media_type};
use belfry_protocol::problem::Problem;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The media type of a subscription's options (RFC 8292 §4.1).
const OPTIONS: &str = "application/webpush-options+json";
/// Bytes of them: a key has 87 characters, and what else may stand there is not known.
const OPTIONS_BYTES_MAX: usize = 4_096;
/// The link relation of a push resource (RFC 8030 §9.3).
const PUSH: &str = "urn:ietf:params:push";
/// That of a subscription set.
const SET: &str = "urn:ietf:params:push:set";

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new().routes(routes!(subscribe))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct For {
    /// The site's origin: https, or http on this machine alone.
    #[param(example = "https://news.example")]
    site: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[schema(as = WebPushOptions)]
struct Options {
    /// The VAPID key whose holder alone may post, as RFC 8292 §3.2 writes it.
    vapid: Option<String>,
}

/// Approves a site, in the form of RFC 8030 §4.
///
/// `Location` is the subscription, which is the permission: `DELETE` ends it. `Link` has the endpoint.
#[utoipa::path(
    post, path = "/v1/subscribe", tag = "Permissions", operation_id = "subscribe", params(For), security(("token" = [])),
    request_body(content = Option<Options>, content_type = "application/webpush-options+json", description = "A body of another type is passed over"),
    responses(
        (status = 201, description = "Approved", body = Created, headers(
            ("Location" = String, description = "The permission"),
            ("Link" = String, description = "The endpoint, with the relation urn:ietf:params:push; shown this once"),
        )),
        (status = 400, description = "No site, options that are no JSON, or a subscription set", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 409, description = "As many permissions as a user may have", body = LimitReached),
        (status = 413, description = "More than 4096 bytes of options", body = Problem),
        (status = 422, description = "A bad site or key", body = Problem),
    )
)]
async fn subscribe(
    State(accounts): State<Accounts>,
    caller: Caller,
    Query(wanted): Query<For>,
    request: Request,
) -> Result<Response, Refused> {
    let site = origin(&wanted.site)?;
    if names_a_set(request.headers()) {
        let detail = "there are no subscription sets here: leave the link out";
        return Err(ApiError::malformed("Link", detail).into());
    }
    let key = options(&accounts, request).await?.vapid;
    let key = key.map(|key| server_key("vapid", &key)).transpose()?;
    let approval = Approval {
        site,
        name: None,
        application_server_key: key,
        receipts: false,
    };
    let created = approve(&accounts, caller.0.user, approval).await?;
    let public_url = &accounts.0.settings.public_url;
    let location = format!("{public_url}/v1/permissions/{}", created.permission_id);
    let link = format!("<{}>; rel=\"{PUSH}\"", created.endpoint);
    let header = |value: String| HeaderValue::try_from(value).map_err(|_| ApiError::unavailable());
    let headers = [
        (header::LOCATION, header(location)?),
        (header::LINK, header(link)?),
    ];
    Ok((StatusCode::CREATED, headers, axum::Json(created)).into_response())
}

/// What is in a body of their type; any other body is not looked at (RFC 8292 §4.1).
async fn options(accounts: &Accounts, request: Request) -> Result<Options, ApiError> {
    if media_type(request.headers()) != OPTIONS {
        return Ok(Options::default());
    }
    let remedy = "send the key alone";
    let body = given::whole(request, accounts, OPTIONS_BYTES_MAX, remedy).await?;
    given::parse(&body)
}

fn names_a_set(headers: &HeaderMap) -> bool {
    let mut links = headers.get_all(header::LINK).iter();
    links.any(|link| link.to_str().is_ok_and(|link| link.contains(SET)))
}
