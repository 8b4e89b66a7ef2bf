//! The keyring: what a user's devices share, sealed so that the server keeps it and cannot open it.
//! The format is `docs/keys.md`, to the byte.
//!
//! Items are kept as the JSON objects that they came as, with typed views over them: a field that
//! this client does not know passes through it unchanged. Nothing here reads a clock or makes
//! randomness; [`judge`] says which keyring of the server's is taken, [`merge`] joins two.

mod items;
pub mod judge;
pub mod merge;

pub use items::{Item, KeptPermission, TrustedDevice};

use crate::keys::BoxPublicKey;
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Bytes of a secretbox nonce.
pub const NONCE_BYTES: usize = 24;
/// The format that is written and read: the first byte of a sealed keyring and of a wrap.
pub const VERSION: u8 = 1;
/// Largest sealed keyring, in bytes: what the server takes.
pub const SEALED_BYTES_MAX: usize = 256 * 1024;
/// Largest keyring inflated, in bytes: sixteen times what it may be sealed, so that a small blob
/// cannot fill a device's memory.
pub const INFLATED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Sealed lengths are multiples of this and tell little.
const PAD_BYTES: usize = 1024;
/// zlib's default: what text gains beyond it is not worth the time.
const DEFLATE_LEVEL: u8 = 6;

/// The account's symmetric key of one epoch. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyringKey([u8; 32]);

impl KeyringKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(crate::keys::random())
    }

    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads base64url.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = crate::keys::decode(text)?;
        bytes.try_into().ok().map(Self)
    }

    /// Base64url, for a wrap or a file that only its owner reads.
    pub(crate) fn expose(&self) -> String {
        crate::keys::encode(&self.0)
    }
}

impl fmt::Debug for KeyringKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyringKey(…)")
    }
}

/// A trusted device has this id, and another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server gave the new device the id of one that you trust ({0}); nothing was changed")]
pub struct IdTaken(DeviceId);

/// Why bytes are no keyring, or a keyring cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringProblem {
    /// It is larger than anybody may put or inflate.
    #[error("the keyring is larger than a keyring may be")]
    TooLarge,
    /// Not the format, before or after opening.
    #[error("the keyring is malformed: {0}")]
    Malformed(String),
    /// Another key sealed it, or somebody changed it.
    #[error("the keyring does not open with this device's key")]
    NotOpening,
}

