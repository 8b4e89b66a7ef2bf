//! How long a notification takes from its post to its 201, and to the device.

use super::device::Device;
use super::poster::{Poster, body, mark};
use super::samples::Percentiles;
use super::stand::Stand;
use super::{Place, Report, poster};
use anyhow::{Context as _, bail};
use belfry_protocol::envelope::Notification;
use belfry_protocol::secret::Secret;
use clap::Args;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Connections that share the posts, so that one slow answer does not hold up the next post.
const POSTERS: usize = 64;
/// Posts that may be due and not made, and sightings not collected: more than a second's worth.
const WAITING: usize = 100_000;
/// How long the last notification may take before the measurement has failed.
const LAST: Duration = Duration::from_secs(30);

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench latency --rate 20,1000 --devices 100")]
pub(crate) struct Latency {
    /// Posts a second, whether or not the earlier ones were answered; one measurement each
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "20,1000"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Vec<u32>,
    /// Connected devices, of a user each, that the posts are spread over
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    devices: u16,
    /// Seconds for each rate
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Measured {
    posts_per_second: u32,
    devices: u16,
    post_to_201: Percentiles,
    post_to_device: Percentiles,
    accept_to_device: Percentiles,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} posts/s to {} devices:",
            self.posts_per_second, self.devices
        )?;
        writeln!(f, "  post to 201:    {}", self.post_to_201)?;
        writeln!(f, "  post to device: {}", self.post_to_device)?;
        write!(
            f,
            "  201 to device:  {} (0 where the device was first)",
            self.accept_to_device
        )
    }
}

/// A post that is due.
struct Due {
    mark: u64,
    at: Instant,
    endpoint: Secret,
}

/// What a poster or a device saw of a marked post.
enum Seen {
    Answered {
        mark: u64,
        due: Instant,
        at: Instant,
    },
    Arrived {
        mark: u64,
        at: Instant,
    },
}

impl Latency {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let stand = Stand::start(&self.place, self.devices.into()).await?;
        let (seen, mut sightings) = mpsc::channel(WAITING);
        let (due, dues) = mpsc::channel(WAITING);
        let dues = Arc::new(Mutex::new(dues));
        let mut connections = JoinSet::new();
        for user in &stand.users {
            let device = Device::connect(stand.http, user).await?;
            connections.spawn(receive(device, seen.clone()));
        }
        for poster in poster::connect(stand.http, POSTERS).await? {
            connections.spawn(post(poster, Arc::clone(&dues), seen.clone()));
        }
        for rate in self.rate {
            let count = u64::from(rate) * self.seconds;
            let limit = Duration::from_secs(self.seconds) + LAST;
            let measuring = async {
                tokio::try_join!(
                    release(rate, count, &stand, &due),
                    collect(&mut sightings, count)
                )
            };
            let ((), times) = tokio::select! {
                measured = tokio::time::timeout(limit, measuring) => {
                    measured.context("not every notification arrived")??
                }
                Some(ended) = connections.join_next() => {
                    ended??;
                    bail!("a connection ended");
                }
            };
            report.line(&Measured {
                posts_per_second: rate,
                devices: self.devices,
                post_to_201: times.percentiles(|due, answered, _| answered - due),
                post_to_device: times.percentiles(|due, _, arrived| arrived - due),
                accept_to_device: times.percentiles(|_, answered, arrived| {
                    arrived.saturating_duration_since(answered)
                }),
            })?;
        }
        Ok(())
    }
}

/// Lets posts go at a steady rate, each at its time and not when the one before is answered.
async fn release(
    rate: u32,
    count: u64,
    stand: &Stand,
    due: &mpsc::Sender<Due>,
) -> anyhow::Result<()> {
    let start = tokio::time::Instant::now();
    for (mark, user) in (0..count).zip(stand.users.iter().cycle()) {
        let seconds = mark as f64 / f64::from(rate);
        tokio::time::sleep_until(start + Duration::from_secs_f64(seconds)).await;
        let post = Due {
            mark,
            at: Instant::now(),
            endpoint: user.endpoint.clone(),
        };
        if due.try_send(post).is_err() {
            bail!("the server does not keep up with {rate} posts a second");
        }
    }
    Ok(())
}

async fn post(
    mut poster: Poster,
    dues: Arc<Mutex<mpsc::Receiver<Due>>>,
    seen: mpsc::Sender<Seen>,
) -> anyhow::Result<()> {
    loop {
        let Some(due) = dues.lock().await.recv().await else {
            return Ok(());
        };
        poster.post(&due.endpoint, body(due.mark)).await?;
        let answered = Seen::Answered {
            mark: due.mark,
            due: due.at,
            at: Instant::now(),
        };
        seen.send(answered).await?;
    }
}

async fn receive(mut device: Device, seen: mpsc::Sender<Seen>) -> anyhow::Result<()> {
    loop {
        let payload = device.next().await?;
        let at = Instant::now();
        let notification: Notification = serde_json::from_slice(&payload)?;
        let mark = mark(&notification.body_bytes()?).context("a body without a mark")?;
        seen.send(Seen::Arrived { mark, at }).await?;
    }
}

/// When each post was due, answered and received, by its mark.
struct Times(Vec<(Instant, Instant, Instant)>);

impl Times {
    fn percentiles(&self, of: impl Fn(Instant, Instant, Instant) -> Duration) -> Percentiles {
        let times = self.0.iter();
        Percentiles::of(
            times
                .map(|&(due, answered, arrived)| of(due, answered, arrived))
                .collect(),
        )
    }
}

async fn collect(sightings: &mut mpsc::Receiver<Seen>, count: u64) -> anyhow::Result<Times> {
    let mut answered: HashMap<u64, (Instant, Instant)> = HashMap::new();
    let mut arrived: HashMap<u64, Instant> = HashMap::new();
    while (answered.len().min(arrived.len()) as u64) < count {
        match sightings.recv().await.context("nobody is connected")? {
            Seen::Answered { mark, due, at } => {
                answered.insert(mark, (due, at));
            }
            // The first time counts: a repetition is not what was waited for.
            Seen::Arrived { mark, at } => {
                arrived.entry(mark).or_insert(at);
            }
        }
    }
    let times = answered.iter().map(|(mark, &(due, answered))| {
        let arrived = arrived.get(mark).copied();
        arrived.map(|arrived| (due, answered, arrived))
    });
    let times: Option<Vec<_>> = times.collect();
    times
        .map(Times)
        .context("a device received what was not posted")
}
