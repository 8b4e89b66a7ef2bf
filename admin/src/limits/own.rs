//! The limits of one site or user, for the pages about them.

use crate::Admin;
use belfry_acl::limit::{Name, Whose};
use serde::Serialize;
use utoipa::ToSchema;

/// A limit that a site or a user can have of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnLimit {
    #[schema(example = "site_per_second")]
    name: &'static str,
    in_force: u64,
    /// Null where it has none of its own.
    own: Option<u64>,
    /// What would hold without.
    otherwise: u64,
}

/// All that a site or a user can have.
pub fn of(admin: &Admin, whose: &Whose) -> Vec<OwnLimit> {
    let limits = admin.directory.limits();
    let can_have = Name::ALL.iter().filter(|name| name.of() == whose.of());
    let own = can_have.map(|name| {
        let own = limits.own(whose, *name);
        let otherwise = limits.for_all(*name, admin.settings.configured.get(*name));
        OwnLimit {
            name: name.short(),
            in_force: own.unwrap_or(otherwise),
            own,
            otherwise,
        }
    });
    own.collect()
}
