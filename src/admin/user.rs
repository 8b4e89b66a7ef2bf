//! `belfry admin user`: who there is, what they may administer, how somebody comes in or back in, and
//! that their devices connect anew.

use super::remote::{Remote, encoded};
use super::{Desk, refused};
use crate::command::ServeOptions;
use anyhow::{Context as _, bail};
use belfry_admin::desk::{self, MadeLink, NewAccount};
use belfry_edge::password::Hashing;
use belfry_protocol::id::{LinkId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, ListedUser, Role, UserOrder, UsersAsked, Words};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::io::IsTerminal as _;

/// Users that are read at a time.
const PAGE: u32 = 200;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Users, by name
    #[command(after_help = "Example:\n  belfry admin user list --search ada")]
    List(List),
    /// One user
    #[command(after_help = "Example:\n  belfry admin user show ada")]
    Show(OneUser),
    /// Make an account for somebody; the password is read from BELFRY_PASSWORD or stdin
    #[command(
        after_help = "Example:\n  printf %s \"$PASSWORD\" | belfry admin user create ada --role viewer"
    )]
    Create(Create),
    /// Change what a user may administer
    #[command(after_help = "Example:\n  belfry admin user role ada admin")]
    Role(GiveRole),
    /// Make a one-time link to make an account with, and print it, this once
    #[command(after_help = "Example:\n  belfry admin user invite --ends 2027-01-01T00:00:00Z")]
    Invite(Invite),
    /// Make a one-time link that sets a user's password; keys are not recovered by it
    #[command(after_help = "Example:\n  belfry admin user reset ada")]
    Reset(Reset),
    /// Take the authenticator and the passkeys from a user who has lost them
    #[command(after_help = "Example:\n  belfry admin user forget-factors ada")]
    ForgetFactors(OneUser),
    /// End a user's connections, at a server that runs; devices may come back at once
    #[command(
        after_help = "Example:\n  belfry admin user disconnect ada --server https://push.example"
    )]
    Disconnect(OneUser),
}

#[derive(Args)]
pub(crate) struct List {
    /// Parts of the name
    #[arg(long, value_name = "WORDS", default_value = "")]
    search: String,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct OneUser {
    /// The name, or the id
    user: String,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct Create {
    /// The name
    username: String,
    /// What they may administer: none, viewer or admin
    #[arg(long, value_name = "ROLE", default_value = "none")]
    role: Role,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct GiveRole {
    #[command(flatten)]
    user: OneUser,
    /// none, viewer or admin
    role: Role,
}

#[derive(Args)]
pub(crate) struct Invite {
    /// When the link ends by itself, such as 2027-01-01T00:00:00Z [default: in 7 days]
    #[arg(long, value_name = "TIME")]
    ends: Option<Timestamp>,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    user: OneUser,
    /// When the link ends by itself, such as 2027-01-01T00:00:00Z [default: in a day]
    #[arg(long, value_name = "TIME")]
    ends: Option<Timestamp>,
}

impl Command {
    pub(super) fn options(&self) -> &ServeOptions {
        match self {
            Self::List(list) => &list.options,
            Self::Show(user) | Self::ForgetFactors(user) | Self::Disconnect(user) => &user.options,
            Self::Invite(invite) => &invite.options,
            Self::Reset(reset) => &reset.user.options,
            Self::Create(create) => &create.options,
            Self::Role(role) => &role.user.options,
        }
    }

    /// Whether it makes sense before a server has ever run.
    pub(super) fn begins(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Show(user) => desk.show(&Shown::of(desk.listed(&user.user).await?)),
            Self::Create(create) => create.run(desk).await,
            Self::Role(role) => role.run(desk).await,
            Self::Invite(invite) => invite.run(desk).await,
            Self::Reset(reset) => reset.run(desk).await,
            Self::ForgetFactors(user) => forget_factors(desk, &user.user).await,
            Self::Disconnect(_) => bail!(super::NEEDS_SERVER),
        }
    }

    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run_at(remote).await,
            Self::Show(user) => {
                let id = remote.user(&user.user).await?.id;
                remote.show(&Found::of(remote.get(&format!("/users/{id}")).await?)?)
            }
            Self::Create(create) => create.run_at(remote).await,
            Self::Role(role) => role.run_at(remote).await,
            Self::Invite(invite) => link(remote, "/invites", invite.ends).await,
            Self::Reset(reset) => {
                let id = remote.user(&reset.user.user).await?.id;
                link(remote, &format!("/users/{id}/reset"), reset.ends).await
            }
            Self::ForgetFactors(_) => bail!(super::NEEDS_DIRECTORY),
            Self::Disconnect(user) => {
                let user = remote.user(&user.user).await?;
                let path = format!("/users/{}/disconnect", user.id);
                let ended = remote.ask(Method::POST, &path, Some(&json!({}))).await?;
                remote.show(&Disconnected {
                    id: user.id,
                    username: user.username,
                    connections: ended["connections"].as_u64().unwrap_or(0),
                })
            }
        }
    }
}

