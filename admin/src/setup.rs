//! The first admin: whoever opens the link that a start without one prints. It is good once, for an hour,
//! until there is an admin, and until the next start.

use crate::seat::Own;
use crate::session::{self, Caller};
use crate::{Admin, desk};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_edge::given::Given;
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::password::check_strength;
use belfry_edge::{ApiError, check_username, random};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::SecretHash;
use belfry_store::directory::{Account, Founder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(set_up))
}

#[derive(Deserialize, ToSchema)]
struct Setup {
    /// From the link.
    token: String,
    /// A new account, or one that there is.
    username: String,
    /// Of a new account at least 8 characters; of one that there is its own.
    password: String,
}

#[derive(Serialize, ToSchema)]
struct SetUp {
    username: String,
}

/// Makes the first admin, and signs in.
#[utoipa::path(
    post, path = "/admin/v1/setup", tag = "Administration", operation_id = "admin_set_up",
    request_body = Setup, security(()),
    responses(
        (status = 201, description = "Made, and signed in", body = SetUp),
        (status = 401, description = "The name is somebody's whose password is another", body = Problem),
        (status = 403, description = "Another site's page", body = Problem),
        (status = 410, description = "The link was used, is over an hour old, or of a former start; or there is an admin", body = Problem),
        (status = 422, description = "A bad name or a weak password", body = Problem),
        (status = 429, description = "Too many failures", body = LimitReached, headers(("Retry-After" = u64))),
    )
)]
async fn set_up(
    State(admin): State<Admin>,
    caller: Caller,
    Given(given): Given<Setup>,
) -> Result<Response, Refused> {
    let token = SecretHash::of(given.token.as_bytes());
    // First, since all else costs something and says something.
    if !admin.directory.is_setup_link(token, admin.now()).await? {
        return Err(gone().into());
    }
    check_username(&given.username)?;
    let place = admin.sign_ins.hashing.place(caller.address.key())?;
    let known = admin.directory.account_by_name(&given.username).await?;
    let (user, name, hash) = match known {
        Some(account) => {
            let (user, name) = (account.user, account.display_name.clone());
            drop(place);
            admin.proves(account, &caller, given.password).await?;
            (user, name, None)
        }
        None => {
            check_strength("password", &given.password, &given.username)?;
            let hash = place.hash(given.password).await?;
            let user = UserId::from_bytes(random()?);
            (user, given.username, Some(hash))
        }
    };
    let founder = match &hash {
        Some(password_hash) => Founder::New { password_hash },
        None => Founder::Known,
    };
    let now = admin.now();
    let (secret, session) = session::begin(user, &caller, now)?;
    let kept = (secret.hash(), &session);
    let made = admin
        .directory
        .set_up(token, (user, &name), founder, kept, now);
    if !made.await? {
        return Err(gone().into());
    }
    admin.changed.tell("users");
    let cookie = [(header::SET_COOKIE, admin.settings.cookie(Some(&secret)))];
    let made = axum::Json(SetUp { username: name });
    Ok((StatusCode::CREATED, cookie, made).into_response())
}

fn gone() -> ApiError {
    let detail = "this link was used, is over an hour old, or of a former start, or there is an admin; \
        belfry admin setup-link makes a new one where there is none";
    ApiError::new(StatusCode::GONE, "expired", detail)
}

impl Admin {
    /// Refuses who is not the one that the account is of.
    async fn proves(
        &self,
        account: Account,
        caller: &Caller,
        password: String,
    ) -> Result<(), Refused> {
        let now = self.now();
        let (_, session) = session::begin(account.user, caller, now)?;
        let own = Own {
            actor: belfry_store::directory::Actor::Server,
            role: account.role,
            session,
            name: account.display_name,
        };
        if self.knows_password(&own, caller, password).await? {
            return Ok(());
        }
        let detail = "there is an account of this name, and its password is another";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong-credentials", detail).into())
    }

    /// At the start: the link where there is no admin, and none that is left of a former start.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn begin_setup(&self) -> Result<Option<String>, ApiError> {
        if self.directory.has_admin().await? {
            self.directory.void_setup_link().await?;
            return Ok(None);
        }
        let (url, now) = (&self.settings.admin_url, self.now());
        desk::create_setup_link(&self.directory, url, None, now)
            .await
            .map(Some)
    }
}
