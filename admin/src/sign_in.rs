//! Signing in to administer: a name and a password, and what the account asks for beside them.
//!
//! Who may not administer is answered as who gives a wrong password, after the same work. Failures are
//! counted by name and address together, with those of users, so that nobody can lock anybody out from
//! elsewhere. Wrong codes are counted by themselves, and no password forgives one: only a right second half
//! does.

use crate::challenges::Waiting;
use crate::failures::Failure;
use crate::seat::Own;
use crate::session::{self, Caller};
use crate::webauthn::RelyingParty;
use crate::{Admin, totp};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_edge::ApiError;
use belfry_edge::attempts::Kind;
use belfry_edge::given::Given;
use belfry_edge::limit::{LimitReached, Refused};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Account, Actor, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(current))
        .routes(routes!(sign_in))
        .routes(routes!(with_code))
        .routes(routes!(again))
        .routes(routes!(sign_out))
}

#[derive(Serialize, ToSchema)]
struct AdminSessionInfo {
    username: String,
    /// `viewer` or `admin`.
    role: Role,
    /// When it ends unless somebody uses it.
    expires: Timestamp,
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/admin/v1/session", tag = "Administration", operation_id = "admin_session",
    security(("admin_session" = [])),
    responses(
        (status = 200, description = "This one", body = AdminSessionInfo),
        (status = 401, description = "Nobody; `ended` says `expired` or `role` of a session that ended by itself", body = Problem),
    )
)]
async fn current(own: Own) -> axum::Json<AdminSessionInfo> {
    axum::Json(AdminSessionInfo {
        expires: session::expires(&own.session),
        username: own.name,
        role: own.role,
    })
}

#[derive(Deserialize, ToSchema)]
struct AdminSignIn {
    /// In any case.
    username: String,
    password: String,
}

/// What is asked for beside the password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Factor {
    Totp,
    Passkey,
}

#[derive(Serialize, ToSchema)]
struct AdminSignedIn {
    /// Empty where nothing more is asked for; the cookie is set then.
    needs: Vec<Factor>,
    /// What the second half is given with; good for 5 minutes and 5 tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    /// Where a passkey may be the second half: as `PublicKeyCredential.parseRequestOptionsFromJSON` takes
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    passkey: Option<serde_json::Value>,
}