impl Desk {
    /// By name or id.
    async fn listed(&self, user: &str) -> anyhow::Result<ListedUser> {
        let by_name = self.directory.account_by_name(user).await?;
        let id = by_name.map(|account| account.user).or(user.parse().ok());
        let listed = match id {
            Some(id) => self.directory.listed_user(id).await?,
            None => None,
        };
        listed.with_context(|| format!("there is no user {user}"))
    }
}

impl Remote {
    /// By name or id.
    async fn user(&self, user: &str) -> anyhow::Result<Shown> {
        let (name, mut found) = (user.to_lowercase(), None);
        self.each(&format!("/users?search={}", encoded(user)), |item| {
            let shown: Shown = serde_json::from_value(item)?;
            if shown.username.to_lowercase() == name {
                found = Some(shown);
            }
            Ok(found.is_none())
        })
        .await?;
        if found.is_none()
            && let Ok(id) = user.parse::<UserId>()
            && let Some(item) = self.find(&format!("/users/{id}")).await?
        {
            found = Some(serde_json::from_value(item)?);
        }
        found.with_context(|| format!("there is no user {user}"))
    }
}

impl List {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let mut asked = UsersAsked {
            words: Words::of(&self.search).context("search for fewer words")?,
            order: UserOrder::Name,
            descending: false,
            after: None,
            limit: PAGE,
        };
        loop {
            let users = desk.directory.users(&asked).await?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            asked.after = Some(last.place.clone());
            for user in users {
                desk.show(&Shown::of(user))?;
            }
        }
    }

    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let path = format!("/users?search={}", encoded(&self.search));
        let show = |item| remote.show(&Found::of(item)?).map(|()| true);
        remote.each(&path, show).await
    }
}

impl Create {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let new = NewAccount {
            username: self.username,
            password: password()?,
            role: self.role,
        };
        let (hashing, nobody) = (Hashing::new(1), super::this_machine());
        let made = desk::create_account(
            &desk.directory,
            &hashing,
            new,
            nobody,
            &Actor::Operator,
            desk.now,
        );
        let (id, username) = made.await.map_err(refused)?;
        desk.show(&Made { id, username })
    }

    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let new = json!({
            "username": self.username, "password": password()?, "role": self.role,
        });
        let made = remote.ask(Method::POST, "/users", Some(&new)).await?;
        remote.show(&serde_json::from_value::<Made>(made)?)
    }
}

/// Of the environment, or a line of stdin.
fn password() -> anyhow::Result<String> {
    if let Ok(password) = std::env::var("BELFRY_PASSWORD") {
        return Ok(password);
    }
    if std::io::stdin().is_terminal() {
        bail!("no password: set BELFRY_PASSWORD, or write it to stdin");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

impl GiveRole {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let user = desk.listed(&self.user.user).await?;
        let given = desk
            .directory
            .set_role(user.user, self.role, &Actor::Operator, desk.now)
            .await;
        given.map_err(|error| refused(error.into()))?;
        desk.show(&Given {
            user_id: user.user,
            username: user.name,
            role: self.role,
        })
    }

    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let user = remote.user(&self.user.user).await?;
        let path = format!("/users/{}/role", user.id);
        let role = json!({ "role": self.role });
        remote.ask(Method::PUT, &path, Some(&role)).await?;
        remote.show(&Given {
            user_id: user.id,
            username: user.username,
            role: self.role,
        })
    }
}

