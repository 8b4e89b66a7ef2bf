//! `crypto-box`: a 24-byte nonce, then NaCl `crypto_box` (X25519, XSalsa20, Poly1305) from the
//! site's key to the permission's.
//!
//! The message is padded (ISO/IEC 7816-4: 0x80, then zeros) to a multiple of 128 bytes, so that its
//! length tells little. Unlike `aes128gcm` the box authenticates the sender: whoever holds only the
//! endpoint and the permission's public key cannot forge one.

use super::BodyProblem;
use crate::push::BODY_BYTES_MAX;
use ::crypto_box::aead::Aead as _;
use ::crypto_box::{PublicKey, SalsaBox, SecretKey};

/// Bytes of the nonce in front of the box.
pub const NONCE_BYTES: usize = 24;
/// A padded message is a multiple of this many bytes.
pub const PAD_BLOCK_BYTES: usize = 128;
/// Bytes of the Poly1305 tag.
const TAG_BYTES: usize = 16;
/// The longest message: all whole blocks that fit, less one byte of padding.
pub const PLAINTEXT_BYTES_MAX: usize =
    (BODY_BYTES_MAX - NONCE_BYTES - TAG_BYTES) / PAD_BLOCK_BYTES * PAD_BLOCK_BYTES - 1;

/// Encrypts a message of at most [`PLAINTEXT_BYTES_MAX`] bytes. A nonce must be random and never be
/// used twice between the same two keys.
///
/// # Errors
/// [`BodyProblem::TooLong`].
pub fn seal(
    plaintext: &[u8],
    nonce: [u8; NONCE_BYTES],
    site_secret: &SecretKey,
    permission_public: &PublicKey,
) -> Result<Vec<u8>, BodyProblem> {
    if plaintext.len() > PLAINTEXT_BYTES_MAX {
        return Err(BodyProblem::TooLong);
    }
    let mut body = nonce.to_vec();
    body.extend(boxed(
        &pad(plaintext),
        nonce,
        site_secret,
        permission_public,
    )?);
    Ok(body)
}

/// Opens what [`seal`] made, with the key of the site that is expected to have made it.
///
/// # Errors
/// Too short or too long, not from this site to this permission, altered, or badly padded.
pub fn open(
    body: &[u8],
    site_public: &PublicKey,
    permission_secret: &SecretKey,
) -> Result<Vec<u8>, BodyProblem> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BodyProblem::TooLong);
    }
    check_structure(body)?;
    let (nonce, boxed) = body
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(BodyProblem::TooShort)?;
    let mut padded = SalsaBox::new(site_public, permission_secret)
        .decrypt(nonce.into(), boxed)
        .map_err(|_| BodyProblem::Undecryptable)?;
    let length = unpadded_bytes(&padded).ok_or(BodyProblem::Padding)?;
    padded.truncate(length);
    Ok(padded)
}

/// At least a nonce, a tag and one block.
pub(super) fn check_structure(body: &[u8]) -> Result<(), BodyProblem> {
    if body.len() < NONCE_BYTES + TAG_BYTES + PAD_BLOCK_BYTES {
        return Err(BodyProblem::TooShort);
    }
    Ok(())
}

fn boxed(
    message: &[u8],
    nonce: [u8; NONCE_BYTES],
    secret: &SecretKey,
    public: &PublicKey,
) -> Result<Vec<u8>, BodyProblem> {
    SalsaBox::new(public, secret)
        .encrypt(&nonce.into(), message)
        .map_err(|_| BodyProblem::TooLong)
}

fn pad(plaintext: &[u8]) -> Vec<u8> {
    let mut padded = plaintext.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(PAD_BLOCK_BYTES), 0);
    padded
}

