//! `belfry admin`: what an operator decides. On the directory itself it works whether or not a server
//! runs, and one that runs goes by it from its next request on; with `--server` it asks a server that
//! runs, over the API that the dashboard uses, with an API token.

mod audit;
mod ban;
mod limits;
mod link;
mod remote;
mod site;
mod token;
mod trace;
mod user;

use crate::command::ServeOptions;
use crate::serve;
use anyhow::bail;
use belfry_edge::{AddressKey, ClientAddress};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, Directory};
use clap::{Args, Subcommand};
use remote::Remote;
use serde::Serialize;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::SystemTime;

/// What of it needs a server that runs.
const NEEDS_SERVER: &str = "this is done by a server that runs: name it with --server URL, with an API token in BELFRY_ADMIN_TOKEN";

/// What of it is done on the machine alone, by who may write there.
const NEEDS_DIRECTORY: &str = "this is done on the server's machine: leave out --server";

/// What to administer, and where.
#[derive(Args)]
pub(crate) struct Line {
    /// Ask this server, with the API token in BELFRY_ADMIN_TOKEN, instead of the directory in --data-dir
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    #[command(subcommand)]
    command: Admin,
}

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
    /// Users, what they may administer, and how somebody gets back in
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin user role ada admin"
    )]
    User(user::Command),
    /// Make the link to become the first admin anew, good for an hour
    #[command(after_help = "Example:\n  belfry admin setup-link")]
    SetupLink(ServeOptions),
    /// Invite and reset links that are good now
    #[command(subcommand, after_help = "Example:\n  belfry admin link list")]
    Link(link::Command),
    /// Who is kept out, at a server that runs
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin ban add site https://spam.example --server https://push.example"
    )]
    Ban(ban::Command),
    /// Limits and how long things are kept, at a server that runs
    #[command(
        subcommand,
        after_help = "Example:\n  belfry admin limits set limits.site_per_second=300 --server https://push.example"
    )]
    Limits(limits::Command),
    /// What retention would remove now, at a server that runs
    #[command(after_help = "Example:\n  belfry admin retention --server https://push.example")]
    Retention,
    /// What became of a message, by its URL, at a server that runs
    #[command(
        after_help = "Example:\n  belfry admin trace https://push.example/push/message/… --server https://push.example"
    )]
    Trace(trace::Trace),
    /// Any route of the API, at a server that runs
    #[command(
        after_help = "Example:\n  belfry admin api PUT /limits --body '{\"limits.site_per_second\":300}' --server https://push.example"
    )]
    Api(remote::Api),
    /// What admins did
    #[command(subcommand, after_help = "Example:\n  belfry admin audit verify")]
    Audit(audit::Command),
}

impl Admin {
    /// Where the directory is; nothing where only a server can do it.
    fn options(&self) -> Option<&ServeOptions> {
        match self {
            Self::Site(command) => Some(command.options()),
            Self::Token(command) => Some(command.options()),
            Self::User(command) => Some(command.options()),
            Self::Audit(command) => Some(command.options()),
            Self::Link(command) => Some(command.options()),
            Self::SetupLink(options) => Some(options),
            Self::Ban(_) | Self::Limits(_) | Self::Retention | Self::Trace(_) | Self::Api(_) => {
                None
            }
        }
    }

    /// Whether it makes sense before a server has ever run.
    fn begins(&self) -> bool {
        match self {
            Self::Site(command) => command.begins(),
            Self::Token(command) => command.begins(),
            Self::User(command) => command.begins(),
            Self::Audit(_)
            | Self::Link(_)
            | Self::SetupLink(_)
            | Self::Ban(_)
            | Self::Limits(_)
            | Self::Retention
            | Self::Trace(_)
            | Self::Api(_) => false,
        }
    }

    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::Site(command) => command.run(desk).await,
            Self::Token(command) => command.run(desk).await,
            Self::User(command) => command.run(desk).await,
            Self::SetupLink(_) => setup_link(desk).await,
            Self::Audit(command) => command.run(desk).await,
            Self::Link(command) => command.run(desk).await,
            Self::Ban(_) | Self::Limits(_) | Self::Retention | Self::Trace(_) | Self::Api(_) => {
                bail!(NEEDS_SERVER)
            }
        }
    }

    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::Site(command) => command.run_at(remote).await,
            Self::Token(command) => command.run_at(remote).await,
            Self::User(command) => command.run_at(remote).await,
            Self::Audit(command) => command.run_at(remote).await,
            Self::Link(command) => command.run_at(remote).await,
            Self::Ban(command) => command.run_at(remote).await,
            Self::Limits(command) => command.run_at(remote).await,
            Self::Retention => limits::retention(remote).await,
            Self::Trace(trace) => trace.run_at(remote).await,
            Self::Api(api) => api.run_at(remote).await,
            Self::SetupLink(_) => bail!(NEEDS_DIRECTORY),
        }
    }
}

/// What every command has beside its own options.
struct Desk {
    directory: Directory,
    now: Timestamp,
    /// What links begin with, without a slash at its end.
    public_url: String,
    /// And what admins open.
    admin_url: String,
    /// One more authority that certificates of sites may be of.
    ca: Option<PathBuf>,
    json: bool,
}

impl Desk {
    /// One line for programs, or the text for people.
    fn show(&self, shown: &(impl Display + Serialize)) -> anyhow::Result<()> {
        print(shown, self.json)
    }
}

fn print(shown: &(impl Display + Serialize), json: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut text = match json {
        true => serde_json::to_string(shown)?,
        false => shown.to_string(),
    };
    text.push('\n');
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// As limits count who types here.
fn this_machine() -> AddressKey {
    ClientAddress(Ipv4Addr::LOCALHOST.into()).key()
}

/// Does it.
pub(crate) fn run(
    line: Line,
    before: ServeOptions,
    ca: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<()> {
    let Line { server, command } = line;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(server) = server {
        let remote = Remote::new(&server, ca.as_deref(), json)?;
        return runtime.block_on(command.run_at(&remote));
    }
    let Some(options) = command.options() else {
        bail!(NEEDS_SERVER);
    };
    let config = options.clone().over(before).load()?;
    runtime.block_on(async {
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
                admin_url: serve::admin_url(&config, config.http.listen, config.admin.listen),
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
        belfry_admin::desk::create_setup_link(&desk.directory, &desk.admin_url, by, desk.now);
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
