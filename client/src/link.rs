//! Linking a device: the code, the keys that both sides make of it, and the two messages.
//! `docs/keys.md` has the bytes; [`linking`](crate::linking) carries them.
//!
//! The secret in the code never goes to the server, so what opens under it is from the other side.

use crate::keyring::{NONCE_BYTES, open_box, seal_box};
use crate::keys::BoxPublicKey;
use belfry_protocol::id::{DeviceId, UserId};
use data_encoding::BASE32_NOPAD;
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 16;
/// Seconds that a code is good for, and that its messages wait.
pub const LINK_SECS: u32 = 600;
/// Bytes of the check behind the secret.
const CHECK_BYTES: usize = 4;
/// Letters and digits of a code.
const CODE_CHARS: usize = 32;
/// Letters in a group, as people read them aloud.
const GROUP_CHARS: usize = 4;
/// Largest message that is opened, in bytes: names are short.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What comes before the code in the address that a QR code holds.
const FRAGMENT: &str = "#link=";

/// The secret of one linking. Its `Debug` shows nothing; its `Display` is the code.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSecret([u8; SECRET_BYTES]);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    /// Too short, too long, or with signs that no code has.
    #[error("a link code has 32 letters and digits, in eight groups of four")]
    Form,
    /// The check does not match.
    #[error("the link code is mistyped; compare it with what the new device shows")]
    Check,
}

impl LinkSecret {
    /// A new one.
    pub fn generate() -> Self {
        Self(crate::keys::random())
    }

    /// One from its bytes.
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// The address in the QR code.
    pub fn address(&self, server: &str) -> String {
        format!("{server}/{FRAGMENT}{self}")
    }

    /// What both sides make of it.
    pub fn keys(&self) -> LinkKeys {
        LinkKeys {
            place: derive(&self.0, "belfry link place"),
            request: derive(&self.0, "belfry link request"),
            answer: derive(&self.0, "belfry link answer"),
        }
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let hash = Sha256::new()
            .chain_update(b"belfry link check")
            .chain_update(self.0)
            .finalize();
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&hash[..CHECK_BYTES]);
        check
    }
}

impl fmt::Display for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&[self.0.as_slice(), &self.check()].concat());
        let groups: Vec<_> = text
            .as_bytes()
            .chunks(GROUP_CHARS)
            .map(String::from_utf8_lossy)
            .collect();
        f.write_str(&groups.join("-"))
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

impl FromStr for LinkSecret {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let code = text.rsplit_once(FRAGMENT).map_or(text, |(_, code)| code);
        let letters: String = code
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .map(|letter| match letter {
                '0' => 'O',
                '1' => 'I',
                '8' => 'B',
                other => other.to_ascii_uppercase(),
            })
            .take(CODE_CHARS + 1)
            .collect();
        let bytes = BASE32_NOPAD.decode(letters.as_bytes());
        let bytes = bytes.map_err(|_| InvalidCode::Form)?;
        let split = bytes.split_first_chunk::<SECRET_BYTES>();
        let (secret, check) = split.ok_or(InvalidCode::Form)?;
        if check.len() != CHECK_BYTES {
            return Err(InvalidCode::Form);
        }
        let secret = Self(*secret);
        if secret.check() != check {
            return Err(InvalidCode::Check);
        }
        Ok(secret)
    }
}

/// The meeting place and the keys of the two messages.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKeys {
    place: [u8; 16],
    request: [u8; 32],
    answer: [u8; 32],
}

impl LinkKeys {
    /// The meeting place, base32 in lower case.
    pub fn place(&self) -> String {
        BASE32_NOPAD.encode(&self.place).to_ascii_lowercase()
    }

    /// The key of the request.
    pub const fn request_key(&self) -> &[u8; 32] {
        &self.request
    }

    /// The key of the answer.
    pub const fn answer_key(&self) -> &[u8; 32] {
        &self.answer
    }

    /// Seals what the new device says of itself.
    pub fn seal_request(&self, request: &Request, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        seal_message(&self.request, request, nonce)
    }

    /// Opens it; `None`: who has the code did not make it.
    pub fn open_request(&self, message: &[u8]) -> Option<Request> {
        open_message(&self.request, message)
    }

    /// Seals what the linked device answers.
    pub fn seal_answer(&self, answer: &Answer, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        seal_message(&self.answer, answer, nonce)
    }

    /// Opens it; `None`: who has the code did not make it.
    pub fn open_answer(&self, message: &[u8]) -> Option<Answer> {
        open_message(&self.answer, message)
    }
}

/// What the new device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its account.
    pub user: UserId,
    /// Itself.
    pub device: DeviceId,
    /// Its key.
    pub key: BoxPublicKey,
    /// What it is called.
    pub name: String,
    /// What sort of program it is.
    pub kind: String,
}

/// What the linked device answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its account.
    pub user: UserId,
    /// Itself.
    pub device: DeviceId,
    /// Its key, from which the wrap will be.
    pub key: BoxPublicKey,
    /// The new device's key, as it was read in the request.
    #[serde(rename = "for")]
    pub recipient: BoxPublicKey,
    /// The epoch of the keyring that has the new device.
    pub epoch: u64,
    /// Its generation.
    pub generation: u64,
}

/// HKDF-SHA-256 without salt.
pub(crate) fn derive<const N: usize>(secret: &[u8], info: &str) -> [u8; N] {
    let mut key = [0; N];
    Hkdf::<Sha256>::new(None, secret)
        .expand(info.as_bytes(), &mut key)
        .expect("HKDF gives up to 8,160 bytes");
    key
}

fn seal_message(key: &[u8; 32], message: &impl Serialize, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
    let json = serde_json::to_vec(message).expect("texts and numbers always serialise");
    seal_box(key, nonce, &json)
}

fn open_message<T: serde::de::DeserializeOwned>(key: &[u8; 32], message: &[u8]) -> Option<T> {
    if message.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&open_box(key, message)?).ok()
}
