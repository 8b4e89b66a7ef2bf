//! What a VAPID token must claim (RFC 8292 §2). The signature is somebody else's business.

use belfry_protocol::time::Timestamp;

/// A token is valid for at most a day (RFC 8292 §2).
pub const VALID_SECONDS_MAX: u64 = 86_400;

/// The claims that matter here. `sub` is optional and not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The push service's origin.
    pub audience: String,
    /// Seconds since the epoch.
    pub expires: u64,
}

/// Why claims are not good here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClaims {
    /// Meant for another service.
    #[error("aud must be the origin of this endpoint")]
    Audience,
    /// Over.
    #[error("the token has expired: exp is in the past")]
    Expired,
    /// Good for too long.
    #[error("exp must be at most 24 hours ahead")]
    TooLong,
}

/// Judges claims; `origins` are those this service has or had.
///
/// # Errors
/// The first rule that is broken.
pub fn check(claims: &Claims, origins: &[String], now: Timestamp) -> Result<(), BadClaims> {
    if !origins.contains(&claims.audience) {
        return Err(BadClaims::Audience);
    }
    check_expiry(claims.expires, now)
}

/// Judges `exp` alone, as is needed again for a token seen before.
///
/// # Errors
/// Expired, or too far ahead.
pub fn check_expiry(expires: u64, now: Timestamp) -> Result<(), BadClaims> {
    let now = now.as_millis() / 1000;
    if expires <= now {
        Err(BadClaims::Expired)
    } else if expires - now > VALID_SECONDS_MAX {
        Err(BadClaims::TooLong)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audience_and_expiry_are_judged() {
        let origins = [
            "https://push.example".to_owned(),
            "https://old.example".to_owned(),
        ];
        let now = Timestamp::from_millis(1_000_000_999);
        let verdict = |audience: &str, expires| {
            let claims = Claims {
                audience: audience.to_owned(),
                expires,
            };
            check(&claims, &origins, now)
        };
        assert_eq!(verdict("https://push.example", 1_000_001), Ok(()));
        assert_eq!(verdict("https://old.example", 1_086_400), Ok(()));
        let own = "https://push.example";
        assert_eq!(verdict(own, 1_000_000), Err(BadClaims::Expired));
        assert_eq!(verdict(own, 1_086_401), Err(BadClaims::TooLong));
        assert_eq!(verdict(own, u64::MAX), Err(BadClaims::TooLong));
        let audience = Err(BadClaims::Audience);
        assert_eq!(verdict("https://push.example/", 1_000_001), audience);
        assert_eq!(verdict("", 1_000_001), audience);
    }
}
