//! A new password by the one-time link that an admin made. Keys are not recovered by it: the server never
//! had them.

use crate::Accounts;
use axum::extract::State;
use axum::http::StatusCode;
use belfry_edge::ApiError;
use belfry_edge::given::{Address, Given};
use belfry_edge::password::check_strength;
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::SecretHash;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new().routes(routes!(reset))
}

#[derive(Deserialize, ToSchema)]
struct Reset {
    /// What is behind `#reset=` in the link.
    token: String,
    /// At least 8 characters, at most 1024 bytes.
    #[schema(min_length = 8)]
    password: String,
}

/// Sets a new password by link, and ends every sign-in of the account.
///
/// Devices stay connected: they have passwords of their own. Keys are not recovered: they are in the user's
/// devices and under the recovery key.
#[utoipa::path(
    post, path = "/v1/resets", tag = "Accounts", operation_id = "reset_password", request_body = Reset, security(()),
    responses(
        (status = 204, description = "Set"),
        (status = 410, description = "The link was used or has ended", body = Problem),
        (status = 422, description = "A weak password", body = Problem),
    )
)]
async fn reset(
    State(accounts): State<Accounts>,
    Address(address): Address,
    Given(given): Given<Reset>,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let token = SecretHash::of(given.token.as_bytes());
    let (user, name) = inner
        .directory
        .reset_of(token, inner.now())
        .await?
        .ok_or_else(gone)?;
    check_strength("password", &given.password, &name)?;
    let place = inner.sign_ins.hashing.place(address)?;
    let hash = place.hash(given.password).await?;
    let set = inner
        .directory
        .reset_password(token, (user, &name), &hash, inner.now());
    match set.await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(gone()),
    }
}

fn gone() -> ApiError {
    let detail = "this link was used already, or is not good any more; ask for another";
    ApiError::new(StatusCode::GONE, "expired", detail)
}
