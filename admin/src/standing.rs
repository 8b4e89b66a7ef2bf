//! What was decided about a site or a user beside what they have: whether they are kept out, and limits of
//! their own. One place, so that lists, pages and the command line say the same.

use crate::Inner;
use belfry_edge::ApiError;
use belfry_protocol::id::UserId;
use belfry_protocol::site::Origin;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What was decided.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// The ban in force; null where there is none.
    #[schema(value_type = Option<Object>)]
    ban: Option<Value>,
    /// Whether any limit is other than everybody's.
    has_own_limits: bool,
}

impl Inner {
    pub(crate) async fn standing_of_site(&self, _site: &Origin) -> Result<Standing, ApiError> {
        Ok(Standing::default())
    }

    pub(crate) async fn standing_of_user(&self, _user: UserId) -> Result<Standing, ApiError> {
        Ok(Standing::default())
    }

    /// The limits that can be of one site's own.
    pub(crate) fn limits_of_site(&self, _site: &Origin) -> Vec<Value> {
        Vec::new()
    }

    /// The limits that can be of one user's own.
    pub(crate) fn limits_of_user(&self, _user: UserId) -> Vec<Value> {
        Vec::new()
    }
}
