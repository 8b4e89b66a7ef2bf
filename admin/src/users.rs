//! Users: who there is, what they have by count, and how full their mailboxes are. Never what they
//! approved, nor what is in a mailbox.
//!
//! A list is not sorted by how full the mailboxes are: nothing keeps them in that order, and each would
//! have to be counted.

mod acts;

use crate::Admin;
use crate::limits::{self, OwnLimit};
use crate::lists::{self, PAGE_MAX};
use crate::seat::Reader;
use crate::standing::Standing;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_acl::limit::Whose;
use belfry_edge::paging::{Page, Paging, bad_cursor};
use belfry_edge::{ApiError, Path, Query};
use belfry_protocol::id::UserId;
use belfry_protocol::problem::Problem;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{ListedUser, Place, Role, UserOrder, UsersAsked};
use belfry_store::mailbox::{Holding, Mailbox as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The columns that users are sorted by.
const COLUMNS: [(&str, UserOrder); 5] = [
    ("username", UserOrder::Name),
    ("created", UserOrder::Created),
    ("last_seen", UserOrder::LastSeen),
    ("devices", UserOrder::Devices),
    ("permissions", UserOrder::Permissions),
];

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list, acts::create))
        .routes(routes!(one))
        .routes(routes!(acts::set_role))
        .routes(routes!(acts::disconnect))
}

/// A user in a list.
#[derive(Serialize, ToSchema)]
struct UserInfo {
    id: UserId,
    username: String,
    /// `none`, `viewer` or `admin`.
    role: Role,
    created: Timestamp,
    /// When a device was last connected or a sign-in last used, that to the hour.
    last_seen: Option<Timestamp>,
    devices: u64,
    /// Of the devices, those that are connected now.
    connected: usize,
    /// That are not revoked.
    permissions: u64,
    /// Entries that are owed to some device.
    mailbox_depth: u64,
    /// Their posted bodies.
    mailbox_bytes: u64,
    #[serde(flatten)]
    standing: Standing,
}

/// All of a user.
#[derive(Serialize, ToSchema)]
struct UserDetail {
    #[serde(flatten)]
    user: UserInfo,
    /// The limits that can be of the user's own.
    limits: Vec<OwnLimit>,
    devices_by_kind: BTreeMap<String, u64>,
    permissions_by_state: BTreeMap<String, u64>,
    /// Whether a sign-in as an admin asks for more than the password.
    second_factor: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Parts of the name that all occur, in any case and without their accents; at most 4.
    search: Option<String>,
    /// `username`, `created`, `last_seen`, `devices` or `permissions`, with `-` for the largest first;
    /// `username` if not given.
    sort: Option<String>,
}

/// A place as a cursor: which kind, whose, and what is compared.
fn written(place: &Place) -> String {
    match place {
        Place::Name(name, user) => format!("n.{user}.{}", URL_SAFE_NO_PAD.encode(name)),
        Place::Number(number, user) => format!("i.{user}.{number}"),
    }
}

fn read(cursor: &str, order: UserOrder) -> Option<Place> {
    let mut parts = cursor.splitn(3, '.');
    let (kind, user, compared) = (parts.next()?, parts.next()?, parts.next()?);
    let user = user.parse().ok()?;
    match (kind, order) {
        ("n", UserOrder::Name) => {
            let name = URL_SAFE_NO_PAD.decode(compared).ok()?;
            // PostgreSQL takes no text with U+0000, and no name has one.
            let name = String::from_utf8(name).ok()?;
            (!name.contains('\0')).then_some(Place::Name(name, user))
        }
        ("i", UserOrder::Name) | ("n", _) => None,
        ("i", _) => Some(Place::Number(compared.parse().ok()?, user)),
        _ => None,
    }
}

