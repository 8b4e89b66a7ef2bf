//! What is decided about a user: that there is one, what they may administer, and that their devices are
//! to connect anew.

use super::no_user;
use crate::Admin;
use crate::desk::{self, NewAccount};
use crate::seat::Writer;
use axum::extract::State;
use axum::http::StatusCode;
use belfry_broker::CloseCause;
use belfry_edge::given::{Address, Given};
use belfry_edge::{ApiError, Path};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_store::directory::{Act, Role};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub(super) struct NewUser {
    /// 1 to 64 letters, digits, `.`, `-`, `_` or `@`; unique without regard to case.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    /// At least 8 characters, and not easy to guess.
    #[schema(min_length = 8, max_length = 1024)]
    password: String,
    /// `none`, `viewer` or `admin`; `none` if not given.
    #[serde(default = "nothing")]
    role: Role,
}

fn nothing() -> Role {
    Role::None
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeUser {
    id: UserId,
    username: String,
}

/// Makes an account for somebody.
#[utoipa::path(
    post, path = "/admin/v1/users", tag = "Administration", operation_id = "admin_create_user",
    request_body = NewUser, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 201, description = "Made", body = MadeUser),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "The name is taken", body = Problem),
        (status = 422, description = "A bad name or a weak password", body = Problem),
    )
)]
pub(super) async fn create(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Address(address): Address,
    Given(new): Given<NewUser>,
) -> Result<(StatusCode, axum::Json<MadeUser>), ApiError> {
    let new = NewAccount {
        username: new.username,
        password: new.password,
        role: new.role,
    };
    let made = desk::create_account(
        &admin.directory,
        &admin.sign_ins.hashing,
        new,
        address,
        &seat.actor,
        admin.now(),
    );
    let (id, username) = made.await?;
    admin.changed.tell("users");
    let made = MadeUser { id, username };
    Ok((StatusCode::CREATED, axum::Json(made)))
}

#[derive(Deserialize, ToSchema)]
pub(super) struct NewRole {
    /// `none`, `viewer` or `admin`.
    role: Role,
}

/// Changes what a user may administer. It holds at the next request.
#[utoipa::path(
    put, path = "/admin/v1/users/{id}/role", tag = "Administration", operation_id = "admin_set_user_role",
    params(("id" = UserId, Path)), request_body = NewRole, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "Signed out, or no password of the last 10 minutes", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such user", body = Problem),
        (status = 409, description = "It would leave no admin", body = Problem),
        (status = 422, description = "There is no such role", body = Problem),
    )
)]
pub(super) async fn set_role(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<UserId>,
    Given(new): Given<NewRole>,
) -> Result<StatusCode, ApiError> {
    let now = admin.now();
    seat.fresh(now)?;
    let set = admin.directory.set_role(id, new.role, &seat.actor, now);
    if !set.await? {
        return Err(no_user());
    }
    admin.changed.tell("users");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// How many were ended.
    connections: usize,
}

/// Ends all connections of a user. Devices may come back at once.
#[utoipa::path(
    post, path = "/admin/v1/users/{id}/disconnect", tag = "Administration", operation_id = "admin_disconnect_user",
    params(("id" = UserId, Path)), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Ended", body = Disconnected),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such user", body = Problem),
    )
)]
pub(super) async fn disconnect(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<UserId>,
) -> Result<axum::Json<Disconnected>, ApiError> {
    let account = admin.directory.account(id).await?.ok_or_else(no_user)?;
    let connections = admin.broker.online(id).len();
    let act = Act {
        act: "user.disconnect",
        target: Some(account.display_name),
        after: Some(json!({ "connections": connections })),
        ..Act::default()
    };
    admin
        .directory
        .note_act(&seat.actor, &act, admin.now())
        .await?;
    admin.broker.disconnect_user(id, CloseCause::Administrative);
    admin.changed.tell("users");
    Ok(axum::Json(Disconnected { connections }))
}
