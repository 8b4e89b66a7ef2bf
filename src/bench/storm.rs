//! Many devices lose their connection together, and come back together to what was posted meanwhile.

use super::device::{Attempt, Device, Over, Route};
use super::poster::{self, Poster, body, mark};
use super::samples::Percentiles;
use super::stand::{Seeded, Stand};
use super::traffic::{Times, Traffic};
use super::{Place, Report};
use anyhow::{Context as _, bail, ensure};
use belfry_protocol::envelope::Notification;
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;

/// Devices that connect at once before the storm, and posters that fill their mailboxes.
const AT_ONCE: usize = 64;
/// How often the server is asked how many devices it still has.
const EVERY: Duration = Duration::from_millis(50);
/// A device that was turned away waits this long, then twice as long, up to the most: half of it for
/// certain and half by chance, as a good client does.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long the storm may take before the measurement has failed.
const LAST: Duration = Duration::from_secs(600);
/// Marks of the devices of the storm; those of bystanders are below.
const STORM_MARKS: u64 = 1 << 32;

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench storm --devices 15000 --queued 50")]
pub(crate) struct Storm {
    /// Devices, of a user each; each is one open file here and one in the server
    #[arg(long, value_name = "N", default_value_t = 15_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Notifications that each is owed when it comes back
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    queued: u16,
    /// What they connect over
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Over::Tcp)]
    over: Over,
    /// Addresses of this machine (127.1.0.1, …) that they come from
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=250))]
    addresses: u8,
    /// Devices that stay connected and are posted to all the time
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    bystanders: u16,
    /// Posts a second to those
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Seconds of quiet that the storm is compared to
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Measured {
    devices: u32,
    over: Over,
    addresses: u8,
    queued_each: u16,
    /// Until the last device had everything.
    seconds: f64,
    connects_per_second: f64,
    deliveries_per_second: f64,
    /// Attempts that the server answered with busy.
    busy: u64,
    /// Attempts that ended without an answer.
    closed: u64,
    /// Devices that lost an open connection, or got something missing, twice or out of order.
    errors: u64,
    connected: Percentiles,
    caught_up: Percentiles,
    processor_seconds: f64,
    before_bytes: u64,
    peak_bytes: u64,
    bytes_per_device: u64,
    bystanders: u16,
    bystander_posts_per_second: u32,
    bystanders_in_quiet: Percentiles,
    bystanders_in_storm: Percentiles,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        writeln!(
            f,
            "{} devices over {:?} from {} addresses, {} notifications each: {:.1} s until the last had all",
            self.devices, self.over, self.addresses, self.queued_each, self.seconds
        )?;
        writeln!(
            f,
            "  {:.0} connects/s, {:.0} deliveries/s; told busy {}, closed {}, errors {}",
            self.connects_per_second,
            self.deliveries_per_second,
            self.busy,
            self.closed,
            self.errors
        )?;
        writeln!(f, "  connected after: {}", self.connected)?;
        writeln!(f, "  had all after:   {}", self.caught_up)?;
        writeln!(
            f,
            "  server: {:.1} s of a processor, {:.1} MiB before, {:.1} MiB at most, {:.2} KiB a device",
            self.processor_seconds,
            mib(self.before_bytes),
            mib(self.peak_bytes),
            self.bytes_per_device as f64 / 1024.0
        )?;
        writeln!(
            f,
            "  {} others, {} posts/s to them, post to device:",
            self.bystanders, self.bystander_posts_per_second
        )?;
        writeln!(f, "    in quiet:     {}", self.bystanders_in_quiet)?;
        write!(f, "    in the storm: {}", self.bystanders_in_storm)
    }
}

impl Storm {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let (bystanders, devices) = (usize::from(self.bystanders), self.devices as usize);
        let mut stand = Stand::start(&self.place, bystanders + devices).await?;
        let mut users = std::mem::take(&mut stand.users);
        let devices: Arc<[Seeded]> = users.split_off(bystanders).into();
        let routes: Vec<Route> = (1..=self.addresses)
            .map(|number| stand.route(self.over, Ipv4Addr::new(127, 1, 0, number)))
            .collect();
        drop(connect_all(&routes, &devices).await?);
        while stand.metric("belfry_connected_devices").await? > 0.0 {
            tokio::time::sleep(EVERY).await;
        }
        fill(stand.http, &devices, self.queued).await?;
        let others = Others::start(&stand, users, self.rate, self.seconds);
        let others = others.quiet().await?;

