//! Who is kept out: sites, VAPID keys, users and addresses.
//!
//! An act holds in memory when it is answered (`store::directory::bans`); the mailbox and the connections
//! there are have been told by then too, by `enforce`. What an act would do can be asked before.

pub(crate) mod enforce;
mod table;

use crate::Admin;
use crate::lists::{self, PAGE_MAX};
use crate::seat::{Reader, Writer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use belfry_acl::ban::{Kind, Subject};
use belfry_edge::given::{Given, nullable};
use belfry_edge::paging::{Page, Paging};
use belfry_edge::{ApiError, Path, Query, random};
use belfry_protocol::id::{BanId, UserId};
use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{BANS_MAX, BanChange, BanRow, DirectoryError, Role, fold};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Characters of a reason: a sentence or two, which a blocked user is shown.
const REASON_CHARS_MAX: usize = 500;
/// How long a session of an admin lives without being used, which counts as being signed in.
const SIGNED_IN: Duration = Duration::from_secs(30 * 60);

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(change, lift))
        .merge(table::router())
}

/// What is kept out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BanKind {
    /// A site, by its origin.
    Site,
    /// A site, by a VAPID key.
    Vapid,
    /// A user.
    User,
    /// An address or a range of them.
    Address,
}

impl From<BanKind> for Kind {
    fn from(kind: BanKind) -> Self {
        match kind {
            BanKind::Site => Self::Site,
            BanKind::Vapid => Self::Vapid,
            BanKind::User => Self::User,
            BanKind::Address => Self::Address,
        }
    }
}

impl From<Kind> for BanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Site => Self::Site,
            Kind::Vapid => Self::Vapid,
            Kind::User => Self::User,
            Kind::Address => Self::Address,
        }
    }
}

/// A ban.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Ban)]
pub struct BanInfo {
    id: BanId,
    kind: BanKind,
    /// An origin, a key in base64url, a user's id, an address or a range.
    value: String,
    /// What people call it; of a user the name.
    label: String,
    reason: String,
    /// Who made it.
    author: String,
    created: Timestamp,
    /// When it ends, or ended; null for never.
    ends: Option<Timestamp>,
    ended: bool,
}

impl BanInfo {
    /// As it is at this time.
    pub fn of(ban: BanRow, now: Timestamp) -> Self {
        Self {
            ended: ban.ended(now),
            id: ban.id,
            kind: ban.subject.kind().into(),
            value: ban.subject.value(),
            label: ban.label,
            reason: ban.reason,
            author: ban.author,
            created: ban.created,
            ends: ban.ends,
        }
    }
}

/// The ban over each of these that is in force, in their order, for lists of them.
///
/// # Errors
/// The directory is unavailable.
pub async fn over(admin: &Admin, subjects: &[Subject]) -> Result<Vec<Option<BanInfo>>, ApiError> {
    let now = admin.now();
    let found = admin.directory.bans_over(subjects, now).await?;
    let of = |subject: &Subject| found.iter().find(|ban| ban.subject == *subject).cloned();
    let bans = subjects.iter().map(of);
    Ok(bans
        .map(|ban| ban.map(|ban| BanInfo::of(ban, now)))
        .collect())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Words that all occur in value, name, reason or author, in any case and without their accents.
    search: Option<String>,
    /// `site`, `vapid`, `user` or `address`.
    kind: Option<String>,
    /// `true`: those that are over too.
    #[param(value_type = Option<bool>)]
    ended: Option<String>,
    /// `created`, `ends` or `value`, from its end with `-`; `-created` if not given.
    sort: Option<String>,
}

/// The bans.
#[utoipa::path(
    get, path = "/admin/v1/bans", tag = "Administration", operation_id = "admin_list_bans", params(Which, Paging),
    security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "A page of them", body = Page<BanInfo>),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 422, description = "A page of none, too many words, or a kind or an order that there is not", body = Problem),
    )
)]
async fn list(
    State(admin): State<Admin>,
    _: Reader,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<BanInfo>>, ApiError> {
    let now = admin.now();
    let limit = paging.limit_of(PAGE_MAX)?;
    let words = lists::words(which.search.as_deref())?;
    let columns = ["created", "ends", "value"];
    let (column, descending) = lists::sort(which.sort.as_deref(), "-created", &columns)?;
    let kind = which.kind.as_deref().map(read_kind).transpose()?;
    let with_ended = flag("ended", which.ended.as_deref())?;
    let mut bans = admin.directory.all_bans().await?;
    bans.retain(|ban| {
        let searched = || {
            fold(
                &[&ban.label, &ban.subject.value(), &ban.reason, &ban.author]
                    .map(String::as_str)
                    .join(" "),
            )
        };
        (with_ended || !ban.ended(now))
            && kind.is_none_or(|kind| ban.subject.kind() == kind)
            && words.occur_in(&searched())
    });
    match column {
        "created" => bans.sort_by_key(|ban| (ban.created, ban.id)),
        "ends" => bans.sort_by_key(|ban| (ban.ends.unwrap_or(Timestamp::NEVER), ban.id)),
        _ => bans.sort_by_cached_key(|ban| (ban.label.clone(), ban.id)),
    }
    if descending {
        bans.reverse();
    }
    let page = lists::cut(bans, paging.cursor.as_deref(), limit, |ban| {
        ban.id.to_string()
    })?;
    Ok(axum::Json(page.map(|ban| BanInfo::of(ban, now))))
}

fn read_kind(text: &str) -> Result<Kind, ApiError> {
    Kind::read(text).ok_or_else(|| {
        ApiError::invalid("kind", "a ban is of the kind site, vapid, user or address")
    })
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::malformed(
            name,
            format!("{name} is true or false"),
        )),
    }
}

