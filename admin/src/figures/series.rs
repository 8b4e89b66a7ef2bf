//! `GET /admin/v1/series`: what was counted over time.

use super::Figures;
use super::asked::{Asked, Values, divide, rates, steps, up};
use super::happened::UP;
use crate::Admin;
use crate::seat::Reader;
use axum::extract::{RawQuery, State};
use belfry_edge::ApiError;
use belfry_protocol::problem::Problem;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::DirectoryError;
use belfry_store::directory::series::{Point, Span};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Metrics that one request may ask for: all that there are, and some reasons.
const METRICS_MAX: usize = 32;
/// What is given where nothing is said of when.
const SPAN: Duration = Duration::from_secs(3_600);

pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(series))
}

/// Figures over time.
#[derive(Serialize, ToSchema)]
struct Series {
    /// When the first step begins.
    from: Timestamp,
    /// Seconds of a step.
    step_seconds: u64,
    /// By metric: a value for each step, the oldest first and the last one under way; `null` where
    /// nothing was measured, such as while the server was down.
    #[schema(value_type = std::collections::HashMap<String, Vec<Option<f64>>>)]
    values: BTreeMap<String, Values>,
}

/// What is asked for, as it stands in the query.
#[derive(Debug, Default)]
struct Query {
    metrics: Vec<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    site: Option<Origin>,
}

impl Query {
    fn read(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "metric" => query.metrics.push(value.into_owned()),
                "from" => query.from = Some(time("from", &value)?),
                "to" => query.to = Some(time("to", &value)?),
                "site" => {
                    let site = value.parse();
                    let detail = "a site is its origin, such as https://news.example";
                    query.site = Some(site.map_err(|_| ApiError::invalid("site", detail))?);
                }
                _ => {}
            }
        }
        if !(1..=METRICS_MAX).contains(&query.metrics.len()) {
            let detail = format!("name 1 to {METRICS_MAX} metrics, each as metric=…");
            return Err(ApiError::invalid("metric", detail));
        }
        Ok(query)
    }

    fn span(&self, now: Timestamp) -> Result<Span, ApiError> {
        let to = self.to.unwrap_or(now);
        let before = Timestamp::from_millis(to.as_millis().saturating_sub(millis(SPAN)));
        let from = self.from.unwrap_or(before);
        let span = divide(second(from), to.as_millis().div_ceil(1_000), second(now));
        span.ok_or_else(|| ApiError::invalid("from", "it must be before its end"))
    }
}

fn time(field: &str, text: &str) -> Result<Timestamp, ApiError> {
    let time = text.parse();
    time.map_err(|_| ApiError::invalid(field, "a time is as RFC 3339 has it, in UTC"))
}

