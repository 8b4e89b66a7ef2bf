//! Bans as a table: `kind,value,reason,ends` (RFC 4180), to hand from one server to another.

use super::{BanRow, Dry, end, reason, refused, resolve};
use crate::Admin;
use crate::seat::Reader;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use belfry_acl::ban::Kind;
use belfry_edge::{ApiError, Query, given, media_type, random};
use belfry_protocol::id::BanId;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, BanImport, DirectoryError};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a table.
const TABLE_BYTES_MAX: usize = 1024 * 1024;
/// Its lines: what one transaction takes well under a second for.
const LINES_MAX: usize = 10_000;
/// What is wrong with a table, as far as it is said.
const PROBLEMS_MAX: usize = 100;

pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(export))
        .routes(routes!(import))
}

/// A line.
#[derive(Serialize, Deserialize)]
struct Line {
    kind: String,
    value: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    ends: String,
}

/// The bans in force as a table.
#[utoipa::path(
    get, path = "/admin/v1/bans.csv", tag = "Administration", operation_id = "admin_export_bans",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "kind,value,reason,ends", body = String, content_type = "text/csv"),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn export(State(admin): State<Admin>, _: Reader) -> Result<impl IntoResponse, ApiError> {
    let now = admin.now();
    let mut bans = admin.directory.all_bans().await?;
    bans.retain(|ban| !ban.ended(now));
    bans.sort_by_key(|ban| (ban.created, ban.id));
    let mut table = csv::Writer::from_writer(Vec::new());
    if bans.is_empty() {
        table
            .write_record(["kind", "value", "reason", "ends"])
            .map_err(|_| ApiError::unavailable())?;
    }
    for ban in bans {
        let line = Line {
            kind: ban.subject.kind().as_str().to_owned(),
            value: ban.subject.value(),
            reason: ban.reason,
            ends: ban.ends.map(|ends| ends.to_string()).unwrap_or_default(),
        };
        table.serialize(line).map_err(|_| ApiError::unavailable())?;
    }
    let table = table.into_inner().map_err(|_| ApiError::unavailable())?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"bans.csv\"",
        ),
    ];
    Ok((headers, table))
}

#[derive(Serialize, ToSchema)]
struct BansImported {
    added: usize,
    /// In force already, with another reason or end.
    changed: usize,
    unchanged: usize,
    /// What is wrong, at most 100 of it; then nothing was imported, and nothing was added or changed.
    problems: Vec<LineProblem>,
}

#[derive(Serialize, ToSchema)]
struct LineProblem {
    /// From 1, which is the header.
    line: u64,
    detail: String,
}

/// Takes a table over: all of it, or, where something is wrong with it, nothing.
#[utoipa::path(
    post, path = "/admin/v1/bans/import", tag = "Administration", operation_id = "admin_import_bans", params(Dry),
    request_body(content = String, content_type = "text/csv", description = "kind,value,reason,ends with that header; ends is RFC 3339 or empty"),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "What was done, with `dry_run=true` what would be", body = BansImported),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "There would be too many", body = Problem),
        (status = 413, description = "More than 1 MiB or 10,000 lines", body = Problem),
        (status = 415, description = "Not text/csv", body = Problem),
        (status = 422, description = "It has another header", body = Problem),
    )
)]
async fn import(
    State(admin): State<Admin>,
    Reader(seat): Reader,
    Query(dry): Query<Dry>,
    request: Request,
) -> Result<axum::Json<BansImported>, ApiError> {
    let dry = dry.is()?;
    if !dry {
        seat.may_write()?;
    }
    if media_type(request.headers()) != "text/csv" {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "media-type", "send text/csv").at("Content-Type"));
    }
    let remedy = "import a part at a time";
    let body = given::whole(request, &admin, TABLE_BYTES_MAX, remedy).await?;
    let read = read(&admin, &seat.actor, &body).await?;
    let Read { bans, problems } = read;
    let wrong = !problems.is_empty();
    let directory = &admin.directory;
    let by = &seat.actor;
    let done = directory.import_bans(&bans, dry || wrong, by, || admin.now());
    let mut done = match done.await {
        // Which line is wrong is said first.
        Err(DirectoryError::Full) if wrong => BanImport::default(),
        done => done.map_err(refused)?,
    };
    if wrong {
        (done.added, done.changed) = (0, 0);
    }
    if !dry && done.added + done.changed > 0 {
        admin.enforce_bans().await;
        admin.changed.tell("bans");
    }
    Ok(axum::Json(BansImported {
        added: done.added,
        changed: done.changed,
        unchanged: done.unchanged,
        problems,
    }))
}

/// What a table comes to.
struct Read {
    bans: Vec<BanRow>,
    problems: Vec<LineProblem>,
}

async fn read(admin: &Admin, by: &Actor, body: &[u8]) -> Result<Read, ApiError> {
    let now = admin.now();
    let mut table = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(body);
    let header = table.headers().cloned().unwrap_or_default();
    if !["kind", "value"]
        .iter()
        .all(|name| header.iter().any(|given| given == *name))
    {
        let detail = "the first line is kind,value,reason,ends";
        return Err(ApiError::invalid("body", detail));
    }
    let mut read = Read {
        bans: Vec::new(),
        problems: Vec::new(),
    };
    let mut named = HashSet::new();
    for (at, record) in table.records().enumerate() {
        if at >= LINES_MAX {
            let detail = format!("a table has at most {LINES_MAX} lines; import a part at a time");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, "too-large", detail).at("body"));
        }
        let line = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        let line = line.map_or(at as u64 + 2, csv::Position::line);
        let ban = match record.and_then(|record| record.deserialize(Some(&header))) {
            Ok(given) => judge(admin, by, given, now).await,
            Err(error) => Err(error.to_string()),
        };
        let ban = ban.and_then(|ban| match named.insert(ban.subject.clone()) {
            true => Ok(ban),
            false => Err(format!("{} stands there twice", ban.label)),
        });
        match ban {
            Ok(ban) => read.bans.push(ban),
            Err(detail) if read.problems.len() < PROBLEMS_MAX => {
                read.problems.push(LineProblem { line, detail });
            }
            Err(_) => {}
        }
    }
    Ok(read)
}

async fn judge(admin: &Admin, by: &Actor, line: Line, now: Timestamp) -> Result<BanRow, String> {
    let says = |error: ApiError| error.into_problem().0.problem.detail;
    let kind = Kind::read(&line.kind)
        .ok_or_else(|| "a kind is site, vapid, user or address".to_owned())?;
    let (subject, label) = resolve(admin, kind, &line.value).await.map_err(says)?;
    let ends = match line.ends.as_str() {
        "" => None,
        text => {
            let ends = text.parse::<Timestamp>();
            Some(ends.map_err(|_| "ends is as 2027-01-31T12:00:00Z, or empty".to_owned())?)
        }
    };
    let random = random().map_err(says)?;
    Ok(BanRow {
        id: BanId::from_bytes(random),
        subject,
        label,
        reason: reason(&line.reason).map_err(says)?,
        author: by.name().to_owned(),
        created: now,
        ends: end(ends, now).map_err(says)?,
    })
}
