//! Permissions: which sites may notify.

use crate::shapes::Name;
use crate::{Accounts, Caller, display_name, random};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_edge::given::{self, Given};
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::paging::{self, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::event::Event;
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::Secret;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{NewPermission, Permission, PermissionState};
use belfry_store::mailbox::Command;
use p256::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get_one, change, revoke))
}

#[derive(Deserialize, ToSchema)]
struct PermissionRequest {
    /// The site's origin: https, or http on this machine alone.
    #[schema(example = "https://news.example")]
    site: String,
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    /// A P-256 point, base64url: restricts the endpoint to this VAPID key (RFC 8292 §4).
    #[schema(
        pattern = "^B[A-Za-z0-9_-]{85}[AEIMQUYcgkosw048]=*$",
        example = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
    )]
    application_server_key: Option<String>,
    /// Whether the site may have receipts.
    #[serde(default)]
    receipts: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PermissionCreated)]
pub(crate) struct Created {
    pub(crate) permission_id: PermissionId,
    site: Origin,
    #[schema(value_type = String, example = "allowed", pattern = "^(allowed|muted)$")]
    state: PermissionState,
    /// Where the site posts; shown this once.
    pub(crate) endpoint: String,
    /// Always null: endpoints do not expire.
    #[serde(rename = "expirationTime")]
    expiration_time: Option<u64>,
}

/// Approves a site. Approving it twice makes two independent permissions.
#[utoipa::path(
    post, path = "/v1/permissions", tag = "Permissions", operation_id = "create_permission", request_body = PermissionRequest, security(("token" = [])),
    responses(
        (status = 201, description = "Approved", body = Created),
        (status = 401, description = "No good token", body = Problem),
        (status = 409, description = "As many permissions as a user may have", body = LimitReached),
        (status = 422, description = "A bad site, name or key", body = Problem),
    )
)]
async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Given(request): Given<PermissionRequest>,
) -> Result<(StatusCode, axum::Json<Created>), Refused> {
    let site = origin(&request.site)?;
    let name = request.name.as_deref().map(display_name).transpose()?;
    let key = request.application_server_key.as_deref();
    let key = key.map(|key| server_key("application_server_key", key));
    let approval = Approval {
        site,
        name,
        application_server_key: key.transpose()?,
        receipts: request.receipts,
    };
    let created = approve(&accounts, caller.0.user, approval).await?;
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// What a user approves.
pub(crate) struct Approval {
    pub(crate) site: Origin,
    pub(crate) name: Option<String>,
    pub(crate) application_server_key: Option<Vec<u8>>,
    pub(crate) receipts: bool,
}

pub(crate) async fn approve(
    accounts: &Accounts,
    user: UserId,
    approval: Approval,
) -> Result<Created, Refused> {
    let inner = &accounts.0;
    let site = approval.site;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    let limits = inner.directory.limits();
    let configured = inner.settings.permissions_per_user;
    let limit = limits.for_user(
        user,
        belfry_acl::limit::Name::PermissionsPerUser,
        configured,
    );
    if inner.directory.count_permissions(user).await? >= limit {
        let detail = format!("a user has at most {limit} permissions; revoke one first");
        let scope = "permissions/user";
        return Err(LimitReached::count("too-many-permissions", detail, scope, limit).into());
    }
    let secret = Secret::from_random(random()?);
    let permission = Permission {
        id: PermissionId::from_bytes(random()?),
        site: site.clone(),
        name: approval.name,
        state: PermissionState::Allowed,
        receipts: approval.receipts,
        created: inner.now(),
        accepted: 0,
        last_used: None,
    };
    let id = permission.id;
    let new = NewPermission {
        permission,
        application_server_key: approval.application_server_key,
        endpoint: secret.hash(),
    };
    inner.directory.create_permission(user, &new).await?;
    inner
        .command(Command::SetPermission {
            user,
            permission: id,
            site: site.clone(),
            muted: false,
            receipts: approval.receipts,
            endpoint: new.endpoint,
        })
        .await?;
    inner
        .broker
        .publish_event(user, &Event::PermissionGranted { permission: id });
    Ok(Created {
        permission_id: id,
        site,
        state: PermissionState::Allowed,
        endpoint: format!("{}/push/{}", inner.settings.public_url, secret.expose()),
        expiration_time: None,
    })
}

pub(crate) fn origin(site: &str) -> Result<Origin, ApiError> {
    let site = site.parse::<Origin>();
    site.map_err(|error| ApiError::invalid("site", error.to_string()))
}

/// A VAPID key, as RFC 8292 §3.2 has it.
pub(crate) fn server_key(field: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    let key = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let key = key.filter(|key| key.len() == 65 && PublicKey::from_sec1_bytes(key).is_ok());
    key.ok_or_else(|| {
        ApiError::invalid(
            field,
            "an uncompressed P-256 point is 65 bytes, base64url (RFC 8292 §3.2)",
        )
    })
}

#[derive(Serialize, ToSchema)]
struct PermissionInfo {
    permission_id: PermissionId,
    site: Origin,
    name: Option<String>,
    #[schema(value_type = String, example = "allowed", pattern = "^(allowed|muted)$")]
    state: PermissionState,
    receipts: bool,
    created: Timestamp,
    /// Notifications accepted, as of the last half minute.
    accepted: u64,
    last_used: Option<Timestamp>,
}

impl From<Permission> for PermissionInfo {
    fn from(permission: Permission) -> Self {
        Self {
            permission_id: permission.id,
            site: permission.site,
            name: permission.name,
            state: permission.state,
            receipts: permission.receipts,
            created: permission.created,
            accepted: permission.accepted,
            last_used: permission.last_used,
        }
    }
}

/// The user's permissions that are not revoked.
#[utoipa::path(
    get, path = "/v1/permissions", tag = "Permissions", operation_id = "list_permissions", params(Paging), security(("token" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<PermissionInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<PermissionInfo>>, ApiError> {
    let limit = paging.limit()?;
    let after = paging.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| paging::bad_cursor())?;
    let one_more = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let found = accounts
        .0
        .directory
        .permissions(caller.0.user, after, one_more)
        .await?;
    let page = Page::of(found, limit, |permission| permission.id.to_string());
    Ok(axum::Json(page.map(PermissionInfo::from)))
}

/// One permission.
#[utoipa::path(
    get, path = "/v1/permissions/{id}", tag = "Permissions", operation_id = "get_permission", params(("id" = PermissionId, Path)),
    security(("token" = [])),
    responses(
        (status = 200, description = "The permission", body = PermissionInfo),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "The user has no such permission that is not revoked", body = Problem),
    )
)]
async fn get_one(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<PermissionId>,
) -> Result<axum::Json<PermissionInfo>, ApiError> {
    Ok(axum::Json(find(&accounts, &caller, id).await?.into()))
}

