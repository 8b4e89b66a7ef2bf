//! The keys of a device, of a permission and of a site, and the `PushSubscription` that carries a
//! permission's public ones to a site.
//!
//! Keys are written as base64url without padding everywhere; reading also takes padding and the
//! standard alphabet, since other tools write them so.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::body::{BodyProblem, aes128gcm, crypto_box as boxes};
use belfry_protocol::push::ContentEncoding;
use crypto_box::SalsaBox;
use crypto_box::aead::rand_core::RngCore as _;
use crypto_box::aead::{Aead as _, OsRng};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that is not the key it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not a valid key: {expected}")]
pub struct InvalidKey {
    what: &'static str,
    expected: &'static str,
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// A number for jitter.
pub(crate) fn random_u32() -> u32 {
    OsRng.next_u32()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_end_matches('=');
    let text = text.replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode_exact<const N: usize>(
    text: &str,
    what: &'static str,
    expected: &'static str,
) -> Result<[u8; N], InvalidKey> {
    decode(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(InvalidKey { what, expected })
}

const X25519_EXPECTED: &str = "it should be 32 bytes in base64url";

/// An X25519 public key: a device's, a permission's or a site's.
#[derive(Clone, PartialEq, Eq)]
pub struct BoxPublicKey(crypto_box::PublicKey);

impl BoxPublicKey {
    /// Reads base64url.
    ///
    /// # Errors
    /// Not 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        decode_exact::<32>(text, "the X25519 key", X25519_EXPECTED)
            .map(|bytes| Self(crypto_box::PublicKey::from(bytes)))
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(crypto_box::PublicKey::from(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first 16 characters of its base64url in groups of four, for two people to compare.
    pub fn fingerprint(&self) -> String {
        let text = self.to_string();
        let groups: Vec<_> = text
            .as_bytes()
            .chunks(4)
            .take(4)
            .map(|group| String::from_utf8_lossy(group).into_owned())
            .collect();
        groups.join(" ")
    }
}

impl fmt::Display for BoxPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self.0.as_bytes()))
    }
}

impl Serialize for BoxPublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BoxPublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for BoxPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoxPublicKey({self})")
    }
}

/// An X25519 secret key. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct BoxSecretKey(crypto_box::SecretKey);

impl BoxSecretKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(crypto_box::SecretKey::from(random::<32>()))
    }

    /// Reads base64url.
    ///
    /// # Errors
    /// Not 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        decode_exact::<32>(text, "the X25519 secret key", X25519_EXPECTED)
            .map(|bytes| Self(crypto_box::SecretKey::from(bytes)))
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(crypto_box::SecretKey::from(bytes))
    }

    /// NaCl's `crypto_box`, without the nonce before it.
    pub(crate) fn seal_box(
        &self,
        recipient: &BoxPublicKey,
        nonce: [u8; 24],
        plaintext: &[u8],
    ) -> Vec<u8> {
        SalsaBox::new(&recipient.0, &self.0)
            .encrypt(&nonce.into(), plaintext)
            .expect("XSalsa20-Poly1305 takes any length that memory holds")
    }

    /// What is in such a box, if this sender made it for this key.
    pub(crate) fn open_box(
        &self,
        sender: &BoxPublicKey,
        nonce: [u8; 24],
        boxed: &[u8],
    ) -> Option<Vec<u8>> {
        SalsaBox::new(&sender.0, &self.0)
            .decrypt(&nonce.into(), boxed)
            .ok()
    }

    /// Its public half.
    pub fn public(&self) -> BoxPublicKey {
        BoxPublicKey(self.0.public_key())
    }

    /// Base64url, for a file that only its owner reads.
    pub fn expose(&self) -> String {
        encode(&self.0.to_bytes())
    }
}

impl fmt::Debug for BoxSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxSecretKey(…)")
    }
}

/// The keys of one permission: a pair for either encoding. They stay with the user's devices.
#[derive(Clone)]
pub struct PermissionKeys {
    p256: p256::SecretKey,
    auth: [u8; aes128gcm::AUTH_BYTES],
    x25519: BoxSecretKey,
}

impl fmt::Debug for PermissionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PermissionKeys(…)")
    }
}

/// [`PermissionKeys`] as a file holds them.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredPermissionKeys {
    p256: String,
    auth: String,
    x25519: String,
}