/// The message's length in front of its padding, which may not be longer than it needs to be: one
/// message has one padded form.
fn unpadded_bytes(padded: &[u8]) -> Option<usize> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    let well_padded = padded.get(end) == Some(&0x80)
        && padded.len().is_multiple_of(PAD_BLOCK_BYTES)
        && padded.len() - end <= PAD_BLOCK_BYTES;
    well_padded.then_some(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::body::unrepeatable;
    use crate::push::ContentEncoding;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn site() -> SecretKey {
        SecretKey::from([7; 32])
    }

    fn permission() -> SecretKey {
        SecretKey::from([9; 32])
    }

    fn sealed(plaintext: &[u8]) -> Vec<u8> {
        seal(
            plaintext,
            [3; NONCE_BYTES],
            &site(),
            &permission().public_key(),
        )
        .unwrap()
    }

    fn opened(body: &[u8]) -> Result<Vec<u8>, BodyProblem> {
        open(body, &site().public_key(), &permission())
    }

    /// D. J. Bernstein, "Cryptography in NaCl" (2009), §10: Alice's first box for Bob.
    #[test]
    fn the_vector_of_cryptography_in_nacl() {
        let alice: [u8; 32] =
            hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob: [u8; 32] = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let nonce: [u8; 24] = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
        let message: [u8; 131] = hex(concat!(
            "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc",
            "e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31",
            "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde",
            "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864",
            "5e0705"
        ));
        let expected: [u8; 147] = hex(concat!(
            "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce",
            "48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972",
            "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae",
            "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3",
            "7973f622a43d14a6599b1f654cb45a74e355a5"
        ));
        let bob = SecretKey::from(bob);
        let made = boxed(&message, nonce, &SecretKey::from(alice), &bob.public_key()).unwrap();
        assert_eq!(made, expected);
    }

    #[test]
    fn padding_hides_the_length_to_128_bytes() {
        let check = |plaintext: usize, body: usize| {
            assert_eq!(sealed(&vec![b'a'; plaintext]).len(), body, "{plaintext}");
        };
        check(0, 24 + 16 + 128);
        check(1, 24 + 16 + 128);
        check(127, 24 + 16 + 128);
        check(128, 24 + 16 + 256);
        check(PLAINTEXT_BYTES_MAX, 24 + 16 + 31 * 128);
        let long = vec![0; PLAINTEXT_BYTES_MAX + 1];
        let refused = seal(&long, [0; 24], &site(), &permission().public_key());
        assert_eq!(refused, Err(BodyProblem::TooLong));
    }

    #[test]
    fn only_the_smallest_padding_is_taken() {
        let check = |padded: &[u8], expected: Result<Vec<u8>, BodyProblem>| {
            let nonce = [4; NONCE_BYTES];
            let mut body = nonce.to_vec();
            body.extend(boxed(padded, nonce, &site(), &permission().public_key()).unwrap());
            assert_eq!(opened(&body), expected, "{padded:?}");
        };
        check(&[0; 128], Err(BodyProblem::Padding));
        check(&[1; 128], Err(BodyProblem::Padding));
        check(&pad(b"hello")[..127], Err(BodyProblem::TooShort));
        let with_zeros = [pad(b"hello"), vec![0; 128]].concat();
        check(&with_zeros, Err(BodyProblem::Padding));
        let odd = [pad(b"hello"), vec![0; 1]].concat();
        check(&odd, Err(BodyProblem::Padding));
        check(&pad(b"hello\x80\0"), Ok(b"hello\x80\0".to_vec()));
    }

    #[test]
    fn another_sites_key_does_not_open_it() {
        let body = sealed(b"hello");
        let other = SecretKey::from([8; 32]).public_key();
        let refused = open(&body, &other, &permission());
        assert_eq!(refused, Err(BodyProblem::Undecryptable));
    }

    proptest! {
        #[test]
        fn every_message_reads_back(plaintext in proptest::collection::vec(any::<u8>(), 0..=PLAINTEXT_BYTES_MAX)) {
            let body = sealed(&plaintext);
            prop_assert!(crate::body::check_structure(ContentEncoding::CryptoBox, &body).is_ok());
            prop_assert_eq!(unrepeatable(ContentEncoding::CryptoBox, &body), Some(&[3u8; 24][..]));
            prop_assert_eq!(opened(&body), Ok(plaintext));
        }

        #[test]
        fn no_altered_bit_is_taken(plaintext in proptest::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, bit in 0..8u8) {
            let mut body = sealed(&plaintext);
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
            prop_assert_eq!(opened(&body), Err(BodyProblem::Undecryptable));
        }

        #[test]
        fn arbitrary_bytes_are_refused(body in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert!(opened(&body).is_err());
        }
    }
}
