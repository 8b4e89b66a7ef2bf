//! VAPID (RFC 8292): who posts, proven by an ES256 token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::time::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use url::Url;

/// Longest Authorization header looked at: tokens of the libraries are about 300 bytes.
const HEADER_BYTES_MAX: usize = 4_096;
/// How far ahead a token may expire (RFC 8292 §2).
const VALID_SECS_MAX: u64 = 86_400;

/// A proven key: the uncompressed P-256 point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteKey(pub(crate) Vec<u8>);

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotProven {
    #[error(
        "Authorization is `vapid t=…, k=…` (RFC 8292 §3); `WebPush` with Crypto-Key was a draft, update the library"
    )]
    Scheme,
    #[error("k is an uncompressed P-256 point, base64url")]
    Key,
    #[error("t is an ES256 JSON Web Token")]
    Token,
    #[error("the token's signature is not by k")]
    Signature,
    #[error("the token's aud is the origin of this endpoint")]
    Audience,
    #[error("the token's exp is in the future and at most 24 hours ahead")]
    Expiry,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: serde_json::Number,
}

/// Checks the value of an Authorization header.
pub(crate) fn verify(
    header: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<SiteKey, NotProven> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(NotProven::Scheme);
    }
    let (scheme, parameters) = header.split_once(' ').ok_or(NotProven::Scheme)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(NotProven::Scheme);
    }
    let parameter = |name: &str| {
        let mut found = parameters
            .split(',')
            .filter_map(|part| part.trim().split_once('='));
        let value = found
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().trim_matches('"'));
        value.ok_or(NotProven::Scheme)
    };
    let (token, key) = (parameter("t")?, parameter("k")?);
    let key = decode(key).ok_or(NotProven::Key)?;
    if key.len() != 65 {
        return Err(NotProven::Key);
    }
    let verifying = VerifyingKey::from_sec1_bytes(&key).map_err(|_| NotProven::Key)?;
    let (signed, signature) = token.rsplit_once('.').ok_or(NotProven::Token)?;
    let (head, claims) = signed.split_once('.').ok_or(NotProven::Token)?;
    let head: Header = json(head)?;
    if head.alg != "ES256" {
        return Err(NotProven::Token);
    }
    let claims: Claims = json(claims)?;
    let signature = decode(signature)
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(NotProven::Token)?;
    verifying
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| NotProven::Signature)?;
    let audience = origin(&claims.aud).ok_or(NotProven::Audience)?;
    if !audiences.contains(&audience) {
        return Err(NotProven::Audience);
    }
    let now = now.as_millis() / 1_000;
    let expires = claims
        .exp
        .as_u64()
        .or_else(|| claims.exp.as_f64().map(|seconds| seconds as u64));
    let expires = expires.ok_or(NotProven::Token)?;
    if expires <= now || expires > now.saturating_add(VALID_SECS_MAX) {
        return Err(NotProven::Expiry);
    }
    Ok(SiteKey(key))
}

/// The origin that a URL consists of (RFC 6454 §6.2), so that `https://Push.Example:443/` is
/// `https://push.example`; nothing for one with a path, a query or a user.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    (bare && url.origin().is_tuple()).then(|| url.origin().ascii_serialization())
}

/// The audiences that name this server, from its public URLs, which may have a path.
pub(crate) fn audiences(public_urls: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    let urls = public_urls.filter_map(|url| Url::parse(url.as_ref()).ok());
    urls.map(|url| url.origin().ascii_serialization()).collect()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, NotProven> {
    let bytes = decode(part).ok_or(NotProven::Token)?;
    serde_json::from_slice(&bytes).map_err(|_| NotProven::Token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn header(claims: &str, alg: &str) -> String {
        let signing = SigningKey::from_slice(&[7; 32]).expect("a key");
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!(
            "{}.{}",
            part(&format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#)),
            part(claims)
        );
        let signature: Signature = signing.sign(signed.as_bytes());
        let key = URL_SAFE_NO_PAD.encode(signing.verifying_key().to_encoded_point(false));
        format!(
            "vapid t={signed}.{}, k={key}",
            URL_SAFE_NO_PAD.encode(signature.to_bytes())
        )
    }

    fn check(header: &str, expected: Result<(), NotProven>) {
        let audiences =
            audiences(["https://Push.Example:443/base", "http://old.example:8080"].iter());
        let result = verify(header, &audiences, Timestamp::from_millis(NOW * 1_000));
        assert_eq!(result.map(|_| ()), expected, "{header}");
    }

    #[test]
    fn tokens_prove_who_posts_here_and_now() {
        let claims =
            |aud: &str, exp: u64| format!(r#"{{"aud":"{aud}","exp":{exp},"sub":"mailto:a@b"}}"#);
        let good = header(&claims("https://push.example", NOW + 60), "ES256");
        check(&good, Ok(()));
        check(&good.replace(", k=", ",k="), Ok(()));
        check(&good.replace("vapid ", "VAPID "), Ok(()));
        check(
            &header(&claims("https://push.example/", NOW + 60), "ES256"),
            Ok(()),
        );
        check(
            &header(&claims("https://other.example", NOW + 60), "ES256"),
            Err(NotProven::Audience),
        );
        check(
            &header(&claims("https://push.example", NOW), "ES256"),
            Err(NotProven::Expiry),
        );
        check(
            &header(&claims("https://push.example", NOW + 86_401), "ES256"),
            Err(NotProven::Expiry),
        );
        check(
            &header(&claims("https://push.example", NOW + 86_400), "ES256"),
            Ok(()),
        );
        check(
            &header(&claims("https://push.example", NOW + 60), "none"),
            Err(NotProven::Token),
        );
        check(&header("{}", "ES256"), Err(NotProven::Token));
        let (_, key) = good.split_once("k=").expect("a key");
        check(&good.replace(key, "AAAA"), Err(NotProven::Key));
        let other = SigningKey::from_slice(&[8; 32]).expect("a key");
        let other = URL_SAFE_NO_PAD.encode(other.verifying_key().to_encoded_point(false));
        check(&good.replace(key, &other), Err(NotProven::Signature));
        check("Bearer x", Err(NotProven::Scheme));
        check("vapid", Err(NotProven::Scheme));
        check("vapid t=a.b.c", Err(NotProven::Scheme));
        check("WebPush a.b.c", Err(NotProven::Scheme));
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,80}", token in "[a-zA-Z0-9._-]{0,80}") {
            let _ = verify(&text, &[], Timestamp::from_millis(NOW * 1_000));
            let _ = verify(&format!("vapid t={token},k={token}"), &[], Timestamp::from_millis(NOW * 1_000));
        }
    }
}
