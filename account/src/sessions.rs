//! Sign-ins: a name and a password for a bearer token.

use crate::{Accounts, Caller, SIGN_IN_LIFETIME, random};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use belfry_edge::attempts::Kind;
use belfry_edge::auth::Credentials;
use belfry_edge::given::{Address, Given};
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::paging::{Key, PAGE_MAX, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::id::{DeviceId, SessionId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::SignIn;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Sign-ins of one user: the oldest beyond goes, so that signing in again and again fills no disk.
const SIGN_INS_MAX: usize = 1_000;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, list))
        .routes(routes!(end_current))
        .routes(routes!(end))
}

#[derive(Deserialize, ToSchema)]
struct SignInRequest {
    /// In any case.
    username: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
struct SignedIn {
    /// Opaque; shown this once.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds that the token lives without being used: 30 days.
    expires_in: u64,
    user_id: UserId,
    /// The device that it belongs to and ends with: one of the account that was named with its
    /// password. Left out for a sign-in of none, which belongs to the first device that is made with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<DeviceId>,
}

/// Signs in.
///
/// A wrong name and a wrong password have the same answer, after the same work. After 5 failures a
/// minute under one name from one address each further one brings a longer wait.
///
/// A device that signs in again sends its id and password in `Authorization` (Basic): the sign-in then
/// belongs to it and ends with it. One that is not there, or of another account, counts as none.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "Accounts", request_body = SignInRequest, security(()),
    responses(
        (status = 201, description = "Signed in", body = SignedIn),
        (status = 401, description = "The name or the password is wrong", body = Problem),
        (status = 403, description = "The account is blocked; says why and until when", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn sign_in(
    State(accounts): State<Accounts>,
    Address(address): Address,
    headers: HeaderMap,
    Given(given): Given<SignInRequest>,
) -> Result<(StatusCode, axum::Json<SignedIn>), Refused> {
    let inner = &accounts.0;
    // What a proxy in front asks for may stand there too, so what is no device's counts as none.
    let on = Credentials::read(&headers).ok();
    let place = inner.sign_ins.hashing.place(address)?;
    let mut failures = inner
        .sign_ins
        .attempts
        .of(Kind::Password, &given.username, address, inner.now())
        .await;
    inner.sign_ins.attempts.may(&failures, inner.now())?;
    let account = inner.directory.account_by_name(&given.username).await?;
    let hash = account
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let right = place.verify(given.password, hash).await?;
    let now = inner.now();
    let Some(account) = account.filter(|_| right) else {
        inner.sign_ins.attempts.failed(&mut failures, now);
        return Err(ApiError::unauthorized("the name or the password is wrong").into());
    };
    inner.sign_ins.attempts.succeeded(&mut failures);
    inner.not_banned(account.user)?;
    let token = Secret::from_random(random()?);
    // Held until it is kept, so that a device which is being removed takes it along.
    let changing = inner.changing(account.user).await;
    let device = match on {
        Some(Credentials::Device { device, password }) => {
            let directory = &inner.directory;
            let right = directory.verify_device(account.user, device, password);
            right.await?.then_some(device)
        }
        _ => None,
    };
    let sign_in = SignIn {
        id: SessionId::from_bytes(random()?),
        user: account.user,
        device,
        created: now,
        used: now,
        expires: now.plus(SIGN_IN_LIFETIME),
    };
    inner
        .directory
        .create_sign_in(token.hash(), &sign_in)
        .await?;
    drop(changing);
    let all = inner.directory.sign_ins(account.user, now).await?;
    if all.len() >= SIGN_INS_MAX
        && let Some(oldest) = all.last()
    {
        inner.directory.end_sign_in(account.user, oldest.id).await?;
    }
    let signed_in = SignedIn {
        access_token: token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: SIGN_IN_LIFETIME.as_secs(),
        user_id: account.user,
        device_id: device,
    };
    Ok((StatusCode::CREATED, axum::Json(signed_in)))
}

#[derive(Serialize, ToSchema)]
struct SignInInfo {
    id: SessionId,
    /// The device that it belongs to, and with which it ends.
    device_id: Option<DeviceId>,
    created: Timestamp,
    /// To the hour.
    last_used: Timestamp,
    expires: Timestamp,
    /// Whether it is the one of this request.
    current: bool,
}

/// The user's sign-ins, newest first.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "Accounts", operation_id = "list_sign_ins", params(Paging), security(("token" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<SignInInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<SignInInfo>>, ApiError> {
    let inner = &accounts.0;
    let mut found = inner.directory.sign_ins(caller.0.user, inner.now()).await?;
    let newest_first = |sign_in: &SignIn| {
        Key(
            u64::MAX - sign_in.created.as_millis(),
            sign_in.id.to_string(),
        )
    };
    found.sort_by_cached_key(newest_first);
    let page = Page::cut(found, &paging, PAGE_MAX, newest_first)?;
    Ok(axum::Json(page.map(|sign_in| SignInInfo {
        id: sign_in.id,
        device_id: sign_in.device,
        created: sign_in.created,
        last_used: sign_in.used,
        expires: sign_in.expires,
        current: sign_in.id == caller.0.id,
    })))
}

/// Ends this sign-in.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "Accounts", operation_id = "sign_out", security(("token" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "No good token", body = Problem),
    )
)]
async fn end_current(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<StatusCode, ApiError> {
    accounts
        .0
        .directory
        .end_sign_in(caller.0.user, caller.0.id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the user's sign-ins.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "Accounts", operation_id = "end_sign_in", params(("id" = SessionId, Path)),
    security(("token" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "The user has no such sign-in", body = Problem),
    )
)]
async fn end(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    if accounts.0.directory.end_sign_in(caller.0.user, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("there is no such sign-in"))
    }
}
