//! Passkeys: to sign in by alone, or as the second half after a password.

use crate::Admin;
use crate::challenges::Waiting;
use crate::seat::Own;
use crate::session::Caller;
use crate::sign_in::expired;
use crate::webauthn::{NewCredential, RelyingParty, UsedCredential};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use belfry_edge::given::{self, Given};
use belfry_edge::limit::Refused;
use belfry_edge::{ApiError, Path, display_name, random};
use belfry_protocol::id::{PasskeyId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Passkey, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Passkeys of one account: nobody has more devices to sign in on.
const PASSKEYS_MAX: usize = 20;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(request_options))
        .routes(routes!(sign_in))
        .routes(routes!(creation_options))
        .routes(routes!(add))
        .routes(routes!(remove))
}

#[derive(Serialize, ToSchema)]
struct PasskeyOptions {
    /// To be given back.
    challenge: String,
    /// As `PublicKeyCredential.parseRequestOptionsFromJSON`, or of a new one
    /// `parseCreationOptionsFromJSON`, takes them.
    #[schema(value_type = Object)]
    passkey: Value,
}

/// What a browser signs in by with a passkey alone.
#[utoipa::path(
    post, path = "/admin/v1/sign-in/passkey/options", tag = "Administration", operation_id = "admin_passkey_options",
    security(()),
    responses(
        (status = 200, description = "Options, good for 5 minutes", body = PasskeyOptions),
        (status = 403, description = "Another site's page", body = Problem),
    )
)]
async fn request_options(
    State(admin): State<Admin>,
    _: Caller,
) -> Result<axum::Json<PasskeyOptions>, ApiError> {
    let waiting = Waiting {
        user: None,
        name: String::new(),
    };
    let challenge = admin.alone.begin(waiting, admin.now())?;
    let challenge = challenge.expose().to_owned();
    let passkey = RelyingParty::at(&admin.settings.admin_url).request(&challenge, &[]);
    Ok(axum::Json(PasskeyOptions { challenge, passkey }))
}

#[derive(Deserialize, ToSchema)]
struct SignInByPasskey {
    challenge: String,
    /// `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Signs in by passkey, or gives the second half with one.
#[utoipa::path(
    post, path = "/admin/v1/sign-in/passkey", tag = "Administration", operation_id = "admin_sign_in_passkey",
    request_body = SignInByPasskey, security(()),
    responses(
        (status = 204, description = "Signed in"),
        (status = 401, description = "This passkey is not one of an account that may administer", body = Problem),
        (status = 403, description = "Another site's page", body = Problem),
        (status = 410, description = "Begin again: 5 minutes or 5 tries are over", body = Problem),
        (status = 422, description = "No credential", body = Problem),
    )
)]
async fn sign_in(
    State(admin): State<Admin>,
    caller: Caller,
    Given(given): Given<SignInByPasskey>,
) -> Result<Response, Refused> {
    let now = admin.now();
    let credential: UsedCredential = credential(given.credential)?;
    // The second half of a sign-in, or a whole one.
    let half = admin.challenges.again(&given.challenge, now);
    let waiting = half.or_else(|| admin.alone.again(&given.challenge, now));
    let waiting = waiting.ok_or_else(expired)?;
    let found = admin.directory.passkey(&credential.raw_id.0).await?;
    let found = found.filter(|(user, _)| waiting.user.is_none_or(|whose| whose == *user));
    let (user, passkey) = found.ok_or_else(wrong)?;
    let server = RelyingParty::at(&admin.settings.admin_url);
    let kept = (user, &passkey.credential[..]);
    let kept = server.signed(&given.challenge, &credential, kept);
    let kept = kept.ok_or_else(wrong)?;
    let account = admin.directory.account(user).await?;
    let account = account.filter(|account| account.role > Role::None);
    let account = account.ok_or_else(wrong)?;
    if !admin.challenges.end(&given.challenge) && !admin.alone.end(&given.challenge) {
        return Err(expired().into());
    }
    let noted = admin.directory.note_passkey(user, passkey.id, &kept, now);
    noted.await?;
    if waiting.user.is_some() {
        admin.forgive(&waiting.name, &caller, now).await;
    }
    let cookie = admin.seat(user, account.display_name, &caller, now).await?;
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

/// What a browser makes a passkey by.
#[utoipa::path(
    post, path = "/admin/v1/account/passkeys/options", tag = "Administration", operation_id = "admin_new_passkey_options",
    security(("admin_session" = [])),
    responses(
        (status = 200, description = "Options, good for 5 minutes", body = PasskeyOptions),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 409, description = "There are too many", body = Problem),
    )
)]
async fn creation_options(
    State(admin): State<Admin>,
    own: Own,
) -> Result<axum::Json<PasskeyOptions>, ApiError> {
    let now = admin.now();
    own.fresh(now)?;
    let user = own.session.user;
    let known = admin.known_passkeys(user).await?;
    if known.len() >= PASSKEYS_MAX {
        let detail = format!("there are {PASSKEYS_MAX} passkeys already; remove one first");
        return Err(ApiError::new(StatusCode::CONFLICT, "full", detail));
    }
    let waiting = Waiting {
        user: Some(user),
        name: own.name.clone(),
    };
    let challenge = admin.enrolling.begin(waiting, now)?;
    let challenge = challenge.expose().to_owned();
    let server = RelyingParty::at(&admin.settings.admin_url);
    let passkey = server.creation(&challenge, (user, &own.name), &known);
    Ok(axum::Json(PasskeyOptions { challenge, passkey }))
}

