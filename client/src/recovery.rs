//! Recovery: twelve words on paper that open the keyring when no device is left. `docs/keys.md`.
//!
//! The words are made here and never chosen: 128 random bits are out of reach, a phrase that people
//! choose is not.

use crate::keyring::NONCE_BYTES;
use crate::keys::{BoxPublicKey, BoxSecretKey};
use crate::link::derive;
use crate::wrap::{self, Payload, WrapProblem};
use belfry_protocol::id::UserId;
use bip39::{Language, Mnemonic};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

/// Random bytes in a phrase.
pub const ENTROPY_BYTES: usize = 16;
/// Bytes of the proof before the payload.
const PROOF_BYTES: usize = 32;

/// A recovery phrase. Its `Debug` shows nothing; its `Display` is the words.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase([u8; ENTROPY_BYTES]);

/// A text that is no phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "these are not the twelve words of a recovery phrase; compare them with what you wrote down"
)]
pub struct InvalidPhrase;

/// Why a recovery wrap is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryProblem {
    /// It is no wrap for these words.
    #[error(
        "the recovery phrase does not open what the server keeps; it may have been replaced by a newer one"
    )]
    Wrap(#[from] WrapProblem),
    /// Who made it does not know the phrase.
    #[error("the wrap for recovery was not made by a device of this account")]
    Proof,
    /// It is another account's.
    #[error("the wrap for recovery is another account's")]
    OtherUser,
}

impl Phrase {
    /// A new one.
    pub fn generate() -> Self {
        Self(crate::keys::random())
    }

    /// One from its bytes.
    pub const fn from_bytes(bytes: [u8; ENTROPY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The recovery key.
    pub fn key(&self) -> BoxSecretKey {
        BoxSecretKey::from_bytes(derive(&self.0, "belfry recovery key"))
    }

    /// The key of the proof.
    pub fn proof_key(&self) -> [u8; 32] {
        derive(&self.0, "belfry recovery proof")
    }

    /// Opens the wrap for recovery: who made it, and what it holds.
    ///
    /// # Errors
    /// See [`RecoveryProblem`].
    pub fn open(
        &self,
        wrap: &[u8],
        user: UserId,
    ) -> Result<(BoxPublicKey, Payload), RecoveryProblem> {
        let (sender, plaintext) = wrap::open_bytes(wrap, &self.key())?;
        let split = plaintext.split_first_chunk::<PROOF_BYTES>();
        let (proof, json) = split.ok_or(WrapProblem::Malformed)?;
        mac(&self.proof_key(), &sender, json)
            .verify_slice(proof)
            .map_err(|_| RecoveryProblem::Proof)?;
        let payload = Payload::from_json(json)?;
        if payload.user != user {
            return Err(RecoveryProblem::OtherUser);
        }
        Ok((sender, payload))
    }
}

/// Boxes a keyring key for the recovery key, with the proof.
pub fn seal(
    payload: &Payload,
    sender: &BoxSecretKey,
    recovery: &BoxPublicKey,
    proof_key: &[u8; 32],
    nonce: [u8; NONCE_BYTES],
) -> Vec<u8> {
    let json = payload.to_json();
    let proof = mac(proof_key, &sender.public(), &json).finalize();
    let plaintext = [proof.into_bytes().as_slice(), &json].concat();
    wrap::seal_bytes(&plaintext, sender, recovery, nonce)
}

fn mac(key: &[u8; 32], sender: &BoxPublicKey, json: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("HMAC takes a key of any length")
        .chain_update(sender.as_bytes())
        .chain_update(json)
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Mnemonic::from_entropy_in(Language::English, &self.0);
        write!(f, "{}", words.expect("16 bytes are twelve words"))
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(…)")
    }
}

impl FromStr for Phrase {
    type Err = InvalidPhrase;

    fn from_str(text: &str) -> Result<Self, InvalidPhrase> {
        let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
        let read = Mnemonic::parse_in_normalized(Language::English, &words.join(" "));
        let (entropy, bytes) = read.map_err(|_| InvalidPhrase)?.to_entropy_array();
        let entropy = entropy.get(..bytes).ok_or(InvalidPhrase)?;
        entropy.try_into().map(Self).map_err(|_| InvalidPhrase)
    }
}
