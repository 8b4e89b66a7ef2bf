//! What a caller gives: JSON bodies that are refused with the field at fault, and their address.

use crate::{AddressKey, ApiError, ClientAddress, TrustedProxies, media_type, not_json, read_body};
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

/// Bytes of a JSON body: an acknowledgement of a whole mailbox, twice over.
const JSON_BYTES_MAX: usize = 64 * 1024;

/// A JSON body. Whoever was let in before it came is judged again once it is whole: it may have been held
/// back until a right was taken away.
pub struct Given<T>(pub T);

/// What decides who may do what.
pub trait Admits: Send + Sync {
    /// Refuses who was let in with this request and would not be now. Who was let in as nobody is let in.
    fn still_admits(&self, parts: &mut Parts) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// Where the caller is, as limits count it.
pub struct Address(pub AddressKey);

impl<S: Admits, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !says_json(request.headers()) {
            return Err(not_json());
        }
        let body = whole(request, state, JSON_BYTES_MAX, "send less").await?;
        parse(&body).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address
where
    TrustedProxies: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let trusted = TrustedProxies::from_ref(state);
        Ok(Self(
            ClientAddress::of(&parts.extensions, &parts.headers, &trusted).key(),
        ))
    }
}

/// A body of at most so many bytes, with what to do about more; of who is still let in once it is whole.
///
/// # Errors
/// 413, 408, and whatever refuses the caller by then.
pub async fn whole(
    request: Request,
    state: &impl Admits,
    bytes_max: usize,
    remedy: &str,
) -> Result<Bytes, ApiError> {
    let (mut parts, body) = request.into_parts();
    let body = read_body(body, bytes_max, remedy).await?;
    state.still_admits(&mut parts).await?;
    Ok(body)
}

/// Reads a field that may be null: `None` is one that is absent, `Some(None)` one that is null.
/// # Errors
/// It is of another type.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Whether a body is said to be JSON.
pub fn says_json(headers: &HeaderMap) -> bool {
    let media = media_type(headers);
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// 400 for what is no JSON, 422 with the field for what has another shape.
///
/// # Errors
/// Those.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Structures would be read from arrays too, field by field.
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Err(ApiError::invalid(
            "body",
            "the body is a JSON object, not an array",
        ));
    }
    serde_json::from_slice::<serde_json::Value>(body).map_err(|error| {
        let detail = format!("the body is not JSON: {error}");
        ApiError::malformed("body", detail)
    })?;
    let mut text = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let field = field(&error.path().to_string(), error.inner());
        let detail = match error.inner().classify() {
            Category::Data => error.inner().to_string(),
            // A name out of several that is no text at all is no data error to serde_json.
            _ => "a value of another type is wanted here".to_owned(),
        };
        ApiError::invalid(&field, detail)
    })
}

/// The path to the value; one that is missing is named by serde in words alone.
fn field(path: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let missing = message.strip_prefix("missing field `");
    match missing.and_then(|rest| rest.split('`').next()) {
        Some(name) => name.to_owned(),
        None if path == "." => "body".to_owned(),
        None => path.to_owned(),
    }
}
