//! The broker over the embedded mailbox, as a device sees it byte by byte.
#![allow(clippy::unwrap_used)]

mod admission;
mod behind;
mod counted;
mod device;
mod filters;
mod gate;
mod held;
mod leaving;
mod options;
mod paced;
mod private;
mod refused;
mod sessions;
mod timing;
mod websocket;
mod wills;

use super::*;
use crate::directory::{BoxFuture, Unavailable};
use crate::figures::TransportKind;
use crate::transport::Framing;
use belfry_protocol::envelope::{Envelope, Notification};
use belfry_protocol::id::NotificationId;
use belfry_protocol::push::{ContentEncoding, Urgency};
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use belfry_store::mailbox::{
    Accept, Command, CommitListener, MailboxLimits, Outcome, Seq, SessionRow,
};
use bytes::Bytes;
use device::{Device, Packet, Via};
use gate::Gate;
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PASSWORD: &[u8] = b"secret";

/// The user's every device with the right password.
#[derive(Default)]
struct Everyone {
    /// The devices that were noted, in their order.
    noted: Mutex<Vec<DeviceId>>,
    /// How often it was asked for a permission.
    asked: AtomicUsize,
    away_grace: Mutex<Option<Duration>>,
    urgency_min: Mutex<HashMap<DeviceId, Urgency>>,
}

impl DeviceDirectory for Everyone {
    fn authenticate(
        &self,
        device: DeviceId,
        user: UserId,
        password: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let right = user == self::user() && device.as_bytes()[0] == 2 && *password == *PASSWORD;
        Box::pin(async move { Ok(right) })
    }

    fn owns_permission(
        &self,
        _user: UserId,
        permission: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(permission == self::permission()) })
    }

    fn away_grace(&self, _: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        let grace = *self.away_grace.lock().unwrap();
        Box::pin(async move { Ok(grace) })
    }

    fn urgency_min(
        &self,
        _: UserId,
        device: DeviceId,
    ) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        let urgency_min = self.urgency_min.lock().unwrap().get(&device).copied();
        Box::pin(async move { Ok(urgency_min.unwrap_or(Urgency::VeryLow)) })
    }

    fn note_seen(&self, user: UserId, device: DeviceId, at: Timestamp) {
        assert_eq!(user, self::user());
        let ago = Timestamp::of(SystemTime::now()).since(at);
        assert!(ago < Duration::from_secs(60), "{ago:?}");
        self.noted.lock().unwrap().push(device);
    }
}

struct Server {
    broker: Broker,
    directory: Arc<Everyone>,
    mailbox: Arc<EmbeddedMailbox>,
    /// What the broker has of it.
    gate: Arc<Gate>,
    tcp: SocketAddr,
    http: SocketAddr,
    stop: CancellationToken,
    serving: Vec<JoinHandle<()>>,
    limits: MailboxLimits,
    /// Milliseconds that the mailbox's clock is ahead.
    ahead: Arc<AtomicU64>,
    folder: TempDir,
}

fn user() -> UserId {
    UserId::from_bytes([1; 16])
}

fn device(number: u8) -> DeviceId {
    let mut bytes = [2; 16];
    bytes[15] = number;
    DeviceId::from_bytes(bytes)
}

fn permission() -> PermissionId {
    PermissionId::from_bytes([3; 16])
}

fn topic(rest: &str) -> String {
    format!("u/{}/{rest}", user())
}

impl Server {
    async fn start(settings: Settings) -> Self {
        let hub = Hub::start();
        let listener = hub.commit_listener();
        Self::start_with(hub, listener, settings, MailboxLimits::default()).await
    }

    async fn start_limited(limits: MailboxLimits) -> Self {
        let hub = Hub::start();
        let listener = hub.commit_listener();
        Self::start_with(hub, listener, Settings::default(), limits).await
    }

    async fn start_deaf(settings: Settings) -> Self {
        let deaf = Hub::start().commit_listener();
        Self::start_with(Hub::start(), deaf, settings, MailboxLimits::default()).await
    }

    async fn start_with(
        hub: Hub,
        listener: CommitListener,
        settings: Settings,
        limits: MailboxLimits,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        Self::start_in(folder, Arc::default(), hub, listener, settings, limits).await
    }

