//! Devices.

use crate::shapes::Name;
use crate::{Accounts, Caller, Inner, display_name, random};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_broker::CloseCause;
use belfry_broker::presence::Presence;
use belfry_edge::given::Given;
use belfry_edge::limit::{LimitReached, Refused};
use belfry_edge::paging::{Key, PAGE_MAX, Page, Paging};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::event::Event;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Device, DeviceKind, NewDevice};
use belfry_store::mailbox::Command;
use curve25519_dalek::MontgomeryPoint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(change, remove))
}

#[derive(Deserialize, ToSchema)]
struct DeviceRequest {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = String, example = "browser", pattern = "^(browser|extension|ios|android|desktop|cli)$")]
    kind: DeviceKind,
    /// X25519, base64url.
    #[schema(
        pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]=*$",
        example = "JU9x3dyW9-coSMTQR-VpcpRT7SeTwXRQxrJuDj89Qlk"
    )]
    public_key: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceCreated)]
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

/// Makes a device.
///
/// Needs a sign-in within the last 10 minutes, which from then on belongs to the device and ends with it.
#[utoipa::path(
    post, path = "/v1/devices", tag = "Devices", operation_id = "create_device", request_body = DeviceRequest, security(("token" = [])),
    responses(
        (status = 201, description = "Made", body = Created),
        (status = 401, description = "No good token, or one whose sign-in is older than 10 minutes", body = Problem),
        (status = 409, description = "As many devices as a user may have", body = LimitReached),
        (status = 422, description = "A bad name, kind or key", body = Problem),
    )
)]
async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Given(request): Given<DeviceRequest>,
) -> Result<(StatusCode, axum::Json<Created>), Refused> {
    let inner = &accounts.0;
    let (user, now) = (caller.0.user, inner.now());
    caller.recent(now)?;
    let name = display_name(&request.name)?;
    let public_key = public_key(&request.public_key)?;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    let limits = inner.directory.limits();
    let configured = inner.settings.devices_per_user;
    let limit = limits.for_user(user, belfry_acl::limit::Name::DevicesPerUser, configured);
    if inner.directory.devices(user).await?.len() as u64 >= limit {
        let detail = format!("a user has at most {limit} devices; remove one first");
        return Err(LimitReached::count("too-many-devices", detail, "devices/user", limit).into());
    }
    let device = Device {
        id: DeviceId::from_bytes(random()?),
        name,
        kind: request.kind,
        public_key,
        urgency_min: Urgency::VeryLow,
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

/// A key that some secret stands behind. With one of low order every box would have the same key,
/// which everyone knows (RFC 7748 §6.1).
fn public_key(text: &str) -> Result<[u8; 32], ApiError> {
    let key = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
    key.filter(|key| MontgomeryPoint(*key).mul_clamped([0; 32]) != MontgomeryPoint::default())
        .ok_or_else(|| {
            ApiError::invalid(
                "public_key",
                "an X25519 public key is 32 bytes, base64url, not of low order",
            )
        })
}

#[derive(Serialize, ToSchema)]
struct DeviceInfo {
    device_id: DeviceId,
    name: String,
    #[schema(value_type = String, example = "browser", pattern = "^(browser|extension|ios|android|desktop|cli)$")]
    kind: DeviceKind,
    public_key: String,
    /// What is less urgent waits until this is lowered.
    urgency_min: Urgency,
    created: Timestamp,
    /// Whether it is connected.
    online: bool,
    /// `active` or `away` while it is connected.
    presence: Option<&'static str>,
    /// Now while it is connected.
    last_seen: Option<Timestamp>,
}

/// The user's devices, oldest first.
#[utoipa::path(
    get, path = "/v1/devices", tag = "Devices", operation_id = "list_devices", params(Paging), security(("token" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<DeviceInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 422, description = "A page of none", body = Problem),
    )
)]
async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<DeviceInfo>>, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let mut devices = inner.directory.devices(user).await?;
    let oldest_first = |device: &Device| Key(device.created.as_millis(), device.id.to_string());
    devices.sort_by_cached_key(oldest_first);
    let page = Page::cut(devices, &paging, PAGE_MAX, oldest_first)?;
    Ok(axum::Json(page.map(|device| inner.info(user, device))))
}

