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
    /// 401 where there is none, or one of another form; 400 where there are several.
    pub fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let missing = || {
            ApiError::unauthorized("send Authorization: Bearer with a token from POST /v1/sessions")
        };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or_else(missing)?;
        if values.next().is_some() {
            let detail = "Authorization stands there more than once";
            return Err(ApiError::malformed("Authorization", detail));
        }
        let header = value.to_str().map_err(|_| missing())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    fn check(values: &[&str], expected: Result<&str, u16>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
        }
        let read = match Credentials::read(&headers) {
            Ok(Credentials::Bearer(token)) => {
                assert_eq!(token, SecretHash::of(b"abc"), "{values:?}");
                Ok("bearer")
            }
            Ok(Credentials::Device { password, .. }) => {
                assert_eq!(password, SecretHash::of(b"pass:word"), "{values:?}");
                Ok("device")
            }
            Err(error) => {
                let response = error.into_response();
                let asks = response.headers().contains_key(header::WWW_AUTHENTICATE);
                assert_eq!(asks, response.status() == 401, "{values:?}");
                Err(response.status().as_u16())
            }
        };
        assert_eq!(read, expected, "{values:?}");
    }

    #[test]
    fn one_credential_is_read_and_several_are_not_chosen_from() {
        let device = DeviceId::from_bytes([7; 16]);
        let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
        let good = basic(format!("{device}:pass:word"));
        check(&["Bearer abc"], Ok("bearer"));
        check(&["bearer  abc"], Ok("bearer"));
        check(&[&good], Ok("device"));
        check(&[], Err(401));
        check(&["Bearer"], Err(401));
        check(&["Digest abc"], Err(401));
        check(&["Basic !"], Err(401));
        check(&[&basic("nobody:pass".to_owned())], Err(401));
        check(&["Bearer abc", "Bearer abc"], Err(400));
        check(&["Bearer abc", &good], Err(400));
    }
}
