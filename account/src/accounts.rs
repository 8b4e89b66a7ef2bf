//! Accounts: making one, its password, and its end.

use crate::{Accounts, Caller, random};
use axum::extract::State;
use axum::http::StatusCode;
use belfry_broker::CloseCause;
use belfry_config::{AWAY_GRACE_MAX, Registration};
use belfry_edge::attempts::Kind;
use belfry_edge::given::{self, Address, Given};
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::password::check_strength;
use belfry_edge::{AddressKey, ApiError, Whole, check_username};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::SecretHash;
use belfry_store::directory::{Account, DirectoryError};
use belfry_store::mailbox::Command;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(providers))
        .routes(routes!(create_account))
        .routes(routes!(me, change, erase))
        .routes(routes!(change_password))
}

#[derive(Serialize, ToSchema)]
struct Providers {
    /// Whether signing in with a password is offered.
    password: bool,
    /// The login URL of OpenID Connect, where that is offered.
    oidc: Option<String>,
    /// Whether everyone may make an account; else an invitation is needed.
    registration: bool,
}

/// What sign-in this server offers.
#[utoipa::path(
    get, path = "/v1/auth/providers", tag = "Accounts", security(()),
    responses((status = 200, description = "What is offered", body = Providers))
)]
async fn providers(State(accounts): State<Accounts>) -> axum::Json<Providers> {
    axum::Json(Providers {
        password: true,
        oidc: None,
        registration: accounts.0.settings.registration == Registration::Open,
    })
}

