//! Wraps: the keyring key in a box from one device to another, or to the recovery key.
//! `docs/keys.md` has the bytes.
//!
//! A box says who made it and no more. Whether that device is trusted is
//! [`keyring::judge`](crate::keyring::judge)'s to say, and [`recovery`](crate::recovery)'s.

use crate::keyring::{KeyringKey, NONCE_BYTES, VERSION};
use crate::keys::{BoxPublicKey, BoxSecretKey};
use belfry_protocol::id::UserId;
use serde::{Deserialize, Serialize};

/// Largest wrap, in bytes: what the server takes.
pub const WRAP_BYTES_MAX: usize = 1024;
/// Bytes of an X25519 key.
const KEY_BYTES: usize = 32;

/// What a wrap holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Whose keyring.
    pub user: UserId,
    /// The epoch of the key.
    pub epoch: u64,
    /// The generation of the keyring that was written with it.
    pub generation: u64,
    /// The keyring key.
    pub key: KeyringKey,
}

#[derive(Serialize, Deserialize)]
struct PayloadJson {
    user: UserId,
    epoch: u64,
    generation: u64,
    key: String,
}

/// Why bytes are no wrap for this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapProblem {
    /// Not the format, before or after opening.
    #[error("the wrap is malformed")]
    Malformed,
    /// It is for another key, or somebody changed it.
    #[error("the wrap does not open")]
    NotOpening,
}

impl Payload {
    /// The JSON that is boxed.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let json = PayloadJson {
            user: self.user,
            epoch: self.epoch,
            generation: self.generation,
            key: self.key.expose(),
        };
        serde_json::to_vec(&json).expect("texts and numbers always serialise")
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Self, WrapProblem> {
        let json: PayloadJson = serde_json::from_slice(json).map_err(|_| WrapProblem::Malformed)?;
        Ok(Self {
            user: json.user,
            epoch: json.epoch,
            generation: json.generation,
            key: KeyringKey::parse(&json.key).ok_or(WrapProblem::Malformed)?,
        })
    }
}

/// Boxes a keyring key for a device.
pub fn seal(
    payload: &Payload,
    sender: &BoxSecretKey,
    recipient: &BoxPublicKey,
    nonce: [u8; NONCE_BYTES],
) -> Vec<u8> {
    seal_bytes(&payload.to_json(), sender, recipient, nonce)
}

/// Opens a wrap for this device: who made it, and what it holds.
///
/// # Errors
/// See [`WrapProblem`].
pub fn open(wrap: &[u8], recipient: &BoxSecretKey) -> Result<(BoxPublicKey, Payload), WrapProblem> {
    let (sender, json) = open_bytes(wrap, recipient)?;
    Ok((sender, Payload::from_json(&json)?))
}

pub(crate) fn seal_bytes(
    plaintext: &[u8],
    sender: &BoxSecretKey,
    recipient: &BoxPublicKey,
    nonce: [u8; NONCE_BYTES],
) -> Vec<u8> {
    let boxed = sender.seal_box(recipient, nonce, plaintext);
    [
        &[VERSION],
        sender.public().as_bytes().as_slice(),
        &nonce,
        &boxed,
    ]
    .concat()
}

pub(crate) fn open_bytes(
    wrap: &[u8],
    recipient: &BoxSecretKey,
) -> Result<(BoxPublicKey, Vec<u8>), WrapProblem> {
    if wrap.len() > WRAP_BYTES_MAX {
        return Err(WrapProblem::Malformed);
    }
    let Some((&VERSION, rest)) = wrap.split_first() else {
        return Err(WrapProblem::Malformed);
    };
    let split = rest.split_first_chunk::<KEY_BYTES>();
    let (sender, rest) = split.ok_or(WrapProblem::Malformed)?;
    let split = rest.split_first_chunk::<NONCE_BYTES>();
    let (nonce, boxed) = split.ok_or(WrapProblem::Malformed)?;
    let sender = BoxPublicKey::from_bytes(*sender);
    let plaintext = recipient
        .open_box(&sender, *nonce, boxed)
        .ok_or(WrapProblem::NotOpening)?;
    Ok((sender, plaintext))
}
