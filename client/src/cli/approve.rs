//! `belfry approve`: let a site notify, and print what to give it.

use super::{Globals, signed_out, terminal};
use crate::keyring::KeptPermission;
use crate::keys::{BoxPublicKey, PermissionKeys};
use crate::server::NewPermission;
use crate::sync::SyncError;
use anyhow::{Context as _, bail};
use belfry_protocol::site::Origin;

const EXAMPLE: &str = "Example:
  belfry approve https://news.example > subscription.json
  belfry approve https://news.example --site-key 3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";

/// Approve a site, and print the subscription to give it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Approve {
    /// The site's origin, such as https://news.example
    origin: Origin,
    /// A name for your own eyes
    #[arg(long)]
    name: Option<String>,
    /// Only posts signed by this VAPID key are taken
    #[arg(long, value_name = "BASE64URL")]
    application_server_key: Option<String>,
    /// Only crypto-box messages from this site key are shown: nobody else can forge one
    #[arg(long, value_name = "BASE64URL")]
    site_key: Option<String>,
    /// The site may hear whether what it sends reached a device (belfry permissions receipts changes it)
    #[arg(long)]
    receipts: bool,
}

impl Approve {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let site_key = self.site_key.as_deref().map(BoxPublicKey::parse);
        let site_key = site_key.transpose().context("--site-key")?;
        let keys = globals.keyring()?;
        // Read first: a permission whose keys cannot be kept would be lost.
        let before = keys.local()?.keyring.permissions();
        let new = NewPermission {
            site: self.origin,
            name: self.name,
            application_server_key: self.application_server_key,
            receipts: self.receipts,
        };
        let server = keys.server();
        let permission = server.create_permission(&new).await.map_err(signed_out)?;
        // Only the endpoint is the server's to say; the keys are made here.
        if permission.site != new.site || before.contains_key(&permission.permission_id) {
            bail!(
                "the server answered with another permission than was asked for; nothing is kept"
            );
        }
        let kept = KeptPermission {
            permission: permission.permission_id,
            site: new.site,
            endpoint: permission.endpoint,
            keys: PermissionKeys::generate(),
            site_key,
            name: new.name,
            renew: false,
        };
        let put = keys.change(|keyring, now| keyring.put_permission(&kept, now));
        match put.await {
            Ok(()) => {}
            Err(error @ (SyncError::State(_) | SyncError::NotLinked)) => {
                // Nobody could read what is sent to it, so it should not stay. If this fails too, the
                // permission is listed all the same and can be revoked by hand.
                let _ = server.revoke_permission(kept.permission).await;
                return Err(error.into());
            }
            Err(error) => terminal::note(&format!(
                "Your other devices do not have its keys yet: {error}. They go with this device's next contact."
            )),
        }
        terminal::print(&terminal::json(&kept.subscription()))?;
        terminal::note(&format!(
            "{} may now notify you (permission {}). Give it the line above; it is a secret.",
            kept.site, kept.permission
        ));
        Ok(())
    }
}
