//! Devices.

use crate::{Accounts, Caller, Page, display_name, random};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_broker::CloseCause;
use belfry_broker::presence::Presence;
use belfry_edge::{ApiError, Json, Path};
use belfry_protocol::event::Event;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Device, DeviceKind, NewDevice};
use belfry_store::mailbox::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(rename, remove))
}

#[derive(Deserialize, ToSchema)]
struct DeviceRequest {
    name: String,
    #[schema(value_type = String, example = "browser")]
    kind: DeviceKind,
    /// X25519, base64url.
    public_key: String,
}

#[derive(Serialize, ToSchema)]
struct Created {
    device_id: DeviceId,
    mqtt: Mqtt,
    topics: Topics,
}

/// How the device connects.
#[derive(Serialize, ToSchema)]
struct Mqtt {
    /// WebSocket.
    url: String,
    /// TCP, with TLS where the scheme is mqtts.
    tcp: String,
    client_id: DeviceId,
    username: UserId,
    /// Shown this once.
    password: String,
}

/// The device's topics; `notifications`, `events` and `private` are filters.
#[derive(Serialize, ToSchema)]
struct Topics {
    notifications: String,
    events: String,
    presence: String,
    seen: String,
    private: String,
}

/// Makes a device. Needs a sign-in within the last 10 minutes, which then belongs to the device.
#[utoipa::path(
    post, path = "/v1/devices", tag = "Devices", request_body = DeviceRequest,
    responses(
        (status = 201, body = Created),
        (status = 401, body = Problem),
        (status = 403, description = "As many devices as a user may have", body = Problem),
        (status = 422, body = Problem),
    )
)]
async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(request): Json<DeviceRequest>,
) -> Result<(StatusCode, axum::Json<Created>), ApiError> {
    let inner = &accounts.0;
    let (user, now) = (caller.0.user, inner.now());
    caller.recent(now)?;
    let name = display_name(&request.name)?;
    let public_key = URL_SAFE_NO_PAD
        .decode(request.public_key.trim_end_matches('='))
        .ok();
    let public_key = public_key.and_then(|key| key.try_into().ok());
    let public_key = public_key.ok_or_else(|| {
        ApiError::invalid("public_key", "an X25519 public key is 32 bytes, base64url")
    })?;
    let limit = inner.settings.devices_per_user;
    if inner.directory.devices(user).await?.len() as u64 >= limit {
        let detail = format!("a user has at most {limit} devices; remove one first");
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "too-many-devices",
            detail,
        ));
    }
    let device = Device {
        id: DeviceId::from_bytes(random()?),
        name,
        kind: request.kind,
        public_key,
        created: now,
        last_seen: None,
    };
    let id = device.id;
    let password = Secret::from_random(random()?);
    let new = NewDevice {
        device,
        password: password.hash(),
        made_with: caller.0.id,
    };
    inner.directory.create_device(user, &new).await?;
    inner
        .broker
        .publish_event(user, &Event::DeviceAdded { device: id });
    let created = Created {
        device_id: id,
        mqtt: Mqtt {
            url: inner.settings.mqtt_url.clone(),
            tcp: inner.settings.mqtt_tcp.clone(),
            client_id: id,
            username: user,
            password: password.expose().to_owned(),
        },
        topics: Topics {
            notifications: format!("u/{user}/n/+"),
            events: format!("u/{user}/events"),
            presence: format!("u/{user}/d/{id}/presence"),
            seen: format!("u/{user}/d/{id}/seen"),
            private: format!("u/{user}/x/#"),
        },
    };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

#[derive(Serialize, ToSchema)]
struct DeviceInfo {
    device_id: DeviceId,
    name: String,
    #[schema(value_type = String)]
    kind: DeviceKind,
    public_key: String,
    created: Timestamp,
    /// Whether it is connected.
    online: bool,
    /// `active` or `away` while it is connected.
    presence: Option<&'static str>,
    last_seen: Option<Timestamp>,
}

/// The user's devices.
#[utoipa::path(
    get, path = "/v1/devices", tag = "Devices",
    responses((status = 200, body = Page<DeviceInfo>), (status = 401, body = Problem))
)]
async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<axum::Json<Page<DeviceInfo>>, ApiError> {
    let inner = &accounts.0;
    let online = inner.broker.online(caller.0.user);
    let now = inner.now();
    let devices = inner
        .directory
        .devices(caller.0.user)
        .await?
        .into_iter()
        .map(|device| {
            let presence = online
                .iter()
                .find(|(id, _)| *id == device.id)
                .map(|(_, presence)| match presence {
                    Presence::Active => "active",
                    Presence::Away => "away",
                });
            DeviceInfo {
                device_id: device.id,
                name: device.name,
                kind: device.kind,
                public_key: URL_SAFE_NO_PAD.encode(device.public_key),
                created: device.created,
                online: presence.is_some(),
                last_seen: if presence.is_some() {
                    Some(now)
                } else {
                    device.last_seen
                },
                presence,
            }
        });
    Ok(axum::Json(Page {
        items: devices.collect(),
        next: None,
    }))
}

#[derive(Deserialize, ToSchema)]
struct DeviceChange {
    name: String,
}

/// Renames a device.
#[utoipa::path(
    patch, path = "/v1/devices/{id}", tag = "Devices", params(("id" = DeviceId, Path)), request_body = DeviceChange,
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn rename(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(device): Path<DeviceId>,
    Json(change): Json<DeviceChange>,
) -> Result<StatusCode, ApiError> {
    let name = display_name(&change.name)?;
    if accounts
        .0
        .directory
        .rename_device(caller.0.user, device, &name)
        .await?
    {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("there is no such device"))
    }
}

/// Removes a device: its connection and the sign-ins that belong to it end at once. Needs a sign-in
/// within the last 10 minutes.
#[utoipa::path(
    delete, path = "/v1/devices/{id}", tag = "Devices", params(("id" = DeviceId, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem))
)]
async fn remove(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(device): Path<DeviceId>,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    caller.recent(inner.now())?;
    if !inner.directory.delete_device(user, device).await? {
        return Err(ApiError::not_found("there is no such device"));
    }
    inner
        .broker
        .disconnect_device(user, device, CloseCause::Administrative);
    inner
        .command(Command::RemoveDevice { user, device })
        .await?;
    inner
        .broker
        .publish_event(user, &Event::DeviceRemoved { device });
    Ok(StatusCode::NO_CONTENT)
}
