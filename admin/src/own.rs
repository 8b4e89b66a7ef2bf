//! One's own account: password, authenticator and sessions.

use crate::lists::PAGE_MAX;
use crate::seat::Own;
use crate::session::{self, Caller};
use crate::{Admin, totp};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_edge::given::Given;
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::paging::{Key, Page, Paging};
use belfry_edge::password::check_strength;
use belfry_edge::{ApiError, Path, Query, random};
use belfry_protocol::id::{PasskeyId, SessionId};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{AdminSession, Role};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(account))
        .routes(routes!(change_password))
        .routes(routes!(offer_totp, end_totp))
        .routes(routes!(confirm_totp))
        .routes(routes!(sessions, end_all))
        .routes(routes!(end_one))
}

#[derive(Serialize, ToSchema)]
struct AdminAccountInfo {
    username: String,
    /// `viewer` or `admin`.
    role: Role,
    /// Since when codes of an authenticator are asked for.
    totp_since: Option<Timestamp>,
    passkeys: Vec<PasskeyInfo>,
}

#[derive(Serialize, ToSchema)]
struct PasskeyInfo {
    id: PasskeyId,
    name: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
}

/// One's own account.
#[utoipa::path(
    get, path = "/admin/v1/account", tag = "Administration", operation_id = "admin_own_account",
    security(("admin_session" = [])),
    responses(
        (status = 200, description = "The account", body = AdminAccountInfo),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A token has none", body = Problem),
    )
)]
async fn account(
    State(admin): State<Admin>,
    own: Own,
) -> Result<axum::Json<AdminAccountInfo>, ApiError> {
    let user = own.session.user;
    let totp = admin.directory.totp(user).await?;
    let passkeys = admin.directory.passkeys(user).await?.into_iter();
    let passkeys = passkeys.map(|passkey| PasskeyInfo {
        id: passkey.id,
        name: passkey.name,
        created: passkey.created,
        last_used: passkey.last_used,
    });
    Ok(axum::Json(AdminAccountInfo {
        username: own.name,
        role: own.role,
        totp_since: totp.and_then(|totp| totp.since),
        passkeys: passkeys.collect(),
    }))
}

#[derive(Deserialize, ToSchema)]
struct AdminPasswordChange {
    old: String,
    /// At least 8 characters, at most 1024 bytes.
    #[schema(min_length = 8)]
    new: String,
}

/// Changes the password, and ends every other sign-in, here and as a user.
#[utoipa::path(
    put, path = "/admin/v1/account/password", tag = "Administration", operation_id = "admin_change_password",
    request_body = AdminPasswordChange, security(("admin_session" = [])),
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "The old password is wrong, another site's page, or a token", body = Problem),
        (status = 422, description = "The new password is weak", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn change_password(
    State(admin): State<Admin>,
    own: Own,
    caller: Caller,
    Given(change): Given<AdminPasswordChange>,
) -> Result<StatusCode, Refused> {
    own.fresh(admin.now())?;
    check_strength("new", &change.new, &own.name)?;
    if !admin.knows_password(&own, &caller, change.old).await? {
        let wrong = ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong-password",
            "the old password is wrong",
        );
        return Err(wrong.at("old").into());
    }
    let place = admin.sign_ins.hashing.place(caller.address.key())?;
    let hash = place.hash(change.new).await?;
    let (user, session) = (own.session.user, own.session.id);
    admin
        .directory
        .set_admin_password(user, &hash, session, &own.actor, admin.now())
        .await?;
    admin.changed.tell("account");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
struct OfferedTotp {
    /// Base32, for those who type it.
    secret: String,
    /// For a picture or a link.
    #[schema(example = "otpauth://totp/…")]
    uri: String,
}

/// Offers a secret to an authenticator. Nothing is asked for until a code of it was confirmed.
#[utoipa::path(
    post, path = "/admin/v1/account/totp", tag = "Administration", operation_id = "admin_offer_totp",
    security(("admin_session" = [])),
    responses(
        (status = 200, description = "A new secret", body = OfferedTotp),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 409, description = "Codes are asked for already", body = Problem),
    )
)]
async fn offer_totp(
    State(admin): State<Admin>,
    own: Own,
) -> Result<axum::Json<OfferedTotp>, ApiError> {
    own.fresh(admin.now())?;
    let secret = random::<{ totp::SECRET_BYTES }>()?;
    if !admin
        .directory
        .offer_totp(own.session.user, &secret)
        .await?
    {
        let detail = "an authenticator is set up already; remove it first";
        return Err(ApiError::new(StatusCode::CONFLICT, "exists", detail));
    }
    let secret = BASE32_NOPAD.encode(&secret);
    let host = admin.settings.public_url.split("://").nth(1);
    let uri = totp::uri(&secret, &own.name, host.unwrap_or_default());
    Ok(axum::Json(OfferedTotp { secret, uri }))
}

