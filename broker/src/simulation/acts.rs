//! What may happen in the world, and how often: each seed has a profile of its own, so that some worlds
//! are calm and some are nothing but crashes.

mod devices;
mod sites;

use super::bus::BusFaults;
use super::chance::Chance;
use super::contract::Violation;
use super::device::Acknowledging;
use super::time::{Millis, millis};
use super::world::World;
use super::{USER, permission_id};
use belfry_store::mailbox::Command;
use std::time::Duration;

/// The longest that a session outlives its connection here.
pub(super) const EXPIRY_MAX: Duration = Duration::from_secs(86_400);

/// What may happen, with how often it does in the usual world.
const ACTS: &[(Act, u64)] = &[
    (Act::Post, 60),
    (Act::Burst, 2),
    (Act::Withdraw, 3),
    (Act::AcknowledgeOverHttp, 5),
    (Act::Seen, 5),
    (Act::Permit, 2),
    (Act::Mute, 2),
    (Act::Revoke, 1),
    (Act::Block, 1),
    (Act::Connect, 25),
    (Act::TakeOver, 3),
    (Act::Disconnect, 6),
    (Act::BreakOff, 5),
    (Act::Stall, 3),
    (Act::Unhear, 3),
    (Act::Subscribe, 14),
    (Act::Unsubscribe, 3),
    (Act::Presence, 8),
    (Act::Private, 14),
    (Act::Ping, 8),
    (Act::Acknowledge, 5),
    (Act::Remove, 1),
    (Act::Crash, 2),
    (Act::Drain, 1),
    (Act::FailDisk, 2),
    (Act::Wait, 6),
    (Act::Prune, 1),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Post,
    Burst,
    Withdraw,
    AcknowledgeOverHttp,
    Seen,
    Permit,
    Mute,
    Revoke,
    Block,
    Connect,
    TakeOver,
    Disconnect,
    BreakOff,
    Stall,
    Unhear,
    Subscribe,
    Unsubscribe,
    Presence,
    Private,
    Ping,
    Acknowledge,
    Remove,
    Crash,
    Drain,
    FailDisk,
    Wait,
    Prune,
}

/// What one seed's world is like.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) devices: usize,
    /// Whether devices are away at times, so that entries are held.
    pub(super) holds: bool,
    pub(super) window: u16,
    pub(super) mailbox_limit: Option<usize>,
    pub(super) commit_delay_max: Millis,
    pub(super) read_delay_max: Millis,
    pub(super) tick_max: Millis,
    pub(super) bus: BusFaults,
    pub(super) pieces_percent: u64,
    /// Streams that take little before they are read.
    pub(super) narrow_percent: u64,
    /// Whether most notifications are large.
    pub(super) large: bool,
    pub(super) rounds: u64,
    pub(super) steps: u64,
    pub(super) acknowledging: [u64; 3],
    pub(super) weights: Vec<u64>,
}

impl Profile {
    pub(super) fn of(chance: &mut Chance) -> Self {
        let loses = chance.percent(40);
        Self {
            devices: chance.within(1, 4) as usize,
            holds: chance.percent(60),
            window: chance.pick(&[1, 2, 3, 8, 32]),
            mailbox_limit: chance.percent(25).then(|| chance.within(4, 24) as usize),
            commit_delay_max: chance.pick(&[0, 0, 5, 5, 40, 40, 300, 9_000]),
            read_delay_max: chance.pick(&[0, 0, 8, 60, 400]),
            tick_max: chance.pick(&[2, 10, 40]),
            bus: BusFaults {
                delay_max: chance.pick(&[0, 0, 30, 300, 3_000]),
                loss_percent: if loses { chance.pick(&[1, 10, 40]) } else { 0 },
            },
            pieces_percent: chance.pick(&[0, 30, 100]),
            narrow_percent: chance.pick(&[0, 20, 100]),
            large: chance.percent(15),
            rounds: chance.within(1, 2),
            steps: chance.within(60, 240),
            acknowledging: [0; 3].map(|_| chance.within(0, 3)),
            weights: ACTS
                .iter()
                .map(|(_, usual)| usual * chance.pick(&[0, 1, 1, 1, 3]))
                .collect(),
        }
    }

