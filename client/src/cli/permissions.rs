//! `belfry permissions`: what was approved, and taking it back.

use super::{Globals, signed_out, terminal};
use crate::keyring::KeptPermission;
use crate::server::{PermissionChange, PermissionInfo, PermissionState, Server};
use crate::sync::SyncError;
use belfry_protocol::id::PermissionId;

const EXAMPLE: &str = "Example:
  belfry permissions
  belfry permissions mute 7nymizpcl2kmwmdqkbnd4jmdfe
  belfry permissions receipts 7nymizpcl2kmwmdqkbnd4jmdfe on
  belfry permissions revoke 7nymizpcl2kmwmdqkbnd4jmdfe";

/// See, mute, allow or revoke what was approved.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Permissions {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// All permissions
    #[command(after_help = "Example:\n  belfry permissions list --json")]
    List,
    /// Keep what the site sends, but do not show it
    #[command(after_help = "Example:\n  belfry permissions mute 7nymizpcl2kmwmdqkbnd4jmdfe")]
    Mute {
        /// The permission
        #[arg(value_parser = parse_id)]
        permission: PermissionId,
    },
    /// Show it again
    #[command(after_help = "Example:\n  belfry permissions allow 7nymizpcl2kmwmdqkbnd4jmdfe")]
    Allow {
        /// The permission
        #[arg(value_parser = parse_id)]
        permission: PermissionId,
    },
    /// Whether the site may hear that what it sends reached a device
    #[command(
        after_help = "Example:\n  belfry permissions receipts 7nymizpcl2kmwmdqkbnd4jmdfe off"
    )]
    Receipts {
        /// The permission
        #[arg(value_parser = parse_id)]
        permission: PermissionId,
        /// From now on
        receipts: Receipts,
    },
    /// End it: the site's endpoint is gone at once, and what it sent
    #[command(after_help = "Example:\n  belfry permissions revoke 7nymizpcl2kmwmdqkbnd4jmdfe")]
    Revoke {
        /// The permission
        #[arg(value_parser = parse_id)]
        permission: PermissionId,
    },
}

/// Whether a site has receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Receipts {
    /// It hears when a first device has what it sent
    On,
    /// It hears nothing more, also of what it sent before
    Off,
}

fn parse_id(text: &str) -> Result<PermissionId, belfry_protocol::id::InvalidId> {
    text.parse()
}

impl Permissions {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let server = globals.signed_in()?;
        match self.action.unwrap_or(Action::List) {
            Action::List => {
                let keys = globals.keyring()?;
                // Best effort: what this device does not know is marked, whatever the reason.
                let _ = keys.sync().await;
                let kept = keys.file().permissions()?;
                for info in server.permissions().await.map_err(signed_out)? {
                    let kept = kept.get(&info.permission_id);
                    terminal::print(&shown(info, kept, globals.json))?;
                }
                Ok(())
            }
            Action::Mute { permission } => {
                change(&server, permission, PermissionState::Muted).await?;
                say(permission, "muted", globals)
            }
            Action::Allow { permission } => {
                change(&server, permission, PermissionState::Allowed).await?;
                say(permission, "allowed", globals)
            }
            Action::Receipts {
                permission,
                receipts,
            } => {
                let on = receipts == Receipts::On;
                let change = PermissionChange {
                    receipts: Some(on),
                    ..PermissionChange::default()
                };
                let changed = server.change_permission(permission, &change).await;
                changed.map_err(signed_out)?;
                say_receipts(permission, on, globals)
            }
            Action::Revoke { permission } => {
                server
                    .revoke_permission(permission)
                    .await
                    .map_err(signed_out)?;
                forget(permission, globals).await?;
                say(permission, "revoked", globals)
            }
        }
    }
}

/// Takes a revoked permission out of the keyring. A device that has none has nothing to forget.
async fn forget(permission: PermissionId, globals: &Globals) -> anyhow::Result<()> {
    let keys = globals.keyring()?;
    let removed = keys.change(|keyring, now| keyring.remove_permission(permission, now));
    match removed.await {
        Ok(()) | Err(SyncError::NotLinked) => Ok(()),
        Err(error) => Err(anyhow::Error::new(error)
            .context("it is revoked, but your devices may still have its keys")),
    }
}

/// What has become of it.
fn say(permission: PermissionId, state: &str, globals: &Globals) -> anyhow::Result<()> {
    if globals.json {
        let changed = serde_json::json!({"permission_id": permission, "state": state});
        terminal::print(&terminal::json(&changed))?;
    } else {
        terminal::note(&format!("Permission {permission} is {state}."));
    }
    Ok(())
}

fn say_receipts(permission: PermissionId, on: bool, globals: &Globals) -> anyhow::Result<()> {
    if globals.json {
        let changed = serde_json::json!({"permission_id": permission, "receipts": on});
        terminal::print(&terminal::json(&changed))?;
    } else {
        let has = if on { "has" } else { "has no" };
        terminal::note(&format!("The site of {permission} {has} receipts."));
    }
    Ok(())
}

async fn change(
    server: &Server,
    permission: PermissionId,
    state: PermissionState,
) -> anyhow::Result<()> {
    let change = PermissionChange {
        state: Some(state),
        ..PermissionChange::default()
    };
    let changed = server.change_permission(permission, &change).await;
    changed.map_err(signed_out)
}

/// A permission as `--json` writes it: what the server says, and what this device knows.
#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    info: PermissionInfo,
    /// Whether this device has its keys.
    keys: bool,
    /// A device that was removed knew them.
    renew: bool,
}

fn shown(mut info: PermissionInfo, kept: Option<&KeptPermission>, json: bool) -> String {
    // The site that was approved is what the keyring says, whatever the server calls it.
    if let Some(kept) = kept {
        info.site = kept.site.clone();
    }
    let (keys, renew) = (kept.is_some(), kept.is_some_and(|kept| kept.renew));
    if json {
        return terminal::json(&Shown { info, keys, renew });
    }
    let state = match info.state {
        PermissionState::Allowed => "allowed",
        PermissionState::Muted => "muted",
    };
    let advice = match (keys, renew) {
        (false, _) => "  (no keys on this device)",
        (true, true) => "  (a removed device knew its keys)",
        (true, false) => "",
    };
    let name = info.name.as_deref().unwrap_or_default();
    let text = format!("{}  {state:7}  {}  {name}", info.permission_id, info.site);
    let receipts = if info.receipts { "  (receipts)" } else { "" };
    terminal::line(&format!("{}{receipts}{advice}", text.trim_end()))
}
