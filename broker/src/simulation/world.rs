//! The simulated world: one user's devices and sites, the broker, its mailbox, the bus and the network
//! between them, moved on step by step by one task.

mod course;
mod trace;

use super::acts::Profile;
use super::away::Whereabouts;
use super::bus::{BusFaults, SimulatedBus};
use super::chance::Chance;
use super::contract::{Contract, Violation, must};
use super::device::{Acknowledging, Connection, Device};
use super::engine::Engine;
use super::judge::Watch;
use super::packets;
use super::stream::stream;
use super::time::{Millis, millis};
use super::{PASSWORD, USER, device_id};
use crate::broker::Broker;
use crate::directory::{BoxFuture, DeviceDirectory, Unavailable};
use crate::figures::TransportKind;
use crate::hub::Hub;
use crate::settings::Settings;
use crate::transport::Framing;
use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::embedded::stepped::{Fate, SteppedMailbox};
use belfry_store::mailbox::{Command, MailboxLimits};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
pub(super) use trace::{Trace, name};
use trace::{brief, readable, said};

/// What the directory knows.
#[derive(Default)]
pub(super) struct Everyone {
    pub(super) devices: Mutex<BTreeSet<DeviceId>>,
    pub(super) permissions: Mutex<BTreeSet<PermissionId>>,
}

impl DeviceDirectory for Everyone {
    fn authenticate(
        &self,
        device: DeviceId,
        user: UserId,
        password: Bytes,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let known = self.devices.lock().unwrap().contains(&device);
        let right = known && user == USER && *password == *PASSWORD;
        Box::pin(async move { Ok(right) })
    }

    fn owns_permission(
        &self,
        _user: UserId,
        permission: PermissionId,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let known = self.permissions.lock().unwrap().contains(&permission);
        Box::pin(async move { Ok(known) })
    }

    fn away_grace(&self, _: UserId) -> BoxFuture<'_, Result<Option<Duration>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn urgency_min(&self, _: UserId, _: DeviceId) -> BoxFuture<'_, Result<Urgency, Unavailable>> {
        Box::pin(async { Ok(Urgency::VeryLow) })
    }

    fn note_seen(&self, _: UserId, _: DeviceId, _: Timestamp) {}
}

/// A running server.
pub(super) struct Process {
    pub(super) broker: Broker,
    pub(super) bus: SimulatedBus,
    pub(super) engine: Arc<Engine>,
}

pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) profile: Profile,
    pub(super) contract: Contract,
    pub(super) whereabouts: Whereabouts,
    pub(super) devices: Vec<Device>,
    pub(super) directory: Arc<Everyone>,
    pub(super) process: Option<Process>,
    /// The engine of the last process, while there is none.
    stopped: Option<Arc<Engine>>,
    pub(super) trace: Trace,
    /// Writes fail until then.
    pub(super) disk_fails_until: Millis,
    disk_failed_at: Millis,
    pub(super) faults: bool,
    commit_at: Option<Millis>,
    connections: u64,
    pub(super) numbers: u64,
    /// When the broker last wrote anything.
    pub(super) written_at: Millis,
    began: Millis,
    /// Told when anything is to be looked at.
    stir: Arc<Notify>,
    _folder: TempDir,
}

