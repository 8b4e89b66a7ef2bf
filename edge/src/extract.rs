//! axum's extractors, refusing with problem details.

use crate::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// Parameters in the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// Parameters in the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            // An id that cannot be one names nothing.
            Err(_) => Err(ApiError::not_found("there is nothing of this name")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => {
                let detail = error.body_text();
                // serde names a parameter that is missing or given twice in words alone.
                let field = detail.split('`').nth(1).unwrap_or("query");
                Err(ApiError::malformed(field, &*detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::routing::get;
    use belfry_protocol::problem::Problem;
    use tower::ServiceExt as _;

    #[derive(serde::Deserialize)]
    struct Paging {
        limit: Option<String>,
    }

    async fn page(Query(paging): Query<Paging>) -> String {
        paging.limit.unwrap_or_default()
    }

    async fn item(Path(number): Path<u8>) -> String {
        number.to_string()
    }

    async fn check(path: &str, status: u16, field: Option<&str>) {
        let router = Router::new()
            .route("/page", get(page))
            .route("/item/{number}", get(item));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let Ok(response) = router.oneshot(request).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        if status != 200 {
            let body = to_bytes(response.into_body(), 4_096).await.expect("a body");
            let problem: Problem = serde_json::from_slice(&body).expect("a problem");
            assert_eq!((problem.status, problem.field.as_deref()), (status, field));
        }
    }

    #[tokio::test]
    async fn parameters_are_refused_with_problems() {
        check("/page?limit=5&other=1", 200, None).await;
        check("/page?limit=5&limit=6", 400, Some("limit")).await;
        check("/item/7", 200, None).await;
        check("/item/700", 404, None).await;
        check("/item/%ff", 404, None).await;
    }
}
