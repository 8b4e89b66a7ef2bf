//! Whatever got a 201 reaches every device, in order, whenever the server is killed.

use crate::a_notification_arrives::mark;
use crate::harness::{Approved, PATIENCE, Setup, TestServer, marked_body, post, roomy};
use crate::mqtt::{Client, Delivered, Received, Version};
use belfry_client::server::Device;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const USERS: usize = 50;
const DEVICES_EACH: usize = 3;
const POSTERS: usize = 6;
/// What is settled is durable within this time (contract, *Delivery*).
const CURSOR_FLUSH: Duration = Duration::from_millis(200);

/// When the server was killed and when it was gone, ascending.
type Kills = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// What one device has received so far.
#[derive(Default)]
struct Log {
    /// By `seq`: the mark, and since when the server is known to have the acknowledgement.
    received: BTreeMap<u64, (u64, Option<Instant>)>,
    marks: BTreeSet<u64>,
    last_on_connection: u64,
}

struct Receiver {
    device: Device,
    version: Version,
    log: Mutex<Log>,
}

struct Member {
    site: Approved,
    receivers: Vec<Arc<Receiver>>,
    accepted: Mutex<BTreeSet<u64>>,
}

impl Receiver {
    /// Takes one delivery, checks its order and whether it may be a repetition; its `seq`.
    fn take(&self, delivered: &Delivered, kills: &Kills) -> u64 {
        let seq = delivered.json()["seq"].as_u64().expect("a seq");
        let mark = mark(delivered);
        let mut log = self.log.lock().expect("not poisoned");
        assert!(
            seq > log.last_on_connection,
            "{seq} after {}",
            log.last_on_connection
        );
        log.last_on_connection = seq;
        if let Some((before, settled)) = log.received.insert(seq, (mark, None)) {
            assert_eq!(before, mark, "a seq names one notification for ever");
            if let Some(at) = settled {
                let kills = kills.lock().expect("not poisoned");
                let crash = kills.iter().find(|(_, gone)| *gone >= at);
                let (killed, _) = crash.expect("nothing settled comes twice without a crash");
                assert!(
                    at + CURSOR_FLUSH > *killed,
                    "{seq} came again, settled {:?} before the kill",
                    *killed - at
                );
            }
        }
        log.marks.insert(mark);
        seq
    }

    /// The server has the acknowledgements of these: it answered a ping that was sent after them.
    fn settled(&self, seqs: &[u64]) {
        let now = Instant::now();
        let mut log = self.log.lock().expect("not poisoned");
        for seq in seqs {
            if let Some((_, settled)) = log.received.get_mut(seq) {
                *settled = Some(now);
            }
        }
    }

    async fn connect(&self, server: &TestServer) -> Client {
        self.log.lock().expect("not poisoned").last_on_connection = 0;
        Client::connect(server.mqtt, &self.device, self.version).await
    }

    /// Receives until the connection breaks.
    async fn follow(self: Arc<Self>, mut client: Client, kills: Kills) {
        // Acknowledged, and the ping after them not answered.
        let mut unsettled = VecDeque::new();
        while let Ok(received) = client.receive().await {
            match received {
                Received::Delivered(delivered) => {
                    unsettled.push_back(self.take(&delivered, &kills));
                    let sent = async {
                        client.acknowledge(&delivered).await?;
                        client.send_ping().await
                    };
                    if sent.await.is_err() {
                        return;
                    }
                }
                Received::Pong => {
                    let seq = unsettled
                        .pop_front()
                        .expect("a ping for each acknowledgement");
                    self.settled(&[seq]);
                }
            }
        }
    }

    /// Connects and receives until all of `owed` is there.
    async fn catch_up(&self, server: &TestServer, owed: &BTreeSet<u64>, kills: &Kills) {
        let mut client = self.connect(server).await;
        let mut acknowledged = Vec::new();
        while !owed.is_subset(&self.log.lock().expect("not poisoned").marks) {
            let delivered = client.next().await.unwrap_or_else(|error| {
                let log = self.log.lock().expect("not poisoned");
                let lost: Vec<_> = owed.difference(&log.marks).collect();
                panic!(
                    "{} notifications with a 201 never came ({error}): {lost:?}",
                    lost.len()
                )
            });
            acknowledged.push(self.take(&delivered, kills));
            client.acknowledge(&delivered).await.expect("sent");
        }
        for delivered in client.ping().await.expect("PINGRESP") {
            // Posted without an answer before the kill: stored all the same, and nobody lies.
            self.take(&delivered, kills);
        }
        self.settled(&acknowledged);
        client.disconnect().await;
    }
}

