//! What admins did: to read, to look through for what was tampered with, and to take away.

use crate::Admin;
use crate::lists::{self, PAGE_MAX};
use crate::seat::Reader;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use belfry_edge::paging::{Page, Paging, bad_cursor};
use belfry_edge::{ApiError, Query};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{AuditFilter, AuditHead, AuditRow, Directory, DirectoryError};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(verify))
        .routes(routes!(export))
}

#[derive(Serialize, ToSchema)]
struct AuditRowInfo {
    /// From 1, without gaps.
    n: u64,
    at: Timestamp,
    /// Who, by the name then.
    actor: String,
    /// `account`, `token`, `operator` or `server`.
    actor_kind: String,
    /// The id of the account or token.
    actor_id: Option<String>,
    #[schema(example = "ban.create")]
    act: String,
    target: Option<String>,
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// SHA-256, in hexadecimal, of the hash before it and this row.
    hash: String,
}

impl From<AuditRow> for AuditRowInfo {
    fn from(row: AuditRow) -> Self {
        Self {
            n: row.n,
            at: row.at,
            actor: row.actor,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            act: row.act,
            target: row.target,
            before: row.before,
            after: row.after,
            hash: row.hash,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Words that all occur, in any case and without their accents; at most 4.
    search: Option<String>,
    /// What the act begins with: `ban.` for all of bans.
    act: Option<String>,
    /// `-n`, the newest first, or `n`; `at` is the same.
    sort: Option<String>,
}

/// What admins did, newest first.
#[utoipa::path(
    get, path = "/admin/v1/audit", tag = "Administration", operation_id = "admin_list_audit", params(Which, Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of it", body = Page<AuditRowInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A page of none, too many words, or an order that there is not", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<AuditRowInfo>>, ApiError> {
    let limit = paging.limit_of(PAGE_MAX)?;
    let (_, descending) = lists::sort(which.sort.as_deref(), "-n", &["n", "at"])?;
    let beyond = paging.cursor.map(|cursor| cursor.parse::<u64>());
    let filter = AuditFilter {
        words: lists::words(which.search.as_deref())?,
        act: which.act.unwrap_or_default(),
        oldest_first: !descending,
        beyond: beyond.transpose().map_err(|_| bad_cursor())?,
    };
    let wanted = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let rows = admin.directory.audit(&filter, wanted).await?;
    let page = Page::of(rows, limit, |row| row.n.to_string());
    Ok(axum::Json(page.map(AuditRowInfo::from)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Expected {
    /// The number of a row whose hash is known, such as from the server's log.
    #[param(value_type = Option<u64>)]
    n: Option<String>,
    /// That hash, in hexadecimal.
    hash: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct VerifiedAudit {
    /// Rows that were read.
    rows: u64,
    ok: bool,
    /// The first row that is missing or changed; where `n` was removed for its age, that one.
    broken_at: Option<u64>,
    /// Up to which row all were removed for their age; 0 where none was.
    removed: u64,
    /// The hash of the newest row.
    head: String,
}

/// Looks through the chain.
///
/// With `n` and `hash` the row of that number must have that hash too: a chain that was cut or made
/// anew as a whole shows by a head that was logged before.
#[utoipa::path(
    post, path = "/admin/v1/audit/verify", tag = "Administration", operation_id = "admin_verify_audit", params(Expected),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "What was found", body = VerifiedAudit),
        (status = 400, description = "A number without its hash, or the other way round", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn verify(
    State(admin): State<Admin>,
    _: Reader,
    Query(expected): Query<Expected>,
) -> Result<axum::Json<VerifiedAudit>, ApiError> {
    let expected = match (expected.n, expected.hash) {
        (None, None) => None,
        (Some(n), Some(hash)) => Some(AuditHead {
            n: n.parse()
                .map_err(|_| ApiError::malformed("n", "n is the number of a row"))?,
            hash: hash.to_ascii_lowercase(),
        }),
        _ => {
            let detail = "n and hash are of one row: give both or none";
            return Err(ApiError::malformed("hash", detail));
        }
    };
    let found = admin.directory.verify_audit(expected.as_ref()).await?;
    Ok(axum::Json(VerifiedAudit {
        rows: found.rows,
        ok: found.broken_at.is_none(),
        broken_at: found.broken_at,
        removed: found.removed,
        head: found.head.hash,
    }))
}

/// All of it, oldest first, one row a line.
#[utoipa::path(
    get, path = "/admin/v1/audit.ndjson", tag = "Administration", operation_id = "admin_export_audit",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "The rows", body = String, content_type = "application/x-ndjson"),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn export(State(admin): State<Admin>, _: Reader) -> impl IntoResponse {
    let directory = admin.directory.clone();
    let rows = stream::try_unfold(0, move |after| {
        let directory = directory.clone();
        async move { next_lines(&directory, after).await }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.ndjson\"",
        ),
    ];
    (headers, Body::from_stream(rows))
}

/// The next rows as lines, and the number of the last.
async fn next_lines(
    directory: &Directory,
    after: u64,
) -> Result<Option<(Bytes, u64)>, DirectoryError> {
    let rows = directory.audit_after(after).await?;
    let Some(last) = rows.last().map(|row| row.n) else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    for row in &rows {
        if serde_json::to_writer(&mut lines, row).is_ok() {
            lines.push(b'\n');
        }
    }
    Ok(Some((lines.into(), last)))
}
