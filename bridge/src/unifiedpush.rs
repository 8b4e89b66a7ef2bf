//! What is asked of a push server for UnifiedPush beyond Web Push: that its endpoints say that they are
//! such. Its specifications have not asked for it since they took Web Push over; older gateways look
//! before they post.

use serde::Serialize;
use utoipa::ToSchema;

/// The discovery answer.
#[derive(Serialize, ToSchema)]
#[schema(as = UnifiedPush)]
pub(crate) struct Discovery {
    unifiedpush: Version,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UnifiedPushVersion)]
struct Version {
    /// Always 1.
    version: u8,
}

/// Says that this is an endpoint for UnifiedPush.
///
/// Whatever the endpoint, so that it tells nothing of which there are.
#[utoipa::path(
    get, path = "/push/{secret}", tag = "Publishing",
    params(("secret" = String, Path, description = "Anything")),
    responses((status = 200, description = "It is", body = Discovery)),
    security(()),
)]
pub(crate) async fn discover() -> axum::Json<Discovery> {
    let unifiedpush = Version { version: 1 };
    axum::Json(Discovery { unifiedpush })
}