#[derive(Deserialize, ToSchema)]
struct FirstCode {
    /// Six digits.
    code: String,
}

/// Shows that the authenticator has the secret: codes are asked for from now on.
#[utoipa::path(
    post, path = "/admin/v1/account/totp/confirm", tag = "Administration", operation_id = "admin_confirm_totp",
    request_body = FirstCode, security(("admin_session" = [])),
    responses(
        (status = 204, description = "It is on"),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 422, description = "The code is not right now", body = Problem),
    )
)]
async fn confirm_totp(
    State(admin): State<Admin>,
    own: Own,
    Given(given): Given<FirstCode>,
) -> Result<StatusCode, ApiError> {
    let now = admin.now();
    own.fresh(now)?;
    let user = own.session.user;
    let right = admin.takes_code(user, &given.code, now).await?;
    if !right || !admin.directory.begin_totp(user, &own.actor, now).await? {
        let detail = "this is not the code that is shown now; is the clock right?";
        return Err(ApiError::invalid("code", detail));
    }
    admin.changed.tell("account");
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the authenticator: no codes are asked for any more.
#[utoipa::path(
    delete, path = "/admin/v1/account/totp", tag = "Administration", operation_id = "admin_end_totp",
    security(("admin_session" = [])),
    responses(
        (status = 204, description = "There is none"),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
    )
)]
async fn end_totp(State(admin): State<Admin>, own: Own) -> Result<StatusCode, ApiError> {
    let now = admin.now();
    own.fresh(now)?;
    admin
        .directory
        .end_totp(own.session.user, &own.actor, now)
        .await?;
    admin.changed.tell("account");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
struct OwnSessionInfo {
    id: SessionId,
    /// Whether it is the one of this request.
    current: bool,
    created: Timestamp,
    /// To the minute.
    last_used: Timestamp,
    /// Where it began.
    address: String,
    #[schema(example = "Firefox on Linux", max_length = 64)]
    client: String,
}

/// One's own sessions, newest first.
#[utoipa::path(
    get, path = "/admin/v1/sessions", tag = "Administration", operation_id = "admin_list_sessions", params(Paging),
    security(("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<OwnSessionInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A token has none", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn sessions(
    State(admin): State<Admin>,
    own: Own,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<OwnSessionInfo>>, ApiError> {
    let now = admin.now();
    let mut found = admin.directory.admin_sessions(own.session.user).await?;
    found.retain(|session| session::is_good(session, now));
    let newest_first = |session: &AdminSession| {
        Key(
            u64::MAX - session.created.as_millis(),
            session.id.to_string(),
        )
    };
    found.sort_by_cached_key(newest_first);
    let page = Page::cut(found, &paging, PAGE_MAX, newest_first)?;
    Ok(axum::Json(page.map(|session| OwnSessionInfo {
        current: session.id == own.session.id,
        id: session.id,
        created: session.created,
        last_used: session.used,
        address: session.address,
        client: session.client,
    })))
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete, path = "/admin/v1/sessions/{id}", tag = "Administration", operation_id = "admin_end_session",
    params(("id" = SessionId, Path)), security(("admin_session" = [])),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 404, description = "There is no such session of this account", body = Problem),
    )
)]
async fn end_one(
    State(admin): State<Admin>,
    own: Own,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    let user = own.session.user;
    let ended = admin
        .directory
        .end_admin_sessions(user, Some(id), &own.actor, admin.now());
    if ended.await? == 0 {
        return Err(ApiError::not_found("there is no such session"));
    }
    admin.changed.tell("account");
    Ok(StatusCode::NO_CONTENT)
}

/// Signs out everywhere, here too.
#[utoipa::path(
    delete, path = "/admin/v1/sessions", tag = "Administration", operation_id = "admin_end_sessions",
    security(("admin_session" = [])),
    responses(
        (status = 204, description = "No session is left"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
    )
)]
async fn end_all(State(admin): State<Admin>, own: Own) -> Result<Response, ApiError> {
    let user = own.session.user;
    admin
        .directory
        .end_admin_sessions(user, None, &own.actor, admin.now())
        .await?;
    admin.changed.tell("account");
    let cookie = [(header::SET_COOKIE, admin.settings.cookie(None))];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}
