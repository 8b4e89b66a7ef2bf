//! Proof that a site's origin is its own: a line that only who has the origin can put there, in a file
//! of its well-known folder (RFC 8615) or in a TXT record under its name.
//!
//! What is not proof is said as it was found, so that who placed it sees the mistake. No redirect
//! leaves the origin: another's answer proves nothing about this one.

use belfry_store::directory::Site;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an answer may take, from the first look-up to the last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a DNS server is waited for, and how often it is asked again.
const ASKED_FOR: Duration = Duration::from_secs(3);
const ASKED_AGAIN: usize = 1;
/// Largest file that is read: a few lines, some of them others'.
const FILE_BYTES_MAX: usize = 4_096;
/// Redirects within the origin, such as to a file with an ending.
const REDIRECTS_MAX: usize = 3;
/// How much is shown of what was found instead.
const SHOWN_CHARS_MAX: usize = 80;
/// Other TXT records of the name that are shown.
const SHOWN_RECORDS_MAX: usize = 3;

/// Looks that are under way at a time: a person asks for one, and each takes half a minute at most.
const LOOKS_MAX: usize = 4;

/// Why it could not be looked for at all.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The system does not say whom to ask for names.
    #[error("the system's resolvers cannot be read; name one with --resolver: {0}")]
    Resolver(#[from] hickory_resolver::net::NetError),
    /// The client cannot be made.
    #[error("cannot ask over HTTP: {0}")]
    Client(#[from] reqwest::Error),
    /// Others look already.
    #[error("other proofs are looked for now; try again in a minute")]
    Busy,
}

/// How proofs are looked for.
pub struct Looking {
    tls: rustls::ClientConfig,
    resolver: Option<SocketAddr>,
    under_way: Semaphore,
}

/// What was found at a place.
#[derive(Serialize)]
pub struct Look {
    /// Where.
    pub at: String,
    /// Whether it was the line.
    pub proves: bool,
    /// In words.
    pub found: String,
}

impl Looking {
    /// Over HTTP with this configuration, names from this DNS server or else the system's.
    pub fn new(tls: rustls::ClientConfig, resolver: Option<SocketAddr>) -> Self {
        Self {
            tls,
            resolver,
            under_way: Semaphore::new(LOOKS_MAX),
        }
    }

    /// For tests that look for nothing: no certificate is good.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Self::new(tls, None)
    }

    /// Looks at each place until one proves the site.
    ///
    /// # Errors
    /// It cannot look at all, or too many look now.
    pub async fn look(&self, site: &Site) -> Result<Vec<Look>, ProofError> {
        let _turn = self.under_way.try_acquire().map_err(|_| ProofError::Busy)?;
        let names = resolver_at(self.resolver)?;
        let file = client(self.resolver.map(|_| names.clone()), self.tls.clone())?;
        let found = in_file(&file, site).await;
        let mut looks = vec![Look::of(site.proof_url(), found)];
        if let Some(record) = site.proof_record()
            && !looks[0].proves
        {
            let found = in_dns(&names, &record, site).await;
            looks.push(Look::of(format!("TXT {record}"), found));
        }
        Ok(looks)
    }
}

impl Look {
    fn of(at: String, found: Result<(), String>) -> Self {
        Self {
            at,
            proves: found.is_ok(),
            found: found.err().unwrap_or_else(|| "the line".to_owned()),
        }
    }
}

async fn in_file(client: &reqwest::Client, site: &Site) -> Result<(), String> {
    let sent = client.get(site.proof_url()).send().await;
    let mut answer = sent.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(reqwest::header::LOCATION);
        let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
        return Err(format!(
            "a redirect to {}, which is not followed: it leaves the origin, or there are too many",
            shown(to)
        ));
    }
    if !status.is_success() {
        return Err(format!("the status {status}"));
    }
    let mut text = Vec::new();
    loop {
        let piece = answer.chunk().await.map_err(|error| unreachable(&error))?;
        let Some(piece) = piece else { break };
        if text.len() + piece.len() > FILE_BYTES_MAX {
            return Err(format!("a file of more than {FILE_BYTES_MAX} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&text);
    // As some editors begin each file.
    let text = text.trim_start_matches('\u{feff}');
    let line = site.proof_line();
    if text.lines().any(|found| found.trim() == line) {
        return Ok(());
    }
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(first) => Err(format!(
            "a file without the line; it begins with {}",
            shown(first)
        )),
        None => Err("an empty file".to_owned()),
    }
}

async fn in_dns(resolver: &TokioResolver, record: &str, site: &Site) -> Result<(), String> {
    // A dot at its end: no search domain is tried.
    let lookup = match resolver.txt_lookup(format!("{record}.")).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Err("no such record".to_owned()),
        Err(error) => return Err(format!("no answer: {error}")),
    };
    let texts = lookup
        .answers()
        .iter()
        .filter_map(|found| match &found.data {
            // The strings of one record are one text (RFC 7208 §3.3 says it of SPF).
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
    let texts: Vec<String> = texts
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .collect();
    let line = site.proof_line();
    if texts.iter().any(|text| text.trim() == line) {
        return Ok(());
    }
    let others: Vec<_> = texts.iter().take(SHOWN_RECORDS_MAX).collect();
    let others: Vec<_> = others.into_iter().map(|text| shown(text)).collect();
    Err(format!("other records: {}", others.join(", ")))
}

/// Its innermost reason, which says more than that a request failed.
fn unreachable(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("no answer: {cause}")
}

/// As a text of somebody else may stand in a terminal.
fn shown(text: &str) -> String {
    let some: String = text.trim().chars().take(SHOWN_CHARS_MAX).collect();
    format!("{some:?}")
}

fn client(
    names: Option<TokioResolver>,
    tls: rustls::ClientConfig,
) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .timeout(ANSWER_TIMEOUT)
        .redirect(Policy::custom(within_the_origin))
        .user_agent(concat!("belfry/", env!("CARGO_PKG_VERSION")));
    if let Some(names) = names {
        builder = builder.dns_resolver(Arc::new(Asked(names)));
    }
    builder.build()
}

fn within_the_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let before = attempt.previous();
    let stays = before
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if stays && before.len() <= REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The system's resolvers, or this one.
fn resolver_at(address: Option<SocketAddr>) -> Result<TokioResolver, ProofError> {
    let mut builder = match address {
        None => TokioResolver::builder_tokio()?,
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = ASKED_FOR;
    options.attempts = ASKED_AGAIN;
    Ok(builder.build()?)
}

/// Names are asked of the resolver that was given, over HTTP too.
struct Asked(TokioResolver);

impl Resolve for Asked {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.lookup_ip(format!("{}.", name.as_str())).await?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