#[derive(Deserialize, ToSchema)]
struct NewAccount {
    /// 1 to 64 letters or digits of any script, `.`, `-`, `_` or `@`, with at least one letter or
    /// digit; unique without regard to case (Unicode lower case).
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    /// At least 8 characters, at most 1024 bytes.
    #[schema(min_length = 8)]
    password: String,
    /// What is behind `#invite=` in a link of the admin's; needed where registration is not open, and
    /// used up by the account.
    invite: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AccountInfo {
    user_id: UserId,
    /// As it was written when the account was made.
    username: String,
}

/// Makes an account.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "Accounts", request_body = NewAccount, security(()),
    responses(
        (status = 201, description = "Made", body = AccountInfo),
        (status = 403, description = "Registration is closed, or the invitation is not good", body = Problem),
        (status = 409, description = "The name is taken", body = Problem),
        (status = 422, description = "A bad name or a weak password", body = Problem),
        (status = 429, description = "Too many from this address", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn create_account(
    State(accounts): State<Accounts>,
    Address(address): Address,
    Given(new): Given<NewAccount>,
) -> Result<(StatusCode, axum::Json<AccountInfo>), Refused> {
    let inner = &accounts.0;
    inner.lets_in(new.invite.as_deref()).await?;
    check_username(&new.username)?;
    check_strength("password", &new.password, &new.username)?;
    let now = inner.now();
    inner.sign_ins.attempts.account(address, now)?;
    let made = inner.make_account(&new, address).await;
    match made {
        Ok(user_id) => {
            let username = new.username;
            Ok((
                StatusCode::CREATED,
                axum::Json(AccountInfo { user_id, username }),
            ))
        }
        Err(NotMade::Taken) => {
            inner.sign_ins.attempts.taken(address, now)?;
            let detail = "this name is taken; choose another";
            Err(ApiError::new(StatusCode::CONFLICT, "taken", detail)
                .at("username")
                .into())
        }
        Err(NotMade::InviteUsed) => {
            inner.sign_ins.attempts.refund(address);
            Err(bad_invite().into())
        }
        Err(NotMade::Failed(error)) => {
            inner.sign_ins.attempts.refund(address);
            Err(error.into())
        }
    }
}

/// 403: an invitation that was used, has ended or never was.
fn bad_invite() -> ApiError {
    let detail = "this invitation was used already, or is not good any more; ask for another";
    ApiError::new(StatusCode::FORBIDDEN, "registration", detail)
}

enum NotMade {
    Taken,
    /// By somebody else, meanwhile.
    InviteUsed,
    Failed(ApiError),
}

impl From<ApiError> for NotMade {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<DirectoryError> for NotMade {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Taken => Self::Taken,
            other => Self::Failed(other.into()),
        }
    }
}

impl crate::Inner {
    async fn make_account(&self, new: &NewAccount, address: AddressKey) -> Result<UserId, NotMade> {
        // Looked up before the hash, which costs a core's 50 ms.
        if self
            .directory
            .account_by_name(&new.username)
            .await?
            .is_some()
        {
            return Err(NotMade::Taken);
        }
        let place = self.sign_ins.hashing.place(address)?;
        let hash = place.hash(new.password.clone()).await?;
        let user = UserId::from_bytes(random()?);
        let now = self.now();
        match &new.invite {
            None => {
                self.directory
                    .create_account(user, &new.username, &hash, now)
                    .await?;
            }
            Some(invite) => {
                let invite = SecretHash::of(invite.as_bytes());
                let account = (user, new.username.as_str());
                let made = self
                    .directory
                    .create_invited_account(invite, account, &hash, now);
                if !made.await? {
                    return Err(NotMade::InviteUsed);
                }
            }
        }
        metrics::counter!("belfry_accounts_made_total").increment(1);
        Ok(user)
    }

    /// Refuses who is not invited, where that is needed. An invitation is used up wherever it is given.
    async fn lets_in(&self, invite: Option<&str>) -> Result<(), ApiError> {
        let Some(invite) = invite else {
            let detail = match self.settings.registration {
                Registration::Open => return Ok(()),
                Registration::Invite => {
                    "accounts are made by invitation here; ask the admin for one"
                }
                Registration::Closed => "no accounts are made here; the admin makes them",
            };
            return Err(ApiError::new(StatusCode::FORBIDDEN, "registration", detail));
        };
        let invite = SecretHash::of(invite.as_bytes());
        match self.directory.is_invite(invite, self.now()).await? {
            true => Ok(()),
            false => Err(bad_invite()),
        }
    }

    async fn account(&self, caller: Caller) -> Result<Account, ApiError> {
        let account = self.directory.account(caller.0.user).await?;
        account.ok_or_else(|| ApiError::unauthorized("the account is gone"))
    }
}

#[derive(Serialize, ToSchema)]
struct Me {
    #[serde(flatten)]
    account: AccountInfo,
    /// The seconds in force that active devices have notifications of urgency `normal` to themselves.
    away_grace: u64,
}

impl crate::Inner {
    fn me(&self, account: Account) -> axum::Json<Me> {
        let grace = account.away_grace.unwrap_or(self.settings.away_grace);
        axum::Json(Me {
            account: AccountInfo {
                user_id: account.user,
                username: account.display_name,
            },
            away_grace: grace.as_secs(),
        })
    }
}

/// The account behind the token.
#[utoipa::path(
    get, path = "/v1/me", tag = "Accounts", security(("token" = [])),
    responses(
        (status = 200, description = "The account", body = Me),
        (status = 401, description = "No good token", body = Problem),
    )
)]
async fn me(State(accounts): State<Accounts>, caller: Caller) -> Result<axum::Json<Me>, ApiError> {
    let account = accounts.0.account(caller).await?;
    Ok(accounts.0.me(account))
}

#[derive(Deserialize, ToSchema)]
struct AccountChange {
    /// Seconds that active devices have notifications of urgency `normal` to themselves; `null` leaves
    /// it to the server.
    #[serde(default, deserialize_with = "given::nullable")]
    #[schema(value_type = Option<u64>, maximum = 3600)]
    away_grace: Option<Option<Whole>>,
}

