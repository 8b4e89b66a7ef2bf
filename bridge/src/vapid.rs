//! VAPID (RFC 8292): who posts, proven by an ES256 token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::time::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use url::Url;

/// Longest Authorization header looked at: tokens of the libraries are about 300 bytes.
const HEADER_BYTES_MAX: usize = 4_096;
/// Headers that are remembered before older ones are forgotten: 32 bytes each, twice over.
const NEW_PROOFS_MAX: usize = 8_192;
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
    #[error("Authorization is at most {HEADER_BYTES_MAX} bytes")]
    Size,
    #[error("k is an uncompressed P-256 point, base64url")]
    Key,
    #[error("t is a JSON Web Token with the header {{\"typ\":\"JWT\",\"alg\":\"ES256\"}}")]
    Token,
    #[error("the token's signature is not by k")]
    Signature,
    #[error("the token's aud is the origin of this endpoint")]
    Audience,
    #[error("the token's exp is seconds since 1970, in the future and at most 24 hours ahead")]
    Expiry,
    #[error("the token's sub is a mailto: or https: URL (RFC 8292 §2.1)")]
    Subject,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515 §4.1.11); none is.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Claims {
    aud: serde_json::Value,
    exp: serde_json::Value,
    sub: serde_json::Value,
}

/// What an Authorization header proves. Sites send one token for hours, and its signature costs more than
/// all else of a post that is refused: the headers whose signature was right are remembered by their hash.
#[derive(Default)]
pub(crate) struct Proofs(Mutex<[HashSet<[u8; 32]>; 2]>);

impl Proofs {
    /// Checks the value of an Authorization header.
    pub(crate) fn verify(
        &self,
        header: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<SiteKey, NotProven> {
        let hash = Sha256::digest(header.as_bytes()).into();
        let signed = self.known().iter().any(|known| known.contains(&hash));
        let key = verify(header, signed, audiences, now)?;
        if !signed {
            self.remember(hash);
        }
        Ok(key)
    }

    /// When so many are new, those that were new before them are forgotten.
    fn remember(&self, hash: [u8; 32]) {
        let mut known = self.known();
        if known[0].len() >= NEW_PROOFS_MAX {
            known.swap(0, 1);
            known[0].clear();
        }
        known[0].insert(hash);
    }

    fn known(&self) -> MutexGuard<'_, [HashSet<[u8; 32]>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verify(
    header: &str,
    signed_well: bool,
    audiences: &[String],
    now: Timestamp,
) -> Result<SiteKey, NotProven> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(NotProven::Size);
    }
    let (scheme, parameters) = header.split_once(' ').ok_or(NotProven::Scheme)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(NotProven::Scheme);
    }
    let parameter = |name: &str| {
        let mut found = parameters
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        // Each stands there once (RFC 9110 §11.2).
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value.trim().trim_matches('"')),
            _ => Err(NotProven::Scheme),
        }
    };
    let (token, key) = (parameter("t")?, parameter("k")?);
    let key = decode(key).ok_or(NotProven::Key)?;
    if key.len() != 65 {
        return Err(NotProven::Key);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(NotProven::Token)?;
    let (head, claims) = signed.split_once('.').ok_or(NotProven::Token)?;
    let head: Header = json(head)?;
    if head.alg != "ES256" || head.crit.is_some() {
        return Err(NotProven::Token);
    }
    let claims: Claims = json(claims)?;
    if !signed_well {
        is_signed_by(&key, signed, signature)?;
    }
    claims.check(audiences, now)?;
    Ok(SiteKey(key))
}

fn is_signed_by(key: &[u8], signed: &str, signature: &str) -> Result<(), NotProven> {
    let verifying = VerifyingKey::from_sec1_bytes(key).map_err(|_| NotProven::Key)?;
    let signature = decode(signature)
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(NotProven::Token)?;
    let verified = verifying.verify(signed.as_bytes(), &signature);
    verified.map_err(|_| NotProven::Signature)
}

impl Claims {
    fn check(&self, audiences: &[String], now: Timestamp) -> Result<(), NotProven> {
        // One, or several of which this is one (RFC 7519 §4.1.3).
        let aud = match &self.aud {
            serde_json::Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut origins = aud.iter().filter_map(|aud| origin(aud.as_str()?));
        if !origins.any(|audience| audiences.contains(&audience)) {
            return Err(NotProven::Audience);
        }
        let now = now.as_millis() / 1_000;
        let exp = &self.exp;
        let expires = exp
            .as_u64()
            .or_else(|| exp.as_f64().map(|secs| secs as u64));
        if !expires.is_some_and(|at| at > now && at <= now.saturating_add(VALID_SECS_MAX)) {
            return Err(NotProven::Expiry);
        }
        match &self.sub {
            serde_json::Value::Null => Ok(()),
            serde_json::Value::String(contact) if is_contact(contact) => Ok(()),
            _ => Err(NotProven::Subject),
        }
    }
}

fn is_contact(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "mailto" => !url.path().is_empty(),
        scheme => scheme == "https",
    })
}

