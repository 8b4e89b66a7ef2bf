//! What the time of an answer tells a site or a stranger that its words do not: whether a permission is
//! muted, a user is there, a mailbox is full, a name is somebody's.
//!
//! Samples of the one and of the other are taken by turns, in an order that chance decides, so that
//! whatever the machine does meanwhile happens to both.

mod asking;
mod compared;

use super::device::{Device, Over};
use super::poster::body;
use super::stand::{Seeded, Stand};
use super::{Place, Report};
use anyhow::{Context as _, ensure};
use asking::Asking;
use belfry_protocol::secret::Secret;
use clap::Args;
use compared::Compared;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Users of each sort, so that what is so of one alone does not count.
const USERS: usize = 4;
/// Notifications that fill a mailbox as it is shipped.
const FULL: usize = 1_000;
/// A permission holds a quarter of it.
const SHARES: usize = 4;
/// Connections that fill each of them.
const FILLERS: usize = 16;
/// Names that sign-ins are tried with, half of them somebody's.
const NAMES: usize = 8;
const PASSWORD: &str = "correct horse battery staple";

/// Mailboxes as they are shipped, and rates that nothing meets.
const CONFIG: &str = "[limits]
permission_per_minute = 60000000
permission_burst = 1000000
unproven_per_second = 10000000
unproven_address_per_second = 10000000
accounts_per_hour = 1000000
sign_in_failures_per_minute = 1000000
";

#[derive(Args)]
#[command(after_help = "Example:\n  belfry bench privacy --dir /dev/shm --samples 4000")]
pub(crate) struct Privacy {
    /// Posts of each sort
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Sign-ins of each sort; each costs the hash of a password
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sign_ins: u32,
    /// Milliseconds from one answer to the next question
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pause_ms: u64,
    #[command(flatten)]
    place: Place,
}

/// What is told from what.
struct Pair {
    one: &'static str,
    other: &'static str,
}

impl Privacy {
    pub(super) async fn run(self, report: Report) -> anyhow::Result<()> {
        let stand = Stand::start_with(&self.place, 0, CONFIG).await?;
        let mut asking = Asking::connect(stand.http).await?;
        let mut people = People::default();
        for kind in 0..3 {
            for _ in 0..USERS {
                people.sign_up(&mut asking, kind).await?;
            }
        }
        let route = stand.route(Over::Tcp, Ipv4Addr::LOCALHOST);
        // Everyone has a session, so that all that is posted is owed; one sort is there to take it.
        let mut here = JoinSet::new();
        for person in people.all() {
            let mut device = Device::connect(&route, &person.seeded).await?;
            if person.kind == ONLINE {
                here.spawn(async move { while device.next().await.is_ok() {} });
            }
        }
        for person in people.of(FILLED) {
            person.fill(stand.http).await?;
        }
        let pairs = [
            (
                pair("muted", "allowed"),
                people.muted(),
                people.allowed(ABSENT),
            ),
            (
                pair("online", "absent"),
                people.allowed(ONLINE),
                people.allowed(ABSENT),
            ),
            (
                pair("full", "empty"),
                people.allowed(FILLED),
                people.allowed(ABSENT),
            ),
        ];
        for (pair, one, other) in &pairs {
            let sides = [one, other];
            let fills = pair.one == "full";
            let times = self.posts(&mut asking, sides, fills).await?;
            report.line(&Compared::of(pair.one, pair.other, times))?;
        }
        let times = self.failed_sign_ins(&mut asking, &people).await?;
        report.line(&Compared::of("known", "unknown", times))?;
        here.abort_all();
        Ok(())
    }

    /// Times of posts to the one and to the other. All are taken back but those that keep a full mailbox
    /// full, so that the last post meets what the first did.
    async fn posts(
        &self,
        asking: &mut Asking,
        endpoints: [&Vec<Secret>; 2],
        fills: bool,
    ) -> anyhow::Result<[Vec<Duration>; 2]> {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..self.samples as usize {
            for side in self.order()? {
                let endpoint = &endpoints[side][round % endpoints[side].len()];
                let asked = Instant::now();
                let message = asking.post(endpoint, body(round as u64)).await?;
                times[side].push(asked.elapsed());
                if !(fills && side == 0) {
                    asking.withdraw(&message).await?;
                }
                self.rest().await;
            }
        }
        Ok(times)
    }

