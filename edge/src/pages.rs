//! Pages that are embedded in the program: how long they may be kept, what they are, and that they are
//! compressed for who takes that.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

/// Files of this name change with their contents, so that they can be kept for as long as anything may.
const KEPT: &str = "public, max-age=31536000, immutable";
/// All others are asked for again each time, and answered with 304.
const ASKED_AGAIN: &str = "no-cache";
/// Letters of the hash that the bundler puts at the end of a name: base32.
const HASH_LETTERS: usize = 8;

/// Where compression saves less than a packet it is not worth its trouble.
const COMPRESSED_FROM_BYTES: usize = 1_400;

/// What the version control keeps in the folders stands there too.
pub fn is_hidden(file: &str) -> bool {
    file.split('/').any(|part| part.starts_with('.'))
}

/// Pages have no extension in their address.
pub fn page_path(file: &str) -> String {
    let name = file.strip_suffix(".html").unwrap_or(file);
    let name = match name {
        "index" => "",
        name => name.strip_suffix("/index").unwrap_or(name),
    };
    format!("/{name}")
}

/// Whether the bundler put a hash of the contents into the name.
fn is_hashed(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = name.split('.').next().unwrap_or(name);
    stem.rsplit_once('-').is_some_and(|(_, hash)| {
        let letter = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
        hash.len() == HASH_LETTERS && hash.bytes().all(letter)
    })
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A header of what a program wrote itself.
///
/// # Panics
/// It has other than visible ASCII characters.
pub fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a policy is of visible ASCII characters")
}

/// Headers that are always the same.
pub fn fixed(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect()
}

/// A file as it is answered.
struct Page {
    headers: HeaderMap,
    plain: Bytes,
    /// In hexadecimal, of the contents.
    hash: String,
    /// Made when it is first asked for; `None` where it would not be smaller.
    compressed: OnceLock<Option<Bytes>>,
    compressible: bool,
}

/// A file as its contents, with its hash.
pub struct File {
    /// The contents.
    pub data: Cow<'static, [u8]>,
    /// SHA-256 of them.
    pub hash: [u8; 32],
}

/// The route of a file that is answered with these headers and those of its kind.
pub fn served(file: &str, contents: File, mut headers: HeaderMap) -> axum::routing::MethodRouter {
    let kept = if is_hashed(file) { KEPT } else { ASKED_AGAIN };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    let kind = content_type(file);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let accept_encoding = HeaderValue::from_static("accept-encoding");
    headers.insert(header::VARY, accept_encoding);
    let mut hash = String::new();
    for byte in contents.hash {
        let _ = write!(hash, "{byte:02x}");
    }
    let plain = match contents.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    };
    // Pictures and fonts are compressed already.
    let text = !matches!(
        kind,
        "image/png" | "font/woff2" | "application/octet-stream"
    );
    let page = Arc::new(Page {
        headers,
        compressible: text && plain.len() >= COMPRESSED_FROM_BYTES,
        plain,
        hash,
        compressed: OnceLock::new(),
    });
    get(async move |asked: HeaderMap| page.answer(&asked))
}

impl Page {
    fn answer(&self, asked: &HeaderMap) -> Response {
        let compressed = self.compressed().filter(|_| takes_gzip(asked));
        // The two are different bytes, so they have different tags (RFC 9110 §8.8.3).
        let etag = match compressed {
            Some(_) => format!("\"{}-gzip\"", self.hash),
            None => format!("\"{}\"", self.hash),
        };
        let mut headers = self.headers.clone();
        headers.insert(header::ETAG, header_value(&etag));
        if has(asked, &etag) {
            headers.remove(header::CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if compressed.is_some() {
            let gzip = HeaderValue::from_static("gzip");
            headers.insert(header::CONTENT_ENCODING, gzip);
        }
        let body = compressed.unwrap_or(&self.plain).clone();
        (headers, Body::from(body)).into_response()
    }

    fn compressed(&self) -> Option<&Bytes> {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.plain).ok()?;
            let compressed = encoder.finish().ok()?;
            (compressed.len() < self.plain.len()).then(|| Bytes::from(compressed))
        };
        let compressed = self
            .compressible
            .then(|| self.compressed.get_or_init(compress));
        compressed?.as_ref()
    }
}

/// The members of a list over all headers of a name.
fn members<'a>(asked: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = asked.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',').map(str::trim))
}

/// Whether `gzip` is wanted, as it is by name unless its weight is zero (RFC 9110 §12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    members(asked, &header::ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=");
        let none = weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !none
    })
}

/// Whether the client has this one (RFC 9110 §13.1.2, which compares weakly).
fn has(asked: &HeaderMap, etag: &str) -> bool {
    members(asked, &header::IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_where_its_name_without_the_extension_says() {
        for (file, path) in [
            ("index.html", "/"),
            ("consent.html", "/consent"),
            ("help/index.html", "/help"),
            ("sw.js", "/sw.js"),
            ("assets/main-ABCDEFG2.js", "/assets/main-ABCDEFG2.js"),
        ] {
            assert_eq!(page_path(file), path);
        }
    }

    #[test]
    fn only_a_name_with_a_hash_may_be_kept() {
        for (file, expected) in [
            ("assets/main-ABCDEFG2.js", true),
            ("main-ABCDEFG2.js.map", true),
            ("sw.js", false),
            ("icon-512.png", false),
            ("assets/main.js", false),
            ("site-manifest.webmanifest", false),
            ("main-ABCDEFG1.js", false),
            ("main-abcdefg2.js", false),
        ] {
            assert_eq!(is_hashed(file), expected, "{file}");
        }
    }

    #[test]
    fn gzip_is_taken_by_name() {
        for (accepted, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip ; q=0.0", false),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(accepted);
            let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(takes_gzip(&asked), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_the_client_has_is_found_in_a_list() {
        for (tags, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            let value = HeaderValue::from_static(tags);
            let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, value)]);
            assert_eq!(has(&asked, "\"a\""), expected, "{tags}");
        }
    }
}
