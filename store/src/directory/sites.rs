//! Sites that publish with an API key: what proves their origin, their keys, and the VAPID keys that
//! count as theirs.
//!
//! Nothing of it is cached. A key is asked for once a call, and again and again while a stream goes on,
//! and other processes write here too: what they revoke counts from the next look.

use super::audit::{Act, Actor, append};
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, fetch, id, millis, time, unique};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use serde_json::json;

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its origin.
    pub site: Origin,
    /// What is looked for under the origin.
    pub proof: String,
    /// When it was added.
    pub created: Timestamp,
    /// When the proof was last found.
    pub proven: Option<Timestamp>,
}

impl Site {
    /// The line that proves the origin.
    pub fn proof_line(&self) -> String {
        format!("belfry-site={}", self.proof)
    }

    /// Where the line is looked for over HTTP.
    pub fn proof_url(&self) -> String {
        format!("{}/.well-known/belfry-site", self.site)
    }

    /// The name whose TXT record it is looked for in; none for an origin that has no name of its own.
    pub fn proof_record(&self) -> Option<String> {
        let name = self.site.domain()?;
        Some(format!("_belfry-site.{name}"))
    }
}

/// An API key as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteKey {
    /// Its id, which is not the key.
    pub id: SiteKeyId,
    /// What the operator calls it.
    pub name: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A VAPID key whose restricted permissions a site may publish to with an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VapidKey {
    /// With this one; `None` for each of the site, those made later too.
    pub with: Option<SiteKeyId>,
    /// An uncompressed P-256 point.
    pub public: Vec<u8>,
    /// When it was registered.
    pub created: Timestamp,
}

/// Who calls with an API key that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteCaller {
    /// The site.
    pub site: Site,
    /// The key's id.
    pub key: SiteKeyId,
    /// The VAPID keys registered with it.
    pub vapid: Vec<Vec<u8>>,
}

type SiteRow = (String, String, i64, Option<i64>);

fn site((site, proof, created, proven): SiteRow) -> Result<Site, DirectoryError> {
    let site = site
        .parse()
        .map_err(|_| DirectoryError::Unreadable("a site"))?;
    Ok(Site {
        site,
        proof,
        created: time(created),
        proven: proven.map(time),
    })
}

fn of_site<'a>(act: &'a str, site: &Origin) -> Act<'a> {
    Act {
        act,
        target: Some(site.to_string()),
        ..Act::default()
    }
}

async fn append_vapid(
    transaction: &mut Transaction,
    site: &Origin,
    key: &VapidKey,
    by: &Actor,
) -> Result<(), DirectoryError> {
    let act = Act {
        after: Some(json!({ "key": URL_SAFE_NO_PAD.encode(&key.public), "with": key.with })),
        ..of_site("site.vapid", site)
    };
    append(transaction, by, &act, key.created).await
}

/// How the key of a VAPID row is written that stands for all of the site.
fn with(key: Option<SiteKeyId>) -> Vec<u8> {
    key.map_or(Vec::new(), |key| key.as_bytes().to_vec())
}

impl Directory {
    /// Adds a site, not proven yet.
    ///
    /// # Errors
    /// It is there already.
    pub async fn create_site(
        &self,
        site: &Origin,
        proof: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(
            &mut transaction,
            "INSERT INTO sites (site, proof, created) VALUES ($1, $2, $3)",
            site.as_str(),
            proof,
            millis(now)
        )
        .map_err(unique)?;
        let act = of_site("site.register", site);
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await
    }

