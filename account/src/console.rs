//! The pages that users open and the script that sites include, as `./dev console` built them from
//! `client/`.
//!
//! They are embedded, in debug builds too: tests judge the very bytes and paths that a release
//! serves, and no server reads a folder while it is being built. Nothing here knows a user: the pages
//! are the same for everyone, and what they show they ask of `/v1`. A program that was built without
//! them says so where they would be.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::routing::get;
use belfry_edge::ApiError;
use belfry_edge::pages::{File, fixed, header_value, is_hidden, page_path, served};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::fmt::Write as _;

/// The consent window keeps its opener, which it answers; no other page has anything to do with one.
const CONSENT: &str = "/consent";
/// What every build has.
const PROMISED: [&str; 3] = ["/", CONSENT, "/sdk/site.js"];

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
            router = router.route(&path, served(&file, contents(embedded), headers));
            pages.push(path);
        }
    }
    // Beside the scripts lie the types that they are written with.
    for file in S::iter().filter(|file| file.ends_with("js")) {
        if let Some(embedded) = S::get(&file) {
            let path = format!("/sdk/{file}");
            router = router.route(&path, served(&file, contents(embedded), script_headers()));
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

fn contents(embedded: EmbeddedFile) -> File {
    File {
        hash: embedded.metadata.sha256_hash(),
        data: embedded.data,
    }
}

async fn not_built() -> ApiError {
    ApiError::not_found(
        "this program was built without the console: run ./dev console and build it again",
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use std::borrow::Cow;
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
}
