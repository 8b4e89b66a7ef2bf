//! `belfry admin token`: API tokens for programs that administer.

use super::Desk;
use super::remote::Remote;
use crate::command::ServeOptions;
use anyhow::bail;
use belfry_admin::desk::{self, NewToken};
use belfry_protocol::id::AdminTokenId;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, AdminToken, Role};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an API token and print it, this once
    #[command(after_help = "Example:\n  belfry admin token create backup-watch --role viewer")]
    Create(Create),
    /// All API tokens
    #[command(after_help = "Example:\n  belfry admin token list --json")]
    List(ServeOptions),
    /// End an API token at once
    #[command(after_help = "Example:\n  belfry admin token end 7nymizpcl2kmwmdqkbnd4jmdfe")]
    End(End),
}

#[derive(Args)]
pub(crate) struct Create {
    /// What to call it
    name: String,
    /// What it may do: admin, or viewer to see alone
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    role: Role,
    /// When it ends by itself, such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    ends: Option<Timestamp>,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct End {
    /// Its id, from `list`
    id: AdminTokenId,
    #[command(flatten)]
    options: ServeOptions,
}

impl Command {
    pub(super) fn options(&self) -> &ServeOptions {
        match self {
            Self::Create(create) => &create.options,
            Self::List(options) => options,
            Self::End(end) => &end.options,
        }
    }

    /// Whether it makes sense before a server has ever run.
    pub(super) fn begins(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.run(desk).await,
            Self::List(_) => list(desk).await,
            Self::End(end) => end.run(desk).await,
        }
    }
}

impl Command {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => {
                let new = json!({
                    "name": create.name, "role": create.role, "ends": create.ends,
                });
                let made = remote.ask(Method::POST, "/tokens", Some(&new)).await?;
                remote.show(&serde_json::from_value::<MadeToken>(made)?)
            }
            Self::List(_) => {
                let show = |token| {
                    let token: ShownToken = serde_json::from_value(token)?;
                    remote.show(&token).map(|()| true)
                };
                remote.each("/tokens?", show).await
            }
            Self::End(end) => {
                let path = format!("/tokens/{}", end.id);
                remote.ask(Method::DELETE, &path, None).await?;
                remote.show(&Ended { ended: end.id })
            }
        }
    }
}

impl Create {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let new = NewToken {
            name: self.name,
            role: self.role,
            ends: self.ends,
        };
        let made = desk::create_token(&desk.directory, new, &Actor::Operator, desk.now).await;
        let (id, token) = made.map_err(super::refused)?;
        desk.show(&MadeToken { id, token })
    }
}

async fn list(desk: &Desk) -> anyhow::Result<()> {
    for token in desk.directory.admin_tokens().await? {
        desk.show(&ShownToken::of(token, desk.now))?;
    }
    Ok(())
}

impl End {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let ended = desk
            .directory
            .end_admin_token(self.id, &Actor::Operator, desk.now);
        if !ended.await? {
            bail!(
                "there is no API token {}; see: belfry admin token list",
                self.id
            );
        }
        desk.show(&Ended { ended: self.id })
    }
}

#[derive(Serialize, Deserialize)]
struct MadeToken {
    id: AdminTokenId,
    token: String,
}

impl fmt::Display for MadeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.token)
    }
}

#[derive(Serialize, Deserialize)]
struct ShownToken {
    id: AdminTokenId,
    name: String,
    role: Role,
    author: String,
    created: Timestamp,
    ends: Option<Timestamp>,
    last_used: Option<Timestamp>,
    expired: bool,
}

impl ShownToken {
    fn of(token: AdminToken, now: Timestamp) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            author: token.author,
            created: token.created,
            ends: token.ends,
            last_used: token.last_used,
            expired: token.ends.is_some_and(|ends| ends <= now),
        }
    }
}

impl fmt::Display for ShownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {}  {}  by {} {}",
            self.id, self.name, self.role, self.author, self.created
        )?;
        match self.last_used {
            Some(used) => write!(f, "  last used {used}")?,
            None => f.write_str("  never used")?,
        }
        match (self.ends, self.expired) {
            (Some(ends), true) => write!(f, "  ended {ends}"),
            (Some(ends), false) => write!(f, "  ends {ends}"),
            (None, _) => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Ended {
    ended: AdminTokenId,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API token {} is ended", self.ended)
    }
}
