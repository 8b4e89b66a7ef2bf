//! VAPID (RFC 8292): how a site names itself to the push service.

use crate::keys::{decode, encode};
use crypto_box::aead::OsRng;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a token is good: half of what RFC 8292 §2 allows, so that clocks may differ.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// A site's VAPID key.
#[derive(Clone)]
pub struct VapidKey(SigningKey);

/// A text that is not a VAPID private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a VAPID private key is a P-256 secret key, 32 bytes in base64url")]
pub struct InvalidVapidKey;

impl VapidKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(SigningKey::random(&mut OsRng))
    }

    /// Reads the private key as base64url, as npm `web-push` and others write it.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Self, InvalidVapidKey> {
        let bytes = decode(text).ok_or(InvalidVapidKey)?;
        SigningKey::from_slice(&bytes)
            .map(Self)
            .map_err(|_| InvalidVapidKey)
    }

    /// The private key, base64url.
    pub fn expose(&self) -> String {
        encode(&self.0.to_bytes())
    }

    /// The public key, an uncompressed point in base64url: the `applicationServerKey`.
    pub fn public(&self) -> String {
        encode(self.0.verifying_key().to_encoded_point(false).as_bytes())
    }

    /// The `Authorization` header for an endpoint on `audience` (an origin), good for 12 hours.
    /// `contact` is a `mailto:` or `https:` address of the site.
    pub fn authorization(&self, audience: &str, contact: &str, now: SystemTime) -> String {
        let expires = now.duration_since(UNIX_EPOCH).unwrap_or_default() + TOKEN_LIFE;
        let header = json!({"typ": "JWT", "alg": "ES256"}).to_string();
        let claims = json!({"aud": audience, "exp": expires.as_secs(), "sub": contact}).to_string();
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature: Signature = self.0.sign(signed.as_bytes());
        let signature = encode(&signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", self.public())
    }
}

impl std::fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VapidKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    #[test]
    fn a_token_is_signed_by_the_key_that_it_names() {
        let key = VapidKey::parse(&VapidKey::generate().expose()).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let header = key.authorization("https://push.example", "mailto:a@b.example", now);
        let (token, public) = header
            .strip_prefix("vapid t=")
            .and_then(|rest| rest.split_once(", k="))
            .unwrap();
        assert_eq!(public, key.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let verifying = VerifyingKey::from_sec1_bytes(&decode(public).unwrap()).unwrap();
        let signature = Signature::from_slice(&decode(signature).unwrap()).unwrap();
        verifying.verify(signed.as_bytes(), &signature).unwrap();
        let claims = decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        let expected =
            json!({"aud":"https://push.example","exp":1_043_200,"sub":"mailto:a@b.example"});
        assert_eq!(claims, expected);
        assert!(VapidKey::parse("AAAA").is_err());
    }
}
