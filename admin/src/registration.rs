//! What is decided about a site that publishes with API keys, whether over HTTP or by the command line on
//! the directory itself: both do it here, and say the same.

use crate::proof::{Look, Looking, ProofError};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_edge::{ApiError, random};
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Actor, Directory, DirectoryError, Site, SiteKey, VapidKey};

/// What an API key begins with, so that it is known for one where it should not be.
const KEY_PREFIX: &str = "belfry_site_";
/// API keys in force, and VAPID keys, of one site: some for each department, and those that are rotated.
const KEYS_MAX: usize = 100;
/// An uncompressed P-256 point.
const POINT_BYTES: usize = 65;

/// Who decides, when, and where it is written down.
#[derive(Clone, Copy)]
pub struct Registrar<'a> {
    /// Where.
    pub directory: &'a Directory,
    /// Who.
    pub by: &'a Actor,
    /// When.
    pub now: Timestamp,
}

impl Registrar<'_> {
    /// A site that is registered.
    ///
    /// # Errors
    /// 404: it is not.
    pub async fn site(&self, origin: &Origin) -> Result<Site, ApiError> {
        let site = self.directory.site(origin).await?;
        site.ok_or_else(|| ApiError::not_found(format!("{origin} is not registered here")))
    }

    /// Registers a site, not proven yet.
    ///
    /// # Errors
    /// 409 with the type `exists`.
    pub async fn register(&self, origin: &Origin) -> Result<Site, ApiError> {
        let token = Secret::from_random(random()?);
        let made = self
            .directory
            .create_site(origin, token.expose(), self.by, self.now)
            .await;
        match made {
            Ok(()) => self.site(origin).await,
            Err(DirectoryError::Taken) => {
                let detail = format!("{origin} is registered already");
                Err(ApiError::new(StatusCode::CONFLICT, "exists", detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for the proof, and notes that it was found.
    ///
    /// # Errors
    /// It cannot look now.
    pub async fn prove(&self, site: &mut Site, looking: &Looking) -> Result<Vec<Look>, ApiError> {
        let looks = looking.look(site).await.map_err(|error| {
            if matches!(error, ProofError::Busy) {
                return ApiError::rate_limited(error.to_string(), 60);
            }
            tracing::error!(%error, "cannot look for the proof of a site");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                error.to_string(),
            )
        })?;
        if looks.iter().any(|look| look.proves) {
            self.directory
                .prove_site(&site.site, self.by, self.now)
                .await?;
            site.proven = Some(self.now);
        }
        Ok(looks)
    }

    /// Makes an API key; its id, and the key, this once.
    ///
    /// # Errors
    /// 422 for a bad name, 409 where there are too many.
    pub async fn make_key(
        &self,
        site: &Origin,
        name: Option<&str>,
    ) -> Result<(SiteKey, String), ApiError> {
        let name = name.map(belfry_edge::display_name).transpose()?;
        let keys = self.directory.site_keys(site).await?;
        let in_force = keys.iter().filter(|key| key.revoked.is_none());
        if in_force.count() >= KEYS_MAX {
            return Err(full("API keys"));
        }
        let secret = Secret::from_random(random()?);
        let secret = format!("{KEY_PREFIX}{}", secret.expose());
        let key = SiteKey {
            id: SiteKeyId::from_bytes(random()?),
            name,
            created: self.now,
            last_used: None,
            revoked: None,
        };
        let hash = SecretHash::of(secret.as_bytes());
        self.directory
            .create_site_key(site, &key, hash, self.by)
            .await?;
        Ok((key, secret))
    }

    /// Ends an API key at once.
    ///
    /// # Errors
    /// 404: there is none in force.
    pub async fn end_key(&self, site: &Origin, key: SiteKeyId) -> Result<(), ApiError> {
        let ended = self
            .directory
            .revoke_site_key(site, key, self.by, self.now)
            .await?;
        if ended {
            Ok(())
        } else {
            Err(no_key(site, key))
        }
    }

    /// Registers a VAPID key, with one API key or with all of the site.
    ///
    /// # Errors
    /// 404: there is no such API key in force. 409 where there are too many.
    pub async fn register_vapid(
        &self,
        site: &Origin,
        public: Vec<u8>,
        with: Option<SiteKeyId>,
    ) -> Result<(), ApiError> {
        if let Some(id) = with {
            let keys = self.directory.site_keys(site).await?;
            if !keys.iter().any(|key| key.id == id && key.revoked.is_none()) {
                return Err(no_key(site, id));
            }
        }
        let known = self.directory.vapid_keys(site).await?;
        if known.len() >= KEYS_MAX && !known.iter().any(|key| key.public == public) {
            return Err(full("VAPID keys"));
        }
        let key = VapidKey {
            with,
            public,
            created: self.now,
        };
        Ok(self
            .directory
            .register_vapid_key(site, &key, self.by)
            .await?)
    }

    /// Forgets a VAPID key, with whichever API key it was registered.
    ///
    /// # Errors
    /// 404: it was not.
    pub async fn forget_vapid(&self, site: &Origin, public: &[u8]) -> Result<(), ApiError> {
        let forgotten = self
            .directory
            .forget_vapid_key(site, public, self.by, self.now)
            .await?;
        if forgotten {
            return Ok(());
        }
        let detail = format!("this VAPID key is not registered for {site}");
        Err(ApiError::not_found(detail))
    }

    /// Removes a site with its API keys; what users allowed it stays.
    ///
    /// # Errors
    /// 404: it is not registered.
    pub async fn remove(&self, site: &Origin) -> Result<(), ApiError> {
        if self.directory.remove_site(site, self.by, self.now).await? {
            return Ok(());
        }
        Err(ApiError::not_found(format!(
            "{site} is not registered here"
        )))
    }
}

fn no_key(site: &Origin, key: SiteKeyId) -> ApiError {
    ApiError::not_found(format!("{site} has no API key {key} in force"))
}

fn full(of: &str) -> ApiError {
    let detail = format!("this site has {KEYS_MAX} {of} already; end some first");
    ApiError::new(StatusCode::CONFLICT, "full", detail)
}

/// A VAPID key as it is written, as an uncompressed point.
pub fn vapid_key(text: &str) -> Option<Vec<u8>> {
    let key = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    key.filter(|key| key.len() == POINT_BYTES && p256::PublicKey::from_sec1_bytes(key).is_ok())
}

/// As it is written.
pub fn written(key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(key)
}
