//! The commands of `belfry` that people, scripts and sites use: thin over the SDK.
//!
//! What a command makes goes to stdout and nothing else does: a subscription, a message URL, one
//! notification a line. Everything said to a person goes to stderr. `--json` makes both JSON.

mod approve;
mod devices;
mod encrypt;
mod keys;
mod link;
mod listen;
mod login;
mod permissions;
mod recovery;
mod seal;
mod send;
mod terminal;

use crate::server::Server;
use crate::state::{KeyFile, Session, StateDir, StoredDevice};
use crate::sync::Keys as Keyring;
use anyhow::Context as _;
use std::path::PathBuf;

/// Where the server is if nobody says otherwise: its own default address.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// What every client command takes. The binary flattens it beside [`Command`].
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Client options")]
pub struct Globals {
    /// Folder of this device's state; one for each device [default: $XDG_CONFIG_HOME/belfry]
    #[arg(long, global = true, value_name = "DIR", env = "BELFRY_CONFIG_DIR")]
    pub config_dir: Option<PathBuf>,
    /// This device's copy of the keyring, which devices of one machine may share [default: keys.json
    /// in that folder]
    #[arg(long, global = true, value_name = "FILE", env = "BELFRY_KEYS")]
    pub keys: Option<PathBuf>,
    /// One more certificate authority to trust, a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "BELFRY_CA")]
    pub ca: Option<PathBuf>,
    /// Write JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

/// The client commands.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Sign in, and make this machine a device
    Login(login::Login),
    /// Approve a site, and print the subscription to give it
    Approve(approve::Approve),
    /// See, mute, allow or revoke what was approved
    Permissions(permissions::Permissions),
    /// Encrypt a notification and post it, as a site does
    Send(send::Send),
    /// Show notifications as they arrive
    Listen(listen::Listen),
    /// Encrypt stdin for a subscription, to post it with another program
    Encrypt(encrypt::Encrypt),
    /// See, link and recover your devices' keys, or make a site's
    Keys(keys::Keys),
    /// See, rename or remove your devices
    Devices(devices::Devices),
}

/// Runs a command to its end.
///
/// # Errors
/// One readable sentence with a remedy; the binary prints it with `{:#}` and exits 1.
pub async fn run(command: Command, globals: Globals) -> anyhow::Result<()> {
    match command {
        Command::Login(login) => login.run(&globals).await,
        Command::Approve(approve) => approve.run(&globals).await,
        Command::Permissions(permissions) => permissions.run(&globals).await,
        Command::Send(send) => send.run(&globals).await,
        Command::Listen(listen) => listen.run(&globals).await,
        Command::Encrypt(encrypt) => encrypt.run(),
        Command::Keys(keys) => keys.run(&globals).await,
        Command::Devices(devices) => devices.run(&globals).await,
    }
}

impl Globals {
    fn state(&self) -> anyhow::Result<StateDir> {
        Ok(StateDir::find(self.config_dir.as_deref(), |name| {
            std::env::var_os(name)
        })?)
    }

    fn key_file(&self) -> anyhow::Result<KeyFile> {
        Ok(self.state()?.key_file(self.keys.as_deref()))
    }

    fn device(&self) -> anyhow::Result<StoredDevice> {
        let device = self.state()?.device()?;
        device.context("this machine is no device yet; run belfry login first")
    }

    /// This device's keyring, with the server where its user is signed in.
    fn keyring(&self) -> anyhow::Result<Keyring> {
        let device = self.device()?;
        Ok(Keyring::new(self.signed_in()?, self.key_file()?, &device)?)
    }

    fn tls(&self) -> anyhow::Result<rustls::ClientConfig> {
        Ok(crate::tls::client_config(self.ca.as_deref())?)
    }

    fn server(&self, base: &str) -> anyhow::Result<Server> {
        Ok(Server::new(base, self.tls()?)?)
    }

    /// The server that this folder is signed in on, with its token.
    fn signed_in(&self) -> anyhow::Result<Server> {
        let session: Session = self
            .state()?
            .session()?
            .context("nobody is signed in here; run belfry login first")?;
        let server = self.server(&session.server)?;
        Ok(server.with_token(session.access_token))
    }
}

/// A refused token, with what to do about it.
fn signed_out(error: crate::server::ServerError) -> anyhow::Error {
    let expired = error.status() == Some(401);
    let error = anyhow::Error::new(error);
    if expired {
        error.context("this sign-in is no longer good; run belfry login again")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, CommandFactory as _};

    #[derive(clap::Parser)]
    struct Binary {
        #[command(flatten)]
        _globals: Globals,
        #[command(subcommand)]
        _command: Command,
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                let help = sub.get_after_help().map(ToString::to_string);
                let example = format!("belfry {}", command_path(command, sub));
                assert!(
                    help.as_deref().is_some_and(|help| help.contains(&example)),
                    "{example}: {help:?}"
                );
                check(sub);
            }
        }
        fn command_path(parent: &clap::Command, sub: &clap::Command) -> String {
            match parent.get_name() {
                "belfry" => sub.get_name().to_owned(),
                parent => format!("{parent} {}", sub.get_name()),
            }
        }
        Binary::command().debug_assert();
        let command = Binary::command().name("belfry");
        assert_eq!(command.get_subcommands().count(), 8);
        check(&command);
        assert!(
            Globals::augment_args(clap::Command::new("x"))
                .get_arguments()
                .count()
                >= 4
        );
    }
}