    /// A site.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site(&self, of: &Origin) -> Result<Option<Site>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            SiteRow,
            "SELECT site, proof, created, proven FROM sites WHERE site = $1",
            of.as_str()
        )?;
        row.map(site).transpose()
    }

    /// A page of the sites, by origin, after the cursor.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn sites(
        &self,
        after: Option<&Origin>,
        limit: u32,
    ) -> Result<Vec<Site>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            SiteRow,
            "SELECT site, proof, created, proven FROM sites WHERE site > $1 ORDER BY site LIMIT $2",
            after.map_or("", Origin::as_str),
            i64::from(limit)
        )?;
        rows.into_iter().map(site).collect()
    }

    /// Notes that the proof was found.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn prove_site(
        &self,
        site: &Origin,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        let proven = execute_in!(
            &mut transaction,
            "UPDATE sites SET proven = $1 WHERE site = $2",
            millis(now),
            site.as_str()
        )?;
        if proven > 0 {
            let act = of_site("site.verify", site);
            append(&mut transaction, by, &act, now).await?;
        }
        transaction.commit().await
    }

    /// Removes a site with its keys and its webhook; whether it was there.
    ///
    /// # Errors
    /// The directory is unavailable; trying again goes on where it stopped.
    pub async fn remove_site(
        &self,
        site: &Origin,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        self.remove_webhook(site).await?;
        let mut transaction = self.begin().await?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (i64, Option<i64>),
            "DELETE FROM sites WHERE site = $1 RETURNING created, proven",
            site.as_str()
        )?;
        let Some((created, proven)) = row else {
            return Ok(false);
        };
        let keys = execute_in!(
            &mut transaction,
            "DELETE FROM site_keys WHERE site = $1",
            site.as_str()
        )?;
        execute_in!(
            &mut transaction,
            "DELETE FROM site_vapid_keys WHERE site = $1",
            site.as_str()
        )?;
        let before =
            json!({ "registered": time(created), "proven": proven.map(time), "api_keys": keys });
        let act = Act {
            before: Some(before),
            ..of_site("site.remove", site)
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes an API key.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_site_key(
        &self,
        site: &Origin,
        key: &SiteKey,
        secret: SecretHash,
        by: &Actor,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(
            &mut transaction,
            "INSERT INTO site_keys (key_hash, site, key_id, name, created) VALUES ($1, $2, $3, $4, $5)",
            &secret.as_bytes()[..],
            site.as_str(),
            &key.id.as_bytes()[..],
            key.name.as_deref(),
            millis(key.created)
        )?;
        let act = Act {
            after: Some(json!({ "id": key.id, "name": key.name })),
            ..of_site("site.key.create", site)
        };
        append(&mut transaction, by, &act, key.created).await?;
        transaction.commit().await
    }

    /// The API keys of a site, oldest first, revoked ones too.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site_keys(&self, site: &Origin) -> Result<Vec<SiteKey>, DirectoryError> {
        type Row = (Vec<u8>, Option<String>, i64, Option<i64>, Option<i64>);
        let _reading = self.notes.reading().await;
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT key_id, name, created, last_used, revoked FROM site_keys WHERE site = $1 \
             ORDER BY created, key_id",
            site.as_str()
        )?;
        let keys = rows
            .into_iter()
            .map(|(key, name, created, last_used, revoked)| {
                let mut key = SiteKey {
                    id: id(&key)?,
                    name,
                    created: time(created),
                    last_used: last_used.map(time),
                    revoked: revoked.map(time),
                };
                self.notes.add_to_site_key(site, &mut key);
                Ok(key)
            });
        keys.collect()
    }

    /// Revokes an API key; whether there was one in force.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn revoke_site_key(
        &self,
        site: &Origin,
        key: SiteKeyId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let revoked = fetch_in!(
            &mut transaction,
            fetch_optional,
            (Option<String>,),
            "UPDATE site_keys SET revoked = $1 WHERE site = $2 AND key_id = $3 AND revoked IS NULL \
             RETURNING name",
            millis(now),
            site.as_str(),
            &key.as_bytes()[..]
        )?;
        let Some((name,)) = revoked else {
            return Ok(false);
        };
        let act = Act {
            before: Some(json!({ "id": key, "name": name })),
            ..of_site("site.key.end", site)
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whose API key this is, where it is in force.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site_caller(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SiteCaller>, DirectoryError> {
        type Row = (Vec<u8>, String, String, i64, Option<i64>);
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT k.key_id, s.site, s.proof, s.created, s.proven \
             FROM site_keys k JOIN sites s ON s.site = k.site WHERE k.key_hash = $1 AND k.revoked IS NULL",
            &secret.as_bytes()[..]
        )?;
        let Some((key, origin, proof, created, proven)) = row else {
            return Ok(None);
        };
        let vapid = fetch!(
            self,
            fetch_all,
            (Vec<u8>,),
            "SELECT public_key FROM site_vapid_keys WHERE site = $1 AND (key_id = $2 OR key_id = $3)",
            &origin,
            &key,
            with(None)
        )?;
        Ok(Some(SiteCaller {
            site: site((origin, proof, created, proven))?,
            key: id(&key)?,
            vapid: vapid.into_iter().map(|(public,)| public).collect(),
        }))
    }

    /// Registers a VAPID key; once more changes nothing.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn register_vapid_key(
        &self,
        site: &Origin,
        key: &VapidKey,
        by: &Actor,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        let registered = execute_in!(
            &mut transaction,
            "INSERT INTO site_vapid_keys (site, key_id, public_key, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (site, key_id, public_key) DO NOTHING",
            site.as_str(),
            with(key.with),
            &key.public,
            millis(key.created)
        )?;
        if registered > 0 {
            append_vapid(&mut transaction, site, key, by).await?;
        }
        transaction.commit().await
    }

    /// Forgets a VAPID key, with whichever API key it was registered; whether there was one.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_vapid_key(
        &self,
        site: &Origin,
        public: &[u8],
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let forgotten = execute_in!(
            &mut transaction,
            "DELETE FROM site_vapid_keys WHERE site = $1 AND public_key = $2",
            site.as_str(),
            public
        )?;
        if forgotten == 0 {
            return Ok(false);
        }
        let act = Act {
            before: Some(json!({ "key": URL_SAFE_NO_PAD.encode(public) })),
            ..of_site("site.vapid", site)
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The VAPID keys of a site, oldest first.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn vapid_keys(&self, site: &Origin) -> Result<Vec<VapidKey>, DirectoryError> {
        type Row = (Vec<u8>, Vec<u8>, i64);
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT key_id, public_key, created FROM site_vapid_keys WHERE site = $1 \
             ORDER BY created, public_key, key_id",
            site.as_str()
        )?;
        let keys = rows.into_iter().map(|(with, public, created)| {
            Ok(VapidKey {
                with: match &with[..] {
                    [] => None,
                    bytes => Some(id(bytes)?),
                },
                public,
                created: time(created),
            })
        });
        keys.collect()
    }
}
