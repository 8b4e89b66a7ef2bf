//! What every HTTP room shares: errors as problem details, extractors that refuse with them, who the
//! caller is, and the layers around a route.

pub mod address;
pub mod attempts;
pub mod auth;
pub mod body;
pub mod error;
pub mod extract;
pub mod given;
pub mod layers;
pub mod limit;
pub mod number;
pub mod pages;
pub mod paging;
pub mod password;

pub use address::{AddressKey, ClientAddress, TrustedProxies};
pub use body::{media_type, not_json, read_body};
pub use error::{ApiError, Exceeded, RateProblem, Scope};
pub use extract::{Path, Query};
pub use number::Whole;

use axum::http::StatusCode;

/// What passwords are checked with, and how often somebody tried: one for every room that takes them,
/// so that nobody guesses twice as often by two doors.
pub struct SignIns {
    /// Hashes and checks.
    pub hashing: password::Hashing,
    /// Counts.
    pub attempts: attempts::Attempts,
}

/// Random bytes of the operating system.
///
/// # Errors
/// 503: it has none.
pub fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::unavailable())?;
    Ok(bytes)
}

/// A name that a person gave something: trimmed, short, without control characters.
///
/// # Errors
/// 422.
pub fn display_name(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(ApiError::invalid(
            "name",
            "a name has 1 to 100 characters and no control characters",
        ))
    }
}

/// Longest name of an account, in characters.
const USERNAME_CHARS_MAX: usize = 64;

/// What an account may be called.
///
/// # Errors
/// 422.
pub fn check_username(name: &str) -> Result<(), ApiError> {
    let fits = (1..=USERNAME_CHARS_MAX).contains(&name.chars().count());
    let allowed = |letter: char| letter.is_alphanumeric() || ".-_@".contains(letter);
    if fits && name.chars().all(allowed) && name.chars().any(char::is_alphanumeric) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "username",
        "a name has 1 to 64 letters, digits, ., -, _ or @, and at least one letter or digit",
    ))
}

/// 405.
pub async fn no_such_method() -> ApiError {
    let detail = "this resource has no such method";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
}