impl Inner {
    fn info(&self, user: UserId, device: Device) -> DeviceInfo {
        let connected = self.broker.online(user);
        let presence = connected.iter().find(|(id, _)| *id == device.id);
        let online = presence.is_some();
        DeviceInfo {
            device_id: device.id,
            name: device.name,
            kind: device.kind,
            public_key: URL_SAFE_NO_PAD.encode(device.public_key),
            urgency_min: device.urgency_min,
            created: device.created,
            online,
            presence: presence.map(|(_, presence)| match presence {
                Presence::Active => "active",
                Presence::Away => "away",
            }),
            last_seen: if online {
                Some(self.now())
            } else {
                device.last_seen
            },
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct DeviceChange {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    /// The lowest urgency that the device is to be sent (RFC 8030 §5.3); what is below it waits, and is
    /// sent when this is lowered.
    urgency_min: Option<Urgency>,
}

/// Renames a device, or says what is urgent enough for it.
#[utoipa::path(
    patch, path = "/v1/devices/{id}", tag = "Devices", operation_id = "change_device", params(("id" = DeviceId, Path)),
    request_body = DeviceChange, security(("token" = [])),
    responses(
        (status = 200, description = "As it is now", body = DeviceInfo),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "The user has no such device", body = Problem),
        (status = 422, description = "A bad name or urgency", body = Problem),
    )
)]
async fn change(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Given(change): Given<DeviceChange>,
) -> Result<axum::Json<DeviceInfo>, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let name = change.name.as_deref().map(display_name).transpose()?;
    let urgency_min = change.urgency_min;
    // So that of two changes the one that is told last is the one that was written last.
    let _changing = inner.changing(user).await;
    let directory = &inner.directory;
    let changed = directory.change_device(user, id, name.as_deref(), urgency_min);
    if changed.await?
        && let Some(urgency_min) = urgency_min
    {
        inner.broker.set_urgency_min(user, id, urgency_min);
    }
    let devices = directory.devices(user).await?;
    let changed = devices.into_iter().find(|device| device.id == id);
    let changed = changed.ok_or_else(|| ApiError::not_found("there is no such device"))?;
    Ok(axum::Json(inner.info(user, changed)))
}

/// Removes a device: its connection and the sign-ins that belong to it end at once.
///
/// Needs a sign-in within the last 10 minutes.
#[utoipa::path(
    delete, path = "/v1/devices/{id}", tag = "Devices", operation_id = "remove_device", params(("id" = DeviceId, Path)), security(("token" = [])),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, description = "No good token, or one whose sign-in is older than 10 minutes", body = Problem),
        (status = 404, description = "The user has no such device", body = Problem),
    )
)]
async fn remove(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(device): Path<DeviceId>,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    caller.recent(inner.now())?;
    let _changing = inner.changing(user).await;
    match inner.remove_device(user, device).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("there is no such device")),
    }
}

impl Inner {
    /// Removes a device; whether it was there. To be done in the user's turn.
    pub(crate) async fn remove_device(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<bool, ApiError> {
        // The mailbox first: if that fails the device is still there to try again. And last, for what it
        // did until its connection ended.
        self.command(Command::RemoveDevice { user, device }).await?;
        if !self.directory.delete_device(user, device).await? {
            return Ok(false);
        }
        self.broker
            .disconnect_device(user, device, CloseCause::Administrative);
        self.command(Command::RemoveDevice { user, device }).await?;
        // Again, for a connection whose password was judged just before the device went.
        self.broker
            .disconnect_device(user, device, CloseCause::Administrative);
        self.broker
            .publish_event(user, &Event::DeviceRemoved { device });
        Ok(true)
    }
}
