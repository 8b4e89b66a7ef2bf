//! What an operator decides, whether over HTTP or by the command line on the directory itself, so that
//! both do the same.

use crate::seat::TOKEN_PREFIX;
use belfry_edge::{ApiError, random};
use belfry_protocol::id::AdminTokenId;
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, AdminToken, Directory, Role};

/// API tokens of a server: nobody keeps track of more.
const TOKENS_MAX: usize = 200;

/// What a new API token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What to call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends by itself.
    pub ends: Option<Timestamp>,
}

/// Makes an API token; its id, and the token, this once.
///
/// # Errors
/// 422 for what it cannot be, 409 where there are too many.
pub async fn create_token(
    directory: &Directory,
    new: NewToken,
    by: &Actor,
    now: Timestamp,
) -> Result<(AdminTokenId, String), ApiError> {
    let name = belfry_edge::display_name(&new.name)?;
    if new.role == Role::None {
        let detail = "a token has the role viewer or admin";
        return Err(ApiError::invalid("role", detail));
    }
    if new.ends.is_some_and(|ends| ends <= now) {
        return Err(ApiError::invalid("ends", "it would have ended already"));
    }
    if directory.admin_tokens().await?.len() >= TOKENS_MAX {
        let detail = format!("there are {TOKENS_MAX} API tokens already; end some first");
        return Err(ApiError::new(
            axum::http::StatusCode::CONFLICT,
            "full",
            detail,
        ));
    }
    let secret = Secret::from_random(random()?);
    let secret = format!("{TOKEN_PREFIX}{}", secret.expose());
    let token = AdminToken {
        id: AdminTokenId::from_bytes(random()?),
        name,
        role: new.role,
        author: by.name().to_owned(),
        created: now,
        ends: new.ends,
        last_used: None,
    };
    directory
        .create_admin_token(&token, SecretHash::of(secret.as_bytes()), by)
        .await?;
    Ok((token.id, secret))
}
