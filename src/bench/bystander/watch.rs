//! The bystanders' devices and those who post to them, at a steady rate.

use crate::bench::poster::{Poster, body, mark};
use crate::bench::samples::Percentiles;
use crate::bench::stand::{Seeded, Stand};
use anyhow::{Context as _, bail};
use belfry_protocol::envelope::Notification;
use belfry_protocol::secret::Secret;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::requests::{self, Packets};

/// Connections that share the posts, each from an address of its own: a site's servers, of which none
/// comes near what one address may post.
const POSTERS: u8 = 64;
/// Posts that may be due and not made, and sightings not collected.
const WAITING: usize = 100_000;
/// How long the last notification may take before the measurement has failed.
const LAST: Duration = Duration::from_secs(60);

struct Due {
    mark: u64,
    endpoint: Secret,
}

pub(in crate::bench) struct Watch {
    endpoints: Vec<Secret>,
    due: mpsc::Sender<Due>,
    arrived: mpsc::Receiver<(u64, Instant)>,
    connections: JoinSet<anyhow::Result<()>>,
    marks: u64,
}

impl Watch {
    /// Devices of these users, posted to by senders that prove nothing, or by a site.
    pub(in crate::bench) async fn start(
        stand: &Stand,
        users: &[Seeded],
        site: Option<String>,
    ) -> anyhow::Result<Self> {
        let (seen, arrived) = mpsc::channel(WAITING);
        let (due, dues) = mpsc::channel(WAITING);
        let dues = Arc::new(Mutex::new(dues));
        let mut connections = JoinSet::new();
        for user in users {
            let device = Packets::connect(stand.mqtt, Ipv4Addr::LOCALHOST, user).await?;
            connections.spawn(receive(device, user.topic(), seen.clone()));
        }
        for number in 0..POSTERS {
            let from = Ipv4Addr::new(127, 0, 1, number + 1);
            let poster = poster(stand.http, from).await?;
            let poster = poster.with_authorization(site.clone());
            connections.spawn(post(poster, Arc::clone(&dues)));
        }
        Ok(Self {
            endpoints: users.iter().map(|user| user.endpoint.clone()).collect(),
            due,
            arrived,
            connections,
            marks: 0,
        })
    }

    /// Posts at this rate for so long, each at its time and not when the one before is answered, and
    /// gives how long each took from when it was due to the device.
    pub(in crate::bench) async fn measure(
        &mut self,
        rate: u32,
        time: Duration,
    ) -> anyhow::Result<Percentiles> {
        let mut posted: HashMap<u64, Instant> = HashMap::new();
        let mut times = Vec::new();
        let start = tokio::time::Instant::now();
        let (first, end) = (self.marks, start + time);
        loop {
            let seconds = (self.marks - first) as f64 / f64::from(rate);
            let next = start + Duration::from_secs_f64(seconds);
            let over = next >= end;
            if over && posted.is_empty() {
                return Ok(Percentiles::of(times));
            }
            tokio::select! {
                () = tokio::time::sleep_until(if over { end + LAST } else { next }) => {
                    if over {
                        bail!("{} notifications did not arrive", posted.len());
                    }
                    posted.insert(self.marks, next.into_std());
                    self.release()?;
                }
                seen = self.arrived.recv() => {
                    let (mark, at) = seen.context("nobody is connected")?;
                    times.extend(posted.remove(&mark).map(|due| at - due));
                }
                Some(ended) = self.connections.join_next() => {
                    ended??;
                    bail!("a connection ended");
                }
            }
        }
    }

    fn release(&mut self) -> anyhow::Result<()> {
        let to = self.marks % self.endpoints.len() as u64;
        let post = Due {
            mark: self.marks,
            endpoint: self.endpoints[to as usize].clone(),
        };
        self.marks += 1;
        let released = self.due.try_send(post);
        released.context("the server does not keep up")
    }
}

async fn poster(server: SocketAddr, from: Ipv4Addr) -> anyhow::Result<Poster> {
    let stream = requests::open(server, from).await?;
    Poster::over(stream, server).await
}

async fn post(mut poster: Poster, dues: Arc<Mutex<mpsc::Receiver<Due>>>) -> anyhow::Result<()> {
    loop {
        let Some(due) = dues.lock().await.recv().await else {
            return Ok(());
        };
        poster.post(&due.endpoint, body(due.mark)).await?;
    }
}

async fn receive(
    mut device: Packets,
    topic: String,
    seen: mpsc::Sender<(u64, Instant)>,
) -> anyhow::Result<()> {
    device.subscribe(&topic, 1).await?;
    loop {
        let payload = device.next_payload().await?;
        let at = Instant::now();
        let notification: Notification = serde_json::from_slice(&payload)?;
        let mark = mark(&notification.body_bytes()?).context("a body without a mark")?;
        seen.send((mark, at)).await?;
    }
}
