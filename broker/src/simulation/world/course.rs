//! How the world moves on: the broker runs for a moment, what it wrote is judged, the devices read and
//! acknowledge, the mailbox writes, and the bus delivers.

use super::{Process, World, brief, name, readable, said};
use crate::simulation::contract::{Violation, must};
use crate::simulation::device::{Event, Phase, Request};
use crate::simulation::judge::Circumstances;
use crate::simulation::time::{Millis, millis};
use crate::simulation::{USER, device_id, panicked};
use belfry_store::mailbox::embedded::stepped::Fate;
use belfry_store::mailbox::{Mailbox as _, Seq};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Lets a while pass, and looks whenever there is something to look at.
    pub(in crate::simulation) async fn pass(&mut self, lasts: Millis) -> Result<(), Violation> {
        let until = millis() + lasts;
        loop {
            let now = millis();
            if now >= until {
                return Ok(());
            }
            let busy = self.process.as_ref().is_some_and(|process| {
                process.engine.mailbox.waiting() > 0 || !process.bus.is_idle()
            });
            let connections = self.devices.iter().flat_map(|device| &device.connections);
            let next = connections.filter_map(|one| one.next(now)).min();
            let next = next.unwrap_or(until).clamp(now + 1, until);
            if busy {
                let tick = self.chance.within(1, self.profile.tick_max);
                self.step(tick.min(until - now)).await?;
                continue;
            }
            let stir = Arc::clone(&self.stir);
            let stirred = stir.notified();
            let _ = tokio::time::timeout(Duration::from_millis(next - now), stirred).await;
            self.step(1).await?;
        }
    }

    /// Lets a moment pass, and looks at what came of it.
    pub(in crate::simulation) async fn step(&mut self, tick: Millis) -> Result<(), Violation> {
        tokio::time::sleep(Duration::from_millis(tick)).await;
        must!(!panicked(), "a task panicked");
        if let Some(process) = self.process.take() {
            let moved = self.move_on(&process);
            self.process = Some(process);
            moved?;
        }
        self.read_devices()
    }

    fn move_on(&mut self, process: &Process) -> Result<(), Violation> {
        let now = millis();
        self.judge_all(Some(process))?;
        let fails = self.faults && now < self.disk_fails_until;
        if fails {
            self.disk_failed_at = now;
        }
        let read_delay = if self.faults {
            self.profile.read_delay_max
        } else {
            0
        };
        process.engine.set_disk(read_delay, fails);
        process.bus.set_faults(self.bus_faults());
        let waiting = process.engine.mailbox.waiting();
        if waiting > 0 && self.commit_at.is_none() {
            let most = if self.faults {
                self.profile.commit_delay_max
            } else {
                1
            };
            self.commit_at = Some(now + self.chance.below(most + 1));
        }
        if waiting > 0 && self.commit_at.is_some_and(|at| at <= now) {
            self.commit_at = None;
            let jobs = match self.chance.percent(70) {
                true => waiting,
                false => self.chance.within(1, waiting as u64) as usize,
            };
            let fate = if fails { Fate::Failed } else { Fate::Answered };
            self.apply(process, jobs, fate)?;
        }
        process.bus.step();
        Ok(())
    }

    /// Writes a batch, and tells the contract of it.
    pub(in crate::simulation) fn apply(
        &mut self,
        process: &Process,
        jobs: usize,
        fate: Fate,
    ) -> Result<(), Violation> {
        let applied = process.engine.mailbox.commit(jobs, fate);
        let now = millis();
        for (commands, answers) in applied {
            for (command, answer) in commands.iter().zip(&answers) {
                self.note(|| {
                    format!(
                        "  {} -> {}",
                        brief(command),
                        readable(&format!("{answer:?}"))
                    )
                });
                self.contract.committed(command, answer, now)?;
            }
        }
        if self.profile.mailbox_limit.is_some() {
            self.look_for_vanished(process)?;
        }
        Ok(())
    }

    /// Compares what the mailbox still has with what it should.
    pub(in crate::simulation) fn look_for_vanished(
        &mut self,
        process: &Process,
    ) -> Result<(), Violation> {
        let now = millis();
        let log = self.contract.log.iter();
        let kept = log.filter(|entry| !entry.gone() && entry.expires > now);
        let kept: Vec<u64> = kept.map(|entry| entry.seq).collect();
        let seqs = kept.iter().copied().map(Seq).collect();
        let reading = process.engine.mailbox.entries(USER, seqs);
        let found = futures_now(reading).map_err(|refusal| refusal.to_string())?;
        let found: BTreeSet<u64> = found.iter().map(|entry| entry.meta.seq.0).collect();
        let vanished: Vec<u64> = kept
            .into_iter()
            .filter(|seq| !found.contains(seq))
            .collect();
        if !vanished.is_empty() {
            self.note(|| format!("  pushed out: {vanished:?}"));
        }
        self.contract.vanished(&vanished, now)
    }

    pub(in crate::simulation) fn judge_all(
        &mut self,
        process: Option<&Process>,
    ) -> Result<(), Violation> {
        let slack = self.slack();
        let now = millis();
        let slow = self.profile.commit_delay_max > 1_000;
        let unheard = process.and_then(|process| process.bus.unheard(now.saturating_sub(slack)));
        for device in &self.devices {
            // It may not have heard of that yet.
            if device.connections.iter().any(|one| one.end.was_left()) {
                self.whereabouts.unsure(device.id, now);
            }
        }
        for device in 0..self.devices.len() {
            for at in 0..self.devices[device].connections.len() {
                let connection = &mut self.devices[device].connections[at];
                let cut_short = connection.end.cut_short();
                if let Some(session) = connection.watch.session.filter(|_| cut_short) {
                    self.contract.sessions[session].cut_short = true;
                }
                for written in connection.end.written() {
                    self.written_at = written.at;
                    let began = connection.watch.began;
                    let circumstances = Circumstances {
                        forgets: slow || self.disk_failed_at + slack >= began,
                        whereabouts: &self.whereabouts,
                        holds: self.profile.holds,
                        slack,
                        unheard,
                    };
                    let watch = &mut connection.watch;
                    let packets = watch.wrote(written, &mut self.contract, &circumstances);
                    let (number, device) = (watch.number, watch.device);
                    let packets = packets.map_err(|wrong| {
                        format!("{} on connection {number}: {wrong}", name(device))
                    })?;
                    if self.trace.kept {
                        let at = millis() - self.began;
                        for packet in packets {
                            let line = format!(
                                "{:>9}.{:03} {} #{number} <- {}",
                                at / 1_000,
                                at % 1_000,
                                name(device),
                                said(&packet)
                            );
                            self.trace.note(line);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn read_devices(&mut self) -> Result<(), Violation> {
        let now = millis();
        for device in 0..self.devices.len() {
            for at in 0..self.devices[device].connections.len() {
                let connection = &mut self.devices[device].connections[at];
                let session = connection.watch.session;
                for seq in connection.acknowledge(now, &mut self.chance) {
                    self.note(|| format!("{} acknowledges {seq}", name(device_id(device + 1))));
                    if let Some(session) = session {
                        let row = &mut self.contract.sessions[session];
                        row.acknowledged.insert(seq);
                    }
                }
                let connection = &mut self.devices[device].connections[at];
                let events = connection.read(now, &mut self.chance);
                for event in events {
                    self.happened(device, at, event)?;
                }
            }
            let connections = &mut self.devices[device].connections;
            connections.retain(|connection| connection.phase != Phase::Over);
        }
        Ok(())
    }

    fn happened(&mut self, device: usize, at: usize, event: Event) -> Result<(), Violation> {
        let now = millis();
        let id = self.devices[device].id;
        let connection = &self.devices[device].connections[at];
        let (session, stored) = (connection.watch.session, connection.watch.stored);
        match event {
            Event::Connected { present, code } => {
                if code == 0 {
                    self.whereabouts.unsure(id, now);
                    self.devices[device].resume(present, session);
                    // A device usually wants something.
                    if self.faults && !present && self.profile.rounds > 0 {
                        self.subscribe(device);
                    }
                }
            }
            Event::Granted(filters, codes) => {
                must!(filters.len() == codes.len(), "SUBACK with {codes:?}");
                let Some(session) = session else {
                    return Ok(());
                };
                let head = self.contract.head();
                for ((filter, at_least_once, no_local), code) in filters.into_iter().zip(codes) {
                    let row = &mut self.contract.sessions[session];
                    let granted = code < 0x80;
                    if granted {
                        let expected = u8::from(at_least_once);
                        must!(code == expected, "{filter} was granted as {code}");
                    }
                    if stored && granted {
                        // It may have been revoked meanwhile.
                        let exact = filter.starts_with("n/") && filter.len() > 4;
                        must!(
                            exact
                                || row.has_granted(&filter, at_least_once, no_local)
                                || row.ended.is_some(),
                            "{filter} was granted and is not durable"
                        );
                    } else if !stored {
                        row.granted(
                            &filter,
                            granted.then_some((at_least_once, no_local)),
                            head,
                            now,
                        );
                    }
                }
            }
            Event::Unsubscribed(filters, codes) => {
                let Some(session) = session else {
                    return Ok(());
                };
                for (index, filter) in filters.iter().enumerate() {
                    let row = &mut self.contract.sessions[session];
                    let done = codes.get(index).is_none_or(|code| *code < 0x80);
                    if stored && done {
                        must!(
                            !row.has(filter),
                            "{filter} was taken away and is still durable"
                        );
                    } else if !stored {
                        row.unsubscribe(filter, now);
                    }
                }
            }
            Event::Done(Request::Presence(presence)) => {
                self.whereabouts.says(id, presence, now);
            }
            Event::Done(Request::Private(number)) => {
                let known = self.contract.published.contains_key(&number);
                must!(known, "message {number} was answered before it was durable");
            }
            Event::Done(Request::Seen(ids)) => {
                let owed = ids.iter().find(|id| self.contract.is_live(**id, now));
                must!(owed.is_none(), "{owed:?} was seen and is still owed");
            }
            Event::Done(_) => {}
            Event::Handshake(packet) => self.devices[device].handshake(&packet),
            Event::Taken(seq) => {
                if let Some(session) = session {
                    let row = &mut self.contract.sessions[session];
                    row.taken.entry(seq).or_insert(now);
                }
            }
            Event::Got => {}
            Event::Over => {
                self.note(|| format!("{} is disconnected", name(id)));
                if let Some(session) = session.filter(|_| !stored) {
                    let row = &mut self.contract.sessions[session];
                    row.ended.get_or_insert(now);
                }
                let others = &self.devices[device].connections;
                if others.iter().filter(|one| one.phase != Phase::Over).count() == 0 {
                    self.whereabouts.gone(id, now);
                } else {
                    self.whereabouts.unsure(id, now);
                }
            }
        }
        Ok(())
    }
}

/// The value of a future that waits for nothing.
fn futures_now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the stepped engine reads at once"),
    }
}
