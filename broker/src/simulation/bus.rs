//! A bus that is late and loses what it is told to, as the real one may: each user's notices keep
//! their order, and a gap among those of commits is noticed at the next one that arrives.

use super::chance::Chance;
use super::time::{Millis, millis};
use crate::bus::{Bus, Channel, Jumps};
use crate::directory::BoxFuture;
use crate::hub::Registry;
use crate::notice::Notice;
use belfry_protocol::shard::bucket;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// How bad it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BusFaults {
    pub(super) delay_max: Millis,
    pub(super) loss_percent: u64,
}

#[derive(Clone)]
pub(super) struct SimulatedBus(Arc<State>);

struct State {
    registry: Arc<Registry>,
    jumps: Jumps,
    lines: Mutex<Lines>,
    /// Told of each notice that waits.
    stir: Arc<Notify>,
}

struct Lines {
    chance: Chance,
    faults: BusFaults,
    mail: Line,
    change: Line,
    /// Since when something of a commit is lost without anybody knowing.
    unheard: Option<Millis>,
    /// When a gap was last noticed, and since when it had been there.
    heard: Option<(Millis, Millis)>,
    dead: bool,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(Millis, Notice, bool)>,
    /// How many more are lost.
    losing: u64,
    gap: bool,
}

impl SimulatedBus {
    pub(super) fn new(
        registry: Arc<Registry>,
        chance: Chance,
        faults: BusFaults,
        stir: Arc<Notify>,
    ) -> Self {
        Self(Arc::new(State {
            registry,
            jumps: Jumps::default(),
            lines: Mutex::new(Lines {
                chance,
                faults,
                mail: Line::default(),
                change: Line::default(),
                unheard: None,
                heard: None,
                dead: false,
            }),
            stir,
        }))
    }

    pub(super) fn set_faults(&self, faults: BusFaults) {
        self.0.lines.lock().unwrap().faults = faults;
    }

    /// What is told from now on arrives.
    pub(super) fn recover(&self) {
        let mut lines = self.0.lines.lock().unwrap();
        (lines.mail.losing, lines.change.losing) = (0, 0);
    }

    /// Nothing arrives any more.
    pub(super) fn kill(&self) {
        self.0.lines.lock().unwrap().dead = true;
    }

    /// Since when the broker may not know of something, where that was so at any time since `from`.
    pub(super) fn unheard(&self, from: Millis) -> Option<Millis> {
        let lines = self.0.lines.lock().unwrap();
        let heard = lines.heard.filter(|(at, _)| *at >= from);
        let heard = heard.map(|(_, since)| since);
        [lines.unheard, heard].into_iter().flatten().min()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        let lines = self.0.lines.lock().unwrap();
        lines.dead || lines.mail.waiting.is_empty() && lines.change.waiting.is_empty()
    }

    /// Hands over what has arrived by now.
    pub(super) fn step(&self) {
        let now = millis();
        loop {
            let mut lines = self.0.lines.lock().unwrap();
            if lines.dead {
                return;
            }
            let arrived = |line: &Line| line.waiting.front().is_some_and(|(due, ..)| *due <= now);
            let line = match (arrived(&lines.mail), arrived(&lines.change)) {
                (true, true) if lines.chance.percent(50) => &mut lines.change,
                (true, _) => &mut lines.mail,
                (false, true) => &mut lines.change,
                (false, false) => return,
            };
            let (_, notice, after_gap) = line.waiting.pop_front().unwrap();
            drop(lines);
            self.dispatch(notice, after_gap);
        }
    }

    fn dispatch(&self, notice: Notice, after_gap: bool) {
        if after_gap {
            let mut lines = self.0.lines.lock().unwrap();
            if let Some(since) = lines.unheard.take() {
                lines.heard = Some((millis(), since));
            }
            drop(lines);
            self.0.jumps.add(bucket(notice.user()));
        }
        self.0.registry.dispatch(notice);
    }
}

impl Bus for SimulatedBus {
    fn publish(&self, channel: Channel, notice: Notice) {
        let mut guard = self.0.lines.lock().unwrap();
        let lines = &mut *guard;
        if lines.dead {
            return;
        }
        let line = match channel {
            Channel::Mail => &mut lines.mail,
            Channel::Change => &mut lines.change,
        };
        if line.losing == 0 && lines.chance.percent(lines.faults.loss_percent) {
            line.losing = lines.chance.within(1, 6);
        }
        if line.losing > 0 {
            line.losing -= 1;
            line.gap = true;
            lines.unheard.get_or_insert_with(millis);
            return;
        }
        let after_gap = std::mem::take(&mut line.gap) && channel == Channel::Mail;
        let delay = lines.chance.below(lines.faults.delay_max + 1);
        if delay == 0 && line.waiting.is_empty() {
            // It is there before whoever asked for the commit has its answer.
            drop(guard);
            self.dispatch(notice, after_gap);
            return;
        }
        let due = millis() + delay;
        let due = line.waiting.back().map_or(due, |(last, ..)| due.max(*last));
        line.waiting.push_back((due, notice, after_gap));
        self.0.stir.notify_one();
    }

    fn jumped(&self) -> BoxFuture<'_, u16> {
        Box::pin(self.0.jumps.next())
    }
}
