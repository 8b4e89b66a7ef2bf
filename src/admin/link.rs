//! `belfry admin link`: the links that are good now, by which somebody may make an account or set a
//! password. They are made by `belfry admin user invite` and `reset`.

use super::Desk;
use super::remote::Remote;
use crate::command::ServeOptions;
use anyhow::bail;
use belfry_protocol::id::LinkId;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, Link};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Links that are good now, newest first
    #[command(after_help = "Example:\n  belfry admin link list --json")]
    List(ServeOptions),
    /// End a link
    #[command(after_help = "Example:\n  belfry admin link end 7nymizpcl2kmwmdqkbnd4jmdfe")]
    End(End),
}

#[derive(Args)]
pub(crate) struct End {
    /// Its id, from `list`
    id: LinkId,
    #[command(flatten)]
    options: ServeOptions,
}

impl Command {
    pub(super) fn options(&self) -> &ServeOptions {
        match self {
            Self::List(options) => options,
            Self::End(end) => &end.options,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::List(_) => {
                let mut links = desk.directory.links(desk.now).await?;
                links.sort_by_key(|link| Reverse(link.created));
                for link in links {
                    desk.show(&Listed::of(link))?;
                }
                Ok(())
            }
            Self::End(End { id, .. }) => {
                let ended = desk.directory.end_link(id, &Actor::Operator, desk.now);
                if !ended.await? {
                    bail!("there is no link {id}; see: belfry admin link list");
                }
                desk.show(&Ended { ended: id })
            }
        }
    }

    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::List(_) => {
                let show = |link| {
                    let link: Listed = serde_json::from_value(link)?;
                    remote.show(&link).map(|()| true)
                };
                remote.each("/links?", show).await
            }
            Self::End(End { id, .. }) => {
                let path = format!("/links/{id}");
                remote.ask(Method::DELETE, &path, None).await?;
                remote.show(&Ended { ended: id })
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Listed {
    id: LinkId,
    kind: String,
    about: Option<String>,
    author: String,
    created: Timestamp,
    ends: Timestamp,
}

impl Listed {
    fn of(link: Link) -> Self {
        Self {
            id: link.id,
            kind: link.kind.as_str().to_owned(),
            about: link.about,
            author: link.author,
            created: link.created,
            ends: link.ends,
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.id, self.kind)?;
        if let Some(about) = &self.about {
            write!(f, "  of {about}")?;
        }
        write!(f, "  by {}  ends {}", self.author, self.ends)
    }
}

#[derive(Serialize)]
struct Ended {
    ended: LinkId,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the link {} is ended", self.ended)
    }
}
