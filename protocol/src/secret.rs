//! Secrets that the server hands out once and keeps only as a hash: endpoint secrets, device
//! passwords and bearer tokens.
//!
//! All are 192 random bits, so one unsalted SHA-256 cannot be searched and costs a connect storm
//! nothing. Account passwords are chosen by people and take argon2id, in the `account` crate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// Random bytes in a secret: 192 bits.
pub const SECRET_BYTES: usize = 24;

/// A secret as it is handed out: 32 base64url characters. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A secret from random bytes.
    pub fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A secret that was handed out; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self::from_random)
    }

    /// The text to hand out; never to be logged or stored.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the server keeps of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret; equality takes constant time.
#[derive(Clone, Copy, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret that somebody presents.
    pub fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }

    /// A hash read back from a store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, as stores keep them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for SecretHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_hash_and_never_shown() {
        let secret = Secret::from_random([7; SECRET_BYTES]);
        let parsed = Secret::parse(secret.expose()).map(|parsed| parsed.hash());
        assert_eq!(parsed, Some(secret.hash()));
        assert!(Secret::parse("short").is_none());
        assert_eq!(secret.expose().len(), 32);
        assert_eq!(SecretHash::of(secret.expose().as_bytes()), secret.hash());
        assert_ne!(SecretHash::of(b"another"), secret.hash());
        assert!(!format!("{secret:?} {:?}", secret.hash()).contains(secret.expose()));
    }
}
