//! What a connected device costs the server while nothing happens.

use super::device::{Device, Route};
use super::stand::{Seeded, Stand};
use super::{Place, Report};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tokio::task::JoinSet;

/// Devices that connect at once.
const AT_ONCE: usize = 64;
/// How often memory is read until it has come to rest, and how still that is.
const EVERY: Duration = Duration::from_secs(1);
const REST_BYTES: u64 = 256 * 1024;

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench idle --devices 10000")]
pub(crate) struct Idle {
    /// Devices, of a user each; each is one open file here and one in the server
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Measured {
    devices: u32,
    before_bytes: u64,
    connected_bytes: u64,
    bytes_per_device: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        write!(
            f,
            "{} idle devices over WebSocket: {:.2} KiB each (resident memory from {:.1} to {:.1} MiB)",
            self.devices,
            kib(self.bytes_per_device),
            kib(self.before_bytes) / 1024.0,
            kib(self.connected_bytes) / 1024.0,
        )
    }
}

impl Idle {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let mut stand = Stand::start(&self.place, self.devices as usize).await?;
        let before_bytes = at_rest(&stand).await?;
        let users = std::mem::take(&mut stand.users);
        let devices = connect_all(stand.websocket(), users).await?;
        let connected_bytes = at_rest(&stand).await?;
        report.line(&Measured {
            devices: self.devices,
            before_bytes,
            connected_bytes,
            bytes_per_device: connected_bytes.saturating_sub(before_bytes)
                / u64::from(self.devices),
        })?;
        drop(devices);
        Ok(())
    }
}

async fn connect_all(route: Route, users: Vec<Seeded>) -> anyhow::Result<Vec<Device>> {
    let mut connected = Vec::with_capacity(users.len());
    let mut connecting: JoinSet<anyhow::Result<Device>> = JoinSet::new();
    for user in users {
        if connecting.len() == AT_ONCE
            && let Some(device) = connecting.join_next().await
        {
            connected.push(device?.context("a device could not connect")?);
        }
        connecting.spawn(async move { Device::connect(&route, &user).await });
    }
    while let Some(device) = connecting.join_next().await {
        connected.push(device?.context("a device could not connect")?);
    }
    Ok(connected)
}

/// The server's memory once it no longer moves.
async fn at_rest(stand: &Stand) -> anyhow::Result<u64> {
    let mut last = stand.resident_bytes()?;
    loop {
        tokio::time::sleep(EVERY).await;
        let now = stand.resident_bytes()?;
        if now.abs_diff(last) <= REST_BYTES {
            return Ok(now);
        }
        last = now;
    }
}
