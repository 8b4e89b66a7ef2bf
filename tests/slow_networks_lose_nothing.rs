//! Far, narrow, stalling and breaking lines: everything arrives, in order, and nobody else waits.

use crate::a_notification_arrives::mark;
use crate::harness::{PATIENCE, Setup, TestServer, User, keep, marked_body, post, roomy};
use crate::mqtt::{Client, Received, Version, Via};
use crate::relay::{Line, Relay};
use belfry_client::keyring::KeptPermission;
use belfry_client::keys::Sealing;
use belfry_client::listen::{Incoming, Listener, Options, Transport};
use belfry_client::server::Device;
use belfry_client::state::StateDir;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The usual line of this test.
const NONE: Line = Line {
    delay: Duration::ZERO,
    bytes_per_second: None,
    stall: None,
    break_after: None,
};

/// A device at the other end of a line.
struct Remote {
    device: Device,
    version: Version,
    via: Via,
    relay: SocketAddr,
    breaks: bool,
}

impl Remote {
    /// Connects again and again until the line holds for long enough.
    async fn connect(&self) -> Client {
        let access = &self.device.mqtt;
        let identity = [&*access.client_id, &*access.username, &*access.password];
        loop {
            match Client::open(self.via, self.relay, self.version, identity, None).await {
                Ok((client, code)) => {
                    assert_eq!(code, 0, "the device was refused");
                    return client;
                }
                Err(error) => assert!(self.breaks, "{error}"),
            }
        }
    }

    async fn subscribe(&self) {
        let mut client = self.connect().await;
        assert_eq!(client.subscribe(&self.device.topics.notifications).await, 1);
        client.disconnect().await;
    }
}

/// What a device has had, in order and without a gap.
#[derive(Default)]
struct Had {
    next: u64,
    /// The server knows that the device has these.
    settled: u64,
    /// What was acknowledged before each ping that has no answer yet.
    pinged: VecDeque<u64>,
}

impl Had {
    /// Takes the next event of a connection, and says when something new came.
    async fn take(&mut self, client: &mut Client, last: &mut Option<u64>) -> io::Result<bool> {
        match client.receive().await? {
            Received::Pong => {
                let settled = self.pinged.pop_front().expect("as many as pings");
                self.settled = self.settled.max(settled);
                Ok(false)
            }
            Received::Delivered(delivered) => {
                let mark = mark(&delivered);
                let follows = last.is_none_or(|last| last < mark);
                assert!(follows, "{mark} came after {last:?} on one connection");
                *last = Some(mark);
                assert!(mark <= self.next, "{mark} came, {} did not", self.next);
                let settled = self.settled;
                assert!(mark >= settled, "{mark} came again, and was acknowledged");
                let new = mark == self.next;
                self.next = self.next.max(mark + 1);
                client.acknowledge(&delivered).await?;
                client.send_ping().await?;
                self.pinged.push_back(mark + 1);
                Ok(new)
            }
        }
    }
}

/// Half of the messages while it is away, half while it is connected.
async fn receives_all(remote: Remote, endpoint: String, messages: u64) {
    let http = reqwest::Client::new();
    let send = async |marks: std::ops::Range<u64>| {
        for mark in marks {
            let answer = post(&http, &endpoint, marked_body(mark)).await;
            assert_eq!(answer.expect("an answer").status(), 201);
        }
    };
    remote.subscribe().await;
    send(0..messages / 2).await;
    let mut had = Had::default();
    while had.settled < messages {
        let mut client = remote.connect().await;
        assert!(client.session_present, "the session is there");
        had.pinged.clear();
        let mut last = None;
        while had.settled < messages {
            match had.take(&mut client, &mut last).await {
                Ok(true) if had.next == 1 => send(messages / 2..messages).await,
                Ok(true) => assert!(
                    remote.breaks || last.is_some_and(|last| last + 1 == had.next),
                    "nothing comes twice on a line that holds"
                ),
                Ok(false) => {}
                Err(error) => {
                    assert!(remote.breaks, "{error}");
                    break;
                }
            }
        }
    }
}