        let before_bytes = stand.resident_bytes()?;
        let before_seconds = stand.processor_seconds()?;
        stand.forget_peak()?;
        let storm = come_back_all(routes, Arc::clone(&devices), self.queued);
        let storm = tokio::time::timeout(LAST, storm).await;
        let came = storm.context("not every device had everything in time")??;
        let peak_bytes = stand.peak_resident_bytes()?;
        let processor_seconds = stand.processor_seconds()? - before_seconds;
        let (quiet, stormy) = others.end().await?;

        let seconds = came.seconds();
        let queued = u64::from(self.devices) * u64::from(self.queued);
        let post_to_device =
            |times: &Times| times.percentiles(|due, _, arrived| arrived.duration_since(due));
        report.line(&Measured {
            devices: self.devices,
            over: self.over,
            addresses: self.addresses,
            queued_each: self.queued,
            seconds,
            connects_per_second: f64::from(self.devices) / came.seconds_to_connect(),
            deliveries_per_second: queued as f64 / seconds,
            busy: came.busy,
            closed: came.closed,
            errors: came.errors,
            connected: Percentiles::of(came.connected),
            caught_up: Percentiles::of(came.caught_up),
            processor_seconds,
            before_bytes,
            peak_bytes,
            bytes_per_device: peak_bytes.saturating_sub(before_bytes) / u64::from(self.devices),
            bystanders: self.bystanders,
            bystander_posts_per_second: self.rate,
            bystanders_in_quiet: post_to_device(&quiet),
            bystanders_in_storm: post_to_device(&stormy),
        })?;
        ensure!(came.errors == 0, "{} devices failed", came.errors);
        Ok(())
    }
}

/// Devices that are connected all the time, on a thread of their own, so that what is measured of them
/// is the server and not how busy the storm's own clients are.
struct Others {
    quiet: oneshot::Receiver<Times>,
    over: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<Times>>,
}

/// [`Others`], whose quiet was measured.
struct Stirred {
    quiet: Times,
    over: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<Times>>,
}

impl Others {
    fn start(stand: &Stand, users: Vec<Seeded>, rate: u32, seconds: u64) -> Self {
        let (quiet_is, quiet) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let (http, route) = (stand.http, stand.websocket());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut traffic = Traffic::start(http, &route, &users).await?;
                let ended = tokio::time::sleep(Duration::from_secs(seconds));
                let times = traffic.run(rate, ended).await?;
                if quiet_is.send(times).is_err() {
                    bail!("nobody waits for what was measured");
                }
                let ended = async { is_over.await.unwrap_or(()) };
                traffic.run(rate, ended).await
            })
        });
        Self {
            quiet,
            over,
            thread,
        }
    }

    async fn quiet(self) -> anyhow::Result<Stirred> {
        match self.quiet.await {
            Ok(quiet) => Ok(Stirred {
                quiet,
                over: self.over,
                thread: self.thread,
            }),
            Err(_) => Err(match self.thread.join() {
                Ok(Err(error)) => error,
                _ => anyhow::anyhow!("the bystanders' thread ended"),
            }),
        }
    }
}

impl Stirred {
    async fn end(self) -> anyhow::Result<(Times, Times)> {
        let _ = self.over.send(());
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        let stormy = joined.map_err(|_| anyhow::anyhow!("the bystanders' thread panicked"))??;
        Ok((self.quiet, stormy))
    }
}

async fn connect_all(routes: &[Route], devices: &Arc<[Seeded]>) -> anyhow::Result<Vec<Device>> {
    let mut connected = Vec::with_capacity(devices.len());
    let mut connecting: JoinSet<anyhow::Result<Device>> = JoinSet::new();
    for (number, route) in (0..devices.len()).zip(routes.iter().cycle()) {
        if connecting.len() == AT_ONCE
            && let Some(device) = connecting.join_next().await
        {
            connected.push(device?.context("a device could not connect")?);
        }
        let (devices, route) = (Arc::clone(devices), *route);
        connecting.spawn(async move { Device::connect(&route, &devices[number]).await });
    }
    while let Some(device) = connecting.join_next().await {
        connected.push(device?.context("a device could not connect")?);
    }
    Ok(connected)
}

