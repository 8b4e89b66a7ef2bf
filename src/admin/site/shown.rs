//! What the commands of `belfry admin site` show: a line of JSON, or words.

use belfry_admin::proof::Look;
use belfry_protocol::id::SiteKeyId;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Site;
use serde::Serialize;
use std::fmt;

/// A site with what proves it.
#[derive(Serialize)]
pub(super) struct ShownSite {
    pub(super) site: Origin,
    pub(super) proven: Option<Timestamp>,
    pub(super) proof: ShownProof,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) looked: Vec<Look>,
}

#[derive(Serialize)]
pub(super) struct ShownProof {
    pub(super) line: String,
    pub(super) url: String,
    pub(super) record: Option<String>,
}

impl ShownSite {
    pub(super) fn of(site: &Site) -> Self {
        Self {
            site: site.site.clone(),
            proven: site.proven,
            proof: ShownProof {
                line: site.proof_line(),
                url: site.proof_url(),
                record: site.proof_record(),
            },
            looked: Vec::new(),
        }
    }
}

impl fmt::Display for ShownSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, proof, .. } = self;
        for Look { at, found, .. } in &self.looked {
            writeln!(f, "{at}: found {found}")?;
        }
        if let Some(at) = self.proven {
            return write!(f, "{site} is proven since {at}");
        }
        writeln!(f, "{site} is not proven yet. Place this line:\n")?;
        writeln!(f, "  {}\n", proof.line)?;
        writeln!(f, "as text at {}", proof.url)?;
        if let Some(record) = &proof.record {
            writeln!(f, "or as a TXT record of {record}")?;
        }
        write!(f, "and then run: belfry admin site verify {site}")
    }
}

#[derive(Serialize)]
pub(super) struct ListedSite {
    pub(super) site: Origin,
    pub(super) created: Timestamp,
    pub(super) proven: Option<Timestamp>,
    /// API keys in force.
    pub(super) keys: usize,
}

impl fmt::Display for ListedSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, keys, .. } = self;
        match self.proven {
            Some(at) => write!(f, "{site}  proven {at}  API keys: {keys}"),
            None => write!(f, "{site}  not proven  API keys: {keys}"),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MadeKey {
    #[serde(flatten)]
    pub(super) site: ShownSite,
    pub(super) key_id: SiteKeyId,
    pub(super) name: Option<String>,
    pub(super) key: String,
}

/// The key alone, for `$(…)`.
impl fmt::Display for MadeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

#[derive(Serialize)]
pub(super) struct ShownKey {
    pub(super) key_id: SiteKeyId,
    pub(super) name: Option<String>,
    pub(super) created: Timestamp,
    pub(super) last_used: Option<Timestamp>,
    pub(super) revoked: Option<Timestamp>,
}

impl fmt::Display for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key_id, created, ..
        } = self;
        write!(f, "{key_id}  made {created}")?;
        match self.last_used {
            Some(at) => write!(f, "  last used {at}")?,
            None => write!(f, "  never used")?,
        }
        if let Some(at) = self.revoked {
            write!(f, "  revoked {at}")?;
        }
        match &self.name {
            Some(name) => write!(f, "  {}", name.escape_debug()),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ShownVapid {
    pub(super) public_key: String,
    /// The API key that it counts with; none for each of the site.
    pub(super) with: Option<SiteKeyId>,
    /// Not known over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<Timestamp>,
}

impl fmt::Display for ShownVapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.with {
            Some(id) => write!(f, "{}  with the API key {id}", self.public_key),
            None => write!(f, "{}  with each API key", self.public_key),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Done {
    pub(super) site: Origin,
    pub(super) done: String,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.site, self.done)
    }
}
