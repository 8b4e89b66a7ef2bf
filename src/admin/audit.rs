//! `belfry admin audit`: what admins did, and whether anybody has tampered with what is written of it.

use super::Desk;
use super::remote::{Remote, encoded};
use crate::command::ServeOptions;
use anyhow::{Context as _, bail};
use belfry_store::directory::{AuditFilter, AuditHead, AuditRow, Words};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::io::Write as _;

/// Rows that are shown unless asked for more.
const SHOWN: u32 = 50;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The newest of what admins did
    #[command(after_help = "Example:\n  belfry admin audit list --act ban. --search news.example")]
    List(List),
    /// Look for rows that are missing or changed
    #[command(after_help = "Example:\n  belfry admin audit verify --head 17:9f86d081…")]
    Verify(Verify),
    /// All of it as NDJSON, oldest first
    #[command(after_help = "Example:\n  belfry admin audit export > audit.ndjson")]
    Export(ServeOptions),
}

#[derive(Args)]
pub(crate) struct List {
    /// What the act begins with, such as ban.
    #[arg(long, value_name = "ACT", default_value = "")]
    act: String,
    /// Words that all occur
    #[arg(long, value_name = "WORDS", default_value = "")]
    search: String,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = SHOWN)]
    limit: u32,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// A row's number and hash that must be in it, as the server's log says at its start
    #[arg(long, value_name = "N:HASH", value_parser = head)]
    head: Option<AuditHead>,
    #[command(flatten)]
    options: ServeOptions,
}

fn head(text: &str) -> anyhow::Result<AuditHead> {
    let (n, hash) = text.split_once(':').context("such as 17:9f86d081…")?;
    let hash = hash.to_ascii_lowercase();
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("a hash is 64 hexadecimal digits");
    }
    Ok(AuditHead {
        n: n.parse().context("before the colon is a row's number")?,
        hash,
    })
}

impl Command {
    pub(super) fn options(&self) -> &ServeOptions {
        match self {
            Self::List(list) => &list.options,
            Self::Verify(verify) => &verify.options,
            Self::Export(options) => options,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Verify(verify) => verify.run(desk).await,
            Self::Export(_) => export(desk).await,
        }
    }
}

impl Command {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run_at(remote).await,
            Self::Verify(verify) => verify.run_at(remote).await,
            Self::Export(_) => remote.copy(Method::GET, "/audit.ndjson", None).await,
        }
    }
}

impl List {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let (act, search) = (encoded(&self.act), encoded(&self.search));
        let mut left = self.limit;
        let show = |row| {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            remote.show(&Shown(serde_json::from_value(row)?))?;
            Ok(left > 0)
        };
        let path = format!("/audit?act={act}&search={search}");
        remote.each(&path, show).await
    }

    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let filter = AuditFilter {
            words: Words::of(&self.search).context("search for fewer words")?,
            act: self.act,
            ..AuditFilter::default()
        };
        for row in desk.directory.audit(&filter, self.limit).await? {
            desk.show(&Shown(row))?;
        }
        Ok(())
    }
}

impl Verify {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let head = self
            .head
            .map(|head| format!("?n={}&hash={}", head.n, head.hash));
        let path = format!("/audit/verify{}", head.unwrap_or_default());
        let found = remote.ask(Method::POST, &path, Some(&json!({}))).await?;
        let found: Found = serde_json::from_value(found)?;
        remote.show(&found)?;
        broken(found.broken_at, found.removed)
    }

    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let found = desk.directory.verify_audit(self.head.as_ref()).await?;
        desk.show(&Found {
            rows: found.rows,
            ok: found.broken_at.is_none(),
            broken_at: found.broken_at,
            removed: found.removed,
            head: format!("{}:{}", found.head.n, found.head.hash),
        })?;
        broken(found.broken_at, found.removed)
    }
}

fn broken(at: Option<u64>, removed: u64) -> anyhow::Result<()> {
    if let Some(n) = at {
        if n < removed {
            bail!("nothing can be said of row {n}: all up to {removed} were removed for their age");
        }
        bail!("the audit log is broken at row {n}: it is missing or was changed");
    }
    Ok(())
}

async fn export(desk: &Desk) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let rows = desk.directory.audit_after(after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.n;
        let mut stdout = std::io::stdout().lock();
        for row in &rows {
            writeln!(stdout, "{}", serde_json::to_string(row)?)?;
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(AuditRow);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.0;
        write!(f, "{}  {}  {}  {}", row.n, row.at, row.actor, row.act)?;
        if let Some(target) = &row.target {
            write!(f, "  {target}")?;
        }
        match (&row.before, &row.after) {
            (Some(before), Some(after)) => write!(f, "  {before} -> {after}"),
            (Some(one), None) | (None, Some(one)) => write!(f, "  {one}"),
            (None, None) => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Found {
    rows: u64,
    ok: bool,
    broken_at: Option<u64>,
    /// Up to which row all were removed for their age.
    removed: u64,
    head: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows read; the newest is {}", self.rows, self.head)
    }
}
