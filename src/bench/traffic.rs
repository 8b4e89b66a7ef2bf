//! A steady stream of posts to connected devices, and how long each took.

use super::device::{Device, Route};
use super::poster::{self, Poster, body, mark};
use super::samples::Percentiles;
use super::stand::Seeded;
use anyhow::{Context as _, bail};
use belfry_protocol::envelope::Notification;
use belfry_protocol::secret::Secret;
use std::collections::HashMap;
use std::net::SocketAddr;
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

/// A post that is to be made.
struct Due {
    mark: u64,
    at: Instant,
    endpoint: Secret,
}

/// What became of a post.
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

/// Devices that are connected, and posters that post to them.
pub(super) struct Traffic {
    endpoints: Vec<Secret>,
    due: mpsc::Sender<Due>,
    sightings: mpsc::Receiver<Seen>,
    connections: JoinSet<anyhow::Result<()>>,
    marks: u64,
}

impl Traffic {
    /// Connects the device of each of these users.
    pub(super) async fn start(
        http: SocketAddr,
        route: &Route,
        users: &[Seeded],
    ) -> anyhow::Result<Self> {
        let (seen, sightings) = mpsc::channel(WAITING);
        let (due, dues) = mpsc::channel(WAITING);
        let dues = Arc::new(Mutex::new(dues));
        let mut connections = JoinSet::new();
        for user in users {
            let device = Device::connect(route, user).await?;
            connections.spawn(receive(device, seen.clone()));
        }
        for poster in poster::connect(http, POSTERS).await? {
            connections.spawn(post(poster, Arc::clone(&dues), seen.clone()));
        }
        Ok(Self {
            endpoints: users.iter().map(|user| user.endpoint.clone()).collect(),
            due,
            sightings,
            connections,
            marks: 0,
        })
    }

    /// Posts at a steady rate until `ended`, each at its time and not when the one before is answered;
    /// returns when the last has arrived.
    pub(super) async fn run(
        &mut self,
        rate: u32,
        ended: impl Future<Output = ()>,
    ) -> anyhow::Result<Times> {
        let first = self.marks;
        let mut times = Times::default();
        let mut ended = std::pin::pin!(ended);
        let start = tokio::time::Instant::now();
        loop {
            let seconds = (self.marks - first) as f64 / f64::from(rate);
            let next = start + Duration::from_secs_f64(seconds);
            tokio::select! {
                () = ended.as_mut() => break,
                () = tokio::time::sleep_until(next) => self.release(rate)?,
                seen = self.sightings.recv() => times.note(seen.context("nobody is connected")?),
                Some(over) = self.connections.join_next() => {
                    over??;
                    bail!("a connection ended");
                }
            }
        }
        let posted = self.marks - first;
        let last = async {
            while times.complete() < posted {
                times.note(self.sightings.recv().await.context("nobody is connected")?);
            }
            anyhow::Ok(())
        };
        let last = tokio::time::timeout(LAST, last).await;
        last.context("not every notification arrived")??;
        Ok(times)
    }

    fn release(&mut self, rate: u32) -> anyhow::Result<()> {
        let to = self.marks % self.endpoints.len() as u64;
        let post = Due {
            mark: self.marks,
            at: Instant::now(),
            endpoint: self.endpoints[to as usize].clone(),
        };
        self.marks += 1;
        if self.due.try_send(post).is_err() {
            bail!("the server does not keep up with {rate} posts a second");
        }
        Ok(())
    }
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
#[derive(Default)]
pub(super) struct Times {
    answered: HashMap<u64, (Instant, Instant)>,
    arrived: HashMap<u64, Instant>,
}

impl Times {
    fn note(&mut self, seen: Seen) {
        match seen {
            Seen::Answered { mark, due, at } => {
                self.answered.insert(mark, (due, at));
            }
            // The first time counts: a repetition is not what was waited for.
            Seen::Arrived { mark, at } => {
                self.arrived.entry(mark).or_insert(at);
            }
        }
    }

    fn complete(&self) -> u64 {
        self.answered.len().min(self.arrived.len()) as u64
    }

    /// Of a time that is computed from when a post was due, answered and received.
    pub(super) fn percentiles(
        &self,
        of: impl Fn(Instant, Instant, Instant) -> Duration,
    ) -> Percentiles {
        let times = self.answered.iter().filter_map(|(mark, &(due, answered))| {
            let arrived = self.arrived.get(mark)?;
            Some(of(due, answered, *arrived))
        });
        Percentiles::of(times.collect())
    }
}
