//! `GET /v1/messages/{message}`: that a notification was accepted and stored, for the site that has its
//! message URL.
//!
//! It says that and no more, whatever has become of the notification, and reads nothing to say it: an
//! answer that came of the mailbox would tell when it was delivered, or how full the mailbox is. What
//! became of it is told in receipts, where the user allowed them.

use crate::Bridge;
use axum::extract::State;
use belfry_edge::{ApiError, Path};
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Message, Seq};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Bridge> {
    OpenApiRouter::new().routes(routes!(milestones))
}

#[derive(Serialize, ToSchema)]
struct MessageMilestones {
    /// When it ceases to wait.
    expires: Timestamp,
    milestones: Vec<MessageMilestone>,
}

#[derive(Serialize, ToSchema)]
struct MessageMilestone {
    /// `accepted` or `stored`.
    what: &'static str,
}

/// Says that a notification was accepted and stored, until it expires.
///
/// What became of it is told in receipts, where the user allowed them.
#[utoipa::path(
    get, path = "/v1/messages/{message}", tag = "Publishing", operation_id = "message_milestones",
    params(("message" = String, Path, description = "The last part of the message URL")),
    responses(
        (status = 200, description = "It was", body = MessageMilestones),
        (status = 404, description = "No such message, one with TTL: 0, or one that has expired", body = Problem),
    ),
    security(()),
)]
async fn milestones(
    State(bridge): State<Bridge>,
    message: Result<Path<String>, ApiError>,
) -> Result<axum::Json<MessageMilestones>, ApiError> {
    let inner = &bridge.0;
    let now = (inner.clock)();
    let message = message.ok();
    let message = message.and_then(|Path(message)| inner.sealing.open(&message));
    let message =
        message.filter(|message: &Message| message.expires > now && message.seq != Seq(0));
    let message = message
        .ok_or_else(|| ApiError::not_found("there is no such message, or it has expired"))?;
    let milestone = |what| MessageMilestone { what };
    Ok(axum::Json(MessageMilestones {
        expires: message.expires,
        milestones: vec![milestone("accepted"), milestone("stored")],
    }))
}