/// Why a body was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// The site's key is pinned, and `aes128gcm` does not prove who sent it.
    #[error(
        "the site's key is pinned, and this message does not prove that it comes from that site"
    )]
    NotFromPinnedSite,
    /// `crypto-box` needs the site's key, which was not given at approval.
    #[error("the site's key is not known; approve it with --site-key")]
    SiteKeyUnknown,
    /// It does not decrypt.
    #[error(transparent)]
    Body(#[from] BodyProblem),
}

impl PermissionKeys {
    /// New keys.
    pub fn generate() -> Self {
        Self {
            p256: p256::SecretKey::random(&mut OsRng),
            auth: random(),
            x25519: BoxSecretKey::generate(),
        }
    }

    /// What a site is given.
    pub fn public(&self) -> SubscriptionKeys {
        SubscriptionKeys {
            p256dh: encode(self.p256.public_key().to_encoded_point(false).as_bytes()),
            auth: encode(&self.auth),
            x25519: Some(self.x25519.public().to_string()),
        }
    }

    /// Opens a body. With a pinned `site_key` only that site's `crypto-box` is taken.
    ///
    /// # Errors
    /// See [`Unopened`].
    pub fn open(
        &self,
        encoding: ContentEncoding,
        body: &[u8],
        site_key: Option<&BoxPublicKey>,
    ) -> Result<Vec<u8>, Unopened> {
        match (encoding, site_key) {
            (ContentEncoding::Aes128gcm, None) => {
                Ok(aes128gcm::decrypt(body, &self.p256, &self.auth)?)
            }
            (ContentEncoding::Aes128gcm, Some(_)) => Err(Unopened::NotFromPinnedSite),
            (ContentEncoding::CryptoBox, Some(site)) => {
                Ok(boxes::open(body, &site.0, &self.x25519.0)?)
            }
            (ContentEncoding::CryptoBox, None) => Err(Unopened::SiteKeyUnknown),
        }
    }

    /// For the key file.
    pub fn to_stored(&self) -> StoredPermissionKeys {
        StoredPermissionKeys {
            p256: encode(&self.p256.to_bytes()),
            auth: encode(&self.auth),
            x25519: self.x25519.expose(),
        }
    }

    /// From the key file.
    ///
    /// # Errors
    /// One of them is no key.
    pub fn from_stored(stored: &StoredPermissionKeys) -> Result<Self, InvalidKey> {
        let invalid = InvalidKey {
            what: "p256",
            expected: "it should be a P-256 secret key, 32 bytes in base64url",
        };
        let p256 = decode(&stored.p256).and_then(|bytes| p256::SecretKey::from_slice(&bytes).ok());
        Ok(Self {
            p256: p256.ok_or(invalid)?,
            auth: decode_exact(&stored.auth, "auth", AUTH_EXPECTED)?,
            x25519: BoxSecretKey::parse(&stored.x25519)?,
        })
    }
}

const AUTH_EXPECTED: &str = "it should be 16 bytes in base64url";

/// A W3C `PushSubscription` in JSON, with Belfry's `x25519` beside the usual keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushSubscription {
    /// Where to post.
    pub endpoint: String,
    /// Always null for a permission of Belfry.
    #[serde(default)]
    pub expiration_time: Option<f64>,
    /// What to encrypt to.
    pub keys: SubscriptionKeys,
}

/// The public keys of a permission, base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionKeys {
    /// P-256 public key, an uncompressed point of 65 bytes.
    pub p256dh: String,
    /// Authentication secret, 16 bytes.
    pub auth: String,
    /// X25519 public key, 32 bytes; other push services have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x25519: Option<String>,
}

/// With what a sender encrypts.
#[derive(Debug, Clone, Copy)]
pub enum Sealing<'a> {
    /// RFC 8291; proves possession of the subscription only.
    Aes128gcm,
    /// A box from this site key.
    CryptoBox(&'a BoxSecretKey),
}

impl Sealing<'_> {
    /// Its `Content-Encoding`.
    pub const fn encoding(self) -> ContentEncoding {
        match self {
            Self::Aes128gcm => ContentEncoding::Aes128gcm,
            Self::CryptoBox(_) => ContentEncoding::CryptoBox,
        }
    }
}

