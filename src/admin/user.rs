//! `belfry admin user`: who may administer, and how somebody gets back in.

use super::Desk;
use crate::command::ServeOptions;
use anyhow::{Context as _, bail};
use belfry_admin::desk;
use belfry_protocol::id::{LinkId, UserId};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Account, Actor, Role};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fmt;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a user may administer: admin, viewer (sees alone) or none
    #[command(after_help = "Example:\n  belfry admin user role ada admin")]
    Role(GiveRole),
    /// Make a one-time link that sets a user's password; keys are not recovered by it
    #[command(after_help = "Example:\n  belfry admin user reset ada")]
    Reset(Reset),
    /// Take the authenticator and the passkeys from a user who has lost them
    #[command(after_help = "Example:\n  belfry admin user forget-factors ada")]
    ForgetFactors(OneUser),
}

/// A user who is named.
#[derive(Args)]
pub(crate) struct OneUser {
    /// Their name
    name: String,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct GiveRole {
    /// Their name
    name: String,
    /// admin, viewer or none
    role: Role,
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
            Self::Role(role) => &role.options,
            Self::Reset(reset) => &reset.user.options,
            Self::ForgetFactors(user) => &user.options,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::Role(role) => role.run(desk).await,
            Self::Reset(reset) => reset.run(desk).await,
            Self::ForgetFactors(user) => forget_factors(desk, &user.name).await,
        }
    }
}

impl Desk {
    async fn account(&self, name: &str) -> anyhow::Result<Account> {
        let account = self.directory.account_by_name(name).await?;
        account.with_context(|| format!("there is no user {name}"))
    }
}

impl GiveRole {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let account = desk.account(&self.name).await?;
        let given = desk
            .directory
            .set_role(account.user, self.role, &Actor::Operator, desk.now);
        if !given.await? {
            bail!("there is no user {}", self.name);
        }
        desk.show(&Given {
            user_id: account.user,
            username: account.display_name,
            role: self.role,
        })
    }
}

impl Reset {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let account = desk.account(&self.user.name).await?;
        let made = desk::create_reset(
            &desk.directory,
            &desk.public_url,
            account.user,
            self.ends,
            &Actor::Operator,
            desk.now,
        );
        let made = made.await.map_err(super::refused)?;
        desk.show(&ShownLink {
            id: made.id,
            link: made.link,
            ends: made.ends,
        })
    }
}

async fn forget_factors(desk: &Desk, name: &str) -> anyhow::Result<()> {
    let account = desk.account(name).await?;
    let removed = desk
        .directory
        .remove_second_factors(account.user, &Actor::Operator, desk.now);
    if !removed.await? {
        bail!(
            "{} has no authenticator and no passkey",
            account.display_name
        );
    }
    desk.show(&Forgotten {
        username: account.display_name,
    })
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

#[derive(Serialize)]
struct ShownLink {
    id: LinkId,
    link: String,
    ends: Timestamp,
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
