//! `belfry admin`: what an operator decides, on the directory itself. It works whether or not a server
//! runs, and one that runs goes by it from its next request on.

mod audit;
mod site;
mod token;
mod user;

use crate::command::ServeOptions;
use crate::serve;
use anyhow::bail;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, Directory};
use clap::Subcommand;
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::SystemTime;

/// What to administer.
#[derive(Subcommand)]
pub(crate) enum Admin {
    /// Sites that publish with an API key
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin site add https://news.example"
    )]
    Site(site::Command),
    /// API tokens for programs that administer
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin token create backup-watch --role viewer"
    )]
    Token(token::Command),
    /// Who may administer, and how somebody gets back in
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin user role ada admin"
    )]
    User(user::Command),
    /// Make the link to become the first admin anew, good for an hour
    #[command(after_help = "Example:\n  belfry admin setup-link")]
    SetupLink(ServeOptions),
    /// What admins did
    #[command(subcommand, after_help = "Example:\n  belfry admin audit verify")]
    Audit(audit::Command),
}

impl Admin {
    fn options(&self) -> &ServeOptions {
        match self {
            Self::Site(command) => command.options(),
            Self::Token(command) => command.options(),
            Self::User(command) => command.options(),
            Self::SetupLink(options) => options,
            Self::Audit(command) => command.options(),
        }
    }

    /// Whether it makes sense before a server has ever run.
    fn begins(&self) -> bool {
        match self {
            Self::Site(command) => command.begins(),
            Self::Token(command) => command.begins(),
            Self::User(_) | Self::SetupLink(_) | Self::Audit(_) => false,
        }
    }

    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::Site(command) => command.run(desk).await,
            Self::Token(command) => command.run(desk).await,
            Self::User(command) => command.run(desk).await,
            Self::SetupLink(_) => setup_link(desk).await,
            Self::Audit(command) => command.run(desk).await,
        }
    }
}

/// What every command has beside its own options.
struct Desk {
    directory: Directory,
    now: Timestamp,
    /// What links begin with, without a slash at its end.
    public_url: String,
    /// One more authority that certificates of sites may be of.
    ca: Option<PathBuf>,
    json: bool,
}

impl Desk {
    /// One line for programs, or the text for people.
    fn show(&self, shown: &(impl Display + Serialize)) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut text = match self.json {
            true => serde_json::to_string(shown)?,
            false => shown.to_string(),
        };
        text.push('\n');
        Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
    }
}

/// Does it.
pub(crate) fn run(
    command: Admin,
    before: ServeOptions,
    ca: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<()> {
    let config = command.options().clone().over(before).load()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            if !config.data_dir.exists() {
                // A mistyped folder would otherwise be a new and empty server's.
                let folder = config.data_dir.display();
                if !command.begins() {
                    bail!("data_dir = {folder}: no server has its data there; say where with --data-dir or --config");
                }
                eprintln!("{folder} is made anew: no server had its data there.");
            }
            serve::private_folder(&config.data_dir)?;
            let desk = Desk {
                directory: serve::open_directory(&config).await?,
                now: Timestamp::of(SystemTime::now()),
                public_url: serve::public_url(&config, config.http.listen),
                ca,
                json,
            };
            let done = command.run(&desk).await;
            desk.directory.close().await;
            done
        })
}

async fn setup_link(desk: &Desk) -> anyhow::Result<()> {
    let by = Some(&Actor::Operator);
    let made =
        belfry_admin::desk::create_setup_link(&desk.directory, &desk.public_url, by, desk.now);
    let link = made.await.map_err(refused)?;
    desk.show(&SetupLink { link })
}

#[derive(Serialize)]
struct SetupLink {
    link: String,
}

impl Display for SetupLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.link)
    }
}

/// What was wrong, in words.
pub(crate) fn refused(error: belfry_edge::ApiError) -> anyhow::Error {
    let (problem, _) = error.into_problem();
    anyhow::anyhow!(problem.problem.detail)
}
