//! What a site that keeps its quota feels of another that posts many times what it may, and what each of
//! its posts costs the server: one that is served, one over the quota, one of a site that is
//! blocked, one that names no endpoint.
//!
//! Both prove themselves with VAPID, and the flood comes from a process of its own, so that what it costs
//! is counted apart. As for `bystander`, an innocent program that burns as much processor time shows what
//! of it is the machine.

use super::bystander::watch::Watch;
use super::bystander::{burn, second_process};
use super::poster::{self, Poster, body};
use super::processor::{self, Spent};
use super::samples::Percentiles;
use super::stand::{Seeded, Stand};
use super::{Place, Report};
use anyhow::{Context as _, ensure};
use belfry_client::vapid::VapidKey;
use clap::Args;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Users who approved the quiet site, and those who approved the other.
const QUIET: usize = 100;
const FLOODED: usize = 100;
/// Connections of the flood, and of what is measured for its cost.
const CONNECTIONS: usize = 16;
/// Time for what was before to end.
const SETTLE: Duration = Duration::from_secs(2);
/// A secret that no endpoint has.
const NO_ENDPOINT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench flood --quota 100 --seconds 20")]
pub(crate) struct Flood {
    /// Posts a second that a site may make
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=10_000))]
    quota: u32,
    /// How many times as many the other site posts
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=1_000))]
    times: u32,
    /// Seconds for each measurement
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

/// What the quiet site felt.
#[derive(Serialize)]
struct Felt {
    quiet_posts_per_second: u32,
    flood_posts_per_second: f64,
    refused_per_second: f64,
    quiet: Percentiles,
    flooded: Percentiles,
    p99_ratio: f64,
    /// With the same processor time burnt by an innocent program instead.
    control: Percentiles,
    control_p99_ratio: f64,
    server_cores: f64,
    flood_cores: f64,
}

impl fmt::Display for Felt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} posts/s of a quiet site to its devices: {}",
            self.quiet_posts_per_second, self.quiet
        )?;
        writeln!(
            f,
            "  while another posts {:.0}/s, of which {:.0}/s are refused: {}",
            self.flood_posts_per_second, self.refused_per_second, self.flooded
        )?;
        writeln!(
            f,
            "  beside an innocent program that costs as much: {}",
            self.control
        )?;
        write!(
            f,
            "  p99: {:.2} of quiet, {:.2} beside the innocent program (server {:.2} cores, flood {:.2})",
            self.p99_ratio, self.control_p99_ratio, self.server_cores, self.flood_cores
        )
    }
}

/// What a post costs the server.
#[derive(Serialize)]
struct Cost {
    post: &'static str,
    requests: u64,
    requests_per_second: f64,
    server_microseconds: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:>6.0} µs of the server's processor time ({:.0}/s)",
            self.post, self.server_microseconds, self.requests_per_second
        )
    }
}

/// A site with endpoints to post to.
#[derive(Clone, Serialize, Deserialize)]
struct Site {
    authorization: String,
    endpoints: Vec<String>,
}

impl Site {
    fn new(stand: &Stand, users: &[Seeded]) -> Self {
        let audience = format!("http://{}", stand.http);
        let key = VapidKey::generate();
        let now = SystemTime::now();
        let endpoints = users.iter().map(|user| user.endpoint.expose().to_owned());
        Self {
            authorization: key.authorization(&audience, "mailto:bench@example.com", now),
            endpoints: endpoints.collect(),
        }
    }

    async fn posters(&self, server: SocketAddr) -> anyhow::Result<Vec<Poster>> {
        let posters = poster::connect(server, CONNECTIONS).await?.into_iter();
        let authorization = Some(self.authorization.clone());
        Ok(posters
            .map(|poster| poster.with_authorization(authorization.clone()))
            .collect())
    }
}

/// Limits that nothing meets but a site's rate.
fn config(site_per_second: u32) -> String {
    format!(
        "[limits]\npermission_per_minute = 60000000\npermission_burst = 1000000\n\
         site_per_second = {site_per_second}\nsite_per_day = 1000000000000\n\
         unproven_per_second = 10000000\nunproven_address_per_second = 10000000\n"
    )
}

impl Flood {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let users = QUIET + FLOODED;
        let seconds = Duration::from_secs(self.seconds);
        let stand = Stand::start_with(&self.place, users, &config(self.quota)).await?;
        let (quiet, flooded) = stand.users.split_at(QUIET);
        let site = Site::new(&stand, flooded);
        let felt = self.felt(&stand, quiet, &site, seconds).await?;
        report.line(&felt)?;
        tokio::time::sleep(seconds.min(SETTLE)).await;
        report.line(&cost("over quota", 429, &stand, &site, seconds).await?)?;
        let nowhere = Site {
            endpoints: vec![NO_ENDPOINT.to_owned()],
            ..site
        };
        report.line(&cost("no endpoint", 404, &stand, &nowhere, seconds).await?)?;
        drop(stand);

