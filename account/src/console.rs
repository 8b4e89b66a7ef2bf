//! The pages that users open and the script that sites include, as `./dev console` built them from
//! `client/`.
//!
//! They are embedded, in debug builds too: tests judge the very bytes and paths that a release
//! serves, and no server reads a folder while it is being built. Nothing here knows a user: the pages
//! are the same for everyone, and what they show they ask of `/v1`. A program that was built without
//! them says so where they would be.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use belfry_edge::ApiError;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

/// The consent window keeps its opener, which it answers; no other page has anything to do with one.
const CONSENT: &str = "/consent";
/// What every build has.
const PROMISED: [&str; 3] = ["/", CONSENT, "/sdk/site.js"];

/// Files of this name change with their contents, so that they can be kept for as long as anything may.
const KEPT: &str = "public, max-age=31536000, immutable";
/// All others are asked for again each time, and answered with 304.
const ASKED_AGAIN: &str = "no-cache";
/// Letters of the hash that the bundler puts at the end of a name: base32.
const HASH_LETTERS: usize = 8;

/// Where compression saves less than a packet it is not worth its trouble.
const COMPRESSED_FROM_BYTES: usize = 1_400;

/// What pages may use of the device: copying, and noticing that nobody is there. Nobody else's page
/// can be inside of them, so this is for what a script of theirs could be made to do.
const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), camera=(), \
    clipboard-read=(), clipboard-write=(self), display-capture=(), fullscreen=(), geolocation=(), \
    gyroscope=(), hid=(), idle-detection=(self), magnetometer=(), microphone=(), midi=(), \
    payment=(), publickey-credentials-get=(), serial=(), usb=(), xr-spatial-tracking=()";

#[derive(RustEmbed)]
#[folder = "../client/console/dist"]
struct Console;

#[derive(RustEmbed)]
#[folder = "../client/site/dist"]
struct Site;

/// The routes. `public_url` is where devices and endpoints are, which is another origin than that of
/// the page where somebody opens it by another name of the server.
pub fn console(public_url: &str) -> Router {
    routes::<Console, Site>(public_url)
}

fn routes<C: RustEmbed, S: RustEmbed>(public_url: &str) -> Router {
    let policy = header_value(&content_security_policy(public_url));
    let mut router = Router::new();
    let mut pages = Vec::new();
    for file in C::iter().filter(|file| !is_hidden(file)) {
        if let Some(embedded) = C::get(&file) {
            let path = page_path(&file);
            let headers = page_headers(&path, &policy);
            router = router.route(&path, served(&file, embedded, headers));
            pages.push(path);
        }
    }
    // Beside the scripts lie the types that they are written with.
    for file in S::iter().filter(|file| file.ends_with("js")) {
        if let Some(embedded) = S::get(&file) {
            let path = format!("/sdk/{file}");
            router = router.route(&path, served(&file, embedded, script_headers()));
            pages.push(path);
        }
    }
    for promised in PROMISED {
        if !pages.iter().any(|path| path == promised) {
            router = router.route(promised, get(not_built));
        }
    }
    router
}

async fn not_built() -> ApiError {
    ApiError::not_found(
        "this program was built without the console: run ./dev console and build it again",
    )
}

/// What the version control keeps in the folders stands there too.
fn is_hidden(file: &str) -> bool {
    file.split('/').any(|part| part.starts_with('.'))
}

/// Pages have no extension in their address.
fn page_path(file: &str) -> String {
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

/// Nothing but what comes from here, no script or style in the page, no string that becomes code. The
/// one Trusted Types policy is there because a service worker's address has to be made by one.
fn content_security_policy(public_url: &str) -> String {
    let mut connect = "'self'".to_owned();
    // An IPv6 address cannot stand in a policy (CSP 3 §2.3.1), nor what would end the directive.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-".contains(&byte);
    if public_url.bytes().all(plain) {
        // http becomes ws and https becomes wss. Not every browser takes 'self' for a WebSocket.
        let socket = public_url.replacen("http", "ws", 1);
        let _ = write!(connect, " {public_url} {socket}");
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src {connect}; manifest-src 'self'; worker-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types belfry"
    )
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a policy is of visible ASCII characters")
}

fn fixed(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect()
}

fn page_headers(path: &str, policy: &HeaderValue) -> HeaderMap {
    let opener = match path {
        CONSENT => "unsafe-none",
        _ => "same-origin",
    };
    let mut headers = fixed(&[
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            opener,
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            PERMISSIONS_POLICY,
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    headers
}

/// Pages of any origin include it, also those that isolate themselves.
fn script_headers() -> HeaderMap {
    fixed(&[
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ])
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

fn served(
    file: &str,
    embedded: EmbeddedFile,
    mut headers: HeaderMap,
) -> axum::routing::MethodRouter {
    let kept = if is_hashed(file) { KEPT } else { ASKED_AGAIN };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    let kind = content_type(file);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let accept_encoding = HeaderValue::from_static("accept-encoding");
    headers.insert(header::VARY, accept_encoding);
    let mut hash = String::new();
    for byte in embedded.metadata.sha256_hash() {
        let _ = write!(hash, "{byte:02x}");
    }
    let plain = match embedded.data {
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
    use axum::http::Request;
    use tower::ServiceExt as _;

    /// The folders of a fresh clone.
    struct Nothing;

    impl RustEmbed for Nothing {
        fn get(_: &str) -> Option<EmbeddedFile> {
            None
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            std::iter::empty()
        }
    }

    #[tokio::test]
    async fn a_program_without_the_pages_says_what_to_do() {
        for path in ["/", "/consent", "/sdk/site.js"] {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let Ok(answer) = routes::<Nothing, Nothing>("http://127.0.0.1:8080")
                .oneshot(request)
                .await;
            assert_eq!(answer.status(), 404, "{path}");
            let body = axum::body::to_bytes(answer.into_body(), 4_096).await;
            let problem: serde_json::Value =
                serde_json::from_slice(&body.expect("a body")).expect("a problem");
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.contains("./dev console"), "{path}: {detail}");
        }
    }

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
    fn a_page_may_reach_the_server_by_its_public_name_too() {
        let connect = |public_url| {
            let policy = content_security_policy(public_url);
            let directives = policy.split("; ");
            let connect = directives.filter_map(|one| one.strip_prefix("connect-src "));
            connect.map(str::to_owned).collect::<Vec<_>>()
        };
        for (public_url, expected) in [
            (
                "https://push.example",
                "'self' https://push.example wss://push.example",
            ),
            (
                "http://127.0.0.1:8080",
                "'self' http://127.0.0.1:8080 ws://127.0.0.1:8080",
            ),
            ("http://[::1]:8080", "'self'"),
            ("https://a.example;script-src", "'self'"),
        ] {
            assert_eq!(connect(public_url), [expected]);
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