/// Posts to each device as many as it is to be owed, in the order of their marks.
async fn fill(server: SocketAddr, devices: &Arc<[Seeded]>, queued: u16) -> anyhow::Result<()> {
    let mut posting: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let posters = poster::connect(server, AT_ONCE.min(devices.len())).await?;
    let step = posters.len();
    for (first, mut poster) in posters.into_iter().enumerate() {
        let devices = Arc::clone(devices);
        posting.spawn(async move {
            for nth in 0..queued {
                for number in (first..devices.len()).step_by(step) {
                    post(
                        &mut poster,
                        &devices[number],
                        first_mark(number, queued),
                        nth,
                    )
                    .await?;
                }
            }
            Ok(())
        });
    }
    while let Some(posted) = posting.join_next().await {
        posted??;
    }
    Ok(())
}

async fn post(poster: &mut Poster, to: &Seeded, first: u64, nth: u16) -> anyhow::Result<()> {
    poster
        .post(&to.endpoint, body(first + u64::from(nth)))
        .await
}

fn first_mark(number: usize, queued: u16) -> u64 {
    STORM_MARKS + number as u64 * u64::from(queued)
}

/// What the storm was like.
#[derive(Default)]
struct Came {
    connected: Vec<Duration>,
    caught_up: Vec<Duration>,
    busy: u64,
    closed: u64,
    errors: u64,
}

impl Came {
    fn seconds(&self) -> f64 {
        let last = self.caught_up.iter().max();
        last.copied().unwrap_or_default().as_secs_f64()
    }

    fn seconds_to_connect(&self) -> f64 {
        let last = self.connected.iter().max();
        last.copied().unwrap_or_default().as_secs_f64()
    }
}

/// One device's way back.
#[derive(Default)]
struct Way {
    busy: u64,
    closed: u64,
    connected: Duration,
    caught_up: Duration,
}

async fn come_back_all(
    routes: Vec<Route>,
    devices: Arc<[Seeded]>,
    queued: u16,
) -> anyhow::Result<Came> {
    let ready = Arc::new(Barrier::new(devices.len() + 1));
    // Nobody lets go of a connection before the last device has everything.
    let mut coming = JoinSet::new();
    for (number, route) in (0..devices.len()).zip(routes.into_iter().cycle()) {
        let (devices, ready) = (Arc::clone(&devices), Arc::clone(&ready));
        coming.spawn(async move {
            ready.wait().await;
            come_back(route, &devices[number], first_mark(number, queued), queued).await
        });
    }
    ready.wait().await;
    let mut came = Came::default();
    let mut connected = Vec::with_capacity(devices.len());
    while let Some(way) = coming.join_next().await {
        match way? {
            Ok((device, way)) => {
                came.busy += way.busy;
                came.closed += way.closed;
                came.connected.push(way.connected);
                came.caught_up.push(way.caught_up);
                connected.push(device);
            }
            Err(error) => {
                came.errors += 1;
                eprintln!("a device failed: {error:#}");
            }
        }
    }
    Ok(came)
}

async fn come_back(
    route: Route,
    seeded: &Seeded,
    first: u64,
    queued: u16,
) -> anyhow::Result<(Device, Way)> {
    let begun = Instant::now();
    let mut way = Way::default();
    let mut wait = FIRST_WAIT;
    let mut device = loop {
        match Device::attempt(&route, seeded).await? {
            Attempt::Connected { device, present } => {
                ensure!(present, "the session was forgotten");
                break device;
            }
            Attempt::Busy => way.busy += 1,
            Attempt::Closed => way.closed += 1,
        }
        tokio::time::sleep(jittered(wait)?).await;
        wait = LONGEST_WAIT.min(wait * 2);
    };
    way.connected = begun.elapsed();
    for nth in 0..u64::from(queued) {
        let payload = device.next().await?;
        let notification: Notification = serde_json::from_slice(&payload)?;
        let mark = mark(&notification.body_bytes()?).context("a body without a mark")?;
        ensure!(
            mark == first + nth,
            "number {nth} of {queued} was number {}",
            mark as i64 - first as i64
        );
    }
    way.caught_up = begun.elapsed();
    device.flush().await?;
    Ok((device, way))
}

fn jittered(wait: Duration) -> anyhow::Result<Duration> {
    let mut random = [0; 1];
    getrandom::fill(&mut random).context("the system has no random numbers")?;
    Ok(wait / 2 + wait / 2 * u32::from(random[0]) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_wait_is_by_chance() {
        for _ in 0..1_000 {
            let wait = jittered(FIRST_WAIT).expect("random numbers");
            assert!((FIRST_WAIT / 2..=FIRST_WAIT).contains(&wait), "{wait:?}");
        }
    }
}
