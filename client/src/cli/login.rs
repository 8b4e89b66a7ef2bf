//! `belfry login`: sign in, up first if asked, and make this machine a device.

use super::{DEFAULT_SERVER, Globals, terminal};
use crate::keys::BoxSecretKey;
use crate::listen::{Incoming, Listener, Options, Transport};
use crate::server::{DeviceKind, Server, SignedIn};
use crate::state::{Session, StateDir, StoredDevice};
use crate::sync::{Keys, SyncError};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Example:
  belfry login --server https://push.example --username ada
  printf %s \"$PASSWORD\" | belfry login --username ada --create";

const NOT_LINKED: &str =
    "This device cannot read your notifications yet: your other devices have the keys.
  belfry keys link       here shows a code; type it on a device that has them:
                         belfry keys accept CODE there, or the console
  belfry keys recover    takes your recovery phrase instead";

/// Longest password that is read, in bytes: more than any server takes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Sign in, and make this machine a device.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Login {
    /// The server's address
    #[arg(long, value_name = "URL", env = "BELFRY_SERVER", default_value = DEFAULT_SERVER)]
    server: String,
    /// Your name on the server
    #[arg(long, value_name = "NAME", env = "BELFRY_USERNAME")]
    username: String,
    /// Read the password from this file instead of the terminal or stdin; also BELFRY_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Make the account first
    #[arg(long)]
    create: bool,
    /// The invitation, where the server asks for one
    #[arg(long, value_name = "CODE", requires = "create")]
    invite: Option<String>,
    /// What to call this device
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,
}

impl Login {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let state = globals.state()?;
        let server = globals.server(&self.server)?;
        // What is here is looked at before anything is made, so that a bad file costs nothing.
        let present = state.device()?;
        state.session()?;
        state.key_file(globals.keys.as_deref()).load()?;
        let password = password(self.password_file.as_deref(), self.create)?;
        if self.create {
            server
                .sign_up(&self.username, &password, self.invite.as_deref())
                .await?;
        }
        // Its password is for the server that made it alone.
        let on = present
            .as_ref()
            .filter(|present| present.server == server.base());
        let on = on.map(|present| &present.device);
        let signed_in = server.sign_in(&self.username, &password, on).await?;
        let server = server.with_token(&signed_in.access_token);
        let device = self
            .device(&server, &state, &signed_in, present, globals)
            .await?;
        state.save_session(&Session {
            server: server.base().to_owned(),
            access_token: signed_in.access_token,
            user_id: signed_in.user_id.to_string(),
            username: self.username.clone(),
        })?;
        if !globals.json {
            terminal::note(&format!(
                "Signed in as {} on {}; this is device {}.",
                self.username,
                server.base(),
                device.device.device_id
            ));
        }
        let linked = linked(server, &device, globals).await?;
        if globals.json {
            terminal::print(&terminal::json(&json!({
                "user_id": signed_in.user_id,
                "username": self.username,
                "device_id": device.device.device_id,
                "linked": linked,
            })))?;
        }
        Ok(())
    }

    /// The device of this folder, made now unless the server still has it.
    async fn device(
        &self,
        server: &Server,
        state: &StateDir,
        signed_in: &SignedIn,
        present: Option<StoredDevice>,
        globals: &Globals,
    ) -> anyhow::Result<StoredDevice> {
        if let Some(present) = present {
            let same_user = present.user_id == signed_in.user_id.to_string();
            if !same_user || present.server != server.base() {
                bail!(
                    "this folder holds a device of another account or server ({}); use another with --config-dir DIR",
                    present.server
                );
            }
            let devices = server.devices().await?;
            let still =
                |device: &crate::server::DeviceInfo| device.device_id == present.device.device_id;
            if devices.iter().any(still) {
                return Ok(present);
            }
        }
        let key = BoxSecretKey::generate();
        let name = self.device_name.clone().unwrap_or_else(host_name);
        let device = server
            .create_device(&name, DeviceKind::Cli, &key.public())
            .await?;
        let stored = StoredDevice {
            server: server.base().to_owned(),
            user_id: signed_in.user_id.to_string(),
            device,
            secret_key: key.expose(),
            name,
        };
        state.save_device(&stored)?;
        subscribe(&stored, globals).await?;
        Ok(stored)
    }
}

/// Begins the account's keyring, or says how this device gets it. Whether it has it.
async fn linked(server: Server, device: &StoredDevice, globals: &Globals) -> anyhow::Result<bool> {
    let keys = Keys::new(server, globals.key_file()?, device)?;
    match keys.begin_or_join(&device.trusted()?).await {
        Ok(()) => return Ok(true),
        Err(SyncError::NotLinked) => terminal::note(NOT_LINKED),
        Err(error @ SyncError::OtherAccount(_)) => return Err(error.into()),
        Err(error) => terminal::note(&format!(
            "Your keys are not in step with the server: {error}."
        )),
    }
    Ok(keys.file().load()?.is_some())
}

/// Connects once, so that what is sent from now on waits for this device, and not only from its
/// first `belfry listen` on.
async fn subscribe(device: &StoredDevice, globals: &Globals) -> anyhow::Result<()> {
    let mut listener = Listener::new(Options {
        device: device.device.clone(),
        keys: globals.key_file()?,
        sync: None,
        transport: Transport::WebSocket,
        tls: globals.tls()?,
        presence: None,
    })?;
    if let Incoming::Disconnected { reason, .. } = listener.next().await? {
        terminal::note(&format!(
            "The server's MQTT does not answer ({reason}); notifications wait for this device from its first belfry listen on."
        ));
    }
    listener.close().await;
    Ok(())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match name.trim() {
        "" => "terminal".to_owned(),
        name => name.to_owned(),
    }
}

/// From the file, else from `BELFRY_PASSWORD`, else asked for on the terminal, else from stdin.
fn password(file: Option<&Path>, create: bool) -> anyhow::Result<String> {
    let read = |source: &mut dyn std::io::Read| {
        let mut text = String::new();
        source.take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    let text = if let Some(path) = file {
        let opened = std::fs::File::open(path).and_then(|mut file| read(&mut file));
        opened.with_context(|| format!("the password file {} cannot be read", path.display()))?
    } else if let Ok(password) = std::env::var("BELFRY_PASSWORD") {
        password
    } else if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if create && rpassword::prompt_password("Once more: ")? != password {
            bail!("the two passwords differ; try again");
        }
        password
    } else {
        read(&mut std::io::stdin()).context("the password cannot be read from stdin")?
    };
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("there is no password; give it on stdin, with --password-file or in BELFRY_PASSWORD");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_file_loses_its_line_end_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " pass word \r\n").unwrap();
        assert_eq!(password(Some(file.path()), false).unwrap(), " pass word ");
        std::fs::write(file.path(), "\n").unwrap();
        let refused = password(Some(file.path()), false).unwrap_err();
        assert!(refused.to_string().contains("--password-file"));
    }
}