    /// A world in which nothing happens by chance.
    pub(super) fn calm() -> Self {
        Self {
            devices: 2,
            holds: true,
            window: 8,
            mailbox_limit: None,
            commit_delay_max: 0,
            read_delay_max: 0,
            tick_max: 2,
            bus: BusFaults::default(),
            pieces_percent: 0,
            narrow_percent: 0,
            large: false,
            rounds: 0,
            steps: 0,
            acknowledging: [1, 0, 0],
            weights: Vec::new(),
        }
    }

    pub(super) fn acknowledging(&self, chance: &mut Chance) -> Acknowledging {
        let [at_once, within, never] = self.acknowledging;
        match chance.weighted(&[at_once + 1, within, never]) {
            0 => Acknowledging::AtOnce,
            1 => Acknowledging::Within(chance.pick(&[50, 1_000, 20_000])),
            _ => Acknowledging::Never,
        }
    }
}

/// How a device connects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connecting {
    pub(super) version: u8,
    pub(super) clean: bool,
    pub(super) expiry_secs: u32,
    pub(super) receive_maximum: Option<u16>,
}

impl Connecting {
    /// Persistent with Clean Session 0 in 3.1.1, or a session expiry in 5.0; Clean Start 0 takes up
    /// what there is in any case.
    pub(super) fn is_stored(&self) -> bool {
        !self.clean || self.version == 5 && self.expiry_secs > 0
    }

    fn any(chance: &mut Chance) -> Self {
        let version = chance.pick(&[4, 5]);
        Self {
            version,
            clean: chance.percent(15),
            expiry_secs: chance.pick(&[0, 30, 3_600, 3_600, 86_400]),
            receive_maximum: (version == 5 && chance.percent(30))
                .then(|| chance.pick(&[1, 2, 5, 100])),
        }
    }

    /// To get all that is owed.
    pub(super) fn again(chance: &mut Chance) -> Self {
        Self {
            version: chance.pick(&[4, 5]),
            clean: false,
            expiry_secs: 86_400,
            receive_maximum: None,
        }
    }
}

impl World {
    /// One thing happens, or nothing.
    pub(super) async fn act(&mut self) -> Result<(), Violation> {
        let (act, _) = ACTS[self.chance.weighted(&self.profile.weights)];
        match act {
            Act::Crash => {
                self.crash()?;
                let downtime = self.chance.pick(&[0, 0, 1_000, 40_000]);
                self.pass(downtime).await?;
                self.start()?;
            }
            Act::Drain => {
                self.drain().await?;
                self.start()?;
            }
            Act::FailDisk => {
                let lasts = self.chance.pick(&[20, 500, 8_000]);
                self.disk_fails_until = millis() + lasts;
                self.note(|| format!("the disk fails for {lasts} ms"));
            }
            Act::Wait => {
                let lasts = self
                    .chance
                    .pick(&[100, 1_000, 5_000, 31_000, 120_000, 2_000_000]);
                self.note(|| format!("{lasts} ms pass"));
                self.pass(lasts).await?;
            }
            // It would write down such an end, or not, by what else is due.
            Act::Prune if self.contract.has_lost() => {}
            Act::Prune => {
                if let Some(process) = &self.process {
                    process.engine.mailbox.prune();
                }
            }
            Act::Post => self.post(),
            Act::Burst => {
                for _ in 0..self.chance.within(2, 30) {
                    self.post();
                }
            }
            Act::Withdraw => self.withdraw(),
            Act::AcknowledgeOverHttp => self.acknowledge_over_http(),
            Act::Permit | Act::Mute => self.permit(act == Act::Mute),
            Act::Revoke => self.revoke(),
            Act::Block => {
                let blocked = !self.contract.blocked && self.chance.percent(30);
                let user = USER;
                self.ask(vec![Command::BlockUser { user, blocked }]);
            }
            Act::Remove => self.remove(),
            act => self.act_of_device(act),
        }
        Ok(())
    }

    /// What is usually there before the first notification is.
    pub(super) fn furnish(&mut self) {
        for number in 1..=4 {
            if self.chance.percent(80) {
                self.permit_one(permission_id(number), false);
            }
        }
        for device in 0..self.devices.len() {
            if self.chance.percent(70) {
                let connecting = Connecting::any(&mut self.chance);
                self.connect(device, &connecting);
            }
        }
    }
}
