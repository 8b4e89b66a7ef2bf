//! What stands around routes: CORS, security headers, panics as 500, unknown routes as problems.

use crate::ApiError;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::time::Duration;
use tower::{Layer as _, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any as AnyOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

/// What pages of any origin may call.
const OPEN_TO_PAGES: [&str; 2] = ["/v1/", "/push/"];
/// What admins are answered, which no other page may read.
const ADMINISTRATION: &str = "/admin/v1/";
/// How long a page may rely on a preflight: the longest that browsers honour.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(7_200);

/// Lets pages of any origin call, without credentials: only bearer tokens count.
pub fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        // A wildcard would leave Authorization out (Fetch §3.3.7).
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(PREFLIGHT_KEPT)
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::RETRY_AFTER,
            header::LINK,
            HeaderName::from_static("ttl"),
            HeaderName::from_static("preference-applied"),
        ])
}

/// Adds the answers that every router needs at its end. CORS stands outside of them, so that a page
/// can read the errors too, and no route answers a preflight in its place.
pub fn finish(router: Router) -> Router {
    let fixed =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    router
        .fallback(async || {
            ApiError::not_found("there is no such resource; /docs lists what there is")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "this resource has no such method",
            )
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(open_to_pages))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
}

async fn open_to_pages(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with(ADMINISTRATION) {
        return never_stored(next.run(request).await);
    }
    if !OPEN_TO_PAGES.iter().any(|open| path.starts_with(open)) {
        return next.run(request).await;
    }
    match cors().layer(next).oneshot(request).await {
        Ok(response) => never_stored(response.map(axum::body::Body::new)),
        Err(never) => match never {},
    }
}

/// What is answered there is one user's or one site's, and some of it is shown only once. Also what a
/// cache may otherwise keep by itself, such as a 404 (RFC 9111 §4.2.2).
fn never_stored(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(no_store);
    response
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the server failed; the error is in its log",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;

    async fn ask(method: &str, path: &str) -> Response {
        let router = Router::new()
            .route("/v1/thing", get(async || "thing"))
            .route("/v1/broken", get(broken))
            .route("/admin/v1/thing", get(async || "thing"));
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("Origin", "https://page.example")
            .header("Access-Control-Request-Method", "GET")
            .body(Body::empty())
            .expect("a request");
        let Ok(response) = finish(router).oneshot(request).await;
        response
    }

    async fn broken() -> Response {
        panic!("as handlers must not")
    }

    #[tokio::test]
    async fn pages_of_any_origin_may_read_the_api_and_nothing_else() {
        let check = async |method: &str, path: &str, status: u16, open: bool| {
            let answer = ask(method, path).await;
            let headers = answer.headers();
            assert_eq!(answer.status(), status, "{method} {path}");
            let allowed = headers.get("access-control-allow-origin");
            assert_eq!(allowed.is_some_and(|origin| origin == "*"), open, "{path}");
            assert!(!headers.contains_key("access-control-allow-credentials"));
            let stored = headers.get("cache-control");
            let never = stored.is_some_and(|control| control == "no-store");
            let private = open || path.starts_with("/admin/v1/");
            assert_eq!(never, private, "{method} {path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            if status >= 400 {
                assert_eq!(headers["content-type"], "application/problem+json");
            }
        };
        check("GET", "/v1/thing", 200, true).await;
        check("HEAD", "/v1/thing", 200, true).await;
        check("OPTIONS", "/v1/thing", 200, true).await;
        check("POST", "/v1/thing", 405, true).await;
        check("GET", "/v1/unknown", 404, true).await;
        check("GET", "/v1/broken", 500, true).await;
        check("GET", "/admin/v1/thing", 200, false).await;
        check("OPTIONS", "/admin/v1/thing", 405, false).await;
        check("GET", "/unknown", 404, false).await;
    }
}
