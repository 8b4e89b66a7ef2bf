//! The end of a round: everything heals, all devices come back and acknowledge, what is held is
//! released; then each session has to have exactly what it was owed.

use super::acts::Connecting;
use super::away::released_by;
use super::contract::{Violation, must};
use super::device::Phase;
use super::time::{Millis, millis};
use super::world::{World, name};
use crate::presence::Presence;

/// Longer than a sweep and a retry take: who has not heard of what it is owed by then never will.
const QUIET: Millis = 45_000;
/// Longer than half the longest TTL that is ever held here.
const RELEASED_BY: Millis = 13 * 3_600_000;
/// What is released then takes no longer to be acknowledged.
const PROMPT: Millis = 5_000;
/// No world takes longer to become quiet.
const PATIENCE: Millis = 3_600_000;

impl World {
    pub(super) async fn heal(&mut self) -> Result<(), Violation> {
        self.faults = false;
        self.disk_fails_until = 0;
        self.note(|| "everything heals".to_owned());
        self.start()?;
        let by_time = self.profile.holds && self.chance.percent(20);
        self.all_connected().await?;
        if by_time {
            self.quiet().await?;
            let until = millis() + RELEASED_BY;
            while millis() < until {
                self.pass(1_800_000).await?;
                self.keep_alive();
                self.nothing_is_late()?;
            }
            self.all_connected().await?;
        }
        for device in 0..self.devices.len() {
            if self.profile.holds && !by_time {
                self.say(device, Presence::Active);
            }
        }
        self.quiet().await?;
        self.keep_alive();
        self.pass(2_000).await?;
        self.check()?;
        self.faults = true;
        Ok(())
    }

    pub(super) fn keep_alive(&mut self) {
        for device in &mut self.devices {
            if let Some(connection) = device.current() {
                connection.ping();
            }
        }
    }

    /// Each device that the directory knows has one open connection that reads and acknowledges.
    async fn all_connected(&mut self) -> Result<(), Violation> {
        let began = millis();
        loop {
            let now = millis();
            let mut ready = true;
            for device in 0..self.devices.len() {
                let id = self.devices[device].id;
                for connection in &mut self.devices[device].connections {
                    connection.stalled_until = 0;
                    connection.unheard_until = 0;
                    connection.acknowledge_all(now);
                    ready &= connection.phase == Phase::Open && !connection.said_goodbye;
                }
                let known = self.directory.devices.lock().unwrap().contains(&id);
                let connections = self.devices[device].connections.len();
                if known && connections == 0 {
                    let connecting = Connecting::again(&mut self.chance);
                    self.connect(device, &connecting);
                }
                ready &= connections == usize::from(known);
            }
            if ready {
                return Ok(());
            }
            must!(now < began + PATIENCE, "not every device could connect");
            self.step(50).await?;
        }
    }

    /// Waits until the broker has had nothing to write for long enough.
    async fn quiet(&mut self) -> Result<(), Violation> {
        let began = millis();
        self.written_at = began;
        while millis() < self.written_at + QUIET {
            must!(
                millis() < began + PATIENCE,
                "the broker does not come to rest"
            );
            self.pass(self.written_at + QUIET - millis()).await?;
        }
        Ok(())
    }

    /// What was held is out once its time is over.
    fn nothing_is_late(&mut self) -> Result<(), Violation> {
        let now = millis();
        for device in &mut self.devices {
            let id = device.id;
            let session = device.current().and_then(|one| one.watch.session);
            let Some(session) = session else {
                continue;
            };
            let row = &self.contract.sessions[session];
            for entry in &self.contract.log {
                let released = released_by(entry);
                let late = released + PROMPT < now && !row.acknowledged.contains(&entry.seq);
                must!(
                    !late || !self.contract.owes(session, entry, now),
                    "{} was to get {} at {released}, and has not: {entry:?}",
                    name(id),
                    entry.seq
                );
            }
        }
        Ok(())
    }

    /// Each session has what it was owed, and the mailbox knows it.
    fn check(&mut self) -> Result<(), Violation> {
        let now = millis();
        if let Some(process) = self.process.take() {
            let found = self.look_for_vanished(&process);
            self.process = Some(process);
            found?;
        }
        for device in &mut self.devices {
            let id = device.id;
            let Some(connection) = device.current() else {
                continue;
            };
            let number = connection.watch.number;
            let Some(session) = connection.watch.session else {
                return Err(format!("{} is connected without a session", name(id)));
            };
            let row = &self.contract.sessions[session];
            if row.stored {
                must!(
                    self.contract.stored.get(&id) == Some(&session),
                    "the session of {} is gone while it is connected",
                    name(id)
                );
            }
            for entry in &self.contract.log {
                if !self.contract.owes(session, entry, now) {
                    continue;
                }
                let seq = entry.seq;
                let acknowledged = row.acknowledged.contains(&seq);
                must!(
                    acknowledged,
                    "{} never got {seq} on #{number}: {entry:?}",
                    name(id)
                );
                must!(
                    !row.stored,
                    "{seq} was acknowledged by {} and is still owed",
                    name(id)
                );
            }
        }
        Ok(())
    }
}
