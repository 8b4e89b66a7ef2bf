//! `aes128gcm`: Web Push's own encryption (RFC 8291) in its content coding (RFC 8188).
//!
//! A body is salt (16), record size (4), key id length (1), the sender's one-time public key (65)
//! and one record: message, delimiter, tag. It proves that the sender holds the subscription, not
//! who the sender is.

use super::BodyProblem;
use crate::push::BODY_BYTES_MAX;
use p256::{PublicKey, SecretKey};

/// Bytes of the salt at the front.
pub const SALT_BYTES: usize = 16;
/// Bytes of the authentication secret of a subscription (RFC 8291 §3.2).
pub const AUTH_BYTES: usize = 16;
/// Bytes of an uncompressed P-256 point.
const KEY_ID_BYTES: usize = 65;
/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Salt, record size, key id length, key id.
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + KEY_ID_BYTES;
/// Bytes of the GCM tag.
const TAG_BYTES: usize = 16;
/// The delimiter that ends the message.
const DELIMITER_BYTES: usize = 1;
/// Smallest record size (RFC 8188 §2).
const RECORD_SIZE_MIN: u32 = 18;
/// The record size that is written, whatever the message: RFC 8291 §4 wants it greater than the
/// record, and no record of a push message is as long as a whole body.
const RECORD_SIZE: [u8; 4] = 4096_u32.to_be_bytes();

/// The longest message that fits a body.
pub const PLAINTEXT_BYTES_MAX: usize = BODY_BYTES_MAX - HEADER_BYTES - DELIMITER_BYTES - TAG_BYTES;

/// Encrypts a message of at most [`PLAINTEXT_BYTES_MAX`] bytes to a subscription's keys, with a
/// fresh salt and key pair from the operating system.
///
/// # Errors
/// [`BodyProblem::TooLong`].
pub fn encrypt(
    plaintext: &[u8],
    p256dh: &PublicKey,
    auth: &[u8; AUTH_BYTES],
) -> Result<Vec<u8>, BodyProblem> {
    if plaintext.len() > PLAINTEXT_BYTES_MAX {
        return Err(BodyProblem::TooLong);
    }
    let mut body = web_push_native::encrypt(plaintext.to_vec(), p256dh, auth.into())
        .map_err(|_| BodyProblem::TooLong)?;
    // The library writes the record's own length, which RFC 8291 §4 forbids. The field is neither
    // authenticated nor used in the keys (RFC 8188 §2.2), so it may be put right afterwards.
    if let Some(record_size) = body.get_mut(SALT_BYTES..SALT_BYTES + 4) {
        record_size.copy_from_slice(&RECORD_SIZE);
    }
    Ok(body)
}

/// Opens a body with the subscription's private key and authentication secret.
///
/// # Errors
/// Its header is not a push message's, it is too long, altered, or meant for other keys.
pub fn decrypt(
    body: &[u8],
    secret: &SecretKey,
    auth: &[u8; AUTH_BYTES],
) -> Result<Vec<u8>, BodyProblem> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BodyProblem::TooLong);
    }
    // Also keeps from the library what it does not check: a record size of 0 and several records.
    check_structure(body)?;
    web_push_native::decrypt(body.to_vec(), secret, auth.into())
        .map_err(|_| BodyProblem::Undecryptable)
}

/// The sender's one-time public key in a body (RFC 8291 §4); `None` where it is too short for one.
pub fn sender_key(body: &[u8]) -> Option<&[u8]> {
    body.get(HEADER_BYTES - KEY_ID_BYTES..HEADER_BYTES)
}