/// The same for the SDK, which opens what it gets and shows nothing twice.
async fn the_sdk_receives_all(
    user: User,
    mut device: Device,
    relays: (SocketAddr, SocketAddr),
    transport: Transport,
    line: Line,
    messages: u64,
) {
    device.mqtt.url = format!("ws://{}/mqtt", relays.0);
    device.mqtt.tcp = Some(format!("mqtt://{}", relays.1));
    let site = user.approve("https://news.example").await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateDir::find(Some(folder.path()), |_| None).expect("a folder");
    let keys = state.key_file(None);
    let kept = KeptPermission {
        permission: site.permission.permission_id,
        site: site.permission.site.clone(),
        endpoint: site.permission.endpoint.clone(),
        keys: site.keys,
        site_key: None,
        name: None,
        renew: false,
    };
    keep(&keys, &user, &kept);
    let http = reqwest::Client::new();
    let send = async |marks: std::ops::Range<u64>| {
        for mark in marks {
            let text = format!(r#"{{"title":"{mark}"}}"#);
            let body = kept.subscription();
            let body = body.encrypt(text.as_bytes(), Sealing::Aes128gcm);
            let answer = http
                .post(&site.permission.endpoint)
                .header("TTL", "86400")
                .header("Content-Encoding", "aes128gcm")
                .body(body.expect("sealed"))
                .send();
            assert_eq!(answer.await.expect("an answer").status(), 201);
        }
    };
    let options = Options {
        device,
        keys,
        sync: None,
        transport,
        tls: belfry_client::tls::client_config(None).expect("a configuration"),
        presence: None,
    };
    let mut listener = Listener::new(options.clone()).expect("a listener");
    loop {
        match listener.next().await.expect("not in vain") {
            Incoming::Connected { .. } => break,
            other => assert!(line.break_after.is_some(), "{other:?}"),
        }
    }
    listener.close().await;
    send(0..messages / 2).await;
    let mut listener = Listener::new(options).expect("a listener");
    let mut next = 0;
    while next < messages {
        let incoming = tokio::time::timeout(PATIENCE, listener.next()).await;
        match incoming.expect("something comes").expect("not in vain") {
            Incoming::Notification(received) => {
                assert_eq!(received.content.title, next.to_string());
                next += 1;
                if next == 1 {
                    send(messages / 2..messages).await;
                }
            }
            Incoming::Connected { resumed } => assert!(resumed, "the session is there"),
            other => assert!(line.break_after.is_some(), "{other:?}"),
        }
    }
    let again = listener.counts().redelivered;
    assert!(
        line.break_after.is_some() || again == 0,
        "{again} came twice"
    );
    listener.close().await;
}

/// Every kind of device at the end of such a line receives everything.
async fn everything_arrives(line: Line, messages: u64) {
    let server = Arc::new(TestServer::start());
    let over_http = Relay::to(server.http, line).await;
    let over_mqtt = Relay::to(server.mqtt, line).await;
    let mut devices = JoinSet::new();
    for version in [Version::V311, Version::V5] {
        for via in [Via::Tcp, Via::WebSocket] {
            let relay = match via {
                Via::Tcp => over_mqtt.address,
                Via::WebSocket => over_http.address,
            };
            let server = Arc::clone(&server);
            devices.spawn(async move {
                let user = server.user(&format!("{version:?}-{via:?}")).await;
                let site = user.approve("https://news.example").await;
                let remote = Remote {
                    device: user.device("far").await,
                    version,
                    via,
                    relay,
                    breaks: line.break_after.is_some(),
                };
                receives_all(remote, site.permission.endpoint, messages).await;
            });
        }
    }
    for transport in [Transport::Tcp, Transport::WebSocket] {
        let relays = (over_http.address, over_mqtt.address);
        let server = Arc::clone(&server);
        devices.spawn(async move {
            let user = server.user(&format!("sdk-{transport:?}")).await;
            let device = user.device("far").await;
            the_sdk_receives_all(user, device, relays, transport, line, messages).await;
        });
    }
    while let Some(done) = devices.join_next().await {
        done.expect("everything arrives");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_line_of_300_ms() {
    let line = Line {
        delay: Duration::from_millis(300),
        ..NONE
    };
    everything_arrives(line, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_line_of_20_kbit_a_second() {
    let line = Line {
        bytes_per_second: Some(2_500),
        ..NONE
    };
    everything_arrives(line, 24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_line_that_stalls_as_it_does_when_packets_are_lost() {
    let line = Line {
        delay: Duration::from_millis(40),
        stall: Some((3_000, Duration::from_millis(400))),
        ..NONE
    };
    everything_arrives(line, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_line_that_breaks_in_the_middle_of_packets() {
    let line = Line {
        delay: Duration::from_millis(5),
        break_after: Some(2_600),
        ..NONE
    };
    everything_arrives(line, 40).await;
}

/// Posts these marks, several at a time, in bodies of the largest size.
async fn post_large(endpoint: &str, marks: std::ops::Range<u64>) {
    let http = reqwest::Client::new();
    let mut posting = JoinSet::new();
    for mark in marks {
        if posting.len() == 16 {
            posting.join_next().await.expect("some").expect("posted");
        }
        let (http, endpoint) = (http.clone(), endpoint.to_owned());
        posting.spawn(async move {
            let mut body = marked_body(mark);
            // A crypto-box body is padded to 128 bytes beside nonce and authenticator.
            body.resize(24 + 16 + 31 * 128, 0x5a);
            let answer = post(&http, &endpoint, body).await.expect("an answer");
            assert_eq!(answer.status(), 201);
        });
    }
    while let Some(posted) = posting.join_next().await {
        posted.expect("posted");
    }
}

/// Reads and acknowledges so many.
async fn read(client: &mut Client, count: u64) -> Vec<u64> {
    let mut marks = Vec::new();
    for _ in 0..count {
        let delivered = client.next().await.expect("a delivery");
        client.acknowledge(&delivered).await.expect("sent");
        marks.push(mark(&delivered));
    }
    marks
}

/// Limits that leave a single permission room for a large backlog, and windows that do not bound it.
fn large_backlogs() -> Vec<(String, String)> {
    let more = [
        ("BELFRY__LIMITS__MAILBOX_NOTIFICATIONS", "100000"),
        ("BELFRY__LIMITS__MAILBOX_BYTES", "1024MiB"),
        ("BELFRY__MQTT__WINDOW", "10000"),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    roomy().into_iter().chain(more).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_device_whose_line_stands_still() {
    const BACKLOG: u64 = 200;
    let server = TestServer::start_with(Setup {
        environment: large_backlogs(),
        ..Setup::default()
    });
    let (ada, ben) = (server.user("ada").await, server.user("ben").await);
    let phones = [ada.device("phone").await, ada.device("watch").await];
    let laptops = [ada.device("laptop").await, ben.device("laptop").await];
    let sites = [
        ada.approve("https://news.example").await,
        ben.approve("https://news.example").await,
    ];
    let over_mqtt = Relay::to(server.mqtt, NONE).await;
    let over_http = Relay::to(server.http, NONE).await;
    let ways = [
        (Via::Tcp, over_mqtt.address, Version::V5),
        (Via::WebSocket, over_http.address, Version::V311),
    ];
    let remotes = phones.into_iter().zip(ways);
    let remotes: Vec<Remote> = remotes
        .map(|(device, (via, relay, version))| Remote {
            device,
            version,
            via,
            relay,
            breaks: false,
        })
        .collect();
    for remote in &remotes {
        remote.subscribe().await;
    }
    for laptop in &laptops {
        let mut client = Client::connect(server.mqtt, laptop, Version::V5).await;
        client.subscribe(&laptop.topics.notifications).await;
        client.disconnect().await;
    }
    for site in &sites {
        let http = reqwest::Client::new();
        for mark in 0..BACKLOG {
            let answer = post(&http, &site.permission.endpoint, marked_body(mark)).await;
            assert_eq!(answer.expect("an answer").status(), 201);
        }
    }

    // The phones have begun, and then nothing moves on their lines.
    let mut slow = Vec::new();
    for remote in &remotes {
        let mut client = remote.connect().await;
        assert_eq!(read(&mut client, 3).await, [0, 1, 2]);
        slow.push(client);
    }
    over_mqtt.hold();
    over_http.hold();
    for (laptop, site) in laptops.iter().zip(&sites) {
        let mut client = Client::connect(server.mqtt, laptop, Version::V5).await;
        let all: Vec<u64> = (0..BACKLOG).collect();
        assert_eq!(read(&mut client, BACKLOG).await, all, "the backlog");
        // And what comes now comes at once.
        post_large(&site.permission.endpoint, BACKLOG..BACKLOG + 1).await;
        assert_eq!(read(&mut client, 1).await, [BACKLOG]);
        assert_eq!(client.ping().await.expect("PINGRESP"), []);
    }
    over_mqtt.release();
    over_http.release();
    for client in &mut slow {
        let rest: Vec<u64> = (3..=BACKLOG).collect();
        assert_eq!(read(client, BACKLOG - 2).await, rest);
        assert_eq!(client.ping().await.expect("PINGRESP"), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_of_slow_devices_stays_on_the_disk() {
    const DEVICES: usize = 16;
    const BACKLOG: u64 = 1_000;
    /// 64 KiB to be written and a page of 256 KiB each, and what the allocator keeps.
    const GROWTH_MAX: u64 = 40 * 1024 * 1024;
    let server = TestServer::start_with(Setup {
        environment: large_backlogs(),
        ..Setup::default()
    });
    let ada = server.user("ada").await;
    let site = ada.approve("https://news.example").await;
    let over_mqtt = Relay::to(server.mqtt, NONE).await;
    let mut remotes = Vec::new();
    for number in 0..DEVICES {
        let remote = Remote {
            device: ada.device(&format!("phone {number}")).await,
            version: Version::V5,
            via: Via::Tcp,
            relay: over_mqtt.address,
            breaks: false,
        };
        remote.subscribe().await;
        remotes.push(remote);
    }
    let laptop = ada.device("laptop").await;
    let mut client = Client::connect(server.mqtt, &laptop, Version::V5).await;
    client.subscribe(&laptop.topics.notifications).await;
    post_large(&site.permission.endpoint, 0..BACKLOG).await;
    // Read once, so that what the store keeps of it in memory is there.
    read(&mut client, BACKLOG).await;
    let before = server.resident_bytes();

    let mut slow = Vec::new();
    for remote in &remotes {
        let mut client = remote.connect().await;
        read(&mut client, 1).await;
        slow.push(client);
    }
    over_mqtt.hold();
    // Once through everything again, and the server has done what it does for the slow ones too.
    post_large(&site.permission.endpoint, BACKLOG..BACKLOG + 50).await;
    read(&mut client, 50).await;
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth} bytes for {DEVICES} devices");
}
