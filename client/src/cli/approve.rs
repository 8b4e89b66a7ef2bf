//! `belfry approve`: let a site notify, and print what to give it.

use super::{Globals, signed_out, terminal};
use crate::keys::{BoxPublicKey, PermissionKeys};
use crate::server::NewPermission;
use crate::state::KeptPermission;
use anyhow::Context as _;
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
}

impl Approve {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let site_key = self.site_key.as_deref().map(BoxPublicKey::parse);
        let site_key = site_key.transpose().context("--site-key")?;
        let server = globals.signed_in()?;
        let file = globals.key_file()?;
        // Read first: a permission whose keys cannot be kept would be lost.
        file.load()?;
        let new = NewPermission {
            site: self.origin,
            name: self.name,
            application_server_key: self.application_server_key,
        };
        let permission = server.create_permission(&new).await.map_err(signed_out)?;
        let kept = KeptPermission {
            permission: permission.permission_id,
            site: permission.site,
            endpoint: permission.endpoint,
            keys: PermissionKeys::generate(),
            site_key,
        };
        if let Err(error) = file.add(&kept) {
            // Nobody could read what is sent to it, so it should not stay. If this fails too, the
            // permission is listed all the same and can be revoked by hand.
            let _ = server.revoke_permission(kept.permission).await;
            return Err(error.into());
        }
        terminal::print(&terminal::json(&kept.subscription()))?;
        terminal::note(&format!(
            "{} may now notify you (permission {}). Give it the line above; it is a secret.",
            kept.site, kept.permission
        ));
        Ok(())
    }
}
