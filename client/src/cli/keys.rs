//! `belfry keys`: the keys that a user's devices share, and key pairs for sites.

use super::link::{Accept, Link};
use super::recovery::{Recover, Recovery, Repair};
use super::seal::KeyPairJson;
use super::{Globals, terminal};
use crate::keyring::Keyring;
use crate::keys::BoxSecretKey;
use crate::state::write_json;
use crate::sync::SyncError;
use crate::vapid::VapidKey;
use anyhow::bail;
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Example:
  belfry keys
  belfry keys accept XKQ2-7M4D-JV3A-N5TE-R6WC-ZPQH-2Y7B-K4LM
  belfry keys site-new site-key.json
  belfry keys vapid-new vapid-key.json";

/// See, link and recover your devices' keys, or make a site's.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Keys {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// This device's key, its copy of the keyring, and the devices that it trusts
    #[command(after_help = "Example:\n  belfry keys show --json")]
    Show,
    /// On a new device: show a code, and get the keys from a device that has them
    Link(Link),
    /// On a device that has the keys: link the new one that shows this code
    Accept(Accept),
    /// Make a recovery phrase: twelve words that open your keys when no device is left
    Recovery(Recovery),
    /// Get your keys with the recovery phrase
    Recover(Recover),
    /// Put this device's copy back, after the server was restored from a backup
    Repair(Repair),
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
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let public_key = match self.action.unwrap_or(Action::Show) {
            Action::Show => return show(globals),
            Action::Link(link) => return link.run(globals).await,
            Action::Accept(accept) => return accept.run(globals).await,
            Action::Recovery(recovery) => return recovery.run(globals).await,
            Action::Recover(recover) => return recover.run(globals).await,
            Action::Repair(repair) => return repair.run(globals).await,
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
    let device = globals.device()?;
    let public = device.key()?.public();
    let file = globals.key_file()?;
    let copy = file.load()?;
    let keyring = copy.as_ref().map(|copy| &copy.keyring);
    let permissions = keyring.map(Keyring::permissions).unwrap_or_default();
    let renew = permissions.values().filter(|kept| kept.renew).count();
    let trusted: Vec<_> = keyring.into_iter().flat_map(Keyring::devices).collect();
    let recovery = keyring.is_some_and(|keyring| keyring.recovery().is_some());
    if globals.json {
        let listed = trusted.iter().map(|device| {
            json!({"device_id": device.id, "name": device.name, "kind": device.kind,
                "public_key": device.key, "fingerprint": device.key.fingerprint()})
        });
        let shown = json!({
            "device_id": device.device.device_id,
            "public_key": public.to_string(),
            "fingerprint": public.fingerprint(),
            "key_file": file.path(),
            "linked": keyring.is_some(),
            "epoch": keyring.map(|keyring| keyring.epoch),
            "generation": keyring.map(|keyring| keyring.generation),
            "devices": listed.collect::<Vec<_>>(),
            "permissions": permissions.len(),
            "renew": renew,
            "recovery": recovery,
        });
        return Ok(terminal::print(&terminal::json(&shown))?);
    }
    let mut lines = vec![
        format!("device       {}", device.device.device_id),
        format!("public key   {public}"),
        format!("fingerprint  {}", public.fingerprint()),
    ];
    match keyring {
        None => lines.push(format!("keyring      none: {}", SyncError::NotLinked)),
        Some(keyring) => {
            lines.push(format!(
                "keyring      generation {} in {}",
                keyring.generation,
                file.path().display()
            ));
            lines.push(format!("permissions  {}", permissions.len()));
            let made = if recovery {
                "there is a phrase"
            } else {
                "none; belfry keys recovery makes a phrase"
            };
            lines.push(format!("recovery     {made}"));
            let listed = trusted.iter().map(|device| {
                let name = terminal::line(&device.name);
                format!(
                    "trusted      {}  {}  {name}",
                    device.id,
                    device.key.fingerprint()
                )
            });
            lines.extend(listed);
        }
    }
    if renew > 0 {
        lines.push(format!(
            "renew        {} whose keys a removed device knew; approve those sites again",
            terminal::permissions(renew)
        ));
    }
    Ok(terminal::print(&lines.join("\n"))?)
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
