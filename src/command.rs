//! The command line: what can be asked of the program, and which room answers.

use crate::admin;
use crate::bench::{self, Bench};
use crate::serve;
use anyhow::Context as _;
use belfry_client::cli;
use belfry_config::Config;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "belfry",
    version,
    about = "End-to-end encrypted web notifications, on a server of your own"
)]
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
    #[command(
        subcommand,
        after_help = "Example:\n  belfry config check --config /etc/belfry/belfry.toml"
    )]
    Config(ConfigCommand),
    /// Administer a server: who publishes, who is kept out, which limits hold
    #[command(after_help = "Example:\n  belfry admin site add https://news.example")]
    Admin(admin::Line),
    /// Measure what this machine makes of the program
    #[command(
        subcommand,
        after_help = "Example:\n  belfry bench latency --seconds 20"
    )]
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
    /// What stands behind a command goes over what stands before it.
    pub(crate) fn over(self, before: Self) -> Self {
        Self {
            config: self.config.or(before.config),
            data_dir: self.data_dir.or(before.data_dir),
        }
    }

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

/// Does what the command line asks; says on stderr what failed.
pub(crate) fn run() -> ExitCode {
    let line = CommandLine::parse();
    let json = line.client.json;
    let Err(error) = line.run() else {
        return ExitCode::SUCCESS;
    };
    // A reader of stdout that went away, such as `head`, has what it wanted.
    let broken_pipe = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    let error = format!("{error:#}");
    match json {
        true => eprintln!("{}", serde_json::json!({ "error": error })),
        false => eprintln!("belfry: {error}"),
    }
    ExitCode::FAILURE
}

impl CommandLine {
    fn run(self) -> anyhow::Result<()> {
        let before = self.serve;
        match self.command {
            None => serve::run(before.load()?),
            Some(Command::Serve(options)) => serve::run(options.over(before).load()?),
            Some(Command::Config(ConfigCommand::Check(options))) => {
                serve::check(&options.over(before).load()?)?;
                print("the configuration is good\n")
            }
            Some(Command::Config(ConfigCommand::Show(options))) => {
                print(&options.over(before).load()?.show())
            }
            Some(Command::Admin(line)) => {
                admin::run(line, before, self.client.ca, self.client.json)
            }
            Some(Command::Bench(measurement)) => bench::run(measurement, self.client.json),
            Some(Command::Client(command)) => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(cli::run(*command, self.client)),
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn check(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                let help = sub.get_after_help().map(ToString::to_string);
                assert!(help.is_some_and(|help| help.contains(&path)), "{path}");
                check(sub, &path);
            }
        }
        let command = CommandLine::command();
        command.clone().debug_assert();
        check(&command, "belfry");
    }

    #[test]
    fn options_stand_before_a_command_or_behind_it() {
        let options = |words: &str| {
            let line = CommandLine::try_parse_from(words.split(' ')).map_err(|e| e.to_string());
            let line = line.expect(words);
            match line.command {
                Some(Command::Serve(options)) => options.over(line.serve),
                Some(Command::Config(ConfigCommand::Show(options))) => options.over(line.serve),
                _ => line.serve,
            }
        };
        for words in [
            "belfry --data-dir d",
            "belfry --data-dir d serve",
            "belfry serve --data-dir d",
            "belfry --data-dir other serve --data-dir d",
            "belfry --data-dir d --json config show",
        ] {
            assert_eq!(options(words).data_dir, Some("d".into()), "{words}");
        }
    }
}
