//! Whether this server can do what it is there for: four checks that go on by themselves, and what they
//! found. What it means for requests is for who asks to say: a check that fails here says whether a
//! restart may mend it.
//!
//! A check that gets no answer is not begun again, so that nothing piles up behind what is stuck; it
//! fails once that has lasted too long.

use belfry_broker::Broker;
use belfry_store::directory::Directory;
use belfry_store::mailbox::embedded::{EmbeddedMailbox, Writing};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// How long after an answer the next is asked for.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How many times the floor of free disk space is the one for a warning.
const WARNING_TIMES: u64 = 4;

/// What the checks are told.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// Where the server's data is.
    pub data_dir: PathBuf,
    /// Free bytes there below which nothing more should be stored.
    pub disk_free_min: u64,
    /// How long something may take to answer.
    pub stuck_after: Duration,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and will not for long.
    Warning,
    /// It does not work.
    Failing,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// `store` (accounts, devices, permissions), `mailbox`, `disk` or `bus`.
    pub name: &'static str,
    /// How it is.
    pub health: State,
    /// The same in words.
    pub detail: String,
    /// Whether starting the server again may mend it.
    #[serde(skip)]
    pub restart_may_mend: bool,
}

/// What all found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// The worst of them.
    pub health: State,
    /// Each.
    pub checks: Vec<Check>,
}

/// The space on the disk with the server's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that the server may still write.
    pub free: u64,
    /// Bytes in all.
    pub all: u64,
}

/// The checks. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    settings: HealthSettings,
    directory: Directory,
    mailbox: Arc<EmbeddedMailbox>,
    broker: Broker,
    store: Asked,
    mailbox_asked: Asked,
    bus: Asked,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Part {
    Store,
    Mailbox,
    Bus,
}

/// Something that is asked again and again.
struct Asked(Mutex<Answer>);

struct Answer {
    /// Since when an answer is waited for.
    since: Option<Instant>,
    /// What was wrong at the last answer.
    wrong: Option<&'static str>,
}

impl Asked {
    fn new() -> Self {
        Self(Mutex::new(Answer {
            since: None,
            wrong: None,
        }))
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, name: &'static str, stuck_after: Duration) -> Check {
        let answer = self.answer();
        let waited = answer.since.map_or(Duration::ZERO, |since| since.elapsed());
        let stuck = waited >= stuck_after;
        let (health, detail) = match answer.wrong {
            _ if stuck => (
                State::Failing,
                format!("has not answered for {} s", waited.as_secs()),
            ),
            Some(wrong) => (State::Failing, wrong.to_owned()),
            None => (State::Ok, "answers".to_owned()),
        };
        Check {
            name,
            health,
            detail,
            restart_may_mend: stuck,
        }
    }
}

impl Inner {
    async fn ask_for_ever(&self, part: Part) {
        let asked = match part {
            Part::Store => &self.store,
            Part::Mailbox => &self.mailbox_asked,
            Part::Bus => &self.bus,
        };
        loop {
            asked.answer().since = Some(Instant::now());
            let wrong = self.ask(part).await;
            *asked.answer() = Answer { since: None, wrong };
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// What is wrong, where something is.
    async fn ask(&self, part: Part) -> Option<&'static str> {
        match part {
            Part::Store if self.directory.ready().await => None,
            Part::Store => Some("the database does not answer, or answers with an error"),
            Part::Mailbox => match self.mailbox.writing().await {
                Writing::Works => None,
                Writing::Fails => Some("cannot write: what is posted is refused"),
                Writing::Ended => Some("its writer has ended"),
            },
            Part::Bus if self.broker.bus_works().await => None,
            Part::Bus => Some("has ended: notifications wait until a sweep finds them"),
        }
    }
}

impl Health {
    /// Of these; nothing is asked before [`Self::run`].
    pub fn new(
        settings: HealthSettings,
        directory: Directory,
        mailbox: Arc<EmbeddedMailbox>,
        broker: Broker,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            directory,
            mailbox,
            broker,
            store: Asked::new(),
            mailbox_asked: Asked::new(),
            bus: Asked::new(),
        }))
    }

    /// Checks until it is stopped.
    pub async fn run(self, stopping: CancellationToken) {
        let inner = &self.0;
        let store = inner.ask_for_ever(Part::Store);
        let mailbox = inner.ask_for_ever(Part::Mailbox);
        let bus = inner.ask_for_ever(Part::Bus);
        let shown = async {
            let mut every = tokio::time::interval(AGAIN_AFTER);
            loop {
                every.tick().await;
                self.show();
            }
        };
        let all = async { tokio::join!(store, mailbox, bus, shown) };
        stopping.run_until_cancelled(all).await;
    }

    /// What the checks found last, and how the disk is now.
    pub fn report(&self) -> Report {
        let inner = &self.0;
        let stuck_after = inner.settings.stuck_after;
        let mut mailbox = inner.mailbox_asked.check("mailbox", stuck_after);
        let mut bus = inner.bus.check("bus", stuck_after);
        // A thread that ended does not come back by itself; a disk that is full is as full afterwards.
        for check in [&mut mailbox, &mut bus] {
            check.restart_may_mend |= check.detail.contains("ended");
        }
        let checks = vec![
            inner.store.check("store", stuck_after),
            mailbox,
            disk(self.space(), inner.settings.disk_free_min),
            bus,
        ];
        let worst = checks.iter().map(|check| check.health).max();
        Report {
            health: worst.unwrap_or(State::Ok),
            checks,
        }
    }

    /// How much room there is.
    pub fn space(&self) -> Option<Space> {
        let found = rustix::fs::statvfs(&self.0.settings.data_dir).ok()?;
        Some(Space {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            all: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    fn show(&self) {
        for check in self.report().checks {
            let failing = f64::from(u8::from(check.health == State::Failing));
            metrics::gauge!("belfry_check_failing", "check" => check.name).set(failing);
        }
        if let Some(space) = self.space() {
            metrics::gauge!("belfry_disk_free_bytes").set(space.free as f64);
            metrics::gauge!("belfry_disk_bytes").set(space.all as f64);
        }
        if let Some(bytes) = resident_bytes() {
            metrics::gauge!("belfry_memory_bytes").set(bytes as f64);
        }
    }
}

/// Memory that this process has now.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn disk(space: Option<Space>, floor: u64) -> Check {
    let (health, detail) = match space {
        None => (State::Failing, "cannot be looked at".to_owned()),
        Some(Space { free, .. }) => {
            let mib = free / (1024 * 1024);
            let health = match free {
                free if free < floor => State::Failing,
                free if free < floor.saturating_mul(WARNING_TIMES) => State::Warning,
                _ => State::Ok,
            };
            (health, format!("{mib} MiB are free"))
        }
    };
    Check {
        name: "disk",
        health,
        detail,
        restart_may_mend: false,
    }
}

#[cfg(test)]
mod tests;
