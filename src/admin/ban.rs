//! `belfry admin ban`: who is kept out. A server that runs does it, since its connections end with it.

use super::remote::{Answered, Remote, encoded};
use anyhow::{Context as _, bail};
use belfry_protocol::id::BanId;
use belfry_protocol::time::Timestamp;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Keep a site, a VAPID key, a user or addresses out, from the next request on
    #[command(
        after_help = "Example:\n  belfry admin ban add site https://spam.example --reason spam --ends 2027-01-01T00:00:00Z --server https://push.example"
    )]
    Add(Add),
    /// Who is kept out
    #[command(
        after_help = "Example:\n  belfry admin ban list --kind address --server https://push.example"
    )]
    List(List),
    /// Let somebody in again
    #[command(
        after_help = "Example:\n  belfry admin ban lift 7nymizpcl2kmwmdqkbnd4jmdfe --server https://push.example"
    )]
    Lift(Lift),
    /// Take over a table of bans, all of it or nothing
    #[command(
        after_help = "Example:\n  belfry admin ban import bans.csv --dry-run --server https://push.example"
    )]
    Import(Import),
    /// Print the bans in force as a table: kind,value,reason,ends
    #[command(
        after_help = "Example:\n  belfry admin ban export --server https://push.example > bans.csv"
    )]
    Export,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Site,
    Vapid,
    User,
    Address,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Vapid => "vapid",
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

#[derive(Args)]
pub(crate) struct Add {
    /// What it is
    kind: Kind,
    /// An origin, a VAPID key, a user's name, an address or a range
    value: String,
    /// Why; a blocked user is shown it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// When it ends by itself, such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    ends: Option<Timestamp>,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub(crate) struct List {
    /// Words that all occur
    #[arg(long, value_name = "WORDS", default_value = "")]
    search: String,
    /// Those of one kind
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Those that are over too
    #[arg(long)]
    ended: bool,
}

#[derive(Args)]
pub(crate) struct Lift {
    /// Its id, from `list`
    id: BanId,
}

#[derive(Args)]
pub(crate) struct Import {
    /// The table
    #[arg(value_name = "FILE")]
    table: PathBuf,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
}

fn dry(dry_run: bool) -> &'static str {
    if dry_run { "?dry_run=true" } else { "" }
}

fn line(ban: &Value) -> String {
    let text = |name: &str| ban[name].as_str().unwrap_or_default().to_owned();
    let ends = match (ban["ends"].as_str(), ban["ended"] == true) {
        (Some(ends), true) => format!("  ended {ends}"),
        (Some(ends), false) => format!("  ends {ends}"),
        (None, _) => String::new(),
    };
    let (id, kind, label) = (text("id"), text("kind"), text("label"));
    let (reason, author) = (text("reason"), text("author"));
    format!("{id}  {kind} {label}  by {author}{ends}  {reason}")
        .trim_end()
        .to_owned()
}

impl Command {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => add.run_at(remote).await,
            Self::List(list) => list.run_at(remote).await,
            Self::Lift(Lift { id }) => {
                let path = format!("/bans/{id}");
                remote.ask(Method::DELETE, &path, None).await?;
                let text = format!("{id} holds no longer");
                remote.show(&Answered(json!({ "lifted": id }), text))
            }
            Self::Import(import) => import.run_at(remote).await,
            Self::Export => remote.copy(Method::GET, "/bans.csv", None).await,
        }
    }
}

impl Add {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let new = json!({
            "kind": self.kind.as_str(), "value": self.value, "reason": self.reason, "ends": self.ends,
        });
        let path = format!("/bans{}", dry(self.dry_run));
        let answer = remote.ask(Method::POST, &path, Some(&new)).await?;
        let text = match self.dry_run {
            false => line(&answer),
            true => format!(
                "{} connections would end, {} permissions of {} users be refused, {} VAPID keys be covered; \
                 {} of them administer",
                answer["connections"],
                answer["permissions"],
                answer["users"],
                answer["vapid_keys"],
                answer["admins"]
            ),
        };
        remote.show(&Answered(answer, text))
    }
}

impl List {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let mut path = format!("/bans?search={}", encoded(&self.search));
        if let Some(kind) = self.kind {
            path += &format!("&kind={}", kind.as_str());
        }
        if self.ended {
            path += "&ended=true";
        }
        let each = |ban: Value| {
            let text = line(&ban);
            remote.show(&Answered(ban, text)).map(|()| true)
        };
        remote.each(&path, each).await
    }
}

impl Import {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let table = std::fs::read_to_string(&self.table)
            .with_context(|| format!("cannot read {}", self.table.display()))?;
        let path = format!("/bans/import{}", dry(self.dry_run));
        let answer = remote.post_text(&path, "text/csv", table).await?;
        let problems = answer["problems"].as_array().cloned().unwrap_or_default();
        let wrong: Vec<String> = problems
            .iter()
            .map(|it| {
                let detail = it["detail"].as_str().unwrap_or_default();
                format!("line {}: {detail}", it["line"])
            })
            .collect();
        if !wrong.is_empty() {
            bail!("nothing was imported:\n{}", wrong.join("\n"));
        }
        let text = format!(
            "{} added, {} changed, {} as before",
            answer["added"], answer["changed"], answer["unchanged"]
        );
        remote.show(&Answered(answer, text))
    }
}