/// Why a message cannot be encrypted to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// A key of the subscription is no key.
    #[error("the subscription cannot be used")]
    Key(#[from] InvalidKey),
    /// Only Belfry's subscriptions can take `crypto-box`.
    #[error("the subscription has no x25519 key, so it takes --encoding aes128gcm only")]
    NoBoxKey,
    /// The message is too long.
    #[error("the message is too long")]
    Body(#[from] BodyProblem),
}

impl PushSubscription {
    /// Encrypts a message to this subscription, with fresh randomness.
    ///
    /// # Errors
    /// See [`Unsealed`].
    pub fn encrypt(&self, plaintext: &[u8], sealing: Sealing<'_>) -> Result<Vec<u8>, Unsealed> {
        match sealing {
            Sealing::Aes128gcm => {
                let invalid = InvalidKey {
                    what: "p256dh",
                    expected: "it should be an uncompressed P-256 point, 65 bytes in base64url",
                };
                let p256dh = decode(&self.keys.p256dh)
                    .and_then(|bytes| p256::PublicKey::from_sec1_bytes(&bytes).ok())
                    .ok_or(invalid)?;
                let auth = decode_exact(&self.keys.auth, "auth", AUTH_EXPECTED)?;
                Ok(aes128gcm::encrypt(plaintext, &p256dh, &auth)?)
            }
            Sealing::CryptoBox(site) => {
                let key = self.keys.x25519.as_deref().ok_or(Unsealed::NoBoxKey)?;
                let key = BoxPublicKey::parse(key)?;
                Ok(boxes::seal(plaintext, random(), &site.0, &key.0)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn subscription(keys: &PermissionKeys) -> PushSubscription {
        PushSubscription {
            endpoint: "https://push.example/push/s".into(),
            expiration_time: None,
            keys: keys.public(),
        }
    }

    #[test]
    fn both_encodings_arrive_and_a_pinned_site_takes_only_its_own_boxes() {
        let keys = PermissionKeys::generate();
        let stored = serde_json::to_string(&keys.to_stored()).unwrap();
        let keys = PermissionKeys::from_stored(&serde_json::from_str(&stored).unwrap()).unwrap();
        let subscription = subscription(&keys);
        let site = BoxSecretKey::generate();
        let other = BoxSecretKey::generate();
        let push = subscription.encrypt(b"hello", Sealing::Aes128gcm).unwrap();
        let boxed = subscription
            .encrypt(b"hello", Sealing::CryptoBox(&site))
            .unwrap();
        let check = |body: &[u8], encoding, pinned: Option<&BoxSecretKey>, expected| {
            let pinned = pinned.map(BoxSecretKey::public);
            assert_eq!(keys.open(encoding, body, pinned.as_ref()), expected);
        };
        let hello = Ok(b"hello".to_vec());
        let undecryptable = Err(Unopened::Body(BodyProblem::Undecryptable));
        use ContentEncoding::{Aes128gcm, CryptoBox};
        check(&push, Aes128gcm, None, hello.clone());
        check(
            &push,
            Aes128gcm,
            Some(&site),
            Err(Unopened::NotFromPinnedSite),
        );
        check(&boxed, CryptoBox, Some(&site), hello);
        check(&boxed, CryptoBox, Some(&other), undecryptable);
        check(&boxed, CryptoBox, None, Err(Unopened::SiteKeyUnknown));
    }

    #[test]
    fn a_subscription_is_w3c_json() {
        let json = serde_json::to_value(subscription(&PermissionKeys::generate())).unwrap();
        assert_eq!(json["expirationTime"], serde_json::Value::Null);
        assert_eq!(json["keys"]["p256dh"].as_str().unwrap().len(), 87);
        assert_eq!(json["keys"]["auth"].as_str().unwrap().len(), 22);
        assert_eq!(json["keys"]["x25519"].as_str().unwrap().len(), 43);
        let browser = r#"{"endpoint":"https://p.example/1","expirationTime":1795511581007.5,"keys":{"p256dh":"AA==","auth":"+/"},"more":1}"#;
        let read: PushSubscription = serde_json::from_str(browser).unwrap();
        let refused = read.encrypt(b"x", Sealing::Aes128gcm).unwrap_err();
        let refused = anyhow::Error::new(refused);
        let said = format!("{refused:#}");
        assert_eq!(said.matches("p256dh").count(), 1, "{said}");
        let site = BoxSecretKey::generate();
        let refused = read.encrypt(b"x", Sealing::CryptoBox(&site));
        assert_eq!(refused, Err(Unsealed::NoBoxKey));
    }

    #[test]
    fn secrets_are_not_shown() {
        let keys = PermissionKeys::generate();
        let key = BoxSecretKey::generate();
        let shown = format!("{keys:?} {key:?}");
        assert!(!shown.contains(&key.expose()) && shown.contains("(…)"));
        assert_eq!(key.public().fingerprint().len(), 19);
        assert_eq!(
            BoxPublicKey::parse(&key.public().to_string()).unwrap(),
            key.public()
        );
        assert!(BoxPublicKey::parse("AAAA").is_err());
    }
}
