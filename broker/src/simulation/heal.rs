//! The end of a round: everything heals, all devices come back and acknowledge, what is held is
//! released; then each session has to have exactly what it was owed.

use super::acts::Connecting;
use super::away::released_by;
use super::contract::{Entry, Kind, Violation, must};
use super::device::Phase;
use super::time::{Millis, millis};
use super::world::{World, name};
use crate::presence::Presence;
use belfry_protocol::push::Urgency;

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
                self.nothing_waits(|_| true, released_by)?;
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
        if self.profile.holds && self.chance.percent(30) {
            self.last_active_one_leaves().await?;
        }
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

    /// Of these entries, no session still waits for what it was to get by then.
    fn nothing_waits(
        &mut self,
        of: impl Fn(&Entry) -> bool,
        by: impl Fn(&Entry) -> Millis,
    ) -> Result<(), Violation> {
        let now = millis();
        for device in &mut self.devices {
            let id = device.id;
            let session = device.current().and_then(|one| one.watch.session);
            let Some(session) = session else {
                continue;
            };
            let row = &self.contract.sessions[session];
            let log = self.contract.log.iter();
            for entry in log.filter(|entry| of(entry) && by(entry) + PROMPT <= now) {
                let waits = !row.acknowledged.contains(&entry.seq);
                must!(
                    !waits || !self.contract.owes(session, entry, now),
                    "{} was to get {} at {}, and has not: {entry:?}",
                    name(id),
                    entry.seq,
                    by(entry)
                );
            }
        }
        Ok(())
    }

    /// What is held since one device is active goes out as that one leaves, or at once without one.
    async fn last_active_one_leaves(&mut self) -> Result<(), Violation> {
        if let Some(process) = &self.process {
            process.bus.recover();
        }
        let stays = self.chance.percent(50);
        for device in 0..self.devices.len() {
            let active = device == 0 && !stays;
            let presence = if active {
                Presence::Active
            } else {
                Presence::Away
            };
            self.say(device, presence);
        }
        self.pass(PROMPT).await?;
        let head = self.contract.head();
        let permission = self.permission();
        self.post_one(permission, Urgency::Normal, 86_400, None, 10);
        self.pass(1_000).await?;
        if let Some(connection) = self.devices[0].current().filter(|_| !stays) {
            connection.say_goodbye(None);
            self.whereabouts.unsure(self.devices[0].id, millis());
        }
        self.pass(PROMPT).await?;
        let normal = |entry: &Entry| {
            let urgency = match &entry.kind {
                Kind::Notification { urgency, .. } => Some(*urgency),
                Kind::Private { .. } => None,
            };
            entry.seq > head && urgency == Some(Urgency::Normal)
        };
        self.nothing_waits(normal, |entry| entry.sent)
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
