//! The dashboard's pages, as `./dev console` built them from `client/admin`.
//!
//! They are embedded, and the same for everyone; what they show they ask of `/admin/v1`. A program that
//! was built without them says so where they would be.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::routing::get;
use belfry_edge::ApiError;
use belfry_edge::pages::{File, fixed, is_hidden, page_path, served};
use rust_embed::{EmbeddedFile, RustEmbed};

/// Where they are.
const DASHBOARD: &str = "/admin";

/// Nothing but what comes from here: no script or style in the page, no string that becomes code, no
/// worker.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'none'; worker-src 'none'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Copying, and passkeys; nothing else of the device.
const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), camera=(), \
    clipboard-read=(), clipboard-write=(self), display-capture=(), fullscreen=(), geolocation=(), \
    gyroscope=(), hid=(), idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    publickey-credentials-create=(self), publickey-credentials-get=(self), serial=(), usb=(), \
    xr-spatial-tracking=()";

#[derive(RustEmbed)]
#[folder = "../client/admin/dist"]
struct Dashboard;

/// The routes.
pub(crate) fn router() -> Router {
    routes::<Dashboard>()
}

fn routes<D: RustEmbed>() -> Router {
    let mut router = Router::new().route("/admin/", get(without_slash));
    let mut built = false;
    for file in D::iter().filter(|file| !is_hidden(file)) {
        if let Some(embedded) = D::get(&file) {
            let path = path(&file);
            built |= path == DASHBOARD;
            router = router.route(&path, served(&file, contents(embedded), headers()));
        }
    }
    if !built {
        router = router.route(DASHBOARD, get(not_built));
    }
    router
}

fn path(file: &str) -> String {
    match page_path(file) {
        index if index == "/" => DASHBOARD.to_owned(),
        path => format!("{DASHBOARD}{path}"),
    }
}

fn contents(embedded: EmbeddedFile) -> File {
    File {
        hash: embedded.metadata.sha256_hash(),
        data: embedded.data,
    }
}

/// The one address of the page. What is behind `#` comes along by itself.
async fn without_slash() -> (StatusCode, [(HeaderName, HeaderValue); 1]) {
    let location = (header::LOCATION, HeaderValue::from_static(DASHBOARD));
    (StatusCode::PERMANENT_REDIRECT, [location])
}

async fn not_built() -> ApiError {
    ApiError::not_found(
        "this program was built without the dashboard: run ./dev console and build it again",
    )
}

fn headers() -> HeaderMap {
    let name = HeaderName::from_static;
    fixed(&[
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (name("cross-origin-opener-policy"), "same-origin"),
        (name("cross-origin-resource-policy"), "same-origin"),
        (name("permissions-policy"), PERMISSIONS_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use axum::response::Response;
    use std::borrow::Cow;
    use tower::ServiceExt as _;

    /// The folder of a fresh clone.
    struct Nothing;

    impl RustEmbed for Nothing {
        fn get(_: &str) -> Option<EmbeddedFile> {
            None
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            std::iter::empty()
        }
    }

    async fn ask<D: RustEmbed>(path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let Ok(answer) = routes::<D>().oneshot(request).await;
        answer
    }

    #[tokio::test]
    async fn a_program_without_the_dashboard_says_what_to_do() {
        let answer = ask::<Nothing>("/admin").await;
        assert_eq!(answer.status(), 404);
        let body = axum::body::to_bytes(answer.into_body(), 4_096).await;
        let problem: serde_json::Value =
            serde_json::from_slice(&body.expect("a body")).expect("a problem");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("./dev console"), "{detail}");
    }

    #[tokio::test]
    async fn the_page_has_one_address() {
        let answer = ask::<Nothing>("/admin/").await;
        assert_eq!(answer.status(), 308);
        assert_eq!(answer.headers()[header::LOCATION], "/admin");
    }

    #[test]
    fn files_lie_below_the_page() {
        for (file, expected) in [
            ("index.html", "/admin"),
            ("logo.svg", "/admin/logo.svg"),
            ("assets/app-ABCDEFG2.js", "/admin/assets/app-ABCDEFG2.js"),
        ] {
            assert_eq!(path(file), expected);
        }
    }
}