/// The header of a push message and exactly one record.
///
/// A record as long as its record size is taken although RFC 8291 §4 asks senders for more: there
/// are libraries that write it so, and it is still one record.
pub(super) fn check_structure(body: &[u8]) -> Result<(), BodyProblem> {
    let (_salt, rest) = body
        .split_first_chunk::<SALT_BYTES>()
        .ok_or(BodyProblem::TooShort)?;
    let (record_size, rest) = rest.split_first_chunk().ok_or(BodyProblem::TooShort)?;
    let (key_id_bytes, rest) = rest.split_first().ok_or(BodyProblem::TooShort)?;
    if usize::from(*key_id_bytes) != KEY_ID_BYTES {
        return Err(BodyProblem::KeyId);
    }
    let (key_id, record) = rest
        .split_at_checked(KEY_ID_BYTES)
        .ok_or(BodyProblem::TooShort)?;
    if key_id.first() != Some(&UNCOMPRESSED) {
        return Err(BodyProblem::KeyId);
    }
    if record.len() < DELIMITER_BYTES + TAG_BYTES {
        return Err(BodyProblem::TooShort);
    }
    let record_size = u32::from_be_bytes(*record_size);
    let fits = u32::try_from(record.len()).is_ok_and(|length| length <= record_size);
    if record_size < RECORD_SIZE_MIN || !fits {
        return Err(BodyProblem::RecordSize);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::push::ContentEncoding;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    fn secret() -> SecretKey {
        SecretKey::from_slice(&[5; 32]).unwrap()
    }

    fn encrypted(plaintext: &[u8]) -> Vec<u8> {
        encrypt(plaintext, &secret().public_key(), &[6; 16]).unwrap()
    }

    /// RFC 8291 §5 and Appendix A.
    #[test]
    fn the_message_of_rfc_8291_is_read() {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let body = decode(concat!(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml",
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT",
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        ));
        let secret = decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        let secret = SecretKey::from_slice(&secret).unwrap();
        let auth: [u8; 16] = decode("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap();
        let read = decrypt(&body, &secret, &auth).unwrap();
        assert_eq!(read, b"When I grow up, I want to be a watermelon");
        let key = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
        assert_eq!(
            sender_key(&body),
            Some(&*decode(key)),
            "of the RFC's example"
        );
        assert_eq!(sender_key(&body[..85]), None);
        let elsewhere = decrypt(&body, &secret, &[0; 16]);
        assert_eq!(elsewhere, Err(BodyProblem::Undecryptable));
    }

    #[test]
    fn headers_that_no_push_message_has_are_refused() {
        let check = |change: &dyn Fn(&mut Vec<u8>), expected| {
            let mut body = encrypted(b"hello");
            change(&mut body);
            assert_eq!(check_structure(&body), expected);
            assert_eq!(decrypt(&body, &secret(), &[6; 16]).err(), expected.err());
        };
        check(&|_| {}, Ok(()));
        let size = |value: u32| {
            move |body: &mut Vec<u8>| body[16..20].copy_from_slice(&value.to_be_bytes())
        };
        check(&size(22), Ok(()));
        check(&size(u32::MAX), Ok(()));
        check(&size(21), Err(BodyProblem::RecordSize));
        check(&size(17), Err(BodyProblem::RecordSize));
        check(&size(0), Err(BodyProblem::RecordSize));
        check(&|body| body[20] = 64, Err(BodyProblem::KeyId));
        check(&|body| body[20] = 0, Err(BodyProblem::KeyId));
        check(&|body| body[21] = 2, Err(BodyProblem::KeyId));
        check(&|body| body.truncate(102), Err(BodyProblem::TooShort));
        check(&|body| body.truncate(50), Err(BodyProblem::TooShort));
        check(&|body| body.truncate(20), Err(BodyProblem::TooShort));
        check(&Vec::clear, Err(BodyProblem::TooShort));
        let long = vec![0; PLAINTEXT_BYTES_MAX + 1];
        let refused = encrypt(&long, &secret().public_key(), &[6; 16]);
        assert_eq!(refused, Err(BodyProblem::TooLong));
        assert_eq!(encrypted(&long[1..]).len(), BODY_BYTES_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_message_reads_back(plaintext in proptest::collection::vec(any::<u8>(), 0..=PLAINTEXT_BYTES_MAX)) {
            let body = encrypted(&plaintext);
            prop_assert!(crate::body::check_structure(ContentEncoding::Aes128gcm, &body).is_ok());
            prop_assert_eq!(decrypt(&body, &secret(), &[6; 16]), Ok(plaintext));
        }

        /// The record size is outside the authentication: a change to it may be seen or not, but
        /// never alters what is read.
        #[test]
        fn no_altered_bit_is_taken(plaintext in proptest::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, bit in 0..8u8) {
            let mut body = encrypted(&plaintext);
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
            let read = decrypt(&body, &secret(), &[6; 16]);
            if (16..20).contains(&at) {
                prop_assert!(read.is_err() || read == Ok(plaintext));
            } else {
                prop_assert!(read.is_err(), "byte {} of {}", at, body.len());
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused(
            body in proptest::collection::vec(any::<u8>(), 0..5000),
            header: bool,
        ) {
            let mut body = body;
            if header && body.len() > 21 {
                body[16..20].copy_from_slice(&RECORD_SIZE);
                body[20] = 65;
                body[21] = UNCOMPRESSED;
            }
            prop_assert!(decrypt(&body, &secret(), &[6; 16]).is_err());
        }
    }
}
