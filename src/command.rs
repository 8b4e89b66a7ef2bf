//! The command line: what can be asked of the program, and which room answers.

use crate::bench::{self, Bench};
use crate::serve;
use anyhow::Context as _;
use belfry_client::cli;
use belfry_config::Config;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    name = "belfry",
    version,
    about = "End-to-end encrypted web notifications, on a server of your own"
)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Example:\n  belfry serve --data-dir /var/lib/belfry\n\nWithout a command, belfry serves."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeOptions,
    #[command(flatten)]
    client: cli::Globals,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = "Example:\n  belfry serve --config /etc/belfry/belfry.toml")]
    Serve(ServeOptions),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure what this machine makes of the program
    #[command(subcommand)]
    Bench(Bench),
    #[command(flatten)]
    Client(Box<cli::Command>),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether the server would start with it
    #[command(after_help = "Example:\n  belfry config check --config /etc/belfry/belfry.toml")]
    Check(ServeOptions),
    /// Print what is in force, with secrets left out
    #[command(after_help = "Example:\n  BELFRY__LIMITS__PERMISSION_BURST=5 belfry config show")]
    Show(ServeOptions),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Default)]
pub(crate) struct ServeOptions {
    /// Configuration file; environment variables BELFRY__SECTION__KEY go over it
    #[arg(long, value_name = "FILE", env = "BELFRY_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the server's data [default: ./belfry-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl ServeOptions {
    /// Reads the file and the environment.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let text = self
            .config
            .as_ref()
            .map(|path| {
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))
            })
            .transpose()?;
        // A name or value that is not UTF-8 cannot be one of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Config::load(
            text.as_deref(),
            environment,
            self.data_dir.clone(),
        )?)
    }
}

/// Does what the command line asks.
pub(crate) fn run() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    match line.command {
        None => serve::run(line.serve.load()?),
        Some(Command::Serve(options)) => serve::run(options.load()?),
        Some(Command::Config(ConfigCommand::Check(options))) => {
            options.load()?;
            println!("the configuration is good");
            Ok(())
        }
        Some(Command::Config(ConfigCommand::Show(options))) => {
            print!("{}", options.load()?.show());
            Ok(())
        }
        Some(Command::Bench(measurement)) => bench::run(measurement, line.client.json),
        Some(Command::Client(command)) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(cli::run(*command, line.client)),
    }
}
