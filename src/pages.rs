//! What operators and the curious ask: health, readiness, metrics, and the API's description.

mod description;
mod figures;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belfry_admin::health::{self, Check, Report};
use belfry_admin::{Health, Tally};
use belfry_edge::error::RETRY_SECS;
use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use belfry_protocol::time::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

/// Buckets in seconds, from a fast commit to a slow phone.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0,
];
/// Buckets of batch sizes.
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];
/// Prometheus' text format.
const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often single measurements are summed up, which each take memory until then.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// Begins to collect metrics, and to keep a tally of those that the series are made of.
pub(crate) fn install_metrics() -> anyhow::Result<(PrometheusHandle, Tally)> {
    let (recorder, tally) = (collecting()?.build_recorder(), Tally::default());
    let handle = recorder.handle();
    metrics::set_global_recorder(tally.beside(recorder))
        .map_err(|_| anyhow::anyhow!("metrics are collected already"))?;
    figures::describe();
    let now = Timestamp::of(SystemTime::now());
    metrics::gauge!("belfry_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("belfry_start_time_seconds").set(now.as_millis() as f64 / 1000.0);
    Ok((handle, tally))
}

fn collecting() -> anyhow::Result<PrometheusBuilder> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)?)
}

/// Sums up what was measured, also where nobody asks for it.
pub(crate) async fn sum_up_metrics(metrics: PrometheusHandle, stopping: CancellationToken) {
    let mut every = tokio::time::interval(SUM_UP_EVERY);
    while stopping.run_until_cancelled(every.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

#[derive(Clone)]
struct Pages {
    metrics: PrometheusHandle,
    health: Health,
    stopping: CancellationToken,
}

/// The routes.
pub(crate) fn router(
    mut document: OpenApi,
    metrics: PrometheusHandle,
    health: Health,
    stopping: CancellationToken,
) -> Router {
    let (pages, own) = OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics_page))
        .with_state(Pages {
            metrics,
            health,
            stopping,
        })
        .split_for_parts();
    document.merge(own);
    let document = description::complete(document);
    // Nothing from elsewhere: without this the page asks a validator on the net for its opinion.
    let settings = utoipa_swagger_ui::Config::default().validator_url("none");
    let reference = SwaggerUi::new("/docs")
        .url("/openapi.json", document)
        .config(settings);
    pages.merge(reference)
}

/// Why requests should go elsewhere, or the server be started again.
#[derive(Serialize, ToSchema)]
struct Unwell {
    /// What is wrong.
    #[serde(flatten)]
    problem: Problem,
    /// What each check found.
    #[serde(flatten)]
    report: Report,
}

impl Unwell {
    fn of(report: Report, detail: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            problem: Problem::new(status.as_u16(), "unavailable", title, detail),
            report,
        }
    }
}

impl IntoResponse for Unwell {
    fn into_response(self) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(PROBLEM_CONTENT_TYPE),
            ),
            (header::RETRY_AFTER, HeaderValue::from(RETRY_SECS)),
        ];
        let status = StatusCode::SERVICE_UNAVAILABLE;
        (
            status,
            headers,
            axum::Json(self).into_response().into_body(),
        )
            .into_response()
    }
}

/// Whether the process is alive: 503 where starting it again may mend what is wrong, and not otherwise.
#[utoipa::path(
    get, path = "/healthz", tag = "Operation",
    responses(
        (status = 200, description = "It is; what else may be wrong, no restart mends", body = Report),
        (status = 503, description = "It is stuck: start it again", body = Unwell),
    )
)]
async fn healthz(State(pages): State<Pages>) -> Result<axum::Json<Report>, Unwell> {
    let report = pages.health.report();
    let mended = |check: &Check| check.health == health::State::Failing && check.restart_may_mend;
    if report.checks.iter().any(mended) {
        return Err(Unwell::of(report, "the server is stuck; start it again"));
    }
    Ok(axum::Json(report))
}

/// Whether requests should be sent here: every check is well, and the server is not stopping.
#[utoipa::path(
    get, path = "/readyz", tag = "Operation",
    responses(
        (status = 200, description = "They should", body = Report),
        (status = 503, description = "Not now; which check fails is in it", body = Unwell),
    )
)]
async fn readyz(State(pages): State<Pages>) -> Result<axum::Json<Report>, Unwell> {
    let report = pages.health.report();
    if pages.stopping.is_cancelled() {
        return Err(Unwell::of(report, "the server is stopping"));
    }
    if report.health == health::State::Failing {
        return Err(Unwell::of(
            report,
            "the server cannot do what it is there for",
        ));
    }
    Ok(axum::Json(report))
}

/// The server's numbers, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation", operation_id = "metrics",
    responses((status = 200, description = "All of them", body = String, content_type = "text/plain"))
)]
async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)];
    (content_type, pages.metrics.render())
}

#[cfg(test)]
mod tests;
