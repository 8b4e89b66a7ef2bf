//! The sealed keyring and its wraps: opaque bytes, passed between a user's devices.

use crate::shapes::{Base64Url, Wraps};
use crate::{Accounts, Caller, Inner};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_edge::given;
use belfry_edge::{ApiError, Path};
use belfry_protocol::event::Event;
use belfry_protocol::id::DeviceId;
use belfry_protocol::problem::Problem;
use belfry_store::directory::Keyring;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest keyring, in bytes.
const KEYRING_BYTES_MAX: usize = 256 * 1024;
/// Largest wrap: a boxed 32-byte key with room to spare.
const WRAP_BYTES_MAX: usize = 1_024;
/// Largest body with a keyring and wraps: the largest keyring in base64url, and more wraps than anyone
/// has devices.
const WHOLE_BYTES_MAX: usize = 512 * 1024;
/// The recipient of the wrap for the recovery key.
const RECOVERY: &str = "recovery";
const RECIPIENTS: &str = "a wrap is for one of the user's devices or for recovery";

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

/// A keyring with wraps, in one change.
#[derive(Deserialize, ToSchema)]
struct Whole {
    /// The sealed keyring, base64url without padding; at most 256 KiB of bytes.
    #[schema(value_type = Base64Url)]
    sealed: String,
    /// By recipient, a device id of the user or `recovery`: its wrap, base64url without padding; at most
    /// 1 KiB of bytes each. A recipient that is not named keeps the wrap that it has.
    #[schema(value_type = Wraps)]
    wraps: BTreeMap<String, String>,
}

/// What is put.
struct Change {
    sealed: Vec<u8>,
    wraps: Vec<(String, Vec<u8>)>,
}

impl Change {
    async fn read(accounts: &Accounts, request: Request) -> Result<Self, ApiError> {
        if !given::says_json(request.headers()) {
            let remedy = "a keyring has at most 256 KiB";
            let sealed = given::whole(request, accounts, KEYRING_BYTES_MAX, remedy).await?;
            return Ok(Self {
                sealed: sealed.into(),
                wraps: Vec::new(),
            });
        }
        let body = given::whole(request, accounts, WHOLE_BYTES_MAX, "send less").await?;
        let whole: Whole = given::parse(&body)?;
        let sealed = opaque("sealed", &whole.sealed, KEYRING_BYTES_MAX)?;
        let wraps = whole.wraps.into_iter().map(|(recipient, wrap)| {
            let wrap = opaque(&format!("wraps.{recipient}"), &wrap, WRAP_BYTES_MAX)?;
            Ok((recipient, wrap))
        });
        Ok(Self {
            sealed,
            wraps: wraps.collect::<Result<_, ApiError>>()?,
        })
    }
}

fn opaque(field: &str, text: &str, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    let bytes = bytes.map_err(|_| ApiError::invalid(field, "base64url without padding"))?;
    if bytes.len() > bytes_max {
        let detail = format!("this is at most {bytes_max} bytes");
        let large = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        return Err(large.at(field));
    }
    Ok(bytes)
}

/// Replaces the sealed keyring, or it and wraps of its key, whole or not at all.
///
/// `If-Match` names the ETag of the one it replaces, or `*`. Without it, or with `If-None-Match: *`,
/// it is the first: where there is one already that is a lost race too. 412 then: get it, merge, put again.
#[utoipa::path(
    put, path = "/v1/keyring", tag = "Keyring", security(("token" = [])),
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag of the keyring that is replaced"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there is none yet", pattern = "^\\*$"),
    ),
    request_body(content((Vec<u8> = "application/octet-stream"), (Whole = "application/json"))),
    responses(
        (status = 204, description = "Put", headers(("ETag" = String))),
        (status = 400, description = "A malformed condition, or no JSON", body = Problem),
        (status = 401, description = "No good token", body = Problem),
        (status = 412, description = "Another device was faster", body = Problem),
        (status = 413, description = "More than 256 KiB, or a wrap of more than 1 KiB", body = Problem),
        (status = 422, description = "A wrap for nobody of this user's, or JSON of another shape", body = Problem),
    )
)]
async fn put_keyring(
    State(accounts): State<Accounts>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let replaces = Replaces::read(request.headers())?;
    let Change { sealed, wraps } = Change::read(&accounts, request).await?;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    for (name, _) in &wraps {
        if !is_recipient(inner, &caller, name).await? {
            return Err(ApiError::invalid(&format!("wraps.{name}"), RECIPIENTS));
        }
    }
    let put = match replaces.version(inner.directory.keyring(user).await?.as_ref()) {
        Some(version) => {
            let put = inner.directory.put_keyring(user, &sealed, version, &wraps);
            put.await?
        }
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

/// Whether a wrap can be for this: the recovery key, or a device of this user.
async fn is_recipient(inner: &Inner, caller: &Caller, name: &str) -> Result<bool, ApiError> {
    if name == RECOVERY {
        return Ok(true);
    }
    let Ok(device) = name.parse::<DeviceId>() else {
        return Ok(false);
    };
    let owner = inner.directory.user_of_device(device).await?;
    Ok(owner == Some(caller.0.user))
}

async fn recipient(inner: &Inner, caller: &Caller, name: &str) -> Result<(), ApiError> {
    match is_recipient(inner, caller, name).await? {
        true => Ok(()),
        false => Err(ApiError::not_found(RECIPIENTS)),
    }
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
    request: Request,
) -> Result<StatusCode, ApiError> {
    let inner = &accounts.0;
    let user = caller.0.user;
    let remedy = "a wrap has at most 1 KiB";
    let wrap = given::whole(request, &accounts, WRAP_BYTES_MAX, remedy).await?;
    let _changing = inner.changing(user).await;
    inner.still(user).await?;
    recipient(inner, &caller, &name).await?;
    inner.directory.put_keyring_wrap(user, &name, &wrap).await?;
    inner.broker.publish_event(user, &Event::KeyringChanged);
    Ok(StatusCode::NO_CONTENT)
}
