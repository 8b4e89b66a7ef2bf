//! What someone who does nothing wrong feels of others who do: how long posts take to that user's
//! devices in a quiet server, under one kind of hostile load after the other, and, for each, while an
//! innocent program burns the processor time that the load cost, its sender's and the server's. The
//! server runs as it is shipped, and every load comes from addresses of its own.
//!
//! The load runs in a second process, bounded in connections and rates (`load`), so that what it costs
//! is counted apart. On a machine that is full the control is what to compare with: what it shows is
//! the machine, and what a load adds to it is the server's doing.

pub(super) mod burn;
mod load;
mod requests;
pub(super) mod watch;

use self::load::Load;
use self::watch::Watch;
use super::processor::Spent;
use super::samples::Percentiles;
use super::stand::Stand;
use super::{Place, Report};
use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum as _};
use serde::Serialize;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

pub(crate) use self::burn::Burn;
pub(crate) use self::load::Hostile;

/// Users whose devices the posts are spread over, so that each stays within the limits of one.
const BYSTANDERS: usize = 400;
/// Time for connections that a load left to end before the next measurement.
const SETTLE: Duration = Duration::from_secs(2);
/// The server with its limits as shipped.
const AS_SHIPPED: &str = "";

#[derive(Args)]
#[command(
    after_help = "Example:\n  belfry bench bystander --seconds 10 --load pings,sign-ins\n\nA ratio is to the quiet time; of the worst of a hundred it is the one to look at."
)]
pub(crate) struct Bystander {
    /// Kinds of hostile load, one after the other [default: all]
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    load: Vec<Load>,
    /// Posts a second to the bystanders, whether or not the earlier ones were answered
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=300))]
    rate: u32,
    /// Seconds for each measurement: one quiet, and two for each load
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Quiet {
    posts_per_second: u32,
    post_to_device: Percentiles,
    server_cores: f64,
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            posts_per_second,
            post_to_device,
            server_cores,
        } = self;
        writeln!(
            f,
            "quiet, {posts_per_second} posts/s to their devices: {post_to_device} (server: {server_cores:.2} cores)"
        )?;
        write!(f, "{:<16} {}", "", Under::HEAD)
    }
}

/// One load, and its control.
#[derive(Serialize)]
struct Under {
    load: Load,
    post_to_device: Percentiles,
    p50_ratio: f64,
    p99_ratio: f64,
    server_cores: f64,
    load_cores: f64,
    /// With the same processor time burnt by an innocent program instead.
    control: Percentiles,
    control_p99_ratio: f64,
    /// What the load adds to that: 1 where it is nothing but the processor time.
    p99_ratio_to_control: f64,
}

impl Under {
    const HEAD: &str =
        "p50 ms  p99 ms  p99 ratio | innocent p99 ms  ratio | to innocent | server, load cores";
}

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<16} {:>6.2} {:>7.2} {:>10.2} | {:>15.2} {:>6.2} | {:>11.2} | {:>6.2} {:>6.2}",
            self.load.name(),
            self.post_to_device.p50_ms,
            self.post_to_device.p99_ms,
            self.p99_ratio,
            self.control.p99_ms,
            self.control_p99_ratio,
            self.p99_ratio_to_control,
            self.server_cores,
            self.load_cores,
        )
    }
}

impl Bystander {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let loads = match &self.load[..] {
            [] => Load::value_variants(),
            some => some,
        };
        let users = BYSTANDERS + load::USERS;
        let stand = Stand::start_with(&self.place, users, AS_SHIPPED).await?;
        let (bystanders, hostile) = stand.users.split_at(BYSTANDERS);
        let seconds = Duration::from_secs(self.seconds);
        let mut watch = Watch::start(&stand, bystanders, None).await?;
        // Caches and connections are as they will be.
        watch.measure(self.rate, SETTLE).await?;

        let before = Spent::of(stand.process_id()?)?;
        let quiet = watch.measure(self.rate, seconds).await?;
        let quiet = Quiet {
            posts_per_second: self.rate,
            post_to_device: quiet,
            server_cores: Spent::of(stand.process_id()?)?.cores_since(&before),
        };
        report.line(&quiet)?;
        for load in loads {
            let arguments = load::arguments(*load, &stand);
            let mut sender = second_process(&arguments, &load::seeds(hostile)?).await?;
            let sender_id = sender.id().context("the load ended")?;
            let (server, other) = (Spent::of(stand.process_id()?)?, Spent::of(sender_id)?);
            let measured = watch.measure(self.rate, seconds).await?;
            let server_cores = Spent::of(stand.process_id()?)?.cores_since(&server);
            let load_cores = Spent::of(sender_id)?.cores_since(&other);
            sender.kill().await?;
            tokio::time::sleep(SETTLE).await;

            let cost = load_cores + (server_cores - quiet.server_cores).max(0.0);
            let mut burning = second_process(&burn::arguments(cost), "").await?;
            let control = watch.measure(self.rate, seconds).await?;
            burning.kill().await?;
            let to = |one: &Percentiles, other: &Percentiles| one.p99_ms / other.p99_ms;
            report.line(&Under {
                load: *load,
                post_to_device: measured,
                p50_ratio: measured.p50_ms / quiet.post_to_device.p50_ms,
                p99_ratio: to(&measured, &quiet.post_to_device),
                server_cores,
                load_cores,
                control,
                control_p99_ratio: to(&control, &quiet.post_to_device),
                p99_ratio_to_control: to(&measured, &control),
            })?;
        }
        Ok(())
    }
}

/// This program again, once it says that it has begun. It ends with this one.
pub(super) async fn second_process(arguments: &[String], input: &str) -> anyhow::Result<Child> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("bench")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = process.stdin.take().context("stdin is piped")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let stdout = process.stdout.take().context("stdout is piped")?;
    let begun = BufReader::new(stdout).lines().next_line().await?;
    ensure!(begun.is_some(), "the second process did not begin");
    Ok(process)
}
