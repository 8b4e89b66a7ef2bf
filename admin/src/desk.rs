//! What an operator decides, whether over HTTP or by the command line on the directory itself, so that
//! both do the same.

use crate::seat::TOKEN_PREFIX;
use axum::http::StatusCode;
use belfry_edge::password::{Hashing, check_strength};
use belfry_edge::{AddressKey, ApiError, check_username, random};
use belfry_protocol::id::{AdminTokenId, LinkId, UserId};
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, AdminToken, Directory, DirectoryError, MadeAccount, Role};
use std::time::Duration;

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
        return Err(ApiError::new(StatusCode::CONFLICT, "full", detail));
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

/// How long the link to become the first admin is good.
const SETUP: Duration = Duration::from_secs(3_600);
/// How long links are good unless an end is given, and at most.
const INVITE: Duration = Duration::from_secs(7 * 86_400);
const RESET: Duration = Duration::from_secs(86_400);
const LINK_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Links that are good at a time.
const LINKS_MAX: usize = 1_000;

/// A link, shown this once.
#[derive(Debug, Clone)]
pub struct MadeLink {
    /// Its id.
    pub id: LinkId,
    /// The link.
    pub link: String,
    /// When it ends by itself.
    pub ends: Timestamp,
}

/// Makes the link to become the first admin; one that was made before is void. `by` is nobody where the
/// server makes it at its start.
///
/// # Errors
/// There is an admin.
pub async fn create_setup_link(
    directory: &Directory,
    admin_url: &str,
    by: Option<&Actor>,
    now: Timestamp,
) -> Result<String, ApiError> {
    if directory.has_admin().await? {
        let detail =
            "there is an admin already; give somebody the role: belfry admin user role NAME admin";
        return Err(ApiError::new(StatusCode::CONFLICT, "exists", detail));
    }
    let secret = Secret::from_random(random()?);
    let id = LinkId::from_bytes(random()?);
    directory
        .create_setup_link(id, secret.hash(), now.plus(SETUP), by, now)
        .await?;
    Ok(format!("{admin_url}/admin#setup={}", secret.expose()))
}

/// When a link ends, and whether there is room for it.
async fn room_until(
    directory: &Directory,
    ends: Option<Timestamp>,
    otherwise: Duration,
    now: Timestamp,
) -> Result<Timestamp, ApiError> {
    let ends = ends.unwrap_or(now.plus(otherwise));
    if ends <= now || ends > now.plus(LINK_MAX) {
        let detail = "a link ends at a time to come, at most 30 days ahead";
        return Err(ApiError::invalid("ends", detail));
    }
    if directory.links(now).await?.len() >= LINKS_MAX {
        let detail = format!("there are {LINKS_MAX} links already; end some first");
        return Err(ApiError::new(StatusCode::CONFLICT, "full", detail));
    }
    Ok(ends)
}

/// Makes a link to make an account with.
///
/// # Errors
/// 422 for an end that cannot be, 409 where there are too many.
pub async fn create_invite(
    directory: &Directory,
    public_url: &str,
    ends: Option<Timestamp>,
    by: &Actor,
    now: Timestamp,
) -> Result<MadeLink, ApiError> {
    let ends = room_until(directory, ends, INVITE, now).await?;
    let secret = Secret::from_random(random()?);
    let id = LinkId::from_bytes(random()?);
    directory
        .create_invite(id, secret.hash(), ends, by, now)
        .await?;
    let link = format!("{public_url}/#invite={}", secret.expose());
    Ok(MadeLink { id, link, ends })
}

/// Makes a link to set a user's password with; an older one of the same user ends.
///
/// # Errors
/// 404 for nobody, 422 for an end that cannot be, 409 where there are too many.
pub async fn create_reset(
    directory: &Directory,
    public_url: &str,
    user: UserId,
    ends: Option<Timestamp>,
    by: &Actor,
    now: Timestamp,
) -> Result<MadeLink, ApiError> {
    let ends = room_until(directory, ends, RESET, now).await?;
    let secret = Secret::from_random(random()?);
    let id = LinkId::from_bytes(random()?);
    let made = directory.create_reset(user, (id, secret.hash()), ends, by, now);
    if !made.await? {
        return Err(ApiError::not_found("there is no such user"));
    }
    let link = format!("{public_url}/#reset={}", secret.expose());
    Ok(MadeLink { id, link, ends })
}

/// What a new account is to be.
#[derive(Debug)]
pub struct NewAccount {
    /// Its name.
    pub username: String,
    /// What it signs in with.
    pub password: String,
    /// What it may administer.
    pub role: Role,
}

/// Makes an account for somebody; whose, and its name.
///
/// # Errors
/// 422 for a bad name or a weak password, 409 where the name is taken.
pub async fn create_account(
    directory: &Directory,
    hashing: &Hashing,
    new: NewAccount,
    address: AddressKey,
    by: &Actor,
    now: Timestamp,
) -> Result<(UserId, String), ApiError> {
    check_username(&new.username)?;
    check_strength("password", &new.password, &new.username)?;
    let hash = hashing.place(address)?.hash(new.password).await?;
    let account = MadeAccount {
        user: UserId::from_bytes(random()?),
        name: &new.username,
        password_hash: &hash,
        role: new.role,
    };
    match directory.create_account_for(&account, by, now).await {
        Ok(()) => Ok((account.user, new.username)),
        Err(DirectoryError::Taken) => {
            let detail = "this name is taken; choose another";
            let taken = ApiError::new(StatusCode::CONFLICT, "taken", detail);
            Err(taken.at("username"))
        }
        Err(error) => Err(error.into()),
    }
}
