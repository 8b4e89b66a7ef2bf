//! The sealed keyring and its wraps: opaque bytes, passed between a user's devices.

use crate::{Accounts, Caller, Inner};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, Path, read_body};
use belfry_protocol::event::Event;
use belfry_protocol::id::DeviceId;
use belfry_protocol::problem::Problem;
use belfry_store::directory::Keyring;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest keyring, in bytes.
const KEYRING_BYTES_MAX: usize = 256 * 1024;
/// Largest wrap: a boxed 32-byte key with room to spare.
const WRAP_BYTES_MAX: usize = 1_024;
/// The recipient of the wrap for the recovery key.
const RECOVERY: &str = "recovery";

pub(crate) fn router() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new()
        .routes(routes!(get_keyring, put_keyring))
        .routes(routes!(get_wrap, put_wrap))
}

fn bytes(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

fn etag(version: u64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

/// Which keyring a put replaces (RFC 9110 §13.1).
#[derive(Debug, PartialEq, Eq)]
enum Replaces {
    /// None: it is the first.
    None,
    /// Whichever there is.
    Any,
    /// One of these versions; there may be none that a server ever gave.
    Versions(Vec<u64>),
}

impl Replaces {
    fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let tags = |name: HeaderName| {
            let values = headers.get_all(name).iter();
            let texts: Result<Vec<_>, _> = values.map(|value| value.to_str()).collect();
            texts.map(|texts| texts.join(","))
        };
        let malformed = |name, detail| ApiError::malformed(name, detail);
        if headers.contains_key(header::IF_NONE_MATCH) {
            let only = tags(header::IF_NONE_MATCH).is_ok_and(|tags| tags.trim() == "*");
            if !only || headers.contains_key(header::IF_MATCH) {
                let detail = "If-None-Match is * alone: this is the first keyring";
                return Err(malformed("If-None-Match", detail));
            }
        }
        if !headers.contains_key(header::IF_MATCH) {
            return Ok(Self::None);
        }
        let detail = "If-Match is an ETag that this keyring had";
        let tags = tags(header::IF_MATCH).map_err(|_| malformed("If-Match", detail))?;
        if tags.trim() == "*" {
            return Ok(Self::Any);
        }
        // A weak tag, and one of no number, match nothing (RFC 9110 §13.1.1).
        let versions = tags
            .split(',')
            .map(|tag| tag.trim().trim_matches('"').parse());
        Ok(Self::Versions(versions.filter_map(Result::ok).collect()))
    }

    /// The version in the directory that is meant; 0 for none.
    fn version(&self, there_is: Option<&Keyring>) -> Option<u64> {
        let version = there_is.map(|keyring| keyring.version);
        match self {
            Self::None => Some(0),
            Self::Any => version,
            Self::Versions(versions) => version.filter(|version| versions.contains(version)),
        }
    }
}

/// The sealed keyring.
#[utoipa::path(
    get, path = "/v1/keyring", tag = "Keyring", security(("token" = [])),
    responses(
        (status = 200, description = "It", body = Vec<u8>, content_type = "application/octet-stream", headers(("ETag" = String))),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "None was put yet", body = Problem),
    )
)]
async fn get_keyring(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let keyring = accounts.0.directory.keyring(caller.0.user).await?;
    let keyring = keyring.ok_or_else(|| ApiError::not_found("there is no keyring yet"))?;
    Ok((etag(keyring.version), bytes(keyring.sealed)).into_response())
}

/// Replaces the sealed keyring.
///
/// `If-Match` names the ETag of the one it replaces, or `*`. Without it, or with `If-None-Match: *`,
/// it is the first: where there is one already that is a lost race too. 412 then: get it, merge, put again.
#[utoipa::path(
    put, path = "/v1/keyring", tag = "Keyring", security(("token" = [])),
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag of the keyring that is replaced"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there is none yet"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "Put", headers(("ETag" = String))),
        (status = 400, description = "A malformed condition", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 412, description = "Another device was faster", body = Problem),
        (status = 413, description = "More than 256 KiB", body = Problem),
    )
)]
async fn put_keyring(
    State(accounts): State<Accounts>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let replaces = Replaces::read(&headers)?;
    let sealed = read_body(body, KEYRING_BYTES_MAX, "a keyring has at most 256 KiB").await?;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    let put = match replaces.version(inner.directory.keyring(user).await?.as_ref()) {
        Some(version) => inner.directory.put_keyring(user, &sealed, version).await?,
        None => None,
    };
    let Some(version) = put else {
        let detail = "the keyring was changed meanwhile; get it, merge, and put again";
        let changed = ApiError::new(StatusCode::PRECONDITION_FAILED, "changed", detail);
        return Err(changed.at("If-Match"));
    };
    inner.broker.publish_event(user, &Event::KeyringChanged);
    Ok((StatusCode::NO_CONTENT, etag(version)).into_response())
}

/// Whom a wrap is for: the recovery key, or a device of this user.
async fn recipient(inner: &Inner, caller: &Caller, name: &str) -> Result<(), ApiError> {
    if name == RECOVERY {
        return Ok(());
    }
    let nobody = || ApiError::not_found("a wrap is for one of the user's devices or for recovery");
    let device: DeviceId = name.parse().map_err(|_| nobody())?;
    let owner = inner.directory.user_of_device(device).await?;
    let own = owner.filter(|owner| *owner == caller.0.user);
    own.map(|_| ()).ok_or_else(nobody)
}

/// The keyring key, boxed to a device or to the recovery key.
#[utoipa::path(
    get, path = "/v1/keyring/wraps/{recipient}", tag = "Keyring", security(("token" = [])),
    params(("recipient" = String, Path, description = "A device id of this user, or `recovery`")),
    responses(
        (status = 200, description = "It", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "No such device, or no wrap for it yet", body = Problem),
    )
)]
async fn get_wrap(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let inner = &accounts.0;
    recipient(inner, &caller, &name).await?;
    let wrap = inner.directory.keyring_wrap(caller.0.user, &name).await?;
    let wrap = wrap.ok_or_else(|| ApiError::not_found("there is no wrap for it yet"))?;
    Ok(bytes(wrap))
}

/// Keeps the keyring key, boxed by a linked device.
#[utoipa::path(
    put, path = "/v1/keyring/wraps/{recipient}", tag = "Keyring", security(("token" = [])),
    params(("recipient" = String, Path, description = "A device id of this user, or `recovery`")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "Kept"),
        (status = 401, description = "No good token", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 413, description = "More than 1 KiB", body = Problem),
    )
)]
async fn put_wrap(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let wrap = read_body(body, WRAP_BYTES_MAX, "a wrap has at most 1 KiB").await?;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    recipient(inner, &caller, &name).await?;
    inner.directory.put_keyring_wrap(user, &name, &wrap).await?;
    inner.broker.publish_event(user, &Event::KeyringChanged);
    Ok(StatusCode::NO_CONTENT)
}