/// The users.
#[utoipa::path(
    get, path = "/admin/v1/users", tag = "Administration", operation_id = "admin_list_users", params(Which, Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<UserInfo>),
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
) -> Result<axum::Json<Page<UserInfo>>, ApiError> {
    let limit = paging.limit_of(PAGE_MAX)?;
    let (column, descending) = lists::sort(
        which.sort.as_deref(),
        "username",
        &COLUMNS.map(|(name, _)| name),
    )?;
    let order = COLUMNS
        .iter()
        .find(|(name, _)| *name == column)
        .map_or(UserOrder::Name, |(_, order)| *order);
    let after = paging
        .cursor
        .as_deref()
        .map(|cursor| read(cursor, order).ok_or_else(bad_cursor))
        .transpose()?;
    let asked = UsersAsked {
        words: lists::words(which.search.as_deref())?,
        order,
        descending,
        after,
        limit: u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1),
    };
    let users = admin.directory.users(&asked).await?;
    // One more than the page says that there is another, and is not looked at.
    let shown = users.iter().take(limit).map(|user| user.user).collect();
    let mut holdings = admin.mailbox.holdings(shown).await?.into_iter();
    let whose = users.iter().map(|user| Whose::User(user.user));
    let whose: Vec<Whose> = whose.collect();
    let standings = admin.standings(&whose).await?;
    let found = users.into_iter().zip(standings).map(|(user, standing)| {
        let holding = holdings.next().unwrap_or_default();
        let place = user.place.clone();
        (place, admin.user_info(user, holding, standing))
    });
    let found = found.collect();
    let page = Page::of(found, limit, |(place, _)| written(place));
    Ok(axum::Json(page.map(|(_, user)| user)))
}

/// One user.
#[utoipa::path(
    get, path = "/admin/v1/users/{id}", tag = "Administration", operation_id = "admin_get_user",
    params(("id" = UserId, Path)), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "The user", body = UserDetail),
        (status = 401, description = "Signed out", body = Problem),
        (status = 404, description = "There is no such user", body = Problem),
    )
)]
async fn one(
    State(admin): State<Admin>,
    _: Reader,
    Path(id): Path<UserId>,
) -> Result<axum::Json<UserDetail>, ApiError> {
    let listed = admin.directory.listed_user(id).await?;
    let listed = listed.ok_or_else(no_user)?;
    let sorts = admin.directory.user_sorts(id).await?;
    let holdings = admin.mailbox.holdings(vec![id]).await?;
    let holding = holdings.first().copied().unwrap_or_default();
    let standing = admin.standing(Whose::User(id)).await?;
    Ok(axum::Json(UserDetail {
        user: admin.user_info(listed, holding, standing),
        limits: limits::of(&admin, &Whose::User(id)),
        devices_by_kind: sorts.devices,
        permissions_by_state: sorts.permissions,
        second_factor: sorts.second_factor,
    }))
}

impl Admin {
    fn user_info(&self, user: ListedUser, holding: Holding, standing: Standing) -> UserInfo {
        UserInfo {
            id: user.user,
            username: user.name,
            role: user.role,
            created: user.created,
            last_seen: user.last_seen,
            devices: user.devices,
            connected: self.broker.online(user.user).len(),
            permissions: user.permissions,
            mailbox_depth: holding.entries,
            mailbox_bytes: holding.bytes,
            standing,
        }
    }
}

/// 404.
fn no_user() -> ApiError {
    ApiError::not_found("there is no such user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_place_in_the_order_that_gave_it_alone() {
        let user = UserId::from_bytes([7; 16]);
        for (order, place) in [
            (UserOrder::Name, Place::Name("zoe.émile".to_owned(), user)),
            (UserOrder::Created, Place::Number(-5, user)),
            (UserOrder::Devices, Place::Number(i64::MAX, user)),
        ] {
            let cursor = written(&place);
            assert_eq!(read(&cursor, order), Some(place));
            let other = match order {
                UserOrder::Name => UserOrder::Created,
                _ => UserOrder::Name,
            };
            assert_eq!(read(&cursor, other), None);
        }
        for cursor in ["", "n", "n..", "i.x.5", "n.aaaa.aaaa", "n.a"] {
            assert_eq!(read(cursor, UserOrder::Name), None, "{cursor}");
            assert_eq!(read(cursor, UserOrder::Created), None, "{cursor}");
        }
    }
}
