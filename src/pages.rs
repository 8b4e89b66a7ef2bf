//! What operators and the curious ask: health, readiness, metrics, and the API's description.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use belfry_edge::ApiError;
use belfry_store::directory::Directory;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Info, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

/// Buckets in seconds, from a fast commit to a slow phone.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0,
];
/// Buckets of batch sizes.
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

/// Begins to collect metrics.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)?
        .install_recorder()?)
}

#[derive(Clone)]
struct Ready {
    directory: Directory,
    stopping: CancellationToken,
}

/// The routes.
pub(crate) fn router(
    document: OpenApi,
    metrics: PrometheusHandle,
    directory: Directory,
    stopping: CancellationToken,
) -> Router {
    let document = described(document);
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(Ready {
            directory,
            stopping,
        })
        .route("/metrics", get(async move || (text, metrics.render())))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
}

async fn readyz(State(ready): State<Ready>) -> Result<impl IntoResponse, ApiError> {
    if ready.stopping.is_cancelled() || !ready.directory.ready().await {
        return Err(ApiError::unavailable());
    }
    Ok((StatusCode::OK, "ready\n"))
}

fn described(mut document: OpenApi) -> OpenApi {
    document.info = Info::new("Belfry", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(
        "End-to-end encrypted web notifications. Errors are problem details (RFC 9457).".to_owned(),
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    components.add_security_scheme(
        "device",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)),
    );
    document
}
