//! `belfry admin site`: sites that publish with an API key, the proof of their origins, their keys, and
//! the VAPID keys that count as theirs.

mod shown;

use super::proof::{self, Look};
use super::{Desk, ServeOptions};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::site::Origin;
use belfry_store::directory::{DirectoryError, Site, SiteKey, VapidKey};
use clap::{Args, Subcommand};
use shown::{Done, ListedSite, MadeKey, ShownKey, ShownSite, ShownVapid};
use std::net::{IpAddr, SocketAddr};

/// What an API key begins with, so that it is known for one where it should not be.
const KEY_PREFIX: &str = "belfry_site_";
/// Sites that are read at a time.
const PAGE: u32 = 100;
/// Where DNS servers listen.
const DNS_PORT: u16 = 53;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a site, and say how its origin is proven
    #[command(after_help = "Example:\n  belfry admin site add https://news.example")]
    Add(OneSite),
    /// All sites
    #[command(after_help = "Example:\n  belfry admin site list --json")]
    List(ServeOptions),
    /// Look for the proof of a site's origin
    #[command(after_help = "Example:\n  belfry admin site verify https://news.example")]
    Verify(Verify),
    /// Make an API key and print it, this once
    #[command(
        after_help = "Example:\n  belfry admin site key https://news.example --name newsroom"
    )]
    Key(Key),
    /// The API keys of a site
    #[command(after_help = "Example:\n  belfry admin site keys https://news.example")]
    Keys(OneSite),
    /// End an API key at once
    #[command(
        after_help = "Example:\n  belfry admin site revoke-key https://news.example 7nymizpcl2kmwmdqkbnd4jmdfe"
    )]
    RevokeKey(RevokeKey),
    /// The VAPID keys of a site, or one more: what is restricted to it may be published to with an API key
    #[command(
        after_help = "Example:\n  belfry admin site vapid https://news.example BOd…Qc --key 7nymizpcl2kmwmdqkbnd4jmdfe"
    )]
    Vapid(Vapid),
    /// Remove a site with its API keys; what users allowed it stays
    #[command(after_help = "Example:\n  belfry admin site remove https://news.example")]
    Remove(OneSite),
}

/// A site that is named.
#[derive(Args)]
pub(crate) struct OneSite {
    /// Its origin
    origin: Origin,
    #[command(flatten)]
    options: ServeOptions,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    site: OneSite,
    #[command(flatten)]
    asking: Asking,
}

/// How names are looked up.
#[derive(Args)]
struct Asking {
    /// The DNS server to ask, instead of the system's
    #[arg(long, value_name = "ADDRESS", value_parser = resolver)]
    resolver: Option<SocketAddr>,
}

#[derive(Args)]
pub(crate) struct Key {
    #[command(flatten)]
    site: OneSite,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(crate) struct RevokeKey {
    #[command(flatten)]
    site: OneSite,
    /// The API key's id, from `keys`
    id: SiteKeyId,
}

#[derive(Args)]
pub(crate) struct Vapid {
    #[command(flatten)]
    site: OneSite,
    /// The public key, base64url, as in the page's `applicationServerKey`
    public_key: Option<String>,
    /// With this API key alone [default: with each of the site, those made later too]
    #[arg(
        long,
        value_name = "ID",
        requires = "public_key",
        conflicts_with = "remove"
    )]
    key: Option<SiteKeyId>,
    /// Forget it
    #[arg(long, requires = "public_key")]
    remove: bool,
}

fn resolver(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    text.parse().or_else(|_| {
        let address: IpAddr = text.parse()?;
        Ok(SocketAddr::new(address, DNS_PORT))
    })
}

impl Command {
    pub(super) fn options(&self) -> &ServeOptions {
        match self {
            Self::List(options) => options,
            Self::Add(site) | Self::Keys(site) | Self::Remove(site) => &site.options,
            Self::Verify(verify) => &verify.site.options,
            Self::Key(key) => &key.site.options,
            Self::RevokeKey(revoke) => &revoke.site.options,
            Self::Vapid(vapid) => &vapid.site.options,
        }
    }

    /// Whether it makes sense before a server has ever run.
    pub(super) fn begins(&self) -> bool {
        matches!(self, Self::Add(_))
    }

    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        match self {
            Self::Add(site) => add(desk, &site.origin).await,
            Self::List(_) => list(desk).await,
            Self::Verify(verify) => verify.run(desk).await,
            Self::Key(key) => key.run(desk).await,
            Self::Keys(site) => keys(desk, &site.origin).await,
            Self::RevokeKey(revoke) => revoke.run(desk).await,
            Self::Vapid(vapid) => vapid.run(desk).await,
            Self::Remove(site) => remove(desk, &site.origin).await,
        }
    }
}

impl Desk {
    async fn site(&self, origin: &Origin) -> anyhow::Result<Site> {
        let site = self.directory.site(origin).await?;
        site.with_context(|| {
            format!("{origin} is no site here; add it: belfry admin site add {origin}")
        })
    }

    /// Looks for the proof, and notes that it was found.
    async fn prove(&self, site: &mut Site, asking: &Asking) -> anyhow::Result<Vec<Look>> {
        let looks = proof::look(site, asking.resolver, self.ca.as_deref()).await?;
        if looks.iter().any(|look| look.proves) {
            self.directory.prove_site(&site.site, self.now).await?;
            site.proven = Some(self.now);
        }
        Ok(looks)
    }
}