#[derive(Deserialize, ToSchema)]
struct NewBan {
    kind: BanKind,
    /// An origin, a key in base64url, a user's name or id, an address or a range. An IPv6 address counts
    /// as its /64.
    #[schema(example = "https://spam.example")]
    value: String,
    /// At most 500 characters; a blocked user is shown it.
    #[schema(max_length = 500)]
    reason: String,
    /// When it ends by itself; null for never.
    ends: Option<Timestamp>,
}

/// What is only asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Dry {
    /// `true`: nothing is done, and the answer says what would be.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
}

impl Dry {
    pub(crate) fn is(&self) -> Result<bool, ApiError> {
        flag("dry_run", self.dry_run.as_deref())
    }
}

/// What a ban would do.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Consequence {
    /// Connections that would end.
    connections: u64,
    /// Permissions that posts would be refused of; of an address that is not known.
    permissions: u64,
    /// VAPID keys that are covered.
    vapid_keys: u64,
    /// Sites concerned.
    sites: u64,
    /// Users concerned.
    users: u64,
    /// Those of them who have a role; of an address, who administers from there now.
    admins: u64,
}

/// Keeps a site, a key, a user or addresses out, from the next request on.
#[utoipa::path(
    post, path = "/admin/v1/bans", tag = "Administration", operation_id = "admin_create_ban", params(Dry),
    request_body = NewBan, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "With `dry_run=true`: what it would do", body = Consequence),
        (status = 201, description = "It holds", body = BanInfo),
        (status = 400, description = "A malformed parameter", body = Problem),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 409, description = "There is one in force, whose `id` is said; or there are too many", body = Problem),
        (status = 422, description = "What it cannot be", body = Problem),
    )
)]
async fn create(
    State(admin): State<Admin>,
    Reader(seat): Reader,
    Query(dry): Query<Dry>,
    Given(new): Given<NewBan>,
) -> Result<Response, ApiError> {
    let now = admin.now();
    let dry = dry.is()?;
    if !dry {
        seat.may_write()?;
    }
    let (subject, label) = resolve(&admin, new.kind.into(), &new.value).await?;
    let ban = BanRow {
        id: BanId::from_bytes(random()?),
        subject,
        label,
        reason: reason(&new.reason)?,
        author: seat.actor.name().to_owned(),
        created: now,
        ends: end(new.ends, now)?,
    };
    if let Some(there) = admin.directory.ban_over(&ban.subject, now).await? {
        return Ok(exists(&there));
    }
    if dry {
        return Ok(axum::Json(consequence(&admin, &ban.subject).await?).into_response());
    }
    match admin.directory.create_ban(&ban, &seat.actor, now).await {
        Err(DirectoryError::Taken) => {
            let there = admin.directory.ban_over(&ban.subject, now).await?;
            return Ok(exists(&there.unwrap_or(ban)));
        }
        made => made.map_err(refused)?,
    }
    admin.enforce_bans().await;
    admin.changed.tell("bans");
    let made = axum::Json(BanInfo::of(ban, now));
    Ok((StatusCode::CREATED, made).into_response())
}

/// 409, with which it is.
fn exists(there: &BanRow) -> Response {
    #[derive(Serialize)]
    struct Exists {
        #[serde(flatten)]
        problem: Problem,
        id: BanId,
    }
    let detail = format!("{} is blocked already", there.label);
    let problem = Exists {
        problem: Problem::new(409, "exists", "Conflict", detail).at("value"),
        id: there.id,
    };
    let headers = [(axum::http::header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE)];
    (StatusCode::CONFLICT, headers, axum::Json(problem)).into_response()
}

#[derive(Deserialize, ToSchema)]
#[schema(as = BanChange)]
struct ChangedBan {
    /// What is left out stays.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Null: it does not end by itself.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Timestamp>)]
    ends: Option<Option<Timestamp>>,
}

