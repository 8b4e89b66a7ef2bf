//! `belfry admin site` over HTTP.

use super::shown::{Done, MadeKey, ShownKey, ShownSite, ShownVapid};
use super::{Command, Key, RevokeKey, Vapid, Verify};
use crate::admin::remote::{Remote, encoded};
use anyhow::{Context as _, bail};
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Site;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// What the API says of a site, as far as it is shown here.
#[derive(Deserialize)]
struct Detail {
    site: Origin,
    proof: Option<String>,
    registered_since: Option<Timestamp>,
    proven_since: Option<Timestamp>,
    api_keys: Vec<ApiKey>,
    vapid_keys: Vec<ApiVapid>,
}

#[derive(Deserialize)]
struct ApiKey {
    id: SiteKeyId,
    name: String,
    created: Timestamp,
    last_used: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ApiVapid {
    key: String,
    registered: bool,
    with: Vec<SiteKeyId>,
}

#[derive(Deserialize)]
struct Verified {
    proven: bool,
    detail: String,
}

fn path(site: &Origin) -> String {
    format!("/sites/{}", encoded(site.as_str()))
}

async fn detail(remote: &Remote, site: &Origin) -> anyhow::Result<Option<Detail>> {
    let found = remote.find(&path(site)).await?;
    let found: Option<Detail> = found.map(serde_json::from_value).transpose()?;
    Ok(found.filter(|detail| detail.proof.is_some()))
}

/// One that is registered.
async fn registered(remote: &Remote, site: &Origin) -> anyhow::Result<Detail> {
    detail(remote, site)
        .await?
        .with_context(|| format!("{site} is no site here; add it: belfry admin site add {site}"))
}

impl Detail {
    fn shown(&self) -> ShownSite {
        let proof = self.proof.as_deref().unwrap_or_default();
        ShownSite::of(&Site {
            site: self.site.clone(),
            proof: proof.trim_start_matches("belfry-site=").to_owned(),
            created: self.registered_since.unwrap_or(Timestamp::from_millis(0)),
            proven: self.proven_since,
        })
    }
}

impl Command {
    pub(in crate::admin) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        match self {
            Self::Add(site) => add(remote, &site.origin).await,
            Self::List(_) => list(remote).await,
            Self::Verify(verify) => verify.run_at(remote).await,
            Self::Key(key) => key.run_at(remote).await,
            Self::Keys(site) => keys(remote, &site.origin).await,
            Self::RevokeKey(revoke) => revoke.run_at(remote).await,
            Self::Vapid(vapid) => vapid.run_at(remote).await,
            Self::Remove(site) => {
                let origin = site.origin;
                remote.ask(Method::DELETE, &path(&origin), None).await?;
                done(remote, origin, "removed, with its API keys")
            }
        }
    }
}

fn done(remote: &Remote, site: Origin, done: &str) -> anyhow::Result<()> {
    let done = done.to_owned();
    remote.show(&Done { site, done })
}

async fn add(remote: &Remote, origin: &Origin) -> anyhow::Result<()> {
    if detail(remote, origin).await?.is_none() {
        let new = json!({ "site": origin });
        remote.ask(Method::POST, "/sites", Some(&new)).await?;
    }
    remote.show(&registered(remote, origin).await?.shown())
}

/// All that the server knows, not only those that are registered.
#[derive(Serialize)]
#[serde(transparent)]
struct Listed(Value);

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = &self.0;
        let standing = match (&site["registered"], &site["proven"]) {
            (Value::Bool(true), Value::Bool(true)) => "proven",
            (Value::Bool(true), _) => "registered",
            _ => "not registered",
        };
        write!(
            f,
            "{}  {standing}  permissions: {}  accepted: {}  refused: {}",
            site["site"].as_str().unwrap_or_default(),
            site["permissions"],
            site["accepted"],
            site["refused"]
        )?;
        match site["ban"] {
            Value::Null => Ok(()),
            _ => f.write_str("  banned"),
        }
    }
}

async fn list(remote: &Remote) -> anyhow::Result<()> {
    let show = |site| remote.show(&Listed(site)).map(|()| true);
    remote.each("/sites?sort=site", show).await
}

async fn verify(remote: &Remote, site: &Origin) -> anyhow::Result<Verified> {
    let path = format!("{}/verify", path(site));
    let found = remote.ask(Method::POST, &path, Some(&json!({}))).await?;
    Ok(serde_json::from_value(found)?)
}

impl Verify {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        if self.asking.resolver.is_some() {
            bail!(
                "the server looks for the proof, with resolvers of its own: leave out --resolver"
            );
        }
        let origin = self.site.origin;
        let found = verify(remote, &origin).await?;
        eprintln!("{}", found.detail);
        remote.show(&registered(remote, &origin).await?.shown())?;
        if !found.proven {
            bail!("the proof of {origin} is not there");
        }
        Ok(())
    }
}

impl Key {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let origin = self.site.origin;
        let mut site = registered(remote, &origin).await?;
        if site.proven_since.is_none() {
            let found = verify(remote, &origin).await?;
            if found.proven {
                site = registered(remote, &origin).await?;
            } else {
                eprintln!("{}", found.detail);
                eprintln!("{}\n\nUntil then this key does not count:", site.shown());
            }
        }
        let path = format!("{}/api-keys", path(&origin));
        let new = json!({ "name": self.name });
        let made = remote.ask(Method::POST, &path, Some(&new)).await?;
        remote.show(&MadeKey {
            site: site.shown(),
            key_id: serde_json::from_value(made["id"].clone())?,
            name: self.name,
            key: made["key"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

async fn keys(remote: &Remote, origin: &Origin) -> anyhow::Result<()> {
    for key in registered(remote, origin).await?.api_keys {
        remote.show(&ShownKey {
            key_id: key.id,
            name: Some(key.name).filter(|name| !name.is_empty()),
            created: key.created,
            last_used: key.last_used,
            revoked: None,
        })?;
    }
    Ok(())
}

impl RevokeKey {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let origin = self.site.origin;
        let path = format!("{}/api-keys/{}", path(&origin), self.id);
        remote.ask(Method::DELETE, &path, None).await?;
        done(
            remote,
            origin,
            &format!("the API key {} is revoked", self.id),
        )
    }
}

impl Vapid {
    async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let origin = self.site.origin;
        let Some(key) = self.public_key else {
            let keys = registered(remote, &origin).await?.vapid_keys;
            for key in keys.into_iter().filter(|key| key.registered) {
                let with = if key.with.is_empty() {
                    vec![None]
                } else {
                    key.with.into_iter().map(Some).collect()
                };
                for with in with {
                    remote.show(&ShownVapid {
                        public_key: key.key.clone(),
                        with,
                        created: None,
                    })?;
                }
            }
            return Ok(());
        };
        let path = format!("{}/vapid/{}", path(&origin), encoded(&key));
        if self.remove {
            remote.ask(Method::DELETE, &path, None).await?;
            return done(remote, origin, "the VAPID key is forgotten");
        }
        let with = json!({ "with": self.key });
        remote.ask(Method::PUT, &path, Some(&with)).await?;
        done(remote, origin, "the VAPID key is registered")
    }
}
