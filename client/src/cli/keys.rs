//! `belfry keys`: this device's keys, and key pairs for sites.

use super::seal::KeyPairJson;
use super::{Globals, terminal};
use crate::keys::BoxSecretKey;
use crate::state::write_json;
use crate::vapid::VapidKey;
use anyhow::{Context as _, bail};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Example:
  belfry keys
  belfry keys site-new site-key.json
  belfry keys vapid-new vapid-key.json";

/// Show this device's keys, or make a site's.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Keys {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// This device's public key and its fingerprint
    #[command(after_help = "Example:\n  belfry keys show --json")]
    Show,
    /// Make a site's crypto-box key pair; prints the public key, for --site-key
    #[command(after_help = "Example:\n  belfry keys site-new site-key.json")]
    SiteNew {
        /// Where to write it
        file: PathBuf,
    },
    /// Make a site's VAPID key pair; prints the public key, for --application-server-key
    #[command(after_help = "Example:\n  belfry keys vapid-new vapid-key.json")]
    VapidNew {
        /// Where to write it
        file: PathBuf,
    },
}

impl Keys {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let public_key = match self.action.unwrap_or(Action::Show) {
            Action::Show => return show(globals),
            Action::SiteNew { file } => {
                let key = BoxSecretKey::generate();
                write_pair(&file, key.public().to_string(), key.expose())?
            }
            Action::VapidNew { file } => {
                let key = VapidKey::generate();
                write_pair(&file, key.public(), key.expose())?
            }
        };
        let made = match globals.json {
            true => terminal::json(&json!({"public_key": public_key})),
            false => public_key,
        };
        Ok(terminal::print(&made)?)
    }
}

fn show(globals: &Globals) -> anyhow::Result<()> {
    let device = globals.state()?.device()?;
    let device = device.context("this machine is no device yet; run belfry login first")?;
    let public = device.key()?.public();
    let file = globals.key_file()?;
    let permissions = file.load()?.len();
    if globals.json {
        let shown = json!({
            "device_id": device.device.device_id,
            "public_key": public.to_string(),
            "fingerprint": public.fingerprint(),
            "key_file": file.path(),
            "permissions": permissions,
        });
        terminal::print(&terminal::json(&shown))?;
    } else {
        terminal::print(&format!(
            "device       {}\npublic key   {public}\nfingerprint  {}\npermissions  {permissions} in {}",
            device.device.device_id,
            public.fingerprint(),
            file.path().display()
        ))?;
    }
    Ok(())
}

/// Writes a pair where nothing is yet, and gives its public half.
fn write_pair(path: &Path, public_key: String, private_key: String) -> anyhow::Result<String> {
    if path.exists() {
        bail!(
            "{} is already there, and a key that is overwritten is lost; choose another name",
            path.display()
        );
    }
    let pair = KeyPairJson {
        public_key,
        private_key,
    };
    write_json(path, &pair)?;
    Ok(pair.public_key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::seal::read_key_pair;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_file_is_private_readable_back_and_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("site.json");
        let key = BoxSecretKey::generate();
        write_pair(&path, key.public().to_string(), key.expose()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = write_pair(&path, String::new(), String::new()).unwrap_err();
        assert!(refused.to_string().contains("already there"), "{refused}");
        let read = BoxSecretKey::parse(&read_key_pair(&path).unwrap().private_key).unwrap();
        assert_eq!(read.public(), key.public());
    }
}