fn second(time: Timestamp) -> u64 {
    time.as_millis() / 1_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The server's figures over time, in the finest steps that are kept of that time and that are 400 at
/// most.
///
/// Rates are a second, as a mean of the step: `accepted`, `delivered`, `acknowledged`, `refused`,
/// `expired`, `withdrawn`, `refused.REASON`, and `refused.*` for each reason that occurred. Means are
/// `devices`, `mailbox_depth`, `mailbox_bytes` and `commit_batch`; percentiles `delivery_p50_ms`,
/// `delivery_p99_ms` and `commit_p99_ms`. Of one site there are `accepted` and `refused`.
#[utoipa::path(
    get, path = "/admin/v1/series", tag = "Administration", operation_id = "admin_series",
    params(
        ("metric" = Vec<String>, Query, description = "What to give, 1 to 32 of them", min_items = 1, max_items = 32),
        ("from" = Option<Timestamp>, Query, description = "From when on; an hour before its end if not given"),
        ("to" = Option<Timestamp>, Query, description = "Until when; now if not given"),
        ("site" = Option<String>, Query, description = "Of one site, by its origin"),
    ),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Them", body = Series),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A metric that there is not, or a time that is none", body = Problem),
    )
)]
async fn series(
    State(admin): State<Admin>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Series>, ApiError> {
    let query = Query::read(&query.unwrap_or_default())?;
    let span = query.span(admin.figures.now())?;
    let figures = &admin.figures;
    let up = up(&figures.points(UP, span).await?, span);
    let values = match &query.site {
        None => figures.all(&query.metrics, &up, span).await?,
        Some(site) => figures.of_site(site, &query.metrics, &up, span).await?,
    };
    Ok(axum::Json(Series {
        from: Timestamp::from_millis(span.from * 1_000),
        step_seconds: span.step,
        values,
    }))
}

fn unknown(name: &str) -> ApiError {
    // What was asked for may be anything.
    let name: String = name.chars().take(64).collect();
    ApiError::invalid("metric", format!("there is no metric {name:?} here"))
}

impl Figures {
    /// What is kept of a metric, and what is not written yet.
    async fn points(&self, metric: &str, span: Span) -> Result<Vec<Point>, DirectoryError> {
        // Before what is kept: what is written in between is seen twice, not left out, and no longer
        // than until it is asked for again.
        let unwritten = self.unwritten();
        let mut points = self.directory().series(metric, span).await?;
        for (bucket, happened) in &unwritten {
            if !(span.from..span.to).contains(bucket) {
                continue;
            }
            points.extend(happened.of(metric).map(|(part, (total, weight))| Point {
                at: bucket - bucket % span.step,
                part: part.to_owned(),
                total,
                weight,
            }));
        }
        Ok(points)
    }

    async fn all(
        &self,
        names: &[String],
        up: &Values,
        span: Span,
    ) -> Result<BTreeMap<String, Values>, ApiError> {
        let mut asked = Vec::with_capacity(names.len());
        for name in names {
            asked.push((name, name.parse::<Asked>().map_err(|()| unknown(name))?));
        }
        let mut read: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
        let mut values = BTreeMap::new();
        for (name, asked) in &asked {
            let metric = asked.metric();
            if !read.contains_key(metric) {
                read.insert(metric, self.points(metric, span).await?);
            }
            let points = read.get(metric).map(Vec::as_slice).unwrap_or_default();
            values.extend(asked.answer(name, points, up, span));
        }
        Ok(values)
    }

    async fn of_site(
        &self,
        site: &Origin,
        names: &[String],
        up: &Values,
        span: Span,
    ) -> Result<BTreeMap<String, Values>, ApiError> {
        let mut accepted = vec![0.0; steps(span)];
        let mut refused = accepted.clone();
        for (at, posts) in self.directory().site_series(site, span).await? {
            let place = usize::try_from((at - span.from) / span.step).unwrap_or(usize::MAX);
            if let (Some(taken), Some(turned)) = (accepted.get_mut(place), refused.get_mut(place)) {
                *taken += posts.accepted as f64;
                *turned += posts.refused as f64;
            }
        }
        let mut values = BTreeMap::new();
        for name in names {
            let totals = match &**name {
                "accepted" => &accepted,
                "refused" => &refused,
                _ => return Err(unknown(name)),
            };
            values.insert(name.clone(), rates(totals, up));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn field(query: &str) -> Option<String> {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let read = Query::read(query).and_then(|query| query.span(now));
        let (problem, _) = read.err()?.into_problem();
        assert_eq!(problem.problem.status, 422, "{query}");
        problem.problem.field
    }

    #[test]
    fn what_cannot_be_asked_says_which_part() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(field(query).as_deref(), expected, "{query}");
        };
        check("metric=accepted", None);
        check(
            "metric=a&metric=b&from=2027-01-01T00:00:00Z&site=https%3A%2F%2Fnews.example&x=y",
            None,
        );
        check("", Some("metric"));
        check(&"metric=a&".repeat(33), Some("metric"));
        check("metric=a&from=yesterday", Some("from"));
        check("metric=a&to=", Some("to"));
        check("metric=a&site=news", Some("site"));
        check(
            "metric=a&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            Some("from"),
        );
    }
}
