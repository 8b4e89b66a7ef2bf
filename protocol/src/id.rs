//! Opaque identifiers: 128 bits, written as 26 lowercase base32 characters (RFC 4648 §6, no padding).
//!
//! Base32 rather than base64url, so that an id never starts with `-` and survives a terminal, a
//! double click and a case-insensitive file name.

use data_encoding::{Encoding, Specification};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// Characters in a written id.
pub const ID_CHARS: usize = 26;

/// What a written id looks like: the last character has three bits of the id alone.
const PATTERN: &str = "^[a-z2-7]{25}[aeimquy4]$";

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification
        .encoding()
        .expect("32 distinct symbols are a valid base32 alphabet")
});

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 26 characters of a-z and 2-7")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// An id from 16 bytes, random unless they were read back from a store.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as stores keep them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != ID_CHARS {
                    return Err(InvalidId);
                }
                let bytes = BASE32.decode(text.as_bytes()).map_err(|_| InvalidId)?;
                Self::try_from(bytes.as_slice())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(PATTERN))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// A person with an account.
    UserId
);
id!(
    /// One browser profile, phone, desktop or script of a user; its MQTT client id.
    DeviceId
);
id!(
    /// A user's approval of one site.
    PermissionId
);
id!(
    /// One notification, as devices name it.
    NotificationId
);
id!(
    /// An API key of a site: names it without being it.
    SiteKeyId
);
id!(
    /// A sign-in of a user: names a bearer token without being it.
    SessionId
);
id!(
    /// An API token for administration: names it without being it.
    AdminTokenId
);
id!(
    /// A one-time link: names it without being it.
    LinkId
);
id!(
    /// A passkey of somebody who administers.
    PasskeyId
);

id!(
    /// A ban.
    BanId
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back(bytes: [u8; 16]) {
            let id = UserId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().len(), ID_CHARS);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_other_text_is_an_id(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<UserId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
