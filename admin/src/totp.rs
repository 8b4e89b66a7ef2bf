//! Codes of an authenticator: RFC 6238 with SHA-1, 6 digits and 30 seconds, which is what every
//! authenticator has.

use belfry_protocol::time::Timestamp;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Bytes of a secret: as long as the hash (RFC 4226 §4, R6).
pub(crate) const SECRET_BYTES: usize = 20;
/// Seconds that a code is shown.
const STEP_SECS: u64 = 30;
/// Steps that a clock may be off, and somebody slow (RFC 6238 §5.2).
const STEPS_OFF: u64 = 1;
const CODES: u32 = 1_000_000;

/// The step whose code this is, near a time.
pub(crate) fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<u64> {
    let digits: String = code
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let code: u32 = digits.parse().ok()?;
    let step = now.as_millis() / 1_000 / STEP_SECS;
    let near = step.saturating_sub(STEPS_OFF)..=step + STEPS_OFF;
    // All are computed, whichever it is.
    near.fold(None, |found, step| match code_of(secret, step) == code {
        true => Some(step),
        false => found,
    })
}

/// RFC 4226 §5.3.
pub(crate) fn code_of(secret: &[u8], step: u64) -> u32 {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let word = [hash[at], hash[at + 1], hash[at + 2], hash[at + 3]];
    (u32::from_be_bytes(word) & 0x7fff_ffff) % CODES
}

/// What an authenticator takes as a picture or a link.
pub(crate) fn uri(secret: &str, account: &str, host: &str) -> String {
    let (account, host) = (escaped(account), escaped(host));
    format!("otpauth://totp/Belfry%20{host}:{account}?secret={secret}&issuer=Belfry%20{host}")
}

/// What stands for itself in a URI (RFC 3986 §2.3), and all else by its bytes.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, in six digits.
        for (secs, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_of(b"12345678901234567890", secs / STEP_SECS), code);
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_those_beside_it() {
        let secret = b"12345678901234567890";
        let at = |secs: u64| Timestamp::from_millis(secs * 1_000);
        for (code, secs, step) in [
            ("287082", 59, Some(1)),
            ("287 082", 59, Some(1)),
            ("287082", 29, Some(1)),
            ("287082", 89, Some(1)),
            ("287082", 90, None),
            ("287083", 59, None),
            ("2870820", 59, None),
            ("+87082", 59, None),
            ("", 59, None),
        ] {
            assert_eq!(step_of(secret, code, at(secs)), step, "{code} at {secs}");
        }
    }

    #[test]
    fn a_name_stands_in_the_uri_as_a_name() {
        assert_eq!(
            uri("ABC", "zoë@a", "push.example"),
            "otpauth://totp/Belfry%20push.example:zo%C3%AB%40a?secret=ABC&issuer=Belfry%20push.example"
        );
    }
}
