//! What was decided about a site or a user beside what they have: whether they are kept out, and limits of
//! their own. One place, so that lists, pages and the command line say the same.

use crate::Admin;
use crate::bans::{self, BanInfo};
use belfry_acl::ban::Subject;
use belfry_acl::limit::Whose;
use belfry_edge::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

/// What was decided.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// The ban in force; null where there is none.
    ban: Option<BanInfo>,
    /// Whether any limit is other than everybody's.
    has_own_limits: bool,
}

impl Admin {
    /// Of each of these, in their order.
    pub(crate) async fn standings(&self, of: &[Whose]) -> Result<Vec<Standing>, ApiError> {
        let subjects = of.iter().map(|whose| match whose {
            Whose::Site(site) => Subject::Site(site.clone()),
            Whose::User(user) => Subject::User(*user),
        });
        let bans = bans::over(self, &subjects.collect::<Vec<_>>()).await?;
        let limits = self.directory.limits();
        let standings = of.iter().zip(bans).map(|(whose, ban)| Standing {
            ban,
            has_own_limits: limits.has_own(whose),
        });
        Ok(standings.collect())
    }

    /// Of one.
    pub(crate) async fn standing(&self, of: Whose) -> Result<Standing, ApiError> {
        let standing = self.standings(&[of]).await?.pop();
        Ok(standing.unwrap_or_default())
    }
}