#[derive(Deserialize, ToSchema)]
struct NewPasskey {
    challenge: String,
    /// 1 to 100 characters, none of them control characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `PublicKeyCredential.toJSON()`, with `publicKey` and `authenticatorData`.
    #[schema(value_type = Object)]
    credential: Value,
}

#[derive(Serialize, ToSchema)]
struct AddedPasskey {
    id: PasskeyId,
}

/// Adds a passkey.
#[utoipa::path(
    post, path = "/admin/v1/account/passkeys", tag = "Administration", operation_id = "admin_add_passkey",
    request_body = NewPasskey, security(("admin_session" = [])),
    responses(
        (status = 201, description = "Added", body = AddedPasskey),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 409, description = "It is known already", body = Problem),
        (status = 410, description = "Begin again: 5 minutes are over", body = Problem),
        (status = 422, description = "No name, or not a credential for this", body = Problem),
    )
)]
async fn add(
    State(admin): State<Admin>,
    own: Own,
    Given(given): Given<NewPasskey>,
) -> Result<(StatusCode, axum::Json<AddedPasskey>), ApiError> {
    let now = admin.now();
    own.fresh(now)?;
    let name = display_name(&given.name)?;
    let user = own.session.user;
    let new: NewCredential = credential(given.credential)?;
    let waiting = admin.enrolling.again(&given.challenge, now);
    let waiting = waiting.filter(|waiting| waiting.user == Some(user));
    waiting.ok_or_else(expired)?;
    let server = RelyingParty::at(&admin.settings.admin_url);
    let kept = server.made(&given.challenge, &new).ok_or_else(|| {
        let detail = "this is no passkey that was made for this server just now";
        ApiError::invalid("credential", detail)
    })?;
    if !admin.enrolling.end(&given.challenge) {
        return Err(expired());
    }
    let passkey = Passkey {
        id: PasskeyId::from_bytes(random()?),
        credential_id: new.raw_id.0,
        credential: kept,
        name,
        created: now,
        last_used: None,
    };
    let added = admin.directory.add_passkey(user, &passkey, &own.actor);
    added.await?;
    admin.changed.tell("account");
    let added = AddedPasskey { id: passkey.id };
    Ok((StatusCode::CREATED, axum::Json(added)))
}

/// Removes a passkey.
#[utoipa::path(
    delete, path = "/admin/v1/account/passkeys/{id}", tag = "Administration", operation_id = "admin_remove_passkey",
    params(("id" = PasskeyId, Path)), security(("admin_session" = [])),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "Another site's page, or a token", body = Problem),
        (status = 404, description = "There is no such passkey of this account", body = Problem),
    )
)]
async fn remove(
    State(admin): State<Admin>,
    own: Own,
    Path(id): Path<PasskeyId>,
) -> Result<StatusCode, ApiError> {
    let now: Timestamp = admin.now();
    own.fresh(now)?;
    let removed = admin
        .directory
        .remove_passkey(own.session.user, id, &own.actor, now);
    if !removed.await? {
        return Err(ApiError::not_found("there is no such passkey"));
    }
    admin.changed.tell("account");
    Ok(StatusCode::NO_CONTENT)
}

/// Reads what a browser made, with the field at fault.
fn credential<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    given::parse(value.to_string().as_bytes()).map_err(|mut error| {
        error.rename_field("body", "credential");
        error
    })
}

fn wrong() -> ApiError {
    let detail = "this passkey is not one of an account that may administer here";
    ApiError::new(StatusCode::UNAUTHORIZED, "wrong-credentials", detail)
}

impl Admin {
    /// What the passkeys of a user are to their authenticators.
    pub(crate) async fn known_passkeys(&self, user: UserId) -> Result<Vec<Vec<u8>>, ApiError> {
        let passkeys = self.directory.passkeys(user).await?.into_iter();
        Ok(passkeys.map(|passkey| passkey.credential_id).collect())
    }
}
