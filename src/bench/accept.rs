//! How many notifications a second are accepted, each on disk before its 201.

use super::poster::{BODY_BYTES, Poster, body};
use super::samples::Percentiles;
use super::stand::Stand;
use super::{Place, Report, disk, poster};
use belfry_protocol::secret::Secret;
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Mailboxes that the posts are spread over.
const USERS: usize = 1_000;

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench accept --posters 1,32,256 --seconds 10")]
pub(crate) struct Accept {
    /// Connections that post at once, one measurement each
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,32,256"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    posters: Vec<u16>,
    /// Seconds for each
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Disk {
    body_bytes: usize,
    synced_appends_per_second: f64,
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            body_bytes,
            synced_appends_per_second,
        } = self;
        write!(
            f,
            "the disk alone: {synced_appends_per_second:.0} appends of {body_bytes} bytes a second, each synced"
        )
    }
}

#[derive(Serialize)]
struct Accepted {
    posters: u16,
    accepts_per_second: f64,
    /// Accepts for each synced append that the disk alone makes.
    ratio_to_disk: f64,
    post_to_201: Percentiles,
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            posters,
            accepts_per_second,
            ratio_to_disk,
            post_to_201,
        } = self;
        write!(
            f,
            "{posters:>5} posters: {accepts_per_second:>7.0} durable accepts/s \
             ({ratio_to_disk:.2} of the disk alone); post to 201: {post_to_201}"
        )
    }
}

impl Accept {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let stand = Stand::start(&self.place, USERS).await?;
        let disk = Disk {
            body_bytes: BODY_BYTES,
            synced_appends_per_second: disk::synced_appends_per_second(stand.folder(), BODY_BYTES)?,
        };
        report.line(&disk)?;
        for posters in self.posters {
            let mut posting = JoinSet::new();
            let connected = poster::connect(stand.http, posters.into()).await?;
            let start = Instant::now();
            let until = start + Duration::from_secs(self.seconds);
            for (number, poster) in connected.into_iter().enumerate() {
                let mut endpoints: Vec<Secret> = stand
                    .users
                    .iter()
                    .map(|user| user.endpoint.clone())
                    .collect();
                endpoints.rotate_left(number * USERS / usize::from(posters) % USERS);
                posting.spawn(post_until(poster, endpoints, until));
            }
            let mut samples = Vec::new();
            while let Some(posted) = posting.join_next().await {
                samples.extend(posted??);
            }
            let accepts_per_second = samples.len() as f64 / start.elapsed().as_secs_f64();
            report.line(&Accepted {
                posters,
                accepts_per_second,
                ratio_to_disk: accepts_per_second / disk.synced_appends_per_second,
                post_to_201: Percentiles::of(samples),
            })?;
        }
        Ok(())
    }
}

async fn post_until(
    mut poster: Poster,
    endpoints: Vec<Secret>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::new();
    let mut posted = Instant::now();
    for (mark, endpoint) in (0..).zip(endpoints.iter().cycle()) {
        if posted >= until {
            break;
        }
        poster.post(endpoint, body(mark)).await?;
        let answered = Instant::now();
        samples.push(answered - posted);
        posted = answered;
    }
    Ok(samples)
}
