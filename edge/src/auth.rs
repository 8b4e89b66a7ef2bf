//! What a caller presents: a bearer token, or a device's id and password.

use crate::ApiError;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belfry_protocol::id::DeviceId;
use belfry_protocol::secret::SecretHash;

/// Credentials of a user or a device.
#[derive(Debug, Clone, Copy)]
pub enum Credentials {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer(SecretHash),
    /// `Authorization: Basic` (RFC 7617) with a device's id and password.
    Device {
        /// The user name.
        device: DeviceId,
        /// The password's hash.
        password: SecretHash,
    },
}

impl Credentials {
    /// Reads the Authorization header.
    ///
    /// # Errors
    /// 401 where there is none, or one of another form.
    pub fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let missing = || {
            ApiError::unauthorized("send Authorization: Bearer with a token from POST /v1/sessions")
        };
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(missing)?;
        let (scheme, rest) = header.split_once(' ').ok_or_else(missing)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Bearer(SecretHash::of(rest.as_bytes())));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest).ok_or_else(|| {
                ApiError::unauthorized(
                    "the user name is a device id and the password that device's",
                )
                .asking_for("Basic")
            });
        }
        Err(missing())
    }
}

fn basic(encoded: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (device, password) = decoded.split_once(':')?;
    Some(Credentials::Device {
        device: device.parse().ok()?,
        password: SecretHash::of(password.as_bytes()),
    })
}
