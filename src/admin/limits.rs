//! `belfry admin limits` and `belfry admin retention`: what holds, and what is set over the configuration
//! while a server runs.

use super::remote::{Answered, Remote, encoded};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What holds, what was set and what the configuration says
    #[command(after_help = "Example:\n  belfry admin limits list --server https://push.example")]
    List,
    /// Set limits for all; `default` goes back to the configuration
    #[command(
        after_help = "Example:\n  belfry admin limits set limits.site_per_second=300 retention.history=default --server https://push.example"
    )]
    Set(Set),
    /// Give one site limits of its own; `default` takes them away
    #[command(
        after_help = "Example:\n  belfry admin limits site https://news.example site_per_second=1200 --server https://push.example"
    )]
    Site(Own),
    /// Give one user limits of their own; `default` takes them away
    #[command(
        after_help = "Example:\n  belfry admin limits user ada devices_per_user=50 --server https://push.example"
    )]
    User(Own),
}

#[derive(Args)]
pub(crate) struct Set {
    /// Such as limits.site_per_second=300
    #[arg(required = true, value_name = "NAME=NUMBER", value_parser = change)]
    changes: Vec<Change>,
    /// Say what retention would remove by these, and set nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub(crate) struct Own {
    /// The origin, or the user's name
    whose: String,
    /// Such as site_per_second=1200
    #[arg(required = true, value_name = "NAME=NUMBER", value_parser = change)]
    changes: Vec<Change>,
}

/// A limit and what it is to be; nothing gives it back.
type Change = (String, Option<u64>);

fn change(text: &str) -> anyhow::Result<Change> {
    let (name, value) = text.split_once('=').context("such as NAME=300")?;
    let value = match value {
        "default" => None,
        number => Some(number.parse().context("a number, or default")?),
    };
    Ok((name.to_owned(), value))
}

fn body(changes: Vec<Change>) -> Value {
    let changes = changes.into_iter();
    let changes: Map<String, Value> = changes
        .map(|(name, value)| (name, value.map_or(Value::Null, Value::from)))
        .collect();
    Value::Object(changes)
}

impl Command {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let answer: Value = remote.get("/limits").await?;
                show_each(remote, answer, |limit| {
                    let set = match limit["set"].as_u64() {
                        Some(_) => format!(" (configured: {})", limit["configured"]),
                        None => String::new(),
                    };
                    let overrides = match limit["overrides"].as_u64() {
                        Some(0) | None => String::new(),
                        Some(count) => format!(", {count} have their own"),
                    };
                    let name = limit["name"].as_str().unwrap_or_default();
                    format!("{name} = {}{set}{overrides}", limit["in_force"])
                })
            }
            Self::Set(set) if set.dry_run => {
                let body = body(set.changes);
                let path = "/limits?dry_run=true";
                let answer = remote.ask(Method::PUT, path, Some(&body)).await?;
                show_each(remote, answer, would_remove)
            }
            Self::Set(set) => put(remote, "/limits", body(set.changes)).await,
            Self::Site(own) => {
                let path = format!("/sites/{}/limits", encoded(&own.whose));
                put(remote, &path, body(own.changes)).await
            }
            Self::User(own) => {
                let path = format!("/users?search={}", encoded(&own.whose));
                let mut id = None;
                let found = |user: Value| {
                    if user["username"] == own.whose.as_str() {
                        id = user["id"].as_str().map(str::to_owned);
                    }
                    Ok(id.is_none())
                };
                remote.each(&path, found).await?;
                let Some(id) = id else {
                    bail!("there is no user {}", own.whose);
                };
                put(remote, &format!("/users/{id}/limits"), body(own.changes)).await
            }
        }
    }
}

async fn put(remote: &Remote, path: &str, body: Value) -> anyhow::Result<()> {
    remote.ask(Method::PUT, path, Some(&body)).await?;
    remote.show(&Answered(body, "in force".to_owned()))
}

fn show_each(
    remote: &Remote,
    mut answer: Value,
    text: impl Fn(&Value) -> String,
) -> anyhow::Result<()> {
    let Value::Array(items) = answer["items"].take() else {
        bail!("the server answered something else");
    };
    for item in items {
        let text = text(&item);
        remote.show(&Answered(item, text))?;
    }
    Ok(())
}

fn would_remove(item: &Value) -> String {
    let name = item["name"].as_str().unwrap_or_default();
    let counts = ["notifications", "bytes", "devices", "users", "rows"];
    let counts = counts.map(|what| (what, item[what].as_u64().unwrap_or(0)));
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    match counts.is_empty() {
        true => format!("{name}: nothing"),
        false => format!("{name}: {}", counts.join(", ")),
    }
}

/// What retention would remove now.
pub(super) async fn retention(remote: &Remote) -> anyhow::Result<()> {
    let answer: Value = remote.get("/retention").await?;
    show_each(remote, answer, would_remove)
}