async fn find(
    accounts: &Accounts,
    caller: &Caller,
    id: PermissionId,
) -> Result<Permission, ApiError> {
    let found = accounts.0.directory.permission(caller.0.user, id).await?;
    found
        .filter(|permission| permission.state != PermissionState::Revoked)
        .ok_or_else(|| ApiError::not_found("there is no such permission"))
}

#[derive(Deserialize, ToSchema)]
struct PermissionChange {
    /// `allowed` or `muted`.
    #[schema(value_type = Option<String>, example = "muted", pattern = "^(allowed|muted)$")]
    state: Option<PermissionState>,
    /// Null takes the name away.
    #[serde(default, deserialize_with = "given::nullable")]
    #[schema(value_type = Option<Name>)]
    name: Option<Option<String>>,
    receipts: Option<bool>,
}

/// Mutes, allows or renames a permission, or gives or takes receipts.
#[utoipa::path(
    patch, path = "/v1/permissions/{id}", tag = "Permissions", operation_id = "change_permission", params(("id" = PermissionId, Path)),
    request_body = PermissionChange, security(("token" = [])),
    responses(
        (status = 200, description = "As it is now", body = PermissionInfo),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "The user has no such permission that is not revoked", body = Problem),
        (status = 422, description = "A state or a name that there is not", body = Problem),
    )
)]
async fn change(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<PermissionId>,
    Given(change): Given<PermissionChange>,
) -> Result<axum::Json<PermissionInfo>, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let _changing = inner.changing(user).await;
    let mut permission = find(&accounts, &caller, id).await?;
    let before = permission.state;
    match change.state {
        Some(PermissionState::Revoked) => {
            return Err(ApiError::invalid(
                "state",
                "a permission is revoked with DELETE",
            ));
        }
        Some(state) => permission.state = state,
        None => {}
    }
    if let Some(name) = &change.name {
        permission.name = name.as_deref().map(display_name).transpose()?;
    }
    permission.receipts = change.receipts.unwrap_or(permission.receipts);
    let muted = permission.state == PermissionState::Muted;
    let site = permission.site.clone();
    let endpoint = inner.directory.endpoint_of(user, id).await?;
    inner
        .command(Command::SetPermission {
            user,
            permission: id,
            site,
            muted,
            receipts: permission.receipts,
            endpoint: endpoint.ok_or_else(|| ApiError::not_found("there is no such permission"))?,
        })
        .await?;
    inner.directory.update_permission(user, &permission).await?;
    if permission.state != before {
        let event = if muted {
            Event::PermissionMuted { permission: id }
        } else {
            Event::PermissionAllowed { permission: id }
        };
        inner.broker.publish_event(user, &event);
    }
    Ok(axum::Json(permission.into()))
}

/// Revokes a permission: its endpoint answers 410 from now on, and what is stored of it is gone.
#[utoipa::path(
    delete, path = "/v1/permissions/{id}", tag = "Permissions", operation_id = "revoke_permission", params(("id" = PermissionId, Path)),
    security(("token" = [])),
    responses(
        (status = 204, description = "Revoked"),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "The user has no such permission that is not revoked", body = Problem),
    )
)]
async fn revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<PermissionId>,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let _changing = inner.changing(user).await;
    let mut permission = find(&accounts, &caller, id).await?;
    inner
        .command(Command::Revoke {
            user,
            permission: id,
        })
        .await?;
    permission.state = PermissionState::Revoked;
    inner.directory.update_permission(user, &permission).await?;
    inner
        .broker
        .publish_event(user, &Event::PermissionRevoked { permission: id });
    Ok(StatusCode::NO_CONTENT)
}
