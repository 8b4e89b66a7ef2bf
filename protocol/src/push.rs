//! The headers of a push message (RFC 8030) as types. Parsing says what would have been right.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Largest body of a push message, in bytes (RFC 8030 §7.2: a service must take at least 4096).
pub const BODY_BYTES_MAX: usize = 4096;
/// Longest `Topic`, in characters (RFC 8030 §5.4).
pub const COLLAPSE_KEY_CHARS_MAX: usize = 32;
/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;

/// A header that does not follow its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidHeader(pub &'static str);

/// `Urgency` (RFC 8030 §5.3), lowest first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// On power and Wi-Fi: advertisements.
    VeryLow,
    /// On either power or Wi-Fi: topic updates.
    Low,
    /// On neither: chat and calendar messages.
    #[default]
    Normal,
    /// Low battery: incoming calls and time-sensitive alerts.
    High,
}

impl Urgency {
    /// The header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl FromStr for Urgency {
    type Err = InvalidHeader;

    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        match text {
            "very-low" => Ok(Self::VeryLow),
            "low" => Ok(Self::Low),
            "normal" => Ok(Self::Normal),
            "high" => Ok(Self::High),
            _ => Err(InvalidHeader("Urgency is very-low, low, normal or high")),
        }
    }
}

/// `TTL` (RFC 8030 §5.2): how long the message may wait, in whole seconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Ttl(u32);

impl Ttl {
    /// A time to live of so many seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// At most `max`, whole seconds.
    #[must_use]
    pub fn capped(self, max: Duration) -> Self {
        Self(self.0.min(u32::try_from(max.as_secs()).unwrap_or(u32::MAX)))
    }
}

impl FromStr for Ttl {
    type Err = InvalidHeader;

    /// Digits only; a number that does not fit is the largest that does (as RFC 9111 §1.2.2 asks of
    /// delta-seconds), since the service caps it anyway.
    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidHeader(
                "TTL is a whole number of seconds, such as 3600",
            ));
        }
        Ok(Self(text.parse().unwrap_or(u32::MAX)))
    }
}

macro_rules! text_header {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr, $remedy:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The header's value.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidHeader;

            fn from_str(text: &str) -> Result<Self, InvalidHeader> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !text.bytes().all(allowed) {
                    return Err(InvalidHeader($remedy));
                }
                Ok(Self(text.to_owned()))
            }
        }
    };
}

text_header!(
    /// Web Push's `Topic` (RFC 8030 §5.4): a later message with the same key under the same
    /// permission replaces an earlier one still owed.
    CollapseKey,
    COLLAPSE_KEY_CHARS_MAX,
    |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_',
    "Topic is 1 to 32 characters of A-Z, a-z, 0-9, - and _"
);
text_header!(
    /// `Idempotency-Key`: repeating it within a day repeats the first answer.
    IdempotencyKey,
    IDEMPOTENCY_KEY_CHARS_MAX,
    |b| b.is_ascii_graphic(),
    "Idempotency-Key is 1 to 64 visible ASCII characters"
);

/// How a body is encrypted. There is no plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentEncoding {
    /// RFC 8291 over RFC 8188.
    Aes128gcm,
    /// NaCl `crypto_box` from the site's key to the permission's.
    CryptoBox,
}

impl ContentEncoding {
    /// The header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes128gcm => "aes128gcm",
            Self::CryptoBox => "crypto-box",
        }
    }
}

impl FromStr for ContentEncoding {
    type Err = InvalidHeader;

    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        // Content codings are case-insensitive (RFC 9110 §8.4.1).
        if text.eq_ignore_ascii_case("aes128gcm") {
            Ok(Self::Aes128gcm)
        } else if text.eq_ignore_ascii_case("crypto-box") {
            Ok(Self::CryptoBox)
        } else {
            Err(InvalidHeader(
                "Content-Encoding is aes128gcm (RFC 8291) or crypto-box",
            ))
        }
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ContentEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_digits_and_capped() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(
                text.parse::<Ttl>().ok().map(Ttl::as_secs),
                expected,
                "{text:?}"
            );
        };
        check("0", Some(0));
        check("0060", Some(60));
        check("99999999999999999999", Some(u32::MAX));
        check("", None);
        check("-1", None);
        check("+1", None);
        check("1.5", None);
        check(" 1", None);
        assert_eq!(
            Ttl::from_secs(100)
                .capped(Duration::from_secs(60))
                .as_secs(),
            60
        );
    }

    #[test]
    fn collapse_and_idempotency_keys_keep_to_their_alphabets() {
        let topic = |text: &str| text.parse::<CollapseKey>().is_ok();
        assert!(topic("upd_-9Z") && topic(&"a".repeat(32)));
        assert!(!topic("") && !topic("a b") && !topic("é") && !topic(&"a".repeat(33)));
        let key = |text: &str| text.parse::<IdempotencyKey>().is_ok();
        assert!(key("a.b/c~!") && key(&"a".repeat(64)));
        assert!(!key("") && !key("a b") && !key("é") && !key(&"a".repeat(65)));
    }
}
