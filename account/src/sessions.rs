//! Accounts and sign-ins.

use crate::password::check_strength;
use crate::{Accounts, Caller, Page, SIGN_IN_LIFETIME, random};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use belfry_acl::rate::{Cell, Limit};
use belfry_broker::CloseCause;
use belfry_edge::{AddressKey, ApiError, ClientAddress, Json, Path};
use belfry_protocol::id::{DeviceId, SessionId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{DirectoryError, SignIn};
use belfry_store::mailbox::Command;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Addresses and names whose attempts are remembered; at most, all are forgotten then.
const ATTEMPTS_MAX: usize = 100_000;
/// The longest wait that failures earn.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(providers))
        .routes(routes!(create_account))
        .routes(routes!(sign_in, sign_ins))
        .routes(routes!(end_current))
        .routes(routes!(end_sign_in))
        .routes(routes!(me, erase))
        .routes(routes!(change_password))
}

#[derive(Serialize, ToSchema)]
struct Providers {
    /// Whether signing in with a password is offered.
    password: bool,
    /// OpenID Connect, where it is offered.
    oidc: Option<String>,
    /// Whether everyone may make an account.
    registration: bool,
}

/// What sign-in this server offers.
#[utoipa::path(get, path = "/v1/auth/providers", tag = "Accounts", responses((status = 200, body = Providers)))]
async fn providers(State(accounts): State<Accounts>) -> axum::Json<Providers> {
    axum::Json(Providers {
        password: true,
        oidc: None,
        registration: accounts.0.settings.registration_open,
    })
}

#[derive(Deserialize, ToSchema)]
struct NewAccount {
    /// 1 to 64 letters, digits, `.`, `-`, `_` or `@`, unique without regard to case.
    username: String,
    /// At least 8 characters.
    password: String,
    /// Where registration is by invitation.
    invite: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Account {
    user_id: UserId,
    username: String,
}

/// Makes an account.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "Accounts", request_body = NewAccount,
    responses(
        (status = 201, body = Account),
        (status = 403, description = "Registration is closed, or the invitation is not good", body = Problem),
        (status = 409, description = "The name is taken", body = Problem),
        (status = 422, description = "A bad name or a weak password", body = Problem),
        (status = 429, description = "Too many from this address", body = Problem),
    )
)]
async fn create_account(
    State(accounts): State<Accounts>,
    request: Request,
) -> Result<(StatusCode, axum::Json<Account>), ApiError> {
    let inner = &accounts.0;
    let address = address(&accounts, &request);
    let Json(new) = Json::<NewAccount>::from_request(request, &()).await?;
    if !inner.settings.registration_open {
        let detail = match new.invite {
            Some(_) => "this invitation is not good",
            None => "accounts are made by invitation here; ask the admin for one",
        };
        return Err(ApiError::new(StatusCode::FORBIDDEN, "registration", detail));
    }
    check_username(&new.username)?;
    check_strength(&new.password, &new.username)?;
    let now = inner.now();
    inner.attempts.account(address, now)?;
    let hash = inner.hashing.hash(new.password).await?;
    let user_id = UserId::from_bytes(random()?);
    inner
        .directory
        .create_account(user_id, &new.username, &hash, now)
        .await
        .map_err(|error| match error {
            DirectoryError::Taken => ApiError::new(
                StatusCode::CONFLICT,
                "taken",
                "this name is taken; choose another",
            )
            .at("username"),
            other => other.into(),
        })?;
    Ok((
        StatusCode::CREATED,
        axum::Json(Account {
            user_id,
            username: new.username,
        }),
    ))
}

fn check_username(name: &str) -> Result<(), ApiError> {
    let fits = (1..=64).contains(&name.chars().count());
    if fits
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || ".-_@".contains(letter))
    {
        return Ok(());
    }
    Err(ApiError::invalid(
        "username",
        "a name has 1 to 64 letters, digits, ., -, _ or @",
    ))
}