impl Invite {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let (directory, url) = (&desk.directory, &desk.public_url);
        let made = desk::create_invite(directory, url, self.ends, &Actor::Operator, desk.now);
        desk.show(&ShownLink::of(made.await.map_err(refused)?))
    }
}

impl Reset {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let user = desk.listed(&self.user.user).await?.user;
        let (directory, url) = (&desk.directory, &desk.public_url);
        let made = desk::create_reset(directory, url, user, self.ends, &Actor::Operator, desk.now);
        desk.show(&ShownLink::of(made.await.map_err(refused)?))
    }
}

async fn link(remote: &Remote, path: &str, ends: Option<Timestamp>) -> anyhow::Result<()> {
    let ends = json!({ "ends": ends });
    let made = remote.ask(Method::POST, path, Some(&ends)).await?;
    remote.show(&serde_json::from_value::<ShownLink>(made)?)
}

async fn forget_factors(desk: &Desk, user: &str) -> anyhow::Result<()> {
    let user = desk.listed(user).await?;
    let removed = desk
        .directory
        .remove_second_factors(user.user, &Actor::Operator, desk.now);
    if !removed.await? {
        bail!("{} has no authenticator and no passkey", user.name);
    }
    desk.show(&Forgotten {
        username: user.name,
    })
}

/// A user as the directory and the API know one.
#[derive(Serialize, Deserialize)]
struct Shown {
    id: UserId,
    username: String,
    role: Role,
    created: Timestamp,
    last_seen: Option<Timestamp>,
    devices: u64,
    permissions: u64,
}

impl Shown {
    fn of(user: ListedUser) -> Self {
        Self {
            id: user.user,
            username: user.name,
            role: user.role,
            created: user.created,
            last_seen: user.last_seen,
            devices: user.devices,
            permissions: user.permissions,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            username,
            role,
            devices,
            permissions,
            ..
        } = self;
        write!(
            f,
            "{id}  {username}  role: {role}  devices: {devices}  permissions: {permissions}"
        )?;
        match self.last_seen {
            Some(at) => write!(f, "  last seen {at}"),
            None => f.write_str("  never seen"),
        }
    }
}

/// All that the API says of one: of a server that runs, that is more.
#[derive(Serialize)]
#[serde(transparent)]
struct Found {
    all: Value,
    #[serde(skip)]
    shown: Shown,
}

impl Found {
    fn of(all: Value) -> anyhow::Result<Self> {
        let shown = serde_json::from_value(all.clone())?;
        Ok(Self { all, shown })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, shown } = self;
        write!(
            f,
            "{shown}  connected: {}  mailbox: {} ({} bytes)",
            all["connected"], all["mailbox_depth"], all["mailbox_bytes"]
        )?;
        match all["ban"] {
            Value::Null => Ok(()),
            _ => f.write_str("  banned"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Made {
    id: UserId,
    username: String,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.id, self.username)
    }
}

#[derive(Serialize)]
struct Given {
    user_id: UserId,
    username: String,
    role: Role,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has the role {}", self.username, self.role)
    }
}

#[derive(Serialize, Deserialize)]
struct ShownLink {
    id: LinkId,
    link: String,
    ends: Timestamp,
}

impl ShownLink {
    fn of(made: MadeLink) -> Self {
        Self {
            id: made.id,
            link: made.link,
            ends: made.ends,
        }
    }
}

impl fmt::Display for ShownLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  good once, until {}", self.link, self.ends)
    }
}

#[derive(Serialize)]
struct Forgotten {
    username: String,
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signs in by password alone now", self.username)
    }
}

#[derive(Serialize)]
struct Disconnected {
    id: UserId,
    username: String,
    connections: u64,
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            username,
            connections,
            ..
        } = self;
        write!(f, "{username}: {connections} connections are ended")
    }
}
