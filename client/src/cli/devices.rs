//! `belfry devices`: the user's devices, as the server and as the keyring knows them.

use super::{Globals, signed_out, terminal};
use crate::keyring::TrustedDevice;
use crate::server::{DeviceInfo, ServerError};
use crate::sync::SyncError;
use anyhow::{Context as _, bail};
use belfry_protocol::id::DeviceId;
use serde_json::json;
use std::collections::HashMap;

const EXAMPLE: &str = "Example:
  belfry devices
  belfry devices rename f6ytnvfr4khyti66woqnfh2ch4 'Old phone'
  belfry devices remove f6ytnvfr4khyti66woqnfh2ch4";

/// See, rename or remove your devices.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Devices {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// All devices: whether they are connected, and whether they have your keys
    #[command(after_help = "Example:\n  belfry devices list --json")]
    List,
    /// Call a device something else
    #[command(after_help = "Example:\n  belfry devices rename f6ytnvfr4khyti66woqnfh2ch4 Phone")]
    Rename {
        /// The device
        #[arg(value_parser = parse_id)]
        device: DeviceId,
        /// Its new name
        name: String,
    },
    /// Take a device out: it is signed out at once, and your keyring gets a new key
    #[command(after_help = "Example:\n  belfry devices remove f6ytnvfr4khyti66woqnfh2ch4")]
    Remove {
        /// The device
        #[arg(value_parser = parse_id)]
        device: DeviceId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

fn parse_id(text: &str) -> Result<DeviceId, belfry_protocol::id::InvalidId> {
    text.parse()
}

impl Devices {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        match self.action.unwrap_or(Action::List) {
            Action::List => list(globals).await,
            Action::Rename { device, name } => rename(globals, device, &name).await,
            Action::Remove { device, yes } => remove(globals, device, yes).await,
        }
    }
}

/// The trusted devices of the local copy.
fn trusted(globals: &Globals) -> anyhow::Result<HashMap<DeviceId, TrustedDevice>> {
    let copy = globals.key_file()?.load()?;
    let devices = copy.iter().flat_map(|copy| copy.keyring.devices());
    Ok(devices.map(|device| (device.id, device)).collect())
}

async fn list(globals: &Globals) -> anyhow::Result<()> {
    let keys = globals.keyring()?;
    match keys.sync().await {
        Ok(_) | Err(SyncError::NotLinked) => {}
        Err(error) => terminal::note(&format!(
            "Your keys are not in step with the server: {error}."
        )),
    }
    let mut trusted = trusted(globals)?;
    for info in keys.server().devices().await.map_err(signed_out)? {
        let known = trusted.remove(&info.device_id);
        let this = info.device_id == keys.device();
        terminal::print(&shown(&info, known.as_ref(), this, globals.json))?;
    }
    // What the keyring trusts and the server does not have was removed without a new key.
    for device in trusted.values() {
        let advice =
            "trusted, but not on the server: belfry devices remove gives your keyring a new key";
        let text = match globals.json {
            true => terminal::json(
                &json!({"device_id": device.id, "name": device.name, "linked": true, "on_server": false}),
            ),
            false => terminal::line(&format!("{}  {}  ({advice})", device.id, device.name)),
        };
        terminal::print(&text)?;
    }
    Ok(())
}

fn shown(info: &DeviceInfo, known: Option<&TrustedDevice>, this: bool, json: bool) -> String {
    let fingerprint = known.map(|device| device.key.fingerprint());
    // The name that the devices gave each other; the server's only where they know none.
    let name = known.map_or(info.name.as_str(), |device| device.name.as_str());
    if json {
        return terminal::json(&json!({
            "device_id": info.device_id, "name": name, "online": info.online,
            "last_seen": info.last_seen, "this": this, "linked": known.is_some(),
            "fingerprint": fingerprint, "on_server": true,
        }));
    }
    let online = if info.online { "online " } else { "offline" };
    let linked = fingerprint.as_deref().unwrap_or("not linked         ");
    let here = if this { "  (this device)" } else { "" };
    terminal::line(&format!(
        "{}  {online}  {linked}  {name}{here}",
        info.device_id
    ))
}

async fn rename(globals: &Globals, device: DeviceId, name: &str) -> anyhow::Result<()> {
    let keys = globals.keyring()?;
    keys.server()
        .rename_device(device, name)
        .await
        .map_err(signed_out)?;
    let renamed = keys.change(|keyring, now| {
        let known = keyring.devices().find(|known| known.id == device);
        if let Some(mut known) = known {
            name.clone_into(&mut known.name);
            keyring.put_device(&known, now);
        }
    });
    match renamed.await {
        Ok(()) | Err(SyncError::NotLinked) => {}
        Err(error) => return Err(error.into()),
    }
    if globals.json {
        let shown = json!({"device_id": device, "name": name});
        return Ok(terminal::print(&terminal::json(&shown))?);
    }
    terminal::note(&format!(
        "Device {device} is called {}.",
        terminal::line(name)
    ));
    Ok(())
}

async fn remove(globals: &Globals, device: DeviceId, yes: bool) -> anyhow::Result<()> {
    let keys = globals.keyring()?;
    if device == keys.device() {
        bail!(
            "that is this device, and it cannot give the others a new key; remove it on another one"
        );
    }
    match keys.sync().await {
        Ok(_) | Err(SyncError::NotLinked) => {}
        // Removed on the server without a new key, the device could still read: not half of it.
        Err(error) => return Err(error.into()),
    }
    let known = trusted(globals)?.remove(&device);
    let name = known
        .as_ref()
        .map_or_else(|| device.to_string(), |known| terminal::line(&known.name));
    if !yes
        && !terminal::ask(&format!(
            "Remove {name}? It is signed out, and your keyring gets a new key."
        ))?
    {
        bail!("nothing was removed");
    }
    match keys.server().delete_device(device).await {
        Ok(()) => {}
        // Removed before, but the keyring still trusts it.
        Err(error) if error.status() == Some(404) && known.is_some() => {}
        Err(error) => return Err(too_old(error)),
    }
    if known.is_some() {
        let rotated = keys.rotate_without(device).await;
        rotated.context(
            "the device is signed out, but your keyring has no new key yet; run this command again",
        )?;
    }
    let copy = keys.file().load()?;
    let keyring = copy.as_ref().map(|copy| &copy.keyring);
    let renew = keyring.map_or(0, |keyring| {
        keyring
            .permissions()
            .values()
            .filter(|kept| kept.renew)
            .count()
    });
    let recovery = keyring.is_some_and(|keyring| keyring.recovery().is_some());
    if globals.json {
        let shown = json!({"device_id": device, "removed": true, "rotated": known.is_some(), "renew": renew});
        return Ok(terminal::print(&terminal::json(&shown))?);
    }
    terminal::note(&format!("{name} is removed."));
    if known.is_some() && renew > 0 {
        terminal::note(&format!(
            "It knew the keys of {}: approve those sites again and revoke the old permissions when you can (belfry permissions marks them).",
            terminal::permissions(renew)
        ));
    }
    if known.is_some() && recovery {
        terminal::note(
            "It also knew how the recovery phrase is checked: make a new one with belfry keys recovery.",
        );
    }
    Ok(())
}

/// Removing a device needs a sign-in of the last minutes.
fn too_old(error: ServerError) -> anyhow::Error {
    let again = matches!(&error, ServerError::Refused { problem, .. } if problem.kind.ends_with("/sign-in-again"));
    if again {
        anyhow::Error::new(error)
            .context("removing a device needs a fresh sign-in; run belfry login again first")
    } else {
        signed_out(error)
    }
}