#[derive(Deserialize, ToSchema)]
struct SignInRequest {
    username: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
struct SignedIn {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds that the token lives without being used.
    expires_in: u64,
    user_id: UserId,
}

/// Signs in.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "Accounts", request_body = SignInRequest,
    responses(
        (status = 201, body = SignedIn),
        (status = 401, description = "The name or the password is wrong", body = Problem),
        (status = 429, description = "Too many failures", body = Problem),
    )
)]
async fn sign_in(
    State(accounts): State<Accounts>,
    request: Request,
) -> Result<(StatusCode, axum::Json<SignedIn>), ApiError> {
    let inner = &accounts.0;
    let address = address(&accounts, &request);
    let Json(given) = Json::<SignInRequest>::from_request(request, &()).await?;
    let now = inner.now();
    let attempt = (given.username.to_lowercase(), address);
    inner.attempts.may_sign_in(&attempt, now)?;
    let account = inner.directory.account_by_name(&given.username).await?;
    let hash = account
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let right = inner.hashing.verify(given.password, hash).await?;
    let Some(account) = account.filter(|_| right) else {
        inner.attempts.failed(attempt, now);
        return Err(ApiError::unauthorized("the name or the password is wrong"));
    };
    let token = Secret::from_random(random()?);
    let sign_in = SignIn {
        id: SessionId::from_bytes(random()?),
        user: account.user,
        device: None,
        created: now,
        used: now,
        expires: now.plus(SIGN_IN_LIFETIME),
    };
    inner
        .directory
        .create_sign_in(token.hash(), &sign_in)
        .await?;
    let signed_in = SignedIn {
        access_token: token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: SIGN_IN_LIFETIME.as_secs(),
        user_id: account.user,
    };
    Ok((StatusCode::CREATED, axum::Json(signed_in)))
}

#[derive(Serialize, ToSchema)]
struct SignInInfo {
    id: SessionId,
    /// The device that was made with it.
    device_id: Option<DeviceId>,
    created: Timestamp,
    /// To the hour.
    last_used: Timestamp,
    expires: Timestamp,
    /// Whether it is the one of this request.
    current: bool,
}

