//! All that an admin sees of one site: what it may, what proves it, and its keys.

use super::SiteInfo;
use crate::Admin;
use crate::limits::{self, OwnLimit};
use crate::registration::written;
use belfry_acl::limit::Whose;
use belfry_edge::ApiError;
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// VAPID keys that posted which are shown of a site.
const VAPID_KEYS_SHOWN: u32 = 100;

/// All of a site.
#[derive(Serialize, ToSchema)]
pub(super) struct SiteDetail {
    #[serde(flatten)]
    site: SiteInfo,
    /// The limits that can be of its own.
    limits: Vec<OwnLimit>,
    /// The line that proves its origin; null where it is not registered.
    #[schema(example = "belfry-site=…")]
    proof: Option<String>,
    registered_since: Option<Timestamp>,
    proven_since: Option<Timestamp>,
    /// Those in force, oldest first.
    api_keys: Vec<ApiKeyInfo>,
    /// The 100 that posted last, and those that are registered and never did.
    vapid_keys: Vec<VapidKeyInfo>,
}

#[derive(Serialize, ToSchema)]
struct ApiKeyInfo {
    id: SiteKeyId,
    /// Empty where nobody gave it one.
    name: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct VapidKeyInfo {
    /// An uncompressed P-256 point, base64url.
    key: String,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    /// Whether what is restricted to it may be published to with API keys.
    registered: bool,
    /// With these alone; empty where it is with each of the site, those made later too.
    with: Vec<SiteKeyId>,
    /// Whether it posted to a permission of the site that is restricted to it, and is not rather another
    /// origin's: a ban of the site covers it.
    proven: bool,
}

impl Admin {
    pub(super) async fn site_detail(&self, origin: &Origin) -> Result<SiteDetail, ApiError> {
        let listed = self.directory.listed_site(origin).await?;
        let listed = listed.ok_or_else(|| {
            ApiError::not_found(format!(
                "nobody approved {origin}, and it is not registered"
            ))
        })?;
        let registered = self.directory.site(origin).await?;
        let keys = self.directory.site_keys(origin).await?;
        let posts = self.posts_of_a_day().await?;
        let posts = posts.get(origin).copied().unwrap_or_default();
        let mut site = SiteInfo::of(listed, posts);
        site.standing = self.standing(Whose::Site(origin.clone())).await?;
        let in_force = keys.into_iter().filter(|key| key.revoked.is_none());
        Ok(SiteDetail {
            site,
            limits: limits::of(self, &Whose::Site(origin.clone())),
            proof: registered.as_ref().map(|site| site.proof_line()),
            registered_since: registered.as_ref().map(|site| site.created),
            proven_since: registered.as_ref().and_then(|site| site.proven),
            api_keys: in_force
                .map(|key| ApiKeyInfo {
                    id: key.id,
                    name: key.name.unwrap_or_default(),
                    created: key.created,
                    last_used: key.last_used,
                })
                .collect(),
            vapid_keys: self.vapid_keys_of(origin).await?,
        })
    }

    /// Those that posted, the last first, and those that are registered and never did.
    async fn vapid_keys_of(&self, origin: &Origin) -> Result<Vec<VapidKeyInfo>, ApiError> {
        // What was noted of late is to be seen.
        self.directory.write_down_notes().await?;
        let seen = self.directory.seen_keys(origin, VAPID_KEYS_SHOWN).await?;
        let own = self.directory.covered_keys(origin).await?;
        let registered = self.directory.vapid_keys(origin).await?;
        let mut keys: Vec<VapidKeyInfo> = seen
            .into_iter()
            .map(|key| VapidKeyInfo {
                proven: key.proven && own.contains(&key.public),
                key: written(&key.public),
                first_seen: Some(key.first_seen),
                last_seen: Some(key.last_seen),
                registered: false,
                with: Vec::new(),
            })
            .collect();
        for key in &registered {
            let text = written(&key.public);
            let each = registered.iter().filter(|other| other.public == key.public);
            let with: Option<Vec<SiteKeyId>> = each.map(|other| other.with).collect();
            let with = with.unwrap_or_default();
            match keys.iter_mut().find(|known| known.key == text) {
                Some(known) => (known.registered, known.with) = (true, with),
                None => keys.push(VapidKeyInfo {
                    key: text,
                    first_seen: None,
                    last_seen: None,
                    registered: true,
                    with,
                    proven: false,
                }),
            }
        }
        Ok(keys)
    }
}
