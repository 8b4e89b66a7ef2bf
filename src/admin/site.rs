//! `belfry admin site`: sites that publish with an API key, the proof of their origins, their keys, and
//! the VAPID keys that count as theirs.

mod remote;
mod shown;

use super::{Desk, ServeOptions, refused};
use anyhow::{Context as _, bail};
use belfry_admin::proof::{Look, Looking};
use belfry_admin::registration::{Registrar, vapid_key, written};
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::site::Origin;
use belfry_store::directory::{Actor, Site};
use clap::{Args, Subcommand};
use shown::{Done, ListedSite, MadeKey, ShownKey, ShownSite, ShownVapid};
use std::net::{IpAddr, SocketAddr};

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

    fn registrar(&self) -> Registrar<'_> {
        Registrar {
            directory: &self.directory,
            by: &Actor::Operator,
            now: self.now,
        }
    }

    /// Looks for the proof, and notes that it was found.
    async fn prove(&self, site: &mut Site, asking: &Asking) -> anyhow::Result<Vec<Look>> {
        let tls = belfry_client::tls::client_config(self.ca.as_deref())?;
        let looking = Looking::new(tls, asking.resolver);
        let looks = self.registrar().prove(site, &looking).await;
        looks.map_err(refused)
    }
}

async fn add(desk: &Desk, origin: &Origin) -> anyhow::Result<()> {
    match desk.registrar().register(origin).await {
        // Once more it says again what is to be placed.
        Err(error) if error.kind() != "exists" => Err(refused(error)),
        _ => desk.show(&ShownSite::of(&desk.site(origin).await?)),
    }
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
        let made = desk
            .registrar()
            .make_key(&site.site, self.name.as_deref())
            .await;
        let (key, secret) = made.map_err(refused)?;
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
        let ended = desk.registrar().end_key(&origin, self.id).await;
        if let Err(error) = ended {
            let error = refused(error);
            bail!("{error}; see: belfry admin site keys {origin}");
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
                    public_key: written(&key.public),
                    with: key.with,
                    created: Some(key.created),
                })?;
            }
            return Ok(());
        };
        let public = vapid_key(text)
            .context("a VAPID public key is an uncompressed P-256 point: 65 bytes, base64url")?;
        if self.remove {
            let forgotten = desk.registrar().forget_vapid(&origin, &public).await;
            forgotten.map_err(refused)?;
            return desk.show(&Done {
                site: origin,
                done: "the VAPID key is forgotten".to_owned(),
            });
        }
        let registered = desk
            .registrar()
            .register_vapid(&origin, public, self.key)
            .await;
        registered.map_err(refused)?;
        desk.show(&Done {
            site: origin,
            done: "the VAPID key is registered".to_owned(),
        })
    }
}

async fn remove(desk: &Desk, origin: &Origin) -> anyhow::Result<()> {
    desk.registrar().remove(origin).await.map_err(refused)?;
    desk.show(&Done {
        site: origin.clone(),
        done: "removed, with its API keys".to_owned(),
    })
}