/// The user's sign-ins.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "Accounts",
    responses((status = 200, body = Page<SignInInfo>), (status = 401, body = Problem))
)]
async fn sign_ins(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<axum::Json<Page<SignInInfo>>, ApiError> {
    let found = accounts
        .0
        .directory
        .sign_ins(caller.0.user, accounts.0.now())
        .await?;
    let items = found.into_iter().map(|sign_in| SignInInfo {
        id: sign_in.id,
        device_id: sign_in.device,
        created: sign_in.created,
        last_used: sign_in.used,
        expires: sign_in.expires,
        current: sign_in.id == caller.0.id,
    });
    Ok(axum::Json(Page {
        items: items.collect(),
        next: None,
    }))
}

/// Ends this sign-in.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "Accounts",
    responses((status = 204), (status = 401, body = Problem))
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
    delete, path = "/v1/sessions/{id}", tag = "Accounts", params(("id" = SessionId, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem))
)]
async fn end_sign_in(
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

/// The account behind the token.
#[utoipa::path(get, path = "/v1/me", tag = "Accounts", responses((status = 200, body = Account), (status = 401, body = Problem)))]
async fn me(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<axum::Json<Account>, ApiError> {
    let account = accounts.0.directory.account(caller.0.user).await?;
    let account = account.ok_or_else(|| ApiError::unauthorized("the account is gone"))?;
    Ok(axum::Json(Account {
        user_id: account.user,
        username: account.display_name,
    }))
}

/// Erases the account and all that it holds. Needs a sign-in within the last 10 minutes.
#[utoipa::path(delete, path = "/v1/me", tag = "Accounts", responses((status = 204), (status = 401, body = Problem)))]
async fn erase(State(accounts): State<Accounts>, caller: Caller) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    caller.recent(inner.now())?;
    let user = caller.0.user;
    // The directory first: from then on no post finds the mailbox and no device comes in.
    inner.directory.erase_account(user).await?;
    inner
        .broker
        .disconnect_user(user, CloseCause::Administrative);
    inner.command(Command::EraseUser { user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
struct PasswordChange {
    old: String,
    new: String,
}

/// Changes the password and ends the other sign-ins. Needs a sign-in within the last 10 minutes.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "Accounts", request_body = PasswordChange,
    responses(
        (status = 204),
        (status = 401, body = Problem),
        (status = 403, description = "The old password is wrong", body = Problem),
        (status = 422, description = "The new password is weak", body = Problem),
    )
)]
async fn change_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    caller.recent(inner.now())?;
    let account = inner.directory.account(caller.0.user).await?;
    let account = account.ok_or_else(|| ApiError::unauthorized("the account is gone"))?;
    check_strength(&change.new, &account.display_name)?;
    if !inner
        .hashing
        .verify(change.old, account.password_hash)
        .await?
    {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "password",
            "the old password is wrong",
        )
        .at("old"));
    }
    let hash = inner.hashing.hash(change.new).await?;
    inner
        .directory
        .set_password(account.user, &hash, caller.0.id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn address(accounts: &Accounts, request: &Request) -> AddressKey {
    let trusted = &accounts.0.settings.trusted_proxies;
    ClientAddress::of(request.extensions(), request.headers(), trusted).key()
}

/// Attempts by address and name.
pub(crate) struct Attempts {
    accounts: Limit,
    failures: Limit,
    new_accounts: Mutex<HashMap<AddressKey, Cell>>,
    sign_ins: Mutex<HashMap<(String, AddressKey), Failures>>,
}

/// Failed sign-ins under one name from one address.
#[derive(Default)]
struct Failures {
    cell: Cell,
    beyond: u32,
    until: Timestamp,
}

impl Attempts {
    pub(crate) fn new(accounts_per_hour: u32, failures_per_minute: u32) -> Self {
        Self {
            accounts: Limit::new(
                u64::from(accounts_per_hour),
                Duration::from_secs(3_600),
                accounts_per_hour,
            ),
            failures: Limit::new(
                u64::from(failures_per_minute),
                Duration::from_secs(60),
                failures_per_minute,
            ),
            new_accounts: Mutex::default(),
            sign_ins: Mutex::default(),
        }
    }

    fn account(&self, address: AddressKey, now: Timestamp) -> Result<(), ApiError> {
        let mut cells = self
            .new_accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= ATTEMPTS_MAX {
            cells.clear();
        }
        cells
            .entry(address)
            .or_default()
            .count(self.accounts, now)
            .map_err(|wait| {
                ApiError::rate_limited(
                    "too many new accounts from this address",
                    wait.as_secs() + 1,
                )
            })
    }

    fn may_sign_in(&self, attempt: &(String, AddressKey), now: Timestamp) -> Result<(), ApiError> {
        let failures = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(attempt) {
            Some(failures) if failures.until > now => {
                let wait = failures.until.since(now).as_secs() + 1;
                Err(ApiError::rate_limited(
                    "too many failures under this name; wait",
                    wait,
                ))
            }
            _ => Ok(()),
        }
    }

    /// After the allowed failures each further one doubles the wait.
    fn failed(&self, attempt: (String, AddressKey), now: Timestamp) {
        let mut attempts = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.retain(|_, failures| failures.until > now);
            if attempts.len() >= ATTEMPTS_MAX {
                attempts.clear();
            }
        }
        let failures = attempts.entry(attempt).or_default();
        if failures.cell.is_idle(now) && failures.until <= now {
            failures.beyond = 0;
        }
        let allowed = failures.cell.count(self.failures, now).is_ok();
        let spent = failures.cell.count(self.failures, now);
        match spent {
            Ok(()) => failures.cell.refund(self.failures),
            Err(wait) => {
                let doubled = wait.saturating_mul(1 << failures.beyond.min(10));
                failures.until = now.plus(doubled.min(WAIT_MAX));
                failures.beyond += u32::from(!allowed) + 1;
            }
        }
    }
}
