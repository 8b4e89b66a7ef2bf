//! Who calls: a user by token, or one of their devices by password.

use crate::{Accounts, RECENT, SIGN_IN_LIFETIME};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use belfry_edge::ApiError;
use belfry_edge::auth::Credentials;
use belfry_edge::given::Admits;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::SignIn;

/// A user with a good token.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub SignIn);

impl Caller {
    /// Refuses a sign-in that is too old for what cannot be undone.
    ///
    /// # Errors
    /// 401 with the type `sign-in-again`.
    pub(crate) fn recent(&self, now: Timestamp) -> Result<(), ApiError> {
        if now.since(self.0.created) <= RECENT {
            return Ok(());
        }
        let detail = "sign in again: this needs a sign-in within the last 10 minutes";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "sign-in-again", detail).asking_for("Bearer"))
    }
}

impl FromRequestParts<Accounts> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, accounts: &Accounts) -> Result<Self, ApiError> {
        let Credentials::Bearer(token) = Credentials::read(&parts.headers)? else {
            return Err(ApiError::unauthorized("this needs a user's bearer token"));
        };
        let found = accounts
            .0
            .directory
            .sign_in_by_token(token, SIGN_IN_LIFETIME, accounts.0.now())
            .await?;
        let found = found.ok_or_else(|| {
            ApiError::unauthorized("the token is not good (any more); sign in again")
        })?;
        accounts.0.not_banned(found.user)?;
        parts.extensions.insert(LetIn);
        Ok(Self(found))
    }
}

/// A device with its password.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallingDevice {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

impl FromRequestParts<Accounts> for CallingDevice {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, accounts: &Accounts) -> Result<Self, ApiError> {
        let refused =
            || ApiError::unauthorized("the device or its password is wrong").asking_for("Basic");
        let Credentials::Device { device, password } = Credentials::read(&parts.headers)? else {
            return Err(refused());
        };
        let directory = &accounts.0.directory;
        let user = directory
            .user_of_device(device)
            .await?
            .ok_or_else(refused)?;
        if !directory.verify_device(user, device, password).await? {
            return Err(refused());
        }
        accounts.0.not_banned(user)?;
        parts.extensions.insert(LetIn);
        Ok(Self { user, device })
    }
}

/// That somebody was let in with this request.
#[derive(Clone)]
struct LetIn;

impl Admits for Accounts {
    async fn still_admits(&self, parts: &mut Parts) -> Result<(), ApiError> {
        if parts.extensions.get::<LetIn>().is_some() {
            Reader::from_request_parts(parts, self).await?;
        }
        Ok(())
    }
}

/// The user, by token or through one of their devices.
pub(crate) struct Reader(pub(crate) UserId);

impl FromRequestParts<Accounts> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, accounts: &Accounts) -> Result<Self, ApiError> {
        match Credentials::read(&parts.headers)? {
            Credentials::Bearer(_) => Ok(Self(
                Caller::from_request_parts(parts, accounts).await?.0.user,
            )),
            Credentials::Device { .. } => Ok(Self(
                CallingDevice::from_request_parts(parts, accounts)
                    .await?
                    .user,
            )),
        }
    }
}
