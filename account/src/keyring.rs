//! The sealed keyring and its wraps: opaque bytes, passed between a user's devices.

use crate::{Accounts, Caller};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, Path};
use belfry_protocol::event::Event;
use belfry_protocol::id::DeviceId;
use belfry_protocol::problem::Problem;
use bytes::Bytes;
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

async fn read(body: Body, most: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, most).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("at most {most} bytes"),
        )
        .at("body")
    })
}

/// The sealed keyring.
#[utoipa::path(
    get, path = "/v1/keyring", tag = "Keyring",
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", headers(("ETag" = String))),
        (status = 401, body = Problem),
        (status = 404, description = "None was put yet", body = Problem),
    )
)]
async fn get_keyring(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let keyring = accounts.0.directory.keyring(caller.0.user).await?;
    let keyring = keyring.ok_or_else(|| ApiError::not_found("there is no keyring yet"))?;
    let etag = [(header::ETAG, format!("\"{}\"", keyring.version))];
    Ok((etag, bytes(keyring.sealed)).into_response())
}

/// Replaces the sealed keyring: `If-Match` with the ETag it replaces, or `If-None-Match: *` for the first.
#[utoipa::path(
    put, path = "/v1/keyring", tag = "Keyring",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, headers(("ETag" = String))),
        (status = 401, body = Problem),
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
    let replaces = match headers.get(header::IF_MATCH).map(|value| value.to_str()) {
        None => 0,
        Some(Ok(etag)) => etag
            .trim_matches('"')
            .parse()
            .map_err(|_| ApiError::malformed("If-Match", "If-Match is an ETag of this keyring"))?,
        Some(Err(_)) => {
            return Err(ApiError::malformed(
                "If-Match",
                "If-Match is an ETag of this keyring",
            ));
        }
    };
    let sealed = read(body, KEYRING_BYTES_MAX).await?;
    let Some(version) = accounts
        .0
        .directory
        .put_keyring(caller.0.user, &sealed, replaces)
        .await?
    else {
        let detail = "the keyring was changed meanwhile; get it, merge, and put again";
        return Err(
            ApiError::new(StatusCode::PRECONDITION_FAILED, "changed", detail).at("If-Match"),
        );
    };
    accounts
        .0
        .broker
        .publish_event(caller.0.user, &Event::KeyringChanged);
    Ok((
        StatusCode::NO_CONTENT,
        [(header::ETAG, format!("\"{version}\""))],
    )
        .into_response())
}

fn recipient(text: &str) -> Result<(), ApiError> {
    if text == RECOVERY || text.parse::<DeviceId>().is_ok() {
        return Ok(());
    }
    Err(ApiError::not_found(
        "a wrap is for a device id or for recovery",
    ))
}

/// The keyring key, boxed to a device or to the recovery key.
#[utoipa::path(
    get, path = "/v1/keyring/wraps/{recipient}", tag = "Keyring",
    params(("recipient" = String, Path, description = "A device id, or `recovery`")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 401, body = Problem),
        (status = 404, body = Problem),
    )
)]
async fn get_wrap(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    recipient(&name)?;
    let wrap = accounts
        .0
        .directory
        .keyring_wrap(caller.0.user, &name)
        .await?;
    Ok(bytes(wrap.ok_or_else(|| {
        ApiError::not_found("there is no wrap for it yet")
    })?))
}

/// Keeps the keyring key, boxed by a linked device.
#[utoipa::path(
    put, path = "/v1/keyring/wraps/{recipient}", tag = "Keyring",
    params(("recipient" = String, Path, description = "A device id of this user, or `recovery`")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem))
)]
async fn put_wrap(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    recipient(&name)?;
    let directory = &accounts.0.directory;
    if let Ok(device) = name.parse::<DeviceId>()
        && directory.user_of_device(device).await? != Some(caller.0.user)
    {
        return Err(ApiError::not_found("there is no such device"));
    }
    let wrap = read(body, WRAP_BYTES_MAX).await?;
    directory
        .put_keyring_wrap(caller.0.user, &name, &wrap)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
