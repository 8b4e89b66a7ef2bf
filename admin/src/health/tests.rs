#![allow(clippy::unwrap_used)]

use super::*;
use belfry_broker::{BoxFuture, DeviceDirectory, Hub, Settings, Unavailable};
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Command, Mailbox as _, MailboxLimits};

struct Nobody;

impl DeviceDirectory for Nobody {
    fn authenticate(
        &self,
        _: DeviceId,
        _: UserId,
        _: bytes::Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }

    fn owns_permission(
        &self,
        _: UserId,
        _: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }

    fn away_grace(&self, _: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn urgency_min(&self, _: UserId, _: DeviceId) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async { Ok(Urgency::VeryLow) })
    }

    fn note_seen(&self, _: UserId, _: DeviceId, _: Timestamp) {}
}

/// A server whose writer asks a clock that can be held.
struct Server {
    health: Health,
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    clock: Arc<Mutex<()>>,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start(stuck_after: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("d.sqlite").display());
        let directory = Directory::open(&url).await.unwrap();
        let hub = Hub::start();
        let clock: Arc<Mutex<()>> = Arc::default();
        let held = Arc::clone(&clock);
        let mailbox = EmbeddedMailbox::open(
            &folder.path().join("mailbox"),
            MailboxLimits::default(),
            Arc::new(move || {
                drop(held.lock().unwrap());
                Timestamp::from_millis(1)
            }),
            hub.commit_listener(),
        );
        let mailbox = Arc::new(mailbox.unwrap());
        let broker = Broker::start(
            hub,
            Arc::clone(&mailbox),
            Arc::new(Nobody),
            Settings::default(),
        );
        let settings = HealthSettings {
            data_dir: folder.path().to_owned(),
            disk_free_min: 1,
            stuck_after,
        };
        let health = Health::new(settings, directory.clone(), Arc::clone(&mailbox), broker);
        Self {
            health,
            directory,
            mailbox,
            clock,
            folder,
        }
    }

    /// Waits until a check says so.
    async fn becomes(&self, name: &str, health: State) -> Check {
        let becomes = async {
            loop {
                let report = self.health.report();
                let found = report.checks.into_iter().find(|check| check.name == name);
                let found = found.unwrap();
                if found.health == health {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs(30);
        let became = tokio::time::timeout(patience, becomes).await;
        became.unwrap_or_else(|_| panic!("{name} did not become {health:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_says_so() {
    let server = Server::start(Duration::from_secs(60)).await;
    let running = tokio::spawn(server.health.clone().run(CancellationToken::new()));
    let report = server.health.report();
    assert_eq!(report.health, State::Ok, "{report:?}");
    let names: Vec<_> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, ["store", "mailbox", "disk", "bus"]);
    assert!(server.health.0.broker.bus_works().await);
    assert_eq!(server.mailbox.writing().await, Writing::Works);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_does_not_come_back_fails_and_is_well_when_it_does() {
    let server = Server::start(Duration::from_millis(50)).await;
    let clock = Arc::clone(&server.clock);
    let mailbox = Arc::clone(&server.mailbox);
    let held = clock.lock().unwrap();
    let user = UserId::from_bytes([1; 16]);
    let command = Command::BlockUser {
        user,
        blocked: true,
    };
    let stuck = tokio::spawn(async move { mailbox.apply(vec![command]).await });
    let running = tokio::spawn(server.health.clone().run(CancellationToken::new()));
    // The lock is let go in another scope, so that it is not held over a wait.
    std::thread::scope(|scope| {
        let failing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .unwrap()
                .block_on(server.becomes("mailbox", State::Failing))
        });
        let check = failing.join().unwrap();
        assert!(check.restart_may_mend, "{check:?}");
    });
    drop(held);
    server.becomes("mailbox", State::Ok).await;
    stuck.await.unwrap();
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_fails_and_no_restart_mends_it() {
    let server = Server::start(Duration::from_secs(60)).await;
    server.directory.close().await;
    let running = tokio::spawn(server.health.clone().run(CancellationToken::new()));
    let check = server.becomes("store", State::Failing).await;
    assert!(!check.restart_may_mend);
    assert_eq!(server.health.report().health, State::Failing);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_ended_fails() {
    let server = Server::start(Duration::from_secs(60)).await;
    server.mailbox.close();
    let running = tokio::spawn(server.health.clone().run(CancellationToken::new()));
    let check = server.becomes("mailbox", State::Failing).await;
    assert!(check.restart_may_mend, "{check:?}");
    running.abort();
    assert!(server.folder.path().exists());
}

#[test]
fn a_disk_warns_before_it_fails() {
    let check = |free, expected| {
        let space = Some(Space { free, all: 1_000 });
        assert_eq!(disk(space, 100).health, expected, "{free}");
    };
    check(99, State::Failing);
    check(100, State::Warning);
    check(399, State::Warning);
    check(400, State::Ok);
    assert_eq!(disk(None, 0).health, State::Failing);
    assert_eq!(disk(Some(Space { free: 0, all: 1 }), 0).health, State::Ok);
}
