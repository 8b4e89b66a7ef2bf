//! The two encrypted body formats, for sites and devices, and what a device reads in them.
//!
//! The server never opens a body: it has no keys, and [`check_structure`] is all it may look at.
//! No randomness is drawn here but in [`aes128gcm::encrypt`], whose library draws its own.

pub mod aes128gcm;
pub mod content;
pub mod crypto_box;

pub use content::{Action, Content};

use crate::push::{BODY_BYTES_MAX, ContentEncoding};

/// Why a body cannot be made, or is not one. The texts say nothing about the plaintext, so they may
/// be shown to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// It would be, or is, longer than [`BODY_BYTES_MAX`].
    #[error("an encrypted body is at most {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// Shorter than its encoding's header, smallest message and tag.
    #[error("the body is shorter than its Content-Encoding allows")]
    TooShort,
    /// The key id of `aes128gcm` is not the sender's public key (RFC 8291 §4).
    #[error("the aes128gcm key id is the sender's public key: 65 bytes that begin with 0x04")]
    KeyId,
    /// Record sizes below 18 are not valid (RFC 8188 §2), and a push message has one record
    /// (RFC 8291 §4).
    #[error("an aes128gcm push message is one record, so its record size is at least its length")]
    RecordSize,
    /// It does not open: altered, meant for other keys, or made with them.
    #[error("the body does not decrypt with these keys")]
    Undecryptable,
    /// It opens, but its padding is not ISO/IEC 7816-4 to a multiple of 128 bytes.
    #[error("the decrypted message is not padded to a multiple of 128 bytes")]
    Padding,
}

/// Whether `body` can be of this encoding at all, judged without any key. One that passes may
/// still not decrypt.
///
/// # Errors
/// What is wrong with its lengths or its header.
pub fn check_structure(encoding: ContentEncoding, body: &[u8]) -> Result<(), BodyProblem> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BodyProblem::TooLong);
    }
    match encoding {
        ContentEncoding::Aes128gcm => aes128gcm::check_structure(body),
        ContentEncoding::CryptoBox => crypto_box::check_structure(body),
    }
}

/// What must never repeat under one permission: the salt of `aes128gcm` (16 bytes) or the nonce of
/// `crypto-box` (24 bytes). `None` if the body is shorter than that.
pub fn unrepeatable(encoding: ContentEncoding, body: &[u8]) -> Option<&[u8]> {
    match encoding {
        ContentEncoding::Aes128gcm => body.get(..aes128gcm::SALT_BYTES),
        ContentEncoding::CryptoBox => body.get(..crypto_box::NONCE_BYTES),
    }
}