async fn add(desk: &Desk, origin: &Origin) -> anyhow::Result<()> {
    let token = Secret::from_random(random()?);
    match desk
        .directory
        .create_site(origin, token.expose(), desk.now)
        .await
    {
        // Once more it says again what is to be placed.
        Ok(()) | Err(DirectoryError::Taken) => {}
        Err(error) => return Err(error.into()),
    }
    desk.show(&ShownSite::of(&desk.site(origin).await?))
}

async fn list(desk: &Desk) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = desk.directory.sites(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.site.clone());
        for site in &page {
            let keys = desk.directory.site_keys(&site.site).await?;
            let in_force = keys.iter().filter(|key| key.revoked.is_none()).count();
            desk.show(&ListedSite {
                site: site.site.clone(),
                created: site.created,
                proven: site.proven,
                keys: in_force,
            })?;
        }
    }
}

impl Verify {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let mut site = desk.site(&self.site.origin).await?;
        let looked = desk.prove(&mut site, &self.asking).await?;
        let proves = looked.iter().any(|look| look.proves);
        let origin = site.site.clone();
        let mut shown = ShownSite::of(&site);
        // One that was proven before stays so, but this was asked of now.
        shown.looked = looked;
        desk.show(&shown)?;
        if !proves {
            bail!("the proof of {origin} is not there");
        }
        Ok(())
    }
}

impl Key {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let mut site = desk.site(&self.site.origin).await?;
        let looked = match site.proven {
            Some(_) => Vec::new(),
            None => desk.prove(&mut site, &self.asking).await?,
        };
        let secret = Secret::from_random(random()?);
        let secret = format!("{KEY_PREFIX}{}", secret.expose());
        let key = SiteKey {
            id: SiteKeyId::from_bytes(random()?),
            name: self.name,
            created: desk.now,
            last_used: None,
            revoked: None,
        };
        let hash = SecretHash::of(secret.as_bytes());
        desk.directory
            .create_site_key(&site.site, &key, hash)
            .await?;
        let mut shown = ShownSite::of(&site);
        shown.looked = looked;
        if !desk.json && site.proven.is_none() {
            eprintln!("{shown}\n\nUntil then this key does not count:");
        }
        desk.show(&MadeKey {
            site: shown,
            key_id: key.id,
            name: key.name,
            key: secret,
        })
    }
}

async fn keys(desk: &Desk, origin: &Origin) -> anyhow::Result<()> {
    let site = desk.site(origin).await?;
    for key in desk.directory.site_keys(&site.site).await? {
        desk.show(&ShownKey {
            key_id: key.id,
            name: key.name,
            created: key.created,
            last_used: key.last_used,
            revoked: key.revoked,
        })?;
    }
    Ok(())
}

impl RevokeKey {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let origin = desk.site(&self.site.origin).await?.site;
        let revoked = desk.directory.revoke_site_key(&origin, self.id, desk.now);
        if !revoked.await? {
            bail!(
                "{origin} has no API key {} in force; see: belfry admin site keys {origin}",
                self.id
            );
        }
        desk.show(&Done {
            site: origin,
            done: format!("the API key {} is revoked", self.id),
        })
    }
}

impl Vapid {
    async fn run(self, desk: &Desk) -> anyhow::Result<()> {
        let origin = desk.site(&self.site.origin).await?.site;
        let Some(text) = &self.public_key else {
            for key in desk.directory.vapid_keys(&origin).await? {
                desk.show(&ShownVapid {
                    public_key: URL_SAFE_NO_PAD.encode(&key.public),
                    with: key.with,
                    created: key.created,
                })?;
            }
            return Ok(());
        };
        let public = public_key(text)?;
        if self.remove {
            if !desk.directory.forget_vapid_key(&origin, &public).await? {
                bail!("this VAPID key is not registered for {origin}");
            }
            return desk.show(&Done {
                site: origin,
                done: "the VAPID key is forgotten".to_owned(),
            });
        }
        if let Some(id) = self.key {
            let keys = desk.directory.site_keys(&origin).await?;
            if !keys.iter().any(|key| key.id == id && key.revoked.is_none()) {
                bail!(
                    "{origin} has no API key {id} in force; see: belfry admin site keys {origin}"
                );
            }
        }
        let key = VapidKey {
            with: self.key,
            public,
            created: desk.now,
        };
        desk.directory.register_vapid_key(&origin, &key).await?;
        desk.show(&Done {
            site: origin,
            done: "the VAPID key is registered".to_owned(),
        })
    }
}

async fn remove(desk: &Desk, origin: &Origin) -> anyhow::Result<()> {
    if !desk.directory.remove_site(origin).await? {
        bail!("{origin} is no site here");
    }
    desk.show(&Done {
        site: origin.clone(),
        done: "removed, with its API keys".to_owned(),
    })
}

fn public_key(text: &str) -> anyhow::Result<Vec<u8>> {
    let key = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let key = key.filter(|key| key.len() == 65 && p256::PublicKey::from_sec1_bytes(key).is_ok());
    key.context("a VAPID public key is an uncompressed P-256 point: 65 bytes, base64url")
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes)
}