/// A keyring, opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyring {
    /// Whose it is.
    pub user: UserId,
    /// Of which epoch its key is.
    pub epoch: u64,
    /// Higher with each put.
    pub generation: u64,
    /// The trusted devices, and those removed lately.
    #[serde(default)]
    pub devices: Vec<Item>,
    /// The public recovery key and the key of its proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Item>,
    /// The permissions, and those revoked lately.
    #[serde(default)]
    pub permissions: Vec<Item>,
    /// Settings by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Item>,
    /// What this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Keyring {
    /// An empty one, of the first epoch, that was never put.
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            epoch: 1,
            generation: 0,
            devices: Vec::new(),
            recovery: None,
            permissions: Vec::new(),
            settings: BTreeMap::new(),
            other: Map::new(),
        }
    }

    /// Seals it. A nonce is never used twice.
    ///
    /// # Errors
    /// [`KeyringProblem::TooLarge`].
    pub fn seal(
        &self,
        key: &KeyringKey,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, KeyringProblem> {
        let json = serde_json::to_vec(self).expect("JSON values always serialise");
        if json.len() > INFLATED_BYTES_MAX {
            return Err(KeyringProblem::TooLarge);
        }
        let mut padded = miniz_oxide::deflate::compress_to_vec(&json, DEFLATE_LEVEL);
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(PAD_BYTES), 0);
        let sealed = seal_box(&key.0, nonce, &padded);
        if 1 + sealed.len() > SEALED_BYTES_MAX {
            return Err(KeyringProblem::TooLarge);
        }
        Ok([&[VERSION], sealed.as_slice()].concat())
    }

    /// Opens one.
    ///
    /// # Errors
    /// See [`KeyringProblem`].
    pub fn open(sealed: &[u8], key: &KeyringKey) -> Result<Self, KeyringProblem> {
        let malformed = |reason: &str| KeyringProblem::Malformed(reason.to_owned());
        if sealed.len() > SEALED_BYTES_MAX {
            return Err(KeyringProblem::TooLarge);
        }
        let Some((&VERSION, boxed)) = sealed.split_first() else {
            return Err(malformed("its first byte is not 1"));
        };
        let mut padded = open_box(&key.0, boxed).ok_or(KeyringProblem::NotOpening)?;
        let end = padded.iter().rposition(|&byte| byte != 0);
        let end = end.filter(|&end| padded[end] == 0x80);
        padded.truncate(end.ok_or_else(|| malformed("its padding is missing"))?);
        let json = miniz_oxide::inflate::decompress_to_vec_with_limit(&padded, INFLATED_BYTES_MAX)
            .map_err(|error| match error.status {
                miniz_oxide::inflate::TINFLStatus::HasMoreOutput => KeyringProblem::TooLarge,
                _ => malformed("it does not inflate"),
            })?;
        serde_json::from_slice(&json).map_err(|error| KeyringProblem::Malformed(error.to_string()))
    }

    /// The trusted devices. One whose key cannot be read is none.
    pub fn devices(&self) -> impl Iterator<Item = TrustedDevice> + '_ {
        self.devices.iter().filter_map(TrustedDevice::read)
    }

    /// Whether this is the key of a trusted device.
    pub fn trusts(&self, key: &BoxPublicKey) -> bool {
        self.devices().any(|device| device.key == *key)
    }

    /// The permissions. One whose keys cannot be read is none.
    pub fn permissions(&self) -> HashMap<PermissionId, KeptPermission> {
        let kept = self.permissions.iter().filter_map(KeptPermission::read);
        kept.map(|kept| (kept.permission, kept)).collect()
    }

    /// Adds a device, or says that a trusted one has its id and another key: the server gives ids, and
    /// would have that key replaced.
    ///
    /// # Errors
    /// [`IdTaken`]; nothing is changed then.
    pub fn let_in(&mut self, device: &TrustedDevice, now_ms: u64) -> Result<(), IdTaken> {
        let taken = |known: TrustedDevice| known.id == device.id && known.key != device.key;
        if self.devices().any(taken) {
            return Err(IdTaken(device.id));
        }
        self.put_device(device, now_ms);
        Ok(())
    }

    /// Adds or replaces a device.
    pub fn put_device(&mut self, device: &TrustedDevice, now_ms: u64) {
        let id = device.id.to_string();
        device.write(Item::in_list(&mut self.devices, &id), now_ms);
    }

    /// Marks a device removed.
    pub fn remove_device(&mut self, device: DeviceId, now_ms: u64) {
        Item::in_list(&mut self.devices, &device.to_string()).remove(now_ms);
    }

    /// Adds or replaces a permission.
    pub fn put_permission(&mut self, kept: &KeptPermission, now_ms: u64) {
        let id = kept.permission.to_string();
        kept.write(Item::in_list(&mut self.permissions, &id), now_ms);
    }

    /// Marks a permission removed, which takes its keys away.
    pub fn remove_permission(&mut self, permission: PermissionId, now_ms: u64) {
        Item::in_list(&mut self.permissions, &permission.to_string()).remove(now_ms);
    }

    /// Flags every permission: somebody who is a device no more knew its keys.
    pub fn flag_all_for_renewal(&mut self, now_ms: u64) {
        for item in self.permissions.iter_mut().filter(|item| !item.removed()) {
            item.set("renew", Value::Bool(true));
            item.touch(now_ms);
        }
    }

    /// The public recovery key and the proof's key, where there is a phrase.
    pub fn recovery(&self) -> Option<(BoxPublicKey, [u8; 32])> {
        let item = self.recovery.as_ref().filter(|item| !item.removed())?;
        let key = BoxPublicKey::parse(item.text("key")?).ok()?;
        let proof = crate::keys::decode(item.text("proof")?)?;
        Some((key, proof.try_into().ok()?))
    }

    /// Replaces the recovery key.
    pub fn set_recovery(&mut self, key: &BoxPublicKey, proof: &[u8; 32], now_ms: u64) {
        let item = self.recovery.get_or_insert_default();
        item.set("key", key.to_string().into());
        item.set("proof", crate::keys::encode(proof).into());
        item.touch(now_ms);
    }
}

/// Nonce ‖ secretbox.
pub(crate) fn seal_box(key: &[u8; 32], nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Vec<u8> {
    let sealed = XSalsa20Poly1305::new(key.into())
        .encrypt(&nonce.into(), plaintext)
        .expect("XSalsa20-Poly1305 takes any length that memory holds");
    [nonce.as_slice(), &sealed].concat()
}

/// What was in nonce ‖ secretbox, if this key sealed it.
pub(crate) fn open_box(key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, boxed) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    XSalsa20Poly1305::new(key.into())
        .decrypt(&nonce.into(), boxed)
        .ok()
}

#[cfg(test)]
mod tests;