        let stand = Stand::start_with(&self.place, users, &config(u32::MAX)).await?;
        let site = Site::new(&stand, &stand.users);
        report.line(&cost("served", 201, &stand, &site, seconds).await?)?;
        stand.ban_site().await?;
        report.line(&cost("blocked", 403, &stand, &site, seconds).await?)
    }

    async fn felt(
        &self,
        stand: &Stand,
        quiet: &[Seeded],
        site: &Site,
        seconds: Duration,
    ) -> anyhow::Result<Felt> {
        let rate = (self.quota / 2).max(1);
        let quiet_site = Site::new(stand, quiet);
        let mut watch = Watch::start(stand, quiet, Some(quiet_site.authorization)).await?;
        // Caches and connections are as they will be.
        watch.measure(rate, seconds.min(SETTLE)).await?;
        let before = Spent::of(stand.process_id()?)?;
        let quiet = watch.measure(rate, seconds).await?;
        let quiet_cores = Spent::of(stand.process_id()?)?.cores_since(&before);

        let arguments = [
            "flooding",
            "--http",
            &stand.http.to_string(),
            "--rate",
            &(self.quota * self.times).to_string(),
        ];
        let arguments = arguments.map(str::to_owned);
        let mut flood = second_process(&arguments, &serde_json::to_string(site)?).await?;
        let flood_id = flood.id().context("the flood ended")?;
        let spent = (Spent::of(stand.process_id()?)?, Spent::of(flood_id)?);
        let counted = Counted::of(stand).await?;
        let begun = Instant::now();
        let flooded = watch.measure(rate, seconds).await?;
        let after = Counted::of(stand).await?;
        let took = begun.elapsed().as_secs_f64();
        let server_cores = Spent::of(stand.process_id()?)?.cores_since(&spent.0);
        let flood_cores = Spent::of(flood_id)?.cores_since(&spent.1);
        flood.kill().await?;
        tokio::time::sleep(seconds.min(SETTLE)).await;

        let cost = flood_cores + (server_cores - quiet_cores).max(0.0);
        let mut burning = second_process(&burn::arguments(cost), "").await?;
        let control = watch.measure(rate, seconds).await?;
        burning.kill().await?;
        let refused_per_second = (after.refused - counted.refused) / took;
        let accepted_per_second = (after.accepted - counted.accepted) / took;
        Ok(Felt {
            quiet_posts_per_second: rate,
            flood_posts_per_second: refused_per_second + accepted_per_second - f64::from(rate),
            refused_per_second,
            quiet,
            flooded,
            p99_ratio: flooded.p99_ms / quiet.p99_ms,
            control,
            control_p99_ratio: flooded.p99_ms / control.p99_ms,
            server_cores,
            flood_cores,
        })
    }
}

/// What the server has counted.
struct Counted {
    accepted: f64,
    refused: f64,
}

impl Counted {
    async fn of(stand: &Stand) -> anyhow::Result<Self> {
        Ok(Self {
            accepted: stand.metric("belfry_accepted_total").await?,
            refused: stand.metric("belfry_refused_total").await?,
        })
    }
}

/// As many posts as a few connections make one after the other, nearly all of which are answered so.
async fn cost(
    post: &'static str,
    expected: u16,
    stand: &Stand,
    site: &Site,
    time: Duration,
) -> anyhow::Result<Cost> {
    let mut posters = site.posters(stand.http).await?;
    // The burst that a site has is used up, and caches are as they will be.
    run(&mut posters, site, Instant::now() + time.min(SETTLE)).await?;
    let (begun, before) = (Instant::now(), processor::seconds(stand.process_id()?)?);
    let answers = run(&mut posters, site, begun + time).await?;
    let (took, after) = (begun.elapsed(), processor::seconds(stand.process_id()?)?);
    let wanted = answers.iter().filter(|status| **status == expected).count();
    ensure!(
        wanted * 2 > answers.len(),
        "{wanted} of {} posts were answered {expected}",
        answers.len()
    );
    Ok(Cost {
        post,
        requests: answers.len() as u64,
        requests_per_second: answers.len() as f64 / took.as_secs_f64(),
        server_microseconds: (after - before) * 1e6 / answers.len() as f64,
    })
}

/// Posts until then over all of these at once, and gives what was answered.
async fn run(
    posters: &mut Vec<Poster>,
    site: &Site,
    until: Instant,
) -> anyhow::Result<Vec<StatusCode>> {
    let endpoints: Arc<[String]> = site.endpoints.clone().into();
    let mut posting = JoinSet::new();
    for (number, mut poster) in std::mem::take(posters).into_iter().enumerate() {
        let endpoints = Arc::clone(&endpoints);
        posting.spawn(async move {
            let mut answers = Vec::new();
            for mark in number.. {
                if Instant::now() >= until {
                    break;
                }
                let endpoint = &endpoints[mark % endpoints.len()];
                answers.push(poster.ask(endpoint, body(mark as u64)).await?.0);
            }
            anyhow::Ok((poster, answers))
        });
    }
    let mut all = Vec::new();
    while let Some(done) = posting.join_next().await {
        let (poster, answers) = done??;
        posters.push(poster);
        all.extend(answers);
    }
    Ok(all)
}

#[derive(Args)]
pub(crate) struct Flooding {
    #[arg(long)]
    http: SocketAddr,
    #[arg(long)]
    rate: u32,
}

impl Flooding {
    /// Posts at its rate until it is ended.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut site = String::new();
        std::io::stdin().read_to_string(&mut site)?;
        let site: Site = serde_json::from_str(&site)?;
        let each = Duration::from_secs(1) * CONNECTIONS as u32 / self.rate;
        let mut posting = JoinSet::new();
        for (number, mut poster) in site.posters(self.http).await?.into_iter().enumerate() {
            let endpoints = site.endpoints.clone();
            posting.spawn(async move {
                let mut turns = tokio::time::interval(each);
                turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for mark in number.. {
                    turns.tick().await;
                    let endpoint = &endpoints[mark % endpoints.len()];
                    poster.ask(endpoint, body(mark as u64)).await?;
                }
                anyhow::Ok(())
            });
        }
        // So that all have begun, and the burst that a site has is used up.
        tokio::time::sleep(SETTLE).await;
        println!("begun");
        while let Some(ended) = posting.join_next().await {
            ended??;
        }
        Ok(())
    }
}
