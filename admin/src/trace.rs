//! What became of one notification, by its message URL, which only its site has: milestones with their
//! times, and nothing of what it says, of whose it is or of the devices that it went to.

use crate::Admin;
use crate::seat::Reader;
use axum::extract::State;
use belfry_edge::ApiError;
use belfry_edge::given::Given;
use belfry_protocol::problem::Problem;
use belfry_protocol::push::Urgency;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Ended, Message, Trace};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Says which message a URL of this server stands for.
pub type OpenMessage = Arc<dyn Fn(&str) -> Option<Message> + Send + Sync>;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(trace))
}

#[derive(Deserialize, ToSchema)]
struct TraceRequest {
    /// The message URL, as its site was answered it.
    #[schema(example = "https://push.example/push/message/…")]
    message: String,
}

#[derive(Serialize, ToSchema)]
struct MessageTrace {
    site: Origin,
    /// Null once it is gone.
    urgency: Option<Urgency>,
    /// Posted body bytes.
    bytes: u32,
    expires: Timestamp,
    /// In the order of their times.
    milestones: Vec<Milestone>,
}

#[derive(Serialize, ToSchema)]
struct Milestone {
    /// `accepted`, `stored`, `delivered` (a first device had it), `expired`, `withdrawn`, `replaced`,
    /// `pushed-out` (there was no room for it) or `revoked` (the permission was).
    what: &'static str,
    at: Timestamp,
}

/// What became of a notification.
///
/// It changes nothing; the URL is in the body so that it is in no log. It is known for as long as the
/// notification is there, and then for as long as history is kept.
#[utoipa::path(
    post, path = "/admin/v1/trace", tag = "Administration", operation_id = "admin_trace", request_body = TraceRequest,
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "Its milestones", body = MessageTrace),
        (status = 401, description = "Signed out", body = Problem),
        (status = 404, description = "No such message, one with TTL: 0, or one from too long ago", body = Problem),
        (status = 503, description = "Not now", body = Problem),
    )
)]
async fn trace(
    State(admin): State<Admin>,
    _: Reader,
    Given(asked): Given<TraceRequest>,
) -> Result<axum::Json<MessageTrace>, ApiError> {
    let unknown = || ApiError::not_found("there is no such message, or it is from too long ago");
    let message = (admin.settings.open_message)(asked.message.trim()).ok_or_else(unknown)?;
    let Message { user, seq, .. } = message;
    let trace = admin.mailbox.trace(user, seq).await?.ok_or_else(unknown)?;
    let permission = admin.directory.permission(user, trace.permission).await?;
    let site = permission.ok_or_else(unknown)?.site;
    Ok(axum::Json(MessageTrace {
        site,
        urgency: trace.urgency,
        bytes: trace.bytes,
        expires: trace.expires,
        milestones: milestones(&trace),
    }))
}

fn milestones(trace: &Trace) -> Vec<Milestone> {
    let milestone = |what, at| Milestone { what, at };
    let mut milestones = vec![
        milestone("accepted", trace.sent),
        milestone("stored", trace.sent),
    ];
    milestones.extend(trace.delivered.map(|at| milestone("delivered", at)));
    if let Some((why, at)) = trace.ended {
        let what = match why {
            // What a device has had does not expire for anybody.
            Ended::Expired if trace.delivered.is_some() => return milestones,
            Ended::Expired => "expired",
            Ended::Withdrawn => "withdrawn",
            Ended::Replaced => "replaced",
            Ended::PushedOut => "pushed-out",
            Ended::Revoked => "revoked",
        };
        milestones.push(milestone(what, at));
    }
    milestones
}
