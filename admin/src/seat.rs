//! Who calls, and what they may do. It is asked of the directory at each request, so that a token or a
//! role that is taken away counts for nothing any more.
//!
//! [`Reader`] takes every role and [`Writer`] the role `admin` alone. A route that changes nothing may take
//! a [`Reader`] also where its method writes; one that changes something only sometimes asks
//! [`Seat::may_write`] before it does.

use crate::Admin;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use belfry_edge::ApiError;
use belfry_edge::auth::Credentials;
use belfry_protocol::secret::SecretHash;
use belfry_store::directory::{Actor, Role};

/// What an API token begins with, so that it is known for one where it should not be.
pub const TOKEN_PREFIX: &str = "belfry_admin_";

/// Who sits here.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose acts these are.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
}

/// Whoever may see.
#[derive(Debug, Clone)]
pub struct Reader(pub Seat);

/// Whoever may change.
#[derive(Debug, Clone)]
pub struct Writer(pub Seat);

impl Seat {
    /// Refuses who may only see.
    ///
    /// # Errors
    /// 403 with the type `viewer`.
    pub fn may_write(&self) -> Result<(), ApiError> {
        if self.role == Role::Admin {
            return Ok(());
        }
        let detail = "your role is viewer: it may see all of this and change none of it";
        Err(ApiError::new(StatusCode::FORBIDDEN, "viewer", detail))
    }

    async fn of(parts: &Parts, admin: &Admin) -> Result<Self, ApiError> {
        match Credentials::read(&parts.headers) {
            Ok(Credentials::Bearer(secret)) => Self::by_token(secret, admin).await,
            _ => Err(signed_out()),
        }
    }

    async fn by_token(secret: SecretHash, admin: &Admin) -> Result<Self, ApiError> {
        let token = admin.directory.admin_token(secret, admin.now()).await?;
        let token = token.ok_or_else(signed_out)?;
        Ok(Self {
            role: token.role,
            actor: Actor::Token {
                id: token.id,
                name: token.name,
            },
        })
    }
}

/// 401.
pub(crate) fn signed_out() -> ApiError {
    let detail = "sign in, or send Authorization: Bearer with an API token that is good now";
    ApiError::new(StatusCode::UNAUTHORIZED, "signed-out", detail).asking_for("Bearer")
}

impl FromRequestParts<Admin> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, ApiError> {
        Seat::of(parts, admin).await.map(Self)
    }
}

impl FromRequestParts<Admin> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, ApiError> {
        let seat = Seat::of(parts, admin).await?;
        seat.may_write()?;
        Ok(Self(seat))
    }
}
