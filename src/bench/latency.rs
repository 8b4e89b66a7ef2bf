//! How long a notification takes from its post to its 201, and to the device.

use super::samples::Percentiles;
use super::stand::Stand;
use super::traffic::Traffic;
use super::{Place, Report};
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

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

impl Latency {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let stand = Stand::start(&self.place, self.devices.into()).await?;
        let mut traffic = Traffic::start(stand.http, &stand.websocket(), &stand.users).await?;
        for rate in self.rate {
            let ended = tokio::time::sleep(Duration::from_secs(self.seconds));
            let times = traffic.run(rate, ended).await?;
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
