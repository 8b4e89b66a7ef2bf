//! `GET /admin/v1/nodes`: the servers that this one is one of, which is the only one.

use crate::Admin;
use crate::health::{Check, State as Health, resident_bytes};
use crate::seat::Reader;
use axum::extract::State;
use belfry_edge::{ApiError, paging::Page};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of an id: enough to tell some servers apart.
const ID_BYTES: usize = 4;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(nodes))
}

/// A server.
#[derive(Serialize, ToSchema)]
struct Node {
    /// The same for as long as its data is.
    id: String,
    /// Whether it is the one that answers.
    #[serde(rename = "self")]
    is_self: bool,
    version: &'static str,
    started: Timestamp,
    /// When it was last heard of.
    seen: Timestamp,
    /// Whether requests should go there.
    ready: bool,
    /// Devices that are connected to it.
    connections: u64,
    memory_bytes: Option<u64>,
    /// What it may still write where its data is.
    disk_free_bytes: Option<u64>,
    /// What that disk holds in all.
    disk_bytes: Option<u64>,
    checks: Vec<Check>,
}

/// The servers, and how they are.
#[utoipa::path(
    get, path = "/admin/v1/nodes", tag = "Administration", operation_id = "admin_list_nodes",
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "All of them", body = Page<Node>),
        (status = 401, description = "Signed out", body = Problem),
    )
)]
async fn nodes(State(admin): State<Admin>, _: Reader) -> Result<axum::Json<Page<Node>>, ApiError> {
    let (report, space) = (admin.health.report(), admin.health.space());
    let node = Node {
        id: admin.node_id().await?,
        is_self: true,
        version: env!("CARGO_PKG_VERSION"),
        started: admin.figures.started(),
        seen: admin.now(),
        ready: report.health != Health::Failing,
        connections: admin.figures.connections(),
        memory_bytes: resident_bytes(),
        disk_free_bytes: space.map(|space| space.free),
        disk_bytes: space.map(|space| space.all),
        checks: report.checks,
    };
    Ok(axum::Json(Page::whole(vec![node])))
}

impl crate::Inner {
    /// What this server is called, from a secret of its own that stays one.
    async fn node_id(&self) -> Result<String, ApiError> {
        let secret = self
            .directory
            .server_secret("node", belfry_edge::random()?)
            .await?;
        let hash = SecretHash::of(&secret);
        let mut id = String::new();
        for byte in &hash.as_bytes()[..ID_BYTES] {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        Ok(id)
    }
}
