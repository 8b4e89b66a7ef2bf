//! Who calls, and what they may do. It is asked of the directory at each request, so that a session, a
//! token or a role that is taken away counts for nothing any more.
//!
//! [`Reader`] takes every role and [`Writer`] the role `admin` alone. A route that changes nothing may take
//! a [`Reader`] also where its method writes; one that changes something only sometimes asks
//! [`Seat::may_write`] before it does. [`Own`] is for what somebody who signed in does to their own account.

use crate::Admin;
use crate::session::{self, USE_NOTED_EVERY};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_edge::ApiError;
use belfry_edge::auth::Credentials;
use belfry_edge::given::Admits;
use belfry_protocol::id::UserId;
use belfry_protocol::problem::PROBLEM_CONTENT_TYPE;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, AdminSession, Role};

/// What an API token begins with, so that it is known for one where it should not be.
pub const TOKEN_PREFIX: &str = "belfry_admin_";

/// Who sits here.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose acts these are.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// The session of who signed in; a program with a token has none.
    pub session: Option<AdminSession>,
}

/// Whoever may see.
#[derive(Debug, Clone)]
pub struct Reader(pub Seat);

/// Whoever may change.
#[derive(Debug, Clone)]
pub struct Writer(pub Seat);

/// Somebody who signed in, for what is about their own account; the role does not matter.
#[derive(Debug, Clone)]
pub struct Own {
    /// Whose acts these are.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// Their session.
    pub session: AdminSession,
    /// What they are called.
    pub name: String,
}

/// Why nobody sits here.
#[derive(Debug)]
pub enum Refused {
    /// A problem like any other.
    Problem(ApiError),
    /// There was a session, and it ended: `expired`, or `role` for one whose role was taken away.
    Ended(&'static str),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Problem(error)
    }
}

impl From<belfry_store::directory::DirectoryError> for Refused {
    fn from(error: belfry_store::directory::DirectoryError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Problem(error) => return error.into_response(),
            Self::Ended(why) => why,
        };
        let (problem, _) = signed_out().into_problem();
        let mut body = serde_json::to_value(&problem).unwrap_or_default();
        body["ended"] = why.into();
        let mut response = (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
        let media = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media);
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response
    }
}

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

    /// Refuses who signed in and has not given a password or a passkey for 10 minutes.
    ///
    /// # Errors
    /// 401 with the type `sign-in-again`.
    pub fn fresh(&self, now: Timestamp) -> Result<(), ApiError> {
        self.session
            .as_ref()
            .map_or(Ok(()), |session| is_fresh(session, now))
    }

    /// The account, where it is one.
    pub fn user(&self) -> Option<UserId> {
        self.session.as_ref().map(|session| session.user)
    }

    async fn let_in(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        let seat = Self::of(parts, admin).await?;
        parts.extensions.insert(LetIn(seat.role));
        Ok(seat)
    }

    async fn of(parts: &Parts, admin: &Admin) -> Result<Self, Refused> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return match Credentials::read(&parts.headers) {
                Ok(Credentials::Bearer(secret)) => Self::by_token(secret, admin).await,
                _ => Err(signed_out().into()),
            };
        }
        match admin.settings.named_in(&parts.headers) {
            Some(secret) => Self::by_session(secret, parts, admin).await,
            None => Err(signed_out().into()),
        }
    }

    async fn by_token(secret: SecretHash, admin: &Admin) -> Result<Self, Refused> {
        let token = admin.directory.admin_token(secret, admin.now()).await?;
        let token = token.ok_or_else(signed_out)?;
        Ok(Self {
            role: token.role,
            actor: Actor::Token {
                id: token.id,
                name: token.name,
            },
            session: None,
        })
    }

    async fn by_session(secret: SecretHash, parts: &Parts, admin: &Admin) -> Result<Self, Refused> {
        let now = admin.now();
        let found = admin.directory.admin_session(secret).await?;
        let found = found.ok_or_else(signed_out)?;
        if !session::is_good(&found.session, now) {
            return Err(Refused::Ended("expired"));
        }
        if found.role == Role::None {
            return Err(Refused::Ended("role"));
        }
        admin.not_banned(found.session.user)?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if !reads {
            admin.settings.refuse_other_pages(&parts.headers)?;
        }
        let mut session = found.session;
        let used = !reads || session::says_so(&parts.headers);
        if used && now.since(session.used) > USE_NOTED_EVERY {
            let noted = admin
                .directory
                .note_admin_session(session.id, session.user, now);
            noted.await?;
            session.used = now;
        }
        Ok(Self {
            actor: Actor::Account {
                id: session.user,
                name: found.name,
            },
            role: found.role,
            session: Some(session),
        })
    }
}

impl Own {
    /// As [`Seat::fresh`].
    ///
    /// # Errors
    /// 401 with the type `sign-in-again`.
    pub fn fresh(&self, now: Timestamp) -> Result<(), ApiError> {
        is_fresh(&self.session, now)
    }
}

fn is_fresh(session: &AdminSession, now: Timestamp) -> Result<(), ApiError> {
    if session::is_fresh(session, now) {
        return Ok(());
    }
    let detail = "give your password again: this needs one of the last 10 minutes";
    let again = ApiError::new(StatusCode::UNAUTHORIZED, "sign-in-again", detail);
    Err(again.asking_for("Bearer"))
}

/// 401.
pub(crate) fn signed_out() -> ApiError {
    let detail = "sign in, or send Authorization: Bearer with an API token that is good now";
    ApiError::new(StatusCode::UNAUTHORIZED, "signed-out", detail).asking_for("Bearer")
}

/// That somebody with this role was let in with this request.
#[derive(Clone)]
struct LetIn(Role);

impl Admits for Admin {
    async fn still_admits(&self, parts: &mut Parts) -> Result<(), ApiError> {
        let Some(LetIn(role)) = parts.extensions.get().cloned() else {
            return Ok(());
        };
        match Seat::of(parts, self).await {
            Ok(seat) if seat.role == role => Ok(()),
            Err(Refused::Problem(error)) => Err(error),
            Ok(_) | Err(Refused::Ended(_)) => Err(signed_out()),
        }
    }
}

impl FromRequestParts<Admin> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        Seat::let_in(parts, admin).await.map(Self)
    }
}

impl FromRequestParts<Admin> for Writer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        let seat = Seat::let_in(parts, admin).await?;
        seat.may_write()?;
        Ok(Self(seat))
    }
}

impl FromRequestParts<Admin> for Own {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        let seat = Seat::let_in(parts, admin).await?;
        let name = seat.actor.name().to_owned();
        let Some(session) = seat.session else {
            let detail = "a token has no account of its own; sign in for this";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "token", detail).into());
        };
        Ok(Self {
            actor: seat.actor,
            role: seat.role,
            session,
            name,
        })
    }
}
