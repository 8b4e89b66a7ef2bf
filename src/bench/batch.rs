//! What a site gains by publishing many in one call: items a second as single posts, as JSON calls and
//! as an NDJSON stream, over the same connections to the same server, and the server's memory while one
//! stream goes to many permissions.

use super::connection::Connection;
use super::poster::{self, BODY_BYTES, Poster, body};
use super::stand::{Publishers, Stand};
use super::{Place, Report, disk};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::secret::Secret;
use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Items in a call as JSON: as many as it may have.
const CALL_ITEMS: usize = 1_000;
/// Lines that a stream writes at a time.
const PIECE_LINES: usize = 50;

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench batch --connections 1,8 --permissions 100000")]
pub(crate) struct Batch {
    /// Connections that send at once, one measurement each
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,8,32"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: Vec<u16>,
    /// Seconds for each
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Permissions that are posted to, and items of the one call whose memory is looked at
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    permissions: u32,
    /// Users that have them
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Single,
    Json,
    Stream,
}

#[derive(Serialize)]
struct Sent {
    connections: u16,
    way: Way,
    items_per_second: f64,
    /// To single posts over as many connections.
    ratio_to_single: f64,
    /// Items for each synced append that the disk alone makes.
    ratio_to_disk: f64,
    /// Processor time of the server for an item.
    server_microseconds: f64,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            way,
            items_per_second,
            ratio_to_single,
            ratio_to_disk,
            server_microseconds,
        } = self;
        let way = match way {
            Way::Single => "single posts",
            Way::Json => "calls of JSON",
            Way::Stream => "NDJSON streams",
        };
        write!(
            f,
            "{connections:>4} connections, {way:<14}: {items_per_second:>7.0} items/s, {ratio_to_single:.2} of \
             single posts, {ratio_to_disk:.2} of the disk alone, {server_microseconds:.0} µs of the server each"
        )
    }
}

#[derive(Serialize)]
struct Memory {
    items: usize,
    /// Whether they were accepted, or all for no endpoint, so that nothing was stored.
    accepted: bool,
    seconds: f64,
    before_bytes: u64,
    peak_bytes: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        let which = if self.accepted { "accepted" } else { "refused" };
        write!(
            f,
            "one stream of {} items, {which}: the server had {:.1} MiB before and {:.1} MiB at most, in {:.1} s",
            self.items,
            mib(self.before_bytes),
            mib(self.peak_bytes),
            self.seconds
        )
    }
}

impl Batch {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let (users, permissions) = (self.users as usize, self.permissions as usize);
        let publishers = Publishers {
            permissions_each: permissions.div_ceil(users),
        };
        let stand = Stand::start_for(&self.place, users, publishers).await?;
        let items = Arc::new(Items::of(&stand));
        // First, while memory holds nothing of what is measured later.
        for (count, accepted) in [
            (permissions, false),
            (permissions / 10, true),
            (permissions, true),
        ] {
            report.line(&memory(&stand, &items, count, accepted).await?)?;
        }
        let disk = disk::synced_appends_per_second(stand.folder(), BODY_BYTES)?;
        let time = Duration::from_secs(self.seconds);
        for connections in self.connections {
            let mut single = None;
            for way in [Way::Single, Way::Json, Way::Stream] {
                let used = stand.processor_seconds()?;
                let (sent, took) = send(&stand, &items, way, connections, time).await?;
                let used = stand.processor_seconds()? - used;
                let items_per_second = sent as f64 / took.as_secs_f64();
                let single = *single.get_or_insert(items_per_second);
                report.line(&Sent {
                    connections,
                    way,
                    items_per_second,
                    ratio_to_single: items_per_second / single,
                    ratio_to_disk: items_per_second / disk,
                    server_microseconds: used * 1e6 / sent.max(1) as f64,
                })?;
            }
        }
        Ok(())
    }
}

/// What is sent, made before the clock starts.
struct Items {
    http: SocketAddr,
    key: String,
    endpoints: Vec<Secret>,
    /// An item for each endpoint, as a line.
    lines: Vec<String>,
    nowhere: String,
}

impl Items {
    fn of(stand: &Stand) -> Self {
        let body = URL_SAFE_NO_PAD.encode(body(0));
        let line = |endpoint: &str| {
            format!(
                "{{\"endpoint\":\"http://{}/push/{endpoint}\",\"ttl\":86400,\"encoding\":\"crypto-box\",\
                 \"body\":\"{body}\"}}\n",
                stand.http
            )
        };
        Self {
            http: stand.http,
            key: stand.site_key.clone(),
            lines: stand
                .endpoints
                .iter()
                .map(|endpoint| line(endpoint.expose()))
                .collect(),
            endpoints: stand.endpoints.clone(),
            nowhere: line("nowhere"),
        }
    }
}