impl World {
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let mut chance = Chance::new(seed);
        let profile = Profile::of(&mut chance);
        Self::with(chance, profile, trace)
    }

    pub(super) fn with(mut chance: Chance, profile: Profile, trace: Trace) -> Self {
        let folder = folder();
        let limits = MailboxLimits {
            notifications: profile.mailbox_limit.unwrap_or(1_000),
            session_expiry_max: super::acts::EXPIRY_MAX,
            ..MailboxLimits::default()
        };
        let clock = Arc::new(|| Timestamp::from_millis(millis()));
        let nobody = Box::new(|_| {});
        let mailbox = SteppedMailbox::open(folder.path(), limits, clock, nobody).unwrap();
        let stir = Arc::new(Notify::new());
        let engine = Arc::new(Engine::new(mailbox, chance.fork(), Arc::clone(&stir)));
        let mut contract = Contract::default();
        contract.bounded_to = profile.mailbox_limit;
        let devices = (1..=profile.devices).map(|number| Device::new(device_id(number)));
        let devices: Vec<Device> = devices.collect();
        let directory = Arc::new(Everyone::default());
        for device in &devices {
            directory.devices.lock().unwrap().insert(device.id);
        }
        Self {
            chance,
            profile,
            contract,
            whereabouts: Whereabouts::default(),
            devices,
            directory,
            process: None,
            stopped: Some(engine),
            trace,
            disk_fails_until: 0,
            disk_failed_at: 0,
            faults: true,
            commit_at: None,
            connections: 0,
            numbers: 0,
            written_at: 0,
            began: millis(),
            stir,
            _folder: folder,
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if !self.trace.kept {
            return;
        }
        let at = millis() - self.began;
        let line = format!("{:>9}.{:03} {}", at / 1_000, at % 1_000, line());
        self.trace.note(line);
    }

    /// How long what is decided may take until it is on its way.
    pub(super) fn slack(&self) -> Millis {
        let profile = &self.profile;
        let bus = profile.bus.delay_max;
        3 * profile.commit_delay_max + 8 * profile.read_delay_max + bus + 4 * profile.tick_max + 50
    }

    pub(super) fn start(&mut self) -> Result<(), Violation> {
        let Some(stopped) = self.stopped.take() else {
            return Ok(());
        };
        let mut bus = None;
        let chance = self.chance.fork();
        let (faults, stir) = (self.bus_faults(), Arc::clone(&self.stir));
        let hub = Hub::over(|registry| {
            let made = SimulatedBus::new(registry, chance, faults, stir);
            bus = Some(made.clone());
            Box::new(made)
        });
        let mailbox = stopped.mailbox.restarted(hub.commit_listener()).unwrap();
        let stir = Arc::clone(&self.stir);
        let engine = Arc::new(Engine::new(mailbox, self.chance.fork(), stir));
        let settings = Settings {
            window: NonZeroU16::new(self.profile.window).unwrap(),
            session_expiry_max: super::acts::EXPIRY_MAX,
            ..Settings::default()
        };
        let directory: Arc<dyn DeviceDirectory> = Arc::clone(&self.directory) as _;
        let broker = Broker::start(hub, Arc::clone(&engine), directory, settings);
        let bus = bus.expect("a hub makes its bus");
        self.process = Some(Process {
            broker,
            bus,
            engine,
        });
        self.note(|| "the server starts".to_owned());
        self.contract.began(millis());
        Ok(())
    }

    pub(super) fn bus_faults(&self) -> BusFaults {
        match self.faults {
            true => self.profile.bus,
            false => BusFaults::default(),
        }
    }

    /// Since when everything that was taken in has to be durable by now.
    fn durable_since(&self) -> Millis {
        let now = millis();
        let within = super::contract::SETTLED_WITHIN + self.slack();
        match now < self.disk_failed_at + within {
            true => 0,
            false => now - within,
        }
    }

    /// The process is killed, perhaps with a batch on its way to the disk.
    pub(super) fn crash(&mut self) -> Result<(), Violation> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        self.judge_all(Some(&process))?;
        if self.chance.percent(30) {
            let jobs = self.chance.within(0, 4) as usize;
            self.apply(&process, jobs, Fate::Unheard)?;
        }
        process.engine.kill();
        process.bus.kill();
        for device in &mut self.devices {
            for connection in &mut device.connections {
                connection.end.freeze();
            }
        }
        self.note(|| "the server is killed".to_owned());
        self.contract.stopped(self.durable_since(), millis())?;
        self.commit_at = None;
        self.stopped = Some(process.engine);
        Ok(())
    }

    /// The process ends in order.
    pub(super) async fn drain(&mut self) -> Result<(), Violation> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let broker = process.broker.clone();
        self.note(|| "the server drains".to_owned());
        let arrived = self.acknowledgements_arrived();
        let drained = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&drained);
        tokio::spawn(async move {
            broker.drain().await;
            done.store(true, Ordering::SeqCst);
        });
        let began = millis();
        while !drained.load(Ordering::SeqCst) {
            self.step(20).await?;
            must!(millis() < began + 120_000, "draining does not end");
        }
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        let jobs = process.engine.mailbox.waiting();
        self.apply(&process, jobs, Fate::Answered)?;
        self.judge_all(Some(&process))?;
        process.engine.kill();
        process.bus.kill();
        let failed = self.disk_failed_at >= began;
        for (session, seq) in arrived.into_iter().filter(|_| !failed) {
            let entry = self.contract.entry(seq);
            let owed = entry.is_some_and(|entry| self.contract.owes(session, entry, millis()));
            must!(!owed, "{seq} was acknowledged before the server stopped");
        }
        let durable = if failed { 0 } else { millis() };
        self.note(|| "the server is stopped".to_owned());
        self.contract.stopped(durable, millis())?;
        self.stopped = Some(process.engine);
        Ok(())
    }

    /// What was acknowledged on connections that nothing else ends: the session and the entry.
    fn acknowledgements_arrived(&self) -> Vec<(usize, u64)> {
        let now = millis();
        let mut arrived = Vec::new();
        for device in &self.devices {
            let [connection] = &device.connections[..] else {
                continue;
            };
            if let Some(session) = connection.watch.session.filter(|_| connection.watch.stored) {
                let seqs = connection.arrived(now).into_iter();
                arrived.extend(seqs.map(|seq| (session, seq)));
            }
        }
        arrived
    }

    /// Nothing is written for so long.
    pub(super) fn hold_writes(&mut self, lasts: Millis) {
        self.commit_at = Some(millis() + lasts);
    }

    /// Commands that come over HTTP: nobody here waits for their answer.
    pub(super) fn ask(&mut self, commands: Vec<Command>) {
        if let Some(process) = &self.process {
            // Told from the log when they are durable.
            drop(process.engine.mailbox.enqueue(commands));
        }
    }

    pub(super) fn connect(&mut self, device: usize, connect: &super::acts::Connecting) {
        let now = millis();
        let Some(process) = &self.process else {
            return;
        };
        let id = self.devices[device].id;
        let in_pieces = self.faults && self.chance.percent(self.profile.pieces_percent);
        let down_max = match self.faults && self.chance.percent(self.profile.narrow_percent) {
            true => self.chance.within(200, 3_000) as usize,
            false => 256 * 1024,
        };
        let (ours, theirs) = stream(
            self.chance.fork(),
            in_pieces,
            down_max,
            Arc::clone(&self.stir),
        );
        let admitted = process.broker.admit(Ipv4Addr::LOCALHOST.into());
        let Ok(admitted) = admitted else {
            unreachable!("a simulated server has room for all devices");
        };
        let (framing, kind) = (Framing::Plain, TransportKind::Tcp);
        process
            .broker
            .serve(Box::new(theirs), framing, kind, admitted);
        self.connections += 1;
        let window = usize::from(self.profile.window);
        let window = connect
            .receive_maximum
            .map_or(window, |maximum| window.min(maximum.into()));
        let watch = Watch::new(
            self.connections,
            id,
            connect.version,
            connect.is_stored(),
            window,
            now,
        );
        let acknowledging = match self.faults {
            true => self.profile.acknowledging(&mut self.chance),
            false => Acknowledging::AtOnce,
        };
        let mut connection = Connection::new(watch, ours, acknowledging);
        connection.send(&packets::connect(&packets::Connect {
            version: connect.version,
            client_id: &id.to_string(),
            username: &USER.to_string(),
            password: PASSWORD,
            clean: connect.clean,
            expiry_secs: connect.expiry_secs,
            receive_maximum: connect.receive_maximum,
        }));
        self.devices[device].connections.push(connection);
        self.whereabouts.unsure(id, now);
        let number = self.connections;
        self.note(|| {
            format!(
                "{} connects as #{number}: {connect:?}, {acknowledging:?}",
                name(id)
            )
        });
    }
}

/// In memory where the machine has a place for it: what a disk is like is simulated.
fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.unwrap()
}