    async fn start_in(
        folder: TempDir,
        ahead: Arc<AtomicU64>,
        hub: Hub,
        listener: CommitListener,
        settings: Settings,
        limits: MailboxLimits,
    ) -> Self {
        let ahead_of = Arc::clone(&ahead);
        let clock = move || {
            let ahead = Duration::from_millis(ahead_of.load(Ordering::SeqCst));
            Timestamp::of(SystemTime::now()).plus(ahead)
        };
        let mailbox =
            EmbeddedMailbox::open(folder.path(), limits.clone(), Arc::new(clock), listener);
        let mailbox = Arc::new(mailbox.unwrap());
        let gate = Arc::new(Gate::new(Arc::clone(&mailbox)));
        let directory = Arc::new(Everyone::default());
        let devices: Arc<dyn DeviceDirectory> = Arc::clone(&directory) as _;
        let broker = Broker::start(hub, Arc::clone(&gate), devices, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = (broker.clone(), stop.clone());
        let tcp_served =
            tokio::spawn(async move { serving.0.serve_tcp(listener, None, serving.1).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let router = broker.websocket_router();
        let http_served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let server = Self {
            broker,
            directory,
            mailbox,
            gate,
            tcp,
            http,
            stop,
            serving: vec![tcp_served, http_served],
            limits,
            ahead,
            folder,
        };
        server
            .apply(Command::SetPermission {
                user: user(),
                permission: permission(),
                site: "https://news.example".parse().unwrap(),
                muted: false,
                receipts: false,
                endpoint: belfry_protocol::secret::SecretHash::from_bytes([1; 32]),
            })
            .await;
        server
    }

    /// Drains, and starts again over the same mailbox.
    async fn restart(self) -> Self {
        self.broker.drain().await;
        for serving in self.serving {
            serving.abort();
            let _ = serving.await;
        }
        let settings = self.broker.0.settings.clone();
        drop((self.broker, self.gate));
        // The last one to hold the mailbox closes it.
        let mut mailbox = Some(self.mailbox);
        while let Err(held) = Arc::try_unwrap(mailbox.take().unwrap()) {
            mailbox = Some(held);
            tokio::task::yield_now().await;
        }
        let hub = Hub::start();
        let listener = hub.commit_listener();
        Self::start_in(
            self.folder,
            self.ahead,
            hub,
            listener,
            settings,
            self.limits,
        )
        .await
    }

    /// Lets time pass for the mailbox, which then does what is due.
    async fn pass(&self, secs: u64) {
        self.ahead.fetch_add(secs * 1_000, Ordering::SeqCst);
        self.mailbox.prune_now().await.unwrap();
    }

    /// Resolves when a device has left.
    async fn is_gone(&self, number: u8) {
        let online = || self.broker.online(user());
        while online().iter().any(|(id, _)| *id == device(number)) {
            tokio::task::yield_now().await;
        }
    }

    async fn apply(&self, command: Command) -> Outcome {
        let mut answers = Mailbox::apply(&*self.mailbox, vec![command]).await;
        answers.pop().unwrap().unwrap()
    }

    /// The stored session of a device.
    async fn row(&self, number: u8) -> Option<SessionRow> {
        let nothing = Command::Subscribe {
            user: user(),
            device: device(number),
            filters: Vec::new(),
        };
        let mut answers = Mailbox::apply(&*self.mailbox, vec![nothing]).await;
        match answers.pop().unwrap() {
            Ok(Outcome::Session { row, .. }) => Some(row),
            _ => None,
        }
    }

    fn envelope(number: u64, urgency: Urgency) -> Envelope {
        let now = Timestamp::of(SystemTime::now());
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        Envelope {
            id: NotificationId::from_bytes(id),
            permission: permission(),
            site: "https://news.example".parse().unwrap(),
            sent: now,
            expires: now.plus(Duration::from_secs(3_600)),
            urgency,
            collapse: None,
            encoding: ContentEncoding::Aes128gcm,
            body: Bytes::from_static(b"sealed"),
        }
    }

    async fn post(&self, number: u64) -> Seq {
        self.post_as(number, Urgency::Normal).await
    }

    /// With `TTL: 0`.
    async fn post_once(&self, number: u64) -> Seq {
        let envelope = Self::envelope(number, Urgency::High);
        let expires = envelope.sent;
        self.accept(Envelope {
            expires,
            ..envelope
        })
        .await
    }

    async fn post_as(&self, number: u64, urgency: Urgency) -> Seq {
        self.accept(Self::envelope(number, urgency)).await
    }

    async fn accept(&self, envelope: Envelope) -> Seq {
        let accept = Command::Accept(Box::new(Accept {
            user: user(),
            envelope,
            idempotency: None,
            receipts: None,
        }));
        match self.apply(accept).await {
            Outcome::Accepted(accepted) => accepted.seq,
            other => panic!("{other:?}"),
        }
    }

    /// Resolves when the server has so many connections.
    async fn is_accepted(&self, connections: usize) {
        while self.broker.0.admission.connections() != connections {
            tokio::task::yield_now().await;
        }
    }

    async fn tcp(&self, version: u8) -> Device {
        Device::open(self.tcp, version, Via::Tcp).await
    }

    /// A device whose stream is in this process, so that time may stand still.
    fn beside(&self, version: u8) -> Device {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let admitted = self.broker.admit(Ipv4Addr::LOCALHOST.into()).unwrap();
        let (framing, kind) = (Framing::Plain, TransportKind::Tcp);
        self.broker.serve(Box::new(theirs), framing, kind, admitted);
        Device::over(Box::new(ours), version, Via::Tcp)
    }

    /// A device with a persistent session that is connected and subscribed.
    async fn subscribed(&self, number: u8, version: u8) -> Device {
        let mut device = self.tcp(version).await;
        device.connect(number, false).await;
        device.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
        device
    }
}

fn seq(packet: &Packet) -> u64 {
    let notification: Notification = serde_json::from_slice(&packet.payload()).unwrap();
    notification.seq.unwrap()
}

/// The next packet is a notification with this place at QoS 1; its packet id.
async fn gets(device: &mut Device, expected: u64) -> u16 {
    let packet = device.next().await;
    assert_eq!(packet.kind(), 3, "{packet:?}");
    assert_eq!(packet.qos(), 1);
    assert_eq!(seq(&packet), expected);
    assert_eq!(packet.topic(), topic(&format!("n/{}", permission())));
    packet.id()
}

#[tokio::test]
async fn a_connected_device_gets_what_is_posted_and_a_returning_one_what_it_missed() {
    for version in [4, 5] {
        let server = Server::start(Settings::default()).await;
        let mut device = server.subscribed(1, version).await;
        for number in 1..=3 {
            server.post(number).await;
            let id = gets(&mut device, number).await;
            device.puback(id).await;
        }
        device.disconnect().await;
        for number in 4..=100 {
            server.post(number).await;
        }
        let mut device = server.tcp(version).await;
        assert!(device.connect(1, false).await, "the session was there");
        for number in 4..=100 {
            let id = gets(&mut device, number).await;
            device.puback(id).await;
        }
        device.ping().await;
    }
}

#[tokio::test]
async fn no_more_is_sent_than_the_window_takes() {
    let server = Server::start(Settings::default()).await;
    let mut device = server.subscribed(1, 4).await;
    for number in 1..=40 {
        server.post(number).await;
    }
    let mut ids = Vec::new();
    for number in 1..=32 {
        ids.push(gets(&mut device, number).await);
    }
    device.ping().await;
    // Acknowledged out of order: what is free is used, and nothing is sent twice.
    device.puback(ids[5]).await;
    gets(&mut device, 33).await;
    device.ping().await;
    for id in ids.iter().filter(|id| **id != ids[5]) {
        device.puback(*id).await;
    }
    for number in 34..=40 {
        gets(&mut device, number).await;
    }
    device.ping().await;
}

#[tokio::test]
async fn a_resumed_session_gets_its_unacknowledged_again_with_dup_and_the_same_ids() {
    let server = Server::start(Settings::default()).await;
    let mut device = server.subscribed(1, 4).await;
    for number in 1..=3 {
        server.post(number).await;
    }
    let first = gets(&mut device, 1).await;
    let second = gets(&mut device, 2).await;
    let third = gets(&mut device, 3).await;
    device.puback(second).await;
    device.ping().await;
    device.disconnect().await;
    server.post(4).await;
    let mut device = server.tcp(4).await;
    assert!(device.connect(1, false).await);
    for (number, id) in [(1, first), (3, third)] {
        let packet = device.next().await;
        assert!(packet.dup());
        assert_eq!((seq(&packet), packet.id()), (number, id));
    }
    let packet = device.next().await;
    assert!(!packet.dup());
    assert_eq!(seq(&packet), 4);
}

/// Posts while a device comes and goes, acknowledging some of what it gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_device_does_it_gets_everything_in_order() {
    const POSTS: u64 = 300;
    let server = Arc::new(Server::start(Settings::default()).await);
    for via in [Via::Tcp, Via::WebSocket] {
        let address = match via {
            Via::Tcp => server.tcp,
            Via::WebSocket => server.http,
        };
        let mut one = Device::open(address, 4, via).await;
        one.connect(1, false).await;
        one.subscribe(&[(&topic("n/#"), 1)], &[1]).await;
        let posting = Arc::clone(&server);
        let posting = tokio::spawn(async move {
            let mut first = None;
            for number in 0..POSTS {
                let seq = posting.post(number).await;
                first.get_or_insert(seq.0);
            }
            first.unwrap()
        });
        let mut settled = BTreeSet::new();
        let mut steps = 0_u64;
        while settled.len() < POSTS as usize {
            let mut last = 0;
            // A different number each time, below and above the window.
            let some = (steps * 7) % 61 + 1;
            let left = POSTS - settled.len() as u64;
            for _ in 0..some.min(left) {
                let packet = one.next().await;
                assert!(last < seq(&packet), "{last} {packet:?}");
                last = seq(&packet);
                assert!(!settled.contains(&last), "{last} was acknowledged");
                steps += 1;
                // Some wait for the next connection; the window is never all of them.
                if !steps.is_multiple_of(3) || steps % 61 > 20 {
                    one.puback(packet.id()).await;
                    settled.insert(last);
                }
            }
            one.disconnect_reading().await;
            assert!(one.reconnect(address, 1).await);
        }
        let first = posting.await.unwrap();
        assert!(settled.into_iter().eq(first..first + POSTS));
        one.ping().await;
        one.disconnect_reading().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_by_the_code_of_the_version() {
    let server = Server::start(Settings::default()).await;
    for (version, code) in [(4, 5), (5, 0x86)] {
        let mut device = server.tcp(version).await;
        device.send_connect(1, b"wrong", false, &[]).await;
        assert_eq!(device.next().await.connack_code(), code);
        device.is_closed().await;
    }
    assert!(server.broker.online(user()).is_empty());
}

#[tokio::test]
async fn a_device_is_noted_as_it_comes_and_as_it_goes() {
    let server = Server::start(Settings::default()).await;
    let noted = || server.directory.noted.lock().unwrap().clone();
    let mut stranger = server.tcp(4).await;
    stranger.send_connect(3, b"wrong", false, &[]).await;
    stranger.next().await;
    let mut one = server.tcp(4).await;
    one.connect(1, false).await;
    assert_eq!(noted(), [device(1)]);
    let mut two = server.subscribed(2, 5).await;
    two.ping().await;
    assert_eq!(noted(), [device(1), device(2)], "not for each packet");
    one.disconnect().await;
    server.broker.drain().await;
    let expected = [1, 2, 1, 2].map(device);
    assert_eq!(noted(), expected);
}

#[tokio::test]
async fn a_second_connection_of_a_device_ends_the_first() {
    let server = Server::start(Settings::default()).await;
    let mut first = server.subscribed(1, 5).await;
    server.post(1).await;
    gets(&mut first, 1).await;
    let mut second = server.tcp(5).await;
    assert!(second.connect(1, false).await);
    assert_eq!(first.next().await.disconnect_reason(), 0x8e);
    first.is_closed().await;
    gets(&mut second, 1).await;
    assert_eq!(server.broker.online(user()).len(), 1);
}

#[tokio::test]
async fn a_stranger_s_topic_is_refused_in_both_versions() {
    let server = Server::start(Settings::default()).await;
    let stranger = UserId::from_bytes([9; 16]);
    let foreign = format!("u/{stranger}/n/#");
    let revoked = topic(&format!("n/{}", PermissionId::from_bytes([8; 16])));
    for (version, code) in [(4, 0x80), (5, 0x87)] {
        let mut device = server.tcp(version).await;
        device.connect(1, true).await;
        let filters = [(foreign.as_str(), 1), (&revoked, 1), ("#", 0)];
        device.subscribe(&filters, &[code; 3]).await;
    }
    for to in [
        topic("events"),
        topic(&format!("n/{}", permission())),
        foreign.replace('#', "x"),
    ] {
        let mut device = server.tcp(5).await;
        device.connect(1, true).await;
        device.publish(&to, b"x", 1, 7, false).await;
        assert_eq!(device.next().await.ack(), (4, 7, 0x87), "{to}");
        device.publish(&to, b"x", 2, 8, false).await;
        assert_eq!(device.next().await.ack(), (5, 8, 0x87), "{to}");
        let mut device = server.tcp(4).await;
        device.connect(1, true).await;
        device.publish(&to, b"x", 1, 7, false).await;
        device.is_closed().await;
    }
}

#[tokio::test]
async fn what_is_seen_is_owed_to_nobody_and_the_others_are_told() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    let mut two = server.tcp(5).await;
    two.connect(2, false).await;
    two.subscribe(&[(&topic("events"), 1), (&topic("n/+"), 1)], &[1, 1])
        .await;
    two.disconnect().await;
    server.post(1).await;
    gets(&mut one, 1).await;
    let mut two = server.tcp(5).await;
    assert!(two.connect(2, false).await);
    gets(&mut two, 1).await;
    let id = Server::envelope(1, Urgency::Normal).id;
    let seen = format!(r#"{{"ids":["{id}"]}}"#);
    let to = topic(&format!("d/{}/seen", device(1)));
    one.publish(&to, seen.as_bytes(), 1, 5, false).await;
    assert_eq!(one.next().await.ack(), (4, 5, 0));
    let event = two.next().await;
    assert_eq!((event.kind(), event.qos()), (3, 0));
    assert_eq!(event.topic(), topic("events"));
    let event: Event = serde_json::from_slice(&event.payload()).unwrap();
    assert_eq!(event, Event::NotificationSeen { ids: vec![id] });
    // It was on its way to the second one, which went without having it.
    two.disconnect().await;
    let mut two = server.tcp(5).await;
    assert!(two.connect(2, false).await);
    two.ping().await;
}

#[tokio::test]
async fn the_private_space_is_published_retained_and_kept_for_the_absent() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(4).await;
    one.connect(1, false).await;
    one.subscribe(&[(&topic("x/a/#"), 1)], &[1]).await;
    one.disconnect().await;
    let mut two = server.tcp(5).await;
    two.connect(2, true).await;
    two.publish(&topic("x/a/b"), b"kept", 1, 1, true).await;
    assert_eq!(two.next().await.ack(), (4, 1, 0));
    two.publish(&topic("x/a/c"), b"twice", 2, 2, false).await;
    assert_eq!(two.next().await.ack(), (5, 2, 0));
    two.publish(&topic("x/a/c"), b"twice", 2, 2, false).await;
    assert_eq!(two.next().await.ack(), (5, 2, 0));
    two.pubrel(2).await;
    assert_eq!(two.next().await.ack(), (7, 2, 0));
    two.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    let retained = two.next().await;
    assert!(retained.retain());
    assert_eq!(&retained.payload()[..], b"kept");
    two.publish(&topic("x/a/d"), b"live", 0, 0, false).await;
    assert_eq!(&two.next().await.payload()[..], b"live");

    assert!(one.reconnect(server.tcp, 1).await);
    for expected in [&b"kept"[..], b"twice"] {
        let packet = one.next().await;
        assert_eq!(packet.payload(), expected);
        assert_eq!(packet.qos(), 1);
        one.puback(packet.id()).await;
    }
    one.ping().await;
}

#[tokio::test]
async fn a_full_private_space_tells_5_0_and_makes_room_for_3_1_1() {
    let limits = MailboxLimits {
        notifications: 8,
        ..MailboxLimits::default()
    };
    let server = Server::start_limited(limits).await;
    let mut absent = server.tcp(4).await;
    absent.connect(1, false).await;
    absent.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    absent.disconnect().await;
    let mut newer = server.tcp(5).await;
    newer.connect(2, true).await;
    for (id, reason) in [(1, 0), (2, 0), (3, 0x97)] {
        newer
            .publish(&topic("x/a"), &[id], 1, id.into(), false)
            .await;
        assert_eq!(newer.next().await.ack(), (4, id.into(), reason));
    }
    let mut older = server.tcp(4).await;
    older.connect(3, true).await;
    older.publish(&topic("x/a"), &[4], 1, 4, false).await;
    assert_eq!(older.next().await.ack(), (4, 4, 0));
    assert!(absent.reconnect(server.tcp, 1).await);
    for expected in [2, 4] {
        assert_eq!(&absent.next().await.payload()[..], [expected]);
    }
}

#[tokio::test]
async fn a_session_that_is_not_stored_gets_what_comes_while_it_is_there() {
    let server = Server::start(Settings::default()).await;
    server.post(1).await;
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    one.subscribe(&[(&topic("#"), 1)], &[1]).await;
    server.post(2).await;
    let id = gets(&mut one, 2).await;
    one.puback(id).await;
    server.post_once(9).await;
    let transient = one.next().await;
    assert_eq!(transient.qos(), 0);
    let read: Notification = serde_json::from_slice(&transient.payload()).unwrap();
    assert_eq!(read.seq, None);
    one.disconnect().await;
    server.post(3).await;
    let mut one = server.tcp(4).await;
    assert!(!one.connect(1, true).await);
    one.ping().await;
}

#[tokio::test]
async fn a_clean_start_forgets_the_stored_session() {
    let server = Server::start(Settings::default()).await;
    server.subscribed(1, 4).await.disconnect().await;
    let mut one = server.tcp(4).await;
    one.connect(1, true).await;
    one.disconnect().await;
    assert!(!one.reconnect(server.tcp, 1).await, "it was forgotten");
}

#[tokio::test]
async fn what_the_bus_lost_is_swept_up() {
    let settings = Settings {
        sweep_interval: Duration::from_millis(20),
        ..Settings::default()
    };
    // Its commits are told to a hub that nobody listens to.
    let server = Server::start_deaf(settings).await;
    let mut one = server.subscribed(1, 4).await;
    server.post(1).await;
    gets(&mut one, 1).await;
}

#[tokio::test]
async fn a_revoked_permission_takes_its_exact_subscription_away() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.tcp(5).await;
    one.connect(1, true).await;
    let exact = topic(&format!("n/{}", permission()));
    one.subscribe(&[(&exact, 1), (&topic("x/#"), 0)], &[1, 0])
        .await;
    server.post_once(1).await;
    assert_eq!(one.next().await.topic(), exact);
    server.broker.forget_permission(user(), permission());
    server.post_once(2).await;
    one.publish(&topic("x/end"), b"", 0, 0, false).await;
    assert_eq!(one.next().await.topic(), topic("x/end"));
}

#[tokio::test]
async fn draining_tells_5_0_devices_and_keeps_their_acknowledgements() {
    let server = Server::start(Settings::default()).await;
    let mut one = server.subscribed(1, 5).await;
    server.post(1).await;
    let id = gets(&mut one, 1).await;
    one.puback(id).await;
    one.ping().await;
    server.stop.cancel();
    server.broker.drain().await;
    assert_eq!(one.next().await.disconnect_reason(), 0x8b);
    one.is_closed().await;
    let row = server.apply(Command::OpenSession {
        user: user(),
        device: device(1),
        clean: false,
        expiry: Duration::from_secs(60),
        will: None,
    });
    let Outcome::Session { row, present, .. } = row.await else {
        panic!("not a session");
    };
    assert!(present);
    assert_eq!(row.acked, Seq(1));
}

#[tokio::test]
async fn a_connection_that_does_not_begin_with_connect_is_closed() {
    let settings = Settings {
        connect_timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    let server = Server::start(settings).await;
    server.tcp(4).await.is_closed().await;
    let server = Server::start(Settings::default()).await;
    for first in [0xc0, 0x00, 0xff, b'G'] {
        let mut one = server.tcp(4).await;
        one.send(vec![first, 0]).await;
        one.is_closed().await;
    }
}

#[tokio::test]
async fn a_device_that_takes_nothing_is_let_go() {
    let settings = Settings {
        write_timeout: Duration::from_millis(200),
        packets_per_second: 100_000,
        private_publishes_per_second: 100_000,
        ..Settings::default()
    };
    let server = Server::start(settings).await;
    let mut deaf = server.tcp(4).await;
    deaf.connect(1, true).await;
    deaf.subscribe(&[(&topic("x/#"), 0)], &[0]).await;
    let mut one = server.tcp(4).await;
    one.connect(2, true).await;
    // More than the kernel takes for it; the test ends only when the broker has had enough.
    while server.broker.online(user()).len() > 1 {
        one.publish(&topic("x/much"), &[0; 60_000], 0, 0, false)
            .await;
        one.ping().await;
    }
    assert_eq!(server.broker.online(user())[0].0, device(2));
}