    async fn failed_sign_ins(
        &self,
        asking: &mut Asking,
        people: &People,
    ) -> anyhow::Result<[Vec<Duration>; 2]> {
        let known: Vec<_> = people.all().iter().map(|person| &*person.name).collect();
        ensure!(known.len() >= NAMES, "too few users");
        let unknown: Vec<String> = (0..NAMES)
            .map(|number| format!("nobody-{number}"))
            .collect();
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..self.sign_ins as usize {
            for side in self.order()? {
                let name = match side {
                    0 => known[round % NAMES],
                    _ => &unknown[round % NAMES],
                };
                let given = json!({"username": name, "password": "a wrong one that is long"});
                let asked = Instant::now();
                let (status, _) = asking.json("POST", "/v1/sessions", None, &given).await?;
                times[side].push(asked.elapsed());
                ensure!(status == 401, "a wrong password was answered {status}");
                self.rest().await;
            }
        }
        Ok(times)
    }

    /// Which goes first.
    fn order(&self) -> anyhow::Result<[usize; 2]> {
        let [byte] = super::stand::random::<1>()?;
        Ok(if byte % 2 == 0 { [0, 1] } else { [1, 0] })
    }

    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(self.pause_ms)).await;
    }
}

fn pair(one: &'static str, other: &'static str) -> Pair {
    Pair { one, other }
}

const ABSENT: usize = 0;
const ONLINE: usize = 1;
const FILLED: usize = 2;

/// A user with a device, a muted permission and allowed ones.
struct Person {
    kind: usize,
    name: String,
    seeded: Seeded,
    muted: Secret,
    more: Vec<Secret>,
}

#[derive(Default)]
struct People(Vec<Person>);

impl People {
    async fn sign_up(&mut self, asking: &mut Asking, kind: usize) -> anyhow::Result<()> {
        let name = format!("person-{}", self.0.len());
        let account = json!({"username": name, "password": PASSWORD});
        let (_, made) = asking.json("POST", "/v1/accounts", None, &account).await?;
        let (_, signed_in) = asking.json("POST", "/v1/sessions", None, &account).await?;
        let token = text(&signed_in, "access_token")?;
        let device = json!({"name": "bench", "kind": "cli",
            "public_key": "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
        let (_, device) = asking
            .json("POST", "/v1/devices", Some(token), &device)
            .await?;
        let mut endpoints = Vec::new();
        let mut last = String::new();
        for _ in 0..=SHARES {
            let site = json!({"site": "https://bench.example"});
            let (_, made) = asking
                .json("POST", "/v1/permissions", Some(token), &site)
                .await?;
            let secret = text(&made, "endpoint")?
                .rsplit('/')
                .next()
                .unwrap_or_default();
            endpoints.push(Secret::parse(secret).context("no endpoint")?);
            last = text(&made, "permission_id")?.to_owned();
        }
        let path = format!("/v1/permissions/{last}");
        let mute = json!({"state": "muted"});
        let (status, _) = asking.json("PATCH", &path, Some(token), &mute).await?;
        ensure!(status == 200, "a permission could not be muted: {status}");
        let muted = endpoints.pop().context("a permission")?;
        let endpoint = endpoints.pop().context("a permission")?;
        let password = Secret::parse(text(&device["mqtt"], "password")?);
        let seeded = Seeded {
            user: text(&made, "user_id")?.parse()?,
            device: text(&device, "device_id")?.parse()?,
            password: password.context("no password")?,
            endpoint,
        };
        self.0.push(Person {
            kind,
            name,
            seeded,
            muted,
            more: endpoints,
        });
        Ok(())
    }

    fn all(&self) -> &[Person] {
        &self.0
    }

    fn of(&self, kind: usize) -> impl Iterator<Item = &Person> {
        self.0.iter().filter(move |person| person.kind == kind)
    }

    fn allowed(&self, kind: usize) -> Vec<Secret> {
        let of = self.of(kind);
        of.map(|person| person.seeded.endpoint.clone()).collect()
    }

    fn muted(&self) -> Vec<Secret> {
        let of = self.of(ABSENT);
        of.map(|person| person.muted.clone()).collect()
    }
}

impl Person {
    /// Posts until one more pushes another out.
    async fn fill(&self, server: SocketAddr) -> anyhow::Result<()> {
        let mut filling = JoinSet::new();
        for endpoint in self.more.iter().chain([&self.seeded.endpoint]) {
            for _ in 0..FILLERS {
                let endpoint = endpoint.clone();
                filling.spawn(async move {
                    let mut asking = Asking::connect(server).await?;
                    for number in 0..FULL.div_ceil(SHARES * FILLERS) {
                        asking.post(&endpoint, body(number as u64)).await?;
                    }
                    anyhow::Ok(())
                });
            }
        }
        while let Some(filled) = filling.join_next().await {
            filled??;
        }
        Ok(())
    }
}

fn text<'a>(value: &'a Value, member: &str) -> anyhow::Result<&'a str> {
    let text = value[member].as_str();
    text.with_context(|| format!("no {member} in {value}"))
}