/// The origin that a URL consists of (RFC 6454 §6.2), so that `https://Push.Example:443/` is
/// `https://push.example`; nothing for one with a path, a query, a fragment or a user.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let nobody = url.username().is_empty() && url.password().is_none();
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (bare && nobody && url.origin().is_tuple()).then(|| url.origin().ascii_serialization())
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

    fn signed_by(key: u8, claims: &str, head: &str) -> String {
        let signing = SigningKey::from_slice(&[key; 32]).expect("a key");
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(head), part(claims));
        let signature: Signature = signing.sign(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", public(key, false))
    }

    fn public(key: u8, compressed: bool) -> String {
        let signing = SigningKey::from_slice(&[key; 32]).expect("a key");
        let point = signing.verifying_key().to_encoded_point(compressed);
        URL_SAFE_NO_PAD.encode(point)
    }

    const ES256: &str = r#"{"typ":"JWT","alg":"ES256"}"#;

    fn with(claims: &str) -> String {
        signed_by(7, claims, ES256)
    }

    fn check(header: &str, expected: Result<(), NotProven>) {
        let audiences = audiences(
            [
                "https://Push.Example:443/base",
                "http://old.example:8080",
                "https://glöckchen.example",
            ]
            .iter(),
        );
        let proofs = Proofs::default();
        for time in ["first", "again"] {
            let result = proofs.verify(header, &audiences, Timestamp::from_millis(NOW * 1_000));
            assert_eq!(result.map(|_| ()), expected, "{time}: {header}");
        }
    }

    fn good() -> String {
        with(&format!(
            r#"{{"aud":"https://push.example","exp":{}}}"#,
            NOW + 60
        ))
    }

    #[test]
    fn the_audience_is_an_origin_of_this_server() {
        let aud = |aud: &str, expected| {
            check(
                &with(&format!(r#"{{"aud":{aud},"exp":{}}}"#, NOW + 60)),
                expected,
            );
        };
        aud(r#""https://push.example""#, Ok(()));
        aud(r#""https://push.example/""#, Ok(()));
        aud(r#""https://push.example:443""#, Ok(()));
        aud(r#""HTTPS://Push.EXAMPLE""#, Ok(()));
        aud(r#""http://old.example:8080""#, Ok(()));
        aud(r#"["https://push.example"]"#, Ok(()));
        aud(
            r#"["https://other.example",7,"https://push.example"]"#,
            Ok(()),
        );
        // In Unicode, as RFC 6454 §6.1 serializes it, and in ASCII.
        aud(r#""https://glöckchen.example""#, Ok(()));
        aud(r#""https://xn--glckchen-o4a.example""#, Ok(()));
        for wrong in [
            r#""https://other.example""#,
            r#""http://push.example""#,
            r#""https://push.example:8443""#,
            r#""http://old.example""#,
            r#""https://push.example/base""#,
            r#""https://push.example/?q""#,
            r#""https://push.example/#f""#,
            r#""https://me@push.example""#,
            r#""https://:pw@push.example""#,
            r#""push.example""#,
            r#""""#,
            r#"["https://other.example"]"#,
            "[]",
            r#"[["https://push.example"]]"#,
            "7",
            "null",
        ] {
            aud(wrong, Err(NotProven::Audience));
        }
        check(&with("{}"), Err(NotProven::Audience));
    }

    #[test]
    fn a_token_is_good_for_a_day_at_most() {
        let exp = |exp: &str, expected| {
            check(
                &with(&format!(r#"{{"aud":"https://push.example","exp":{exp}}}"#)),
                expected,
            );
        };
        exp(&(NOW + 1).to_string(), Ok(()));
        exp(&(NOW + 86_400).to_string(), Ok(()));
        exp(&format!("{}.5", NOW + 60), Ok(()));
        for wrong in [
            NOW.to_string(),
            (NOW - 60).to_string(),
            (NOW + 86_401).to_string(),
            ((NOW + 60) * 1_000).to_string(),
            "-1".to_owned(),
            "0".to_owned(),
            "1e300".to_owned(),
            "18446744073709551615".to_owned(),
            format!(r#""{}""#, NOW + 60),
            "null".to_owned(),
        ] {
            exp(&wrong, Err(NotProven::Expiry));
        }
        let never = with(r#"{"aud":"https://push.example"}"#);
        check(&never, Err(NotProven::Expiry));
    }

    #[test]
    fn whom_to_write_to_is_a_contact_where_it_stands() {
        let sub = |sub: &str, expected| {
            let claims = format!(
                r#"{{"aud":"https://push.example","exp":{},"sub":{sub}}}"#,
                NOW + 60
            );
            check(&with(&claims), expected);
        };
        sub(r#""mailto:ops@news.example""#, Ok(()));
        sub(r#""https://news.example/contact""#, Ok(()));
        sub("null", Ok(()));
        for wrong in [
            r#""""#,
            r#""ops@news.example""#,
            r#""mailto:""#,
            r#""http://news.example""#,
            r#""tel:123""#,
            "7",
            "[]",
        ] {
            sub(wrong, Err(NotProven::Subject));
        }
    }

    #[test]
    fn only_an_es256_signature_by_the_named_key_proves() {
        let claims = format!(r#"{{"aud":"https://push.example","exp":{}}}"#, NOW + 60);
        for head in [
            r#"{"typ":"JWT","alg":"none"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            r#"{"typ":"JWT","alg":"es256"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"ES256","crit":["b64"]}"#,
            "[]",
            "",
        ] {
            check(&signed_by(7, &claims, head), Err(NotProven::Token));
        }
        check(&with("[7"), Err(NotProven::Token));
        let good = good();
        let (token, key) = good.split_once(", k=").expect("a key");
        let (signed, _) = token.rsplit_once('.').expect("a signature");
        check(&format!("{signed}., k={key}"), Err(NotProven::Token));
        check(&format!("{signed}.AAAA, k={key}"), Err(NotProven::Token));
        check(&format!("{signed}, k={key}"), Err(NotProven::Token));
        for (key, error) in [
            (public(8, false), NotProven::Signature),
            (public(7, true), NotProven::Key),
            (URL_SAFE_NO_PAD.encode([4; 65]), NotProven::Key),
            (URL_SAFE_NO_PAD.encode([0; 65]), NotProven::Key),
            ("AAAA".to_owned(), NotProven::Key),
            ("!".to_owned(), NotProven::Key),
            (String::new(), NotProven::Key),
        ] {
            check(&format!("{token}, k={key}"), Err(error));
        }
    }

    #[test]
    fn the_header_is_vapid_with_t_and_k_once_each() {
        let good = good();
        check(&good, Ok(()));
        check(&good.replace(", k=", ",k="), Ok(()));
        check(&good.replace(", k=", " , K = "), Ok(()));
        check(&good.replace("vapid ", "VAPID  "), Ok(()));
        let (token, key) = good.split_once(", ").expect("a key");
        let turned = format!("vapid {key}, {}", token.trim_start_matches("vapid "));
        check(&turned, Ok(()));
        check(&format!("{good}, v=1"), Ok(()));
        let long = format!("{good}, v={}", "1".repeat(HEADER_BYTES_MAX));
        check(&long, Err(NotProven::Size));
        for wrong in [
            "",
            "Bearer x",
            "vapid",
            "vapid t=a.b.c",
            "WebPush a.b.c",
            &format!("{good}, {key}"),
            &format!("{good}, t=a.b.c"),
            token,
        ] {
            check(wrong, Err(NotProven::Scheme));
        }
    }

    #[test]
    fn a_signature_is_remembered_and_nothing_else() {
        let proofs = Proofs::default();
        let here = audiences(["https://push.example"].iter());
        let verify = |header: &str, audiences: &[String], seconds: u64| {
            let at = Timestamp::from_millis((NOW + seconds) * 1_000);
            proofs.verify(header, audiences, at).map(|_| ())
        };
        let good = good();
        assert_eq!(verify(&good, &here, 0), Ok(()));
        assert_eq!(verify(&good, &here, 60), Err(NotProven::Expiry));
        assert_eq!(verify(&good, &[], 0), Err(NotProven::Audience));
        let another_key = good.replace(&public(7, false), &public(8, false));
        assert_ne!(another_key, good);
        assert_eq!(verify(&another_key, &here, 0), Err(NotProven::Signature));
        let kept: usize = proofs.known().iter().map(HashSet::len).sum();
        assert_eq!(kept, 1, "what is wrong takes no place");
        for number in 0..3 * NEW_PROOFS_MAX as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            proofs.remember(hash);
        }
        let kept: usize = proofs.known().iter().map(HashSet::len).sum();
        assert!(kept <= 2 * NEW_PROOFS_MAX, "{kept}");
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,80}", token in "[a-zA-Z0-9._-]{0,80}") {
            let proofs = Proofs::default();
            let now = Timestamp::from_millis(NOW * 1_000);
            let _ = proofs.verify(&text, &[], now);
            let _ = proofs.verify(&format!("vapid t={token},k={token}"), &[], now);
        }
    }
}