/// Changes the account's settings.
///
/// They hold at once, for connected devices too.
#[utoipa::path(
    patch, path = "/v1/me", tag = "Accounts", operation_id = "change_account", request_body = AccountChange,
    security(("token" = [])),
    responses(
        (status = 200, description = "As it is now", body = Me),
        (status = 401, description = "No good token", body = Problem),
        (status = 422, description = "More than an hour, or no whole seconds", body = Problem),
    )
)]
async fn change(
    State(accounts): State<Accounts>,
    caller: Caller,
    Given(change): Given<AccountChange>,
) -> Result<axum::Json<Me>, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let _changing = inner.changing(user).await;
    if let Some(secs) = change.away_grace {
        let grace = secs.map(|Whole(secs)| Duration::from_secs(secs));
        if grace.is_some_and(|grace| grace > AWAY_GRACE_MAX) {
            let detail = "the grace is at most 3600 seconds, or null for the server's";
            return Err(ApiError::invalid("away_grace", detail));
        }
        inner.directory.set_away_grace(user, grace).await?;
        inner.broker.set_away_grace(user, grace);
    }
    let account = inner.account(caller).await?;
    Ok(inner.me(account))
}

/// Erases the account and all that it holds.
///
/// Needs a sign-in within the last 10 minutes. Endpoints answer 404 from then on, and connections end.
/// The last admin gives the role to somebody else first.
#[utoipa::path(
    delete, path = "/v1/me", tag = "Accounts", operation_id = "erase_account", security(("token" = [])),
    responses(
        (status = 204, description = "Nothing is left"),
        (status = 401, description = "No good token, or one whose sign-in is older than 10 minutes", body = Problem),
        (status = 409, description = "`last-admin`: nobody else may administer this server", body = Problem),
    )
)]
async fn erase(State(accounts): State<Accounts>, caller: Caller) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    caller.recent(inner.now())?;
    let user = caller.0.user;
    let _changing = inner.changing(user).await;
    inner.erase(user).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl crate::Inner {
    /// Erases an account and all it holds. To be done in the user's turn.
    pub(crate) async fn erase(&self, user: UserId) -> Result<(), ApiError> {
        let end = || {
            self.broker
                .disconnect_user(user, CloseCause::Administrative)
        };
        // Before anything goes: the last admin stays, with all they have.
        self.directory.give_role_up(user, self.now()).await?;
        // The mailbox first: if that fails the account is still there to try again. And last, for what
        // devices did until their connections ended.
        self.command(Command::EraseUser { user }).await?;
        end();
        self.directory.erase_account(user, self.now()).await?;
        end();
        self.command(Command::EraseUser { user }).await?;
        end();
        Ok(())
    }
}

#[derive(Deserialize, ToSchema)]
struct PasswordChange {
    old: String,
    /// At least 8 characters, at most 1024 bytes.
    #[schema(min_length = 8)]
    new: String,
}

/// Changes the password and ends the other sign-ins.
///
/// Needs a sign-in within the last 10 minutes. Devices stay connected: they have passwords of their own.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "Accounts", request_body = PasswordChange, security(("token" = [])),
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "No good token, or one whose sign-in is older than 10 minutes", body = Problem),
        (status = 403, description = "The old password is wrong", body = Problem),
        (status = 422, description = "The new password is weak", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn change_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    Address(address): Address,
    Given(change): Given<PasswordChange>,
) -> Result<StatusCode, Refused> {
    let inner = &accounts.0;
    caller.recent(inner.now())?;
    let account = inner.account(caller).await?;
    check_strength("new", &change.new, &account.display_name)?;
    let place = inner.sign_ins.hashing.place(address)?;
    let mut failures = inner
        .sign_ins
        .attempts
        .of(Kind::Password, &account.display_name, address, inner.now())
        .await;
    inner.sign_ins.attempts.may(&failures, inner.now())?;
    if !place.verify(change.old, account.password_hash).await? {
        inner.sign_ins.attempts.failed(&mut failures, inner.now());
        let detail = "the old password is wrong";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "password", detail)
            .at("old")
            .into());
    }
    inner.sign_ins.attempts.succeeded(&mut failures);
    let hash = place.hash(change.new).await?;
    inner
        .directory
        .set_password(account.user, &hash, caller.0.id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
