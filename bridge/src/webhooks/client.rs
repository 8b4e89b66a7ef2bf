//! One event to one receiver. The name is looked up once for a connection, every answer is judged, and
//! the connection goes to one of exactly those addresses: a second look-up, which could say something
//! else, there is not. Nothing of the answer counts but its status.

use super::address::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Connections are kept for a burst of events and no longer: receivers move.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// The addresses of a name.
pub type Names = Arc<dyn Fn(String) -> Looking + Send + Sync>;

type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// As the system looks names up.
pub fn system_names() -> Names {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

pub(super) struct Client {
    http: reqwest::Client,
    reach: Reach,
}

/// Why an event was not taken, in words for its site.
#[derive(Debug)]
pub(super) struct NotTaken {
    pub(super) why: String,
    /// The receiver wants no more (410).
    pub(super) gone: bool,
}

impl Client {
    pub(super) fn new(
        reach: Reach,
        tls: rustls::ClientConfig,
        names: Names,
        answer_timeout: Duration,
    ) -> reqwest::Result<Self> {
        let judged = Judged {
            names,
            reach: reach.clone(),
        };
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .dns_resolver(Arc::new(judged))
            // A proxy would look the name up itself.
            .no_proxy()
            .redirect(Policy::none())
            .timeout(answer_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("belfry/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, reach })
    }

    pub(super) async fn send(
        &self,
        url: &Url,
        headers: [(&'static str, String); 3],
        body: Vec<u8>,
    ) -> Result<(), NotTaken> {
        let not_taken = |why: String| NotTaken { why, gone: false };
        // Addresses are not looked up, and what is allowed may have changed since it was set.
        if self.reach.literal_of(url) == Some(false) {
            return Err(not_taken(Elsewhere.to_string()));
        }
        let mut request = self.http.post(url.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await;
        let status = answer.map_err(|error| not_taken(reason(&error)))?.status();
        if status.is_success() {
            return Ok(());
        }
        Err(NotTaken {
            why: format!("the status {}", status.as_u16()),
            gone: status == reqwest::StatusCode::GONE,
        })
    }
}

/// Its innermost reason, without the URL.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[derive(Debug, thiserror::Error)]
#[error("its address is in a network that this server does not call")]
struct Elsewhere;

/// Looks names up and gives no address that may not be called, nor any beside one.
struct Judged {
    names: Names,
    reach: Reach,
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, reach) = ((self.names)(name.as_str().to_owned()), self.reach.clone());
        Box::pin(async move {
            let found = looking.await?;
            if !found.iter().all(|ip| reach.permits(name.as_str(), *ip)) {
                return Err(Elsewhere.into());
            }
            let addresses = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