/// Signs in, or asks for the second half.
#[utoipa::path(
    post, path = "/admin/v1/sign-in", tag = "Administration", operation_id = "admin_sign_in",
    request_body = AdminSignIn, security(()),
    responses(
        (status = 200, description = "Signed in, or half of it", body = AdminSignedIn),
        (status = 401, description = "The name or the password is wrong, or the account has no role", body = Problem),
        (status = 403, description = "Another site's page", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn sign_in(
    State(admin): State<Admin>,
    caller: Caller,
    Given(given): Given<AdminSignIn>,
) -> Result<Response, Refused> {
    let address = caller.address.key();
    let place = admin.sign_ins.hashing.place(address)?;
    let attempts = &admin.sign_ins.attempts;
    let name = &given.username;
    let failures = attempts.of(Kind::Password, name, address, admin.now());
    let mut failures = failures.await;
    attempts.may(&failures, admin.now())?;
    let account = admin.directory.account_by_name(&given.username).await?;
    let hash = account
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let right = place.verify(given.password, hash).await?;
    let now = admin.now();
    let seated = account
        .as_ref()
        .filter(|account| right && account.role > Role::None);
    let Some(account) = seated else {
        attempts.failed(&mut failures, now);
        if let Some(account) = account.filter(|account| account.role > Role::None) {
            admin.note_failure(&account, &caller, now);
        }
        return Err(wrong_credentials().into());
    };
    admin.not_banned(account.user)?;
    if let Some(half) = admin.second_half(account, now).await? {
        let codes = attempts.of(Kind::Code, &account.display_name, address, now);
        let codes = codes.await;
        attempts.may(&codes, now)?;
        return Ok(axum::Json(half).into_response());
    }
    attempts.succeeded(&mut failures);
    let name = account.display_name.clone();
    let cookie = admin.seat(account.user, name, &caller, now).await?;
    let signed_in = AdminSignedIn {
        needs: Vec::new(),
        challenge: None,
        passkey: None,
    };
    Ok((cookie, axum::Json(signed_in)).into_response())
}

#[derive(Deserialize, ToSchema)]
struct AdminCode {
    /// Of the first half.
    challenge: String,
    /// Six digits.
    code: String,
}

/// Gives the second half of a sign-in: a code of the authenticator.
#[utoipa::path(
    post, path = "/admin/v1/sign-in/totp", tag = "Administration", operation_id = "admin_sign_in_totp",
    request_body = AdminCode, security(()),
    responses(
        (status = 204, description = "Signed in"),
        (status = 401, description = "The code is wrong, or was used", body = Problem),
        (status = 403, description = "Another site's page", body = Problem),
        (status = 410, description = "Begin again: 5 minutes or 5 tries are over", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn with_code(
    State(admin): State<Admin>,
    caller: Caller,
    Given(given): Given<AdminCode>,
) -> Result<Response, Refused> {
    let now = admin.now();
    let waiting = admin.challenges.again(&given.challenge, now);
    let waiting = waiting.ok_or_else(expired)?;
    let user = waiting.user.ok_or_else(expired)?;
    let attempts = &admin.sign_ins.attempts;
    let address = caller.address.key();
    let failures = attempts.of(Kind::Code, &waiting.name, address, now);
    let mut failures = failures.await;
    attempts.may(&failures, now)?;
    // As it is now: it may have been taken away since the first half.
    let account = admin.directory.account(user).await?;
    let account = account.filter(|account| account.role > Role::None);
    let account = account.ok_or_else(expired)?;
    if !admin.takes_code(user, &given.code, now).await? {
        attempts.failed(&mut failures, now);
        admin.note_failure(&account, &caller, now);
        let detail = "this code is not right now, or was used already; wait for the next";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong-code", detail).into());
    }
    if !admin.challenges.end(&given.challenge) {
        return Err(expired().into());
    }
    drop(failures);
    admin.forgive(&waiting.name, &caller, now).await;
    let cookie = admin.seat(user, account.display_name, &caller, now).await?;
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

#[derive(Deserialize, ToSchema)]
struct AdminPassword {
    password: String,
}

/// Gives the password again, for what asks for one of the last 10 minutes.
#[utoipa::path(
    post, path = "/admin/v1/sign-in/again", tag = "Administration", operation_id = "admin_sign_in_again",
    request_body = AdminPassword, security(("admin_session" = [])),
    responses(
        (status = 204, description = "It counts for 10 minutes"),
        (status = 401, description = "Signed out, or the password is wrong", body = Problem),
        (status = 403, description = "Another site's page", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn again(
    State(admin): State<Admin>,
    own: Own,
    caller: Caller,
    Given(given): Given<AdminPassword>,
) -> Result<StatusCode, Refused> {
    if !admin.knows_password(&own, &caller, given.password).await? {
        return Err(wrong_credentials().into());
    }
    admin
        .directory
        .prove_admin_session(own.session.id, own.session.user, admin.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs out.
#[utoipa::path(
    post, path = "/admin/v1/sign-out", tag = "Administration", operation_id = "admin_sign_out", security(()),
    responses(
        (status = 204, description = "Signed out, or was already"),
        (status = 403, description = "Another site's page", body = Problem),
    )
)]
async fn sign_out(
    State(admin): State<Admin>,
    _: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(secret) = admin.settings.named_in(&headers)
        && let Some(found) = admin.directory.admin_session(secret).await?
    {
        let session = found.session;
        admin
            .directory
            .sign_admin_out(session.user, session.id)
            .await?;
    }
    let cookie = [(header::SET_COOKIE, admin.settings.cookie(None))];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

fn wrong_credentials() -> ApiError {
    let detail = "the name or the password is wrong, or this account may not administer";
    ApiError::new(StatusCode::UNAUTHORIZED, "wrong-credentials", detail)
}

/// 410: what it was begun with is over.
pub(crate) fn expired() -> ApiError {
    let detail = "this sign-in took too long or was tried too often; begin again";
    ApiError::new(StatusCode::GONE, "expired", detail)
}

/// The header that sets a cookie.
pub(crate) type Cookie = [(header::HeaderName, header::HeaderValue); 1];

impl Admin {
    /// What is asked for beside the password, where anything is.
    async fn second_half(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<AdminSignedIn>, ApiError> {
        let totp = self.directory.totp(account.user).await?;
        let known = self.known_passkeys(account.user).await?;
        let mut needs = Vec::new();
        if totp.is_some_and(|totp| totp.since.is_some()) {
            needs.push(Factor::Totp);
        }
        if !known.is_empty() {
            needs.push(Factor::Passkey);
        }
        if needs.is_empty() {
            return Ok(None);
        }
        let waiting = Waiting {
            user: Some(account.user),
            name: account.display_name.clone(),
        };
        let challenge = self.challenges.begin(waiting, now)?;
        let challenge = challenge.expose().to_owned();
        let server = RelyingParty::at(&self.settings.admin_url);
        let passkey = (!known.is_empty()).then(|| server.request(&challenge, &known));
        Ok(Some(AdminSignedIn {
            needs,
            challenge: Some(challenge),
            passkey,
        }))
    }

    /// Who gave both halves is not taken for who failed before, at either.
    pub(crate) async fn forgive(&self, name: &str, caller: &Caller, now: Timestamp) {
        let attempts = &self.sign_ins.attempts;
        for kind in [Kind::Password, Kind::Code] {
            let mut failures = attempts.of(kind, name, caller.address.key(), now).await;
            attempts.succeeded(&mut failures);
        }
    }

    /// Begins a session for who has proven who they are.
    pub(crate) async fn seat(
        &self,
        user: UserId,
        name: String,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Cookie, ApiError> {
        self.not_banned(user)?;
        let (secret, session) = session::begin(user, caller, now)?;
        let actor = Actor::Account { id: user, name };
        self.directory
            .create_admin_session(secret.hash(), &session, &actor)
            .await?;
        self.changed.tell("account");
        Ok([(header::SET_COOKIE, self.settings.cookie(Some(&secret)))])
    }

    /// Refuses who is kept out, with why and until when.
    pub(crate) fn not_banned(&self, user: UserId) -> Result<(), ApiError> {
        match self.directory.bans().user(user, self.now()) {
            Some(ban) => Err(ApiError::banned("this account", ban)),
            None => Ok(()),
        }
    }

    /// Whether it is the password of who is signed in.
    pub(crate) async fn knows_password(
        &self,
        own: &Own,
        caller: &Caller,
        password: String,
    ) -> Result<bool, Refused> {
        let address = caller.address.key();
        let place = self.sign_ins.hashing.place(address)?;
        let attempts = &self.sign_ins.attempts;
        let failures = attempts.of(Kind::Password, &own.name, address, self.now());
        let mut failures = failures.await;
        attempts.may(&failures, self.now())?;
        let account = self.directory.account(own.session.user).await?;
        let hash = account.and_then(|account| account.password_hash);
        let right = place.verify(password, hash).await?;
        if right {
            attempts.succeeded(&mut failures);
        } else {
            attempts.failed(&mut failures, self.now());
        }
        Ok(right)
    }

    /// Whether a code is right now, and takes it, so that nobody who saw it can use it again.
    pub(crate) async fn takes_code(
        &self,
        user: UserId,
        code: &str,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let Some(totp) = self.directory.totp(user).await? else {
            return Ok(false);
        };
        let Some(step) = totp::step_of(&totp.secret, code, now) else {
            return Ok(false);
        };
        Ok(self.directory.take_totp_step(user, step).await?)
    }

    fn note_failure(&self, account: &Account, caller: &Caller, now: Timestamp) {
        self.failures.note(Failure {
            name: account.display_name.clone(),
            address: caller.address.0,
            client: caller.client.clone(),
            at: now,
        });
    }
}