/// Gives a ban another reason or end.
#[utoipa::path(
    patch, path = "/admin/v1/bans/{id}", tag = "Administration", operation_id = "admin_change_ban",
    params(("id" = BanId, Path)), request_body = ChangedBan, security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 200, description = "As it is now", body = BanInfo),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such ban, or it was lifted meanwhile", body = Problem),
        (status = 409, description = "It is over", body = Problem),
        (status = 422, description = "What it cannot be", body = Problem),
    )
)]
async fn change(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<BanId>,
    Given(given): Given<ChangedBan>,
) -> Result<axum::Json<BanInfo>, ApiError> {
    let now = admin.now();
    let there = admin.directory.ban(id).await?.ok_or_else(no_ban)?;
    if there.ended(now) {
        let detail = "this ban is over: make a new one";
        return Err(ApiError::new(StatusCode::CONFLICT, "ended", detail));
    }
    let change = BanChange {
        reason: given.reason.as_deref().map(reason).transpose()?,
        ends: given.ends.map(|ends| end(ends, now)).transpose()?,
    };
    let directory = &admin.directory;
    let changed = directory.change_ban(id, &change, &seat.actor, || admin.now());
    // It was lifted since it was looked at.
    let ban = changed.await?.ok_or_else(no_ban)?;
    admin.enforce_bans().await;
    admin.changed.tell("bans");
    Ok(axum::Json(BanInfo::of(ban, admin.now())))
}

/// Lifts a ban; that it was there can be seen until it is forgotten with the audit.
#[utoipa::path(
    delete, path = "/admin/v1/bans/{id}", tag = "Administration", operation_id = "admin_lift_ban",
    params(("id" = BanId, Path)), security(("admin" = []), ("admin_session" = [])),
    responses(
        (status = 204, description = "It holds no longer"),
        (status = 401, description = "Signed out", body = Problem),
        (status = 403, description = "A viewer, or another site", body = Problem),
        (status = 404, description = "There is no such ban", body = Problem),
    )
)]
async fn lift(
    State(admin): State<Admin>,
    Writer(seat): Writer,
    Path(id): Path<BanId>,
) -> Result<StatusCode, ApiError> {
    let now = admin.now();
    admin.directory.ban(id).await?.ok_or_else(no_ban)?;
    if admin.directory.lift_ban(id, &seat.actor, now).await? {
        admin.enforce_bans().await;
        admin.changed.tell("bans");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn no_ban() -> ApiError {
    ApiError::not_found("there is no such ban")
}

/// What is meant, and what people call it. A user may be given by name.
async fn resolve(admin: &Admin, kind: Kind, value: &str) -> Result<(Subject, String), ApiError> {
    let value = value.trim();
    if kind == Kind::User {
        let directory = &admin.directory;
        let by_id = match value.parse::<UserId>() {
            Ok(user) => directory.account(user).await?,
            Err(_) => None,
        };
        let account = match by_id {
            Some(account) => Some(account),
            None => directory.account_by_name(value).await?,
        };
        let account = account.ok_or_else(|| ApiError::invalid("value", "there is no such user"))?;
        return Ok((Subject::User(account.user), account.display_name));
    }
    let subject = Subject::read(kind, value);
    let subject = subject.map_err(|error| ApiError::invalid("value", error.to_string()))?;
    let label = subject.value();
    Ok((subject, label))
}

fn reason(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.chars().count() <= REASON_CHARS_MAX && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let detail = format!("a reason has at most {REASON_CHARS_MAX} characters, on one line");
    Err(ApiError::invalid("reason", detail))
}

fn end(ends: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if ends.is_some_and(|ends| ends <= now) {
        return Err(ApiError::invalid("ends", "it would have ended already"));
    }
    Ok(ends)
}

/// What the directory makes of a ban that it does not take.
fn refused(error: DirectoryError) -> ApiError {
    if !matches!(error, DirectoryError::Full) {
        return error.into();
    }
    let detail = format!("there are at most {BANS_MAX} bans; lift some, or name ranges");
    ApiError::new(StatusCode::CONFLICT, "full", detail)
}

async fn consequence(admin: &Admin, subject: &Subject) -> Result<Consequence, ApiError> {
    let directory = &admin.directory;
    let permissions = directory.permissions_under(subject).await?;
    let users = directory.users_under(subject).await?;
    let count = |ends: &dyn Fn(UserId, std::net::IpAddr) -> bool| {
        admin.broker.count_connections(ends) as u64
    };
    let base = Consequence {
        permissions,
        users,
        ..Consequence::default()
    };
    Ok(match subject {
        Subject::Site(site) => Consequence {
            vapid_keys: directory.covered_keys(site).await?.len() as u64,
            sites: 1,
            ..base
        },
        Subject::Vapid(key) => Consequence {
            vapid_keys: 1,
            sites: directory.sites_of_key(key).await?,
            ..base
        },
        Subject::User(user) => Consequence {
            connections: count(&|whose, _| whose == *user),
            admins: u64::from(directory.role(*user).await? != Role::None),
            ..base
        },
        Subject::Address(network) => {
            let theirs = std::cell::RefCell::new(HashSet::new());
            let connections = count(&|whose, address| {
                let there = network.contains(address);
                if there {
                    theirs.borrow_mut().insert(whose);
                }
                there
            });
            let since = admin.now().minus(SIGNED_IN);
            let admins = directory.admins_from(*network, since).await?;
            let users = theirs.borrow().len() as u64;
            Consequence {
                connections,
                users,
                admins,
                ..base
            }
        }
    })
}