/// Sends over so many connections until the time is over; how many items were created, and in which time.
async fn send(
    stand: &Stand,
    items: &Arc<Items>,
    way: Way,
    connections: u16,
    time: Duration,
) -> anyhow::Result<(usize, Duration)> {
    let mut sending = JoinSet::new();
    let share = items.lines.len() / usize::from(connections);
    let posters = match way {
        Way::Single => poster::connect(stand.http, connections.into()).await?,
        Way::Json | Way::Stream => Vec::new(),
    };
    let mut posters = posters.into_iter();
    let start = Instant::now();
    let until = start + time;
    for number in 0..usize::from(connections) {
        let (items, first) = (Arc::clone(items), number * share);
        match way {
            Way::Single => {
                let poster = posters.next().context("as many as connections")?;
                sending.spawn(single(items, poster, first, until));
            }
            Way::Json => {
                sending.spawn(json(items, first, until));
            }
            Way::Stream => {
                sending.spawn(async move {
                    let count = usize::MAX;
                    stream_of(&items, first, count, Some(until), StatusCode::CREATED).await
                });
            }
        }
    }
    let mut sent = 0;
    while let Some(created) = sending.join_next().await {
        sent += created??;
    }
    Ok((sent, start.elapsed()))
}

async fn single(
    items: Arc<Items>,
    mut poster: Poster,
    first: usize,
    until: Instant,
) -> anyhow::Result<usize> {
    let body = body(0);
    let mut created = 0;
    for endpoint in items.endpoints.iter().cycle().skip(first) {
        if Instant::now() >= until {
            break;
        }
        poster.post(endpoint, body.clone()).await?;
        created += 1;
    }
    Ok(created)
}

async fn json(items: Arc<Items>, first: usize, until: Instant) -> anyhow::Result<usize> {
    let mut caller = Caller::connect(items.http).await?;
    let mut lines = items.lines.iter().cycle().skip(first);
    let mut created = 0;
    while Instant::now() < until {
        let call: Vec<&str> = lines
            .by_ref()
            .take(CALL_ITEMS)
            .map(|line| line.trim_end())
            .collect();
        let body = format!("{{\"items\":[{}]}}", call.join(","));
        let body = Full::new(Bytes::from(body)).boxed_unsync();
        let answer = caller.call(&items.key, "application/json", body).await?;
        let answer = answer.into_body().collect().await?.to_bytes();
        created += count(&answer, StatusCode::CREATED, CALL_ITEMS)?;
    }
    Ok(created)
}

/// One stream of items from the first on; how many had this status, which all must.
async fn stream_of(
    items: &Arc<Items>,
    first: usize,
    items_max: usize,
    until: Option<Instant>,
    status: StatusCode,
) -> anyhow::Result<usize> {
    let mut caller = Caller::connect(items.http).await?;
    let lines = Arc::clone(items);
    let pieces = stream::unfold(0, move |sent| {
        let lines = Arc::clone(&lines);
        async move {
            let late = until.is_some_and(|until| Instant::now() >= until);
            if late || sent >= items_max {
                return None;
            }
            let next = items_max.min(sent + PIECE_LINES);
            let text: String = (sent..next)
                .map(|number| match status {
                    StatusCode::CREATED => &*lines.lines[(first + number) % lines.lines.len()],
                    _ => &*lines.nowhere,
                })
                .collect();
            let frame = Frame::data(Bytes::from(text));
            Some((Ok::<_, Infallible>(frame), next))
        }
    });
    let body = StreamBody::new(pieces).boxed_unsync();
    let answer = caller
        .call(&items.key, "application/x-ndjson", body)
        .await?;
    let mut body = answer.into_body();
    let mut counted = 0;
    // A piece may end within a line.
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        rest.extend_from_slice(&piece);
        let end = rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let lines = rest[..end].iter().filter(|byte| **byte == b'\n').count();
        counted += count(&rest[..end], status, lines)?;
        rest.drain(..end);
    }
    Ok(counted)
}

/// That as many results as expected have this status, and that many.
fn count(results: &[u8], status: StatusCode, expected: usize) -> anyhow::Result<usize> {
    let name = format!("\"status\":{}", status.as_u16());
    let text = std::str::from_utf8(results)?;
    // Once in the result, and once more in its problem.
    let each = if status == StatusCode::CREATED { 1 } else { 2 };
    let found = text.matches(&name).count() / each;
    if found != expected {
        let shown: String = text.chars().take(300).collect();
        bail!("{found} of {expected} items were answered {status}: {shown}");
    }
    Ok(found)
}

async fn memory(
    stand: &Stand,
    items: &Arc<Items>,
    count: usize,
    accepted: bool,
) -> anyhow::Result<Memory> {
    let status = match accepted {
        true => StatusCode::CREATED,
        false => StatusCode::NOT_FOUND,
    };
    stand.forget_peak()?;
    let before_bytes = stand.resident_bytes()?;
    let start = Instant::now();
    let answered = stream_of(items, 0, count, None, status).await?;
    if answered != count {
        bail!("{answered} of {count} items were answered");
    }
    Ok(Memory {
        items: count,
        accepted,
        seconds: start.elapsed().as_secs_f64(),
        before_bytes,
        peak_bytes: stand.peak_resident_bytes()?,
    })
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A site's connection for calls.
struct Caller(Connection<Body>);

impl Caller {
    async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Connection::connect(server).await?))
    }

    async fn call(
        &mut self,
        key: &str,
        media: &str,
        body: Body,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::post("/v1/publish")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", media);
        let answer = self.0.send(request, body).await?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            let problem = answer.into_body().collect().await?.to_bytes();
            bail!(
                "a call was answered {status}: {}",
                String::from_utf8_lossy(&problem)
            );
        }
        Ok(answer)
    }
}