async fn members(server: &TestServer) -> Arc<Vec<Member>> {
    let mut members = Vec::new();
    for number in 0..USERS {
        let user = server.user(&format!("user{number}")).await;
        let site = user.approve("https://news.example").await;
        let mut receivers = Vec::new();
        for device in 0..DEVICES_EACH {
            let version = if device % 2 == 0 {
                Version::V311
            } else {
                Version::V5
            };
            let device = user.device(&format!("device{device}")).await;
            let mut client = Client::connect(server.mqtt, &device, version).await;
            assert_eq!(client.subscribe(&device.topics.notifications).await, 1);
            client.disconnect().await;
            receivers.push(Arc::new(Receiver {
                device,
                version,
                log: Mutex::default(),
            }));
        }
        members.push(Member {
            site,
            receivers,
            accepted: Mutex::default(),
        });
    }
    Arc::new(members)
}

/// Posts to everyone in turn until the server does not answer.
async fn post_until_it_breaks(members: Arc<Vec<Member>>, marks: Arc<AtomicU64>) {
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    loop {
        let mark = marks.fetch_add(1, Ordering::SeqCst);
        let member = &members[usize::try_from(mark).expect("fits") % members.len()];
        match post(&http, &member.site.permission.endpoint, marked_body(mark)).await {
            Ok(answer) if answer.status() == 201 => {
                member.accepted.lock().expect("not poisoned").insert(mark);
            }
            Ok(answer) => assert_eq!(answer.status(), 503, "only draining refuses"),
            Err(_) => return,
        }
    }
}

/// One round: some devices connected, everybody posting, until `stop` ends the server.
async fn round(
    server: &mut TestServer,
    members: &Arc<Vec<Member>>,
    marks: &Arc<AtomicU64>,
    number: usize,
    kills: &Kills,
    stop: impl FnOnce(&mut TestServer),
) {
    let mut tasks = tokio::task::JoinSet::new();
    for (at, receiver) in members
        .iter()
        .flat_map(|member| &member.receivers)
        .enumerate()
    {
        if (at + number).is_multiple_of(3) {
            let client = receiver.connect(server).await;
            tasks.spawn(Arc::clone(receiver).follow(client, Arc::clone(kills)));
        }
    }
    let first = marks.load(Ordering::SeqCst);
    for _ in 0..POSTERS {
        tasks.spawn(post_until_it_breaks(Arc::clone(members), Arc::clone(marks)));
    }
    // A different moment each round: after so many posts, at whatever point of a commit that falls.
    let enough = first + 40 + u64::try_from(number * 37 % 200).expect("fits");
    while marks.load(Ordering::SeqCst) < enough {
        tokio::task::yield_now().await;
    }
    tokio::task::block_in_place(|| stop(server));
    while let Some(done) = tasks.join_next().await {
        done.expect("no task's assertion failed");
    }
}

async fn everyone_has_everything(server: &TestServer, members: &[Member], kills: &Kills) {
    for member in members {
        let owed = member.accepted.lock().expect("not poisoned").clone();
        for receiver in &member.receivers {
            receiver.catch_up(server, &owed, kills).await;
        }
    }
}

/// A server whose devices may send a ping after each acknowledgement.
fn start() -> TestServer {
    let mut environment = roomy();
    let packets = "BELFRY__LIMITS__PACKETS_PER_SECOND".to_owned();
    environment.push((packets, "1000000".to_owned()));
    TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_at_any_moment_loses_nothing_that_was_answered() {
    let rounds = std::env::var("BELFRY_KILL_ROUNDS").map_or(30, |text| {
        text.parse().expect("BELFRY_KILL_ROUNDS is a number")
    });
    let mut server = start();
    let members = members(&server).await;
    let marks = Arc::new(AtomicU64::new(1));
    let kills = Kills::default();
    for number in 0..rounds {
        round(&mut server, &members, &marks, number, &kills, |server| {
            let killed = Instant::now();
            server.kill_nine();
            kills
                .lock()
                .expect("not poisoned")
                .push((killed, Instant::now()));
        })
        .await;
        server.restart();
        if number % 5 == 4 || number + 1 == rounds {
            everyone_has_everything(&server, &members, &kills).await;
        }
    }
    let accepted: usize = members
        .iter()
        .map(|m| m.accepted.lock().expect("not poisoned").len())
        .sum();
    println!(
        "{rounds} rounds, {accepted} notifications with a 201, each on {DEVICES_EACH} devices"
    );
    assert!(
        accepted > rounds * 20,
        "{accepted} is too few to prove anything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_end_loses_nothing_and_repeats_nothing() {
    let mut server = start();
    let members = members(&server).await;
    let marks = Arc::new(AtomicU64::new(1));
    let kills = Kills::default();
    for number in 0..3 {
        let mut exited = None;
        round(&mut server, &members, &marks, number, &kills, |server| {
            exited = Some(server.terminate())
        })
        .await;
        assert_eq!(exited.and_then(|status| status.code()), Some(0));
        server.restart();
        everyone_has_everything(&server, &members, &kills).await;
    }
}
