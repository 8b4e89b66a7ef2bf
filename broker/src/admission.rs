//! Which connections may begin, and when: counted by address, paced, and fair.
//!
//! A connection *opens* from its first byte to its CONNACK; only so many do so at a time, and those
//! of one address have a share of that. The others wait in a line for each address, and the lines take
//! turns. Where too many wait, the newest of the longest line is turned away, so that one address
//! cannot keep the others out however fast it comes. What has a session asks nothing of this room, so
//! that no flood of newcomers takes anything from it.

use crate::figures;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The part of the openings, and of the refusals, that one address may have: a few addresses can
/// still use them all, and none can by itself.
const SHARE: usize = 4;
/// Connections that are told at a time, for up to a CONNECT's time each, why they may not begin: a
/// courtesy, which takes few open files where there are few. More are closed without a word.
const TURNED_AWAY_MAX: usize = 256;
const TURNED_AWAY_OF: usize = 16;

/// What there may be of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// All.
    pub(crate) connections: usize,
    /// From one address.
    pub(crate) per_address: usize,
    /// Between their first byte and their CONNACK.
    pub(crate) opening: usize,
    /// In line before that.
    pub(crate) waiting: usize,
}

/// Why a connection may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Its address has as many as it may have.
    Address,
    /// The server has as many as it may have.
    Full,
    /// Too many others are on their way in.
    Busy,
    /// Its address is kept out.
    Banned,
}

/// The door. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Mutex<State>>);

struct State {
    bounds: Bounds,
    connections: usize,
    opening: usize,
    waiting: usize,
    turned_away: usize,
    addresses: HashMap<IpAddr, Address>,
    /// The addresses with a line, in turn, each once.
    turns: VecDeque<IpAddr>,
}

#[derive(Default)]
struct Address {
    connections: usize,
    opening: usize,
    turned_away: usize,
    line: VecDeque<oneshot::Sender<()>>,
}

/// A counted connection; dropping it ends the count.
pub(crate) struct Admitted {
    admission: Admission,
    key: IpAddr,
    stage: Stage,
}

enum Stage {
    Waiting(oneshot::Receiver<()>),
    Opening,
    Open,
}

/// A connection that is told why it may not begin.
pub(crate) struct Courtesy {
    admission: Admission,
    key: IpAddr,
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(State {
            bounds,
            connections: 0,
            opening: 0,
            waiting: 0,
            turned_away: 0,
            addresses: HashMap::new(),
            turns: VecDeque::new(),
        })))
    }

    /// Counts one more connection, which then waits for its [turn](Admitted::turn). An address has as many
    /// as is said here, or as at the start.
    pub(crate) fn admit(
        &self,
        address: IpAddr,
        per_address: Option<usize>,
    ) -> Result<Admitted, Turned> {
        let key = network(address);
        let mut state = self.lock();
        let per_address = per_address.unwrap_or(state.bounds.per_address);
        if state
            .addresses
            .get(&key)
            .map_or(0, |address| address.connections)
            >= per_address
        {
            return Err(Turned::Address);
        }
        let stage = state.admit(key)?;
        state.report();
        drop(state);
        Ok(Admitted {
            admission: self.clone(),
            key,
            stage,
        })
    }

    /// Takes up a connection that is to be told why it may not begin, unless there are too many.
    pub(crate) fn turn_away(&self, address: IpAddr) -> Option<Courtesy> {
        let key = network(address);
        let mut state = self.lock();
        let max = state.bounds.turned_away();
        if state.turned_away >= max {
            return None;
        }
        let counted = state.addresses.entry(key).or_default();
        if counted.turned_away >= (max / SHARE).max(1) {
            return None;
        }
        counted.turned_away += 1;
        state.turned_away += 1;
        drop(state);
        Some(Courtesy {
            admission: self.clone(),
            key,
        })
    }

    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Resolves when it may open, or must not: then too many others came.
    pub(crate) async fn turn(&mut self) -> Result<(), Turned> {
        if let Stage::Waiting(waiting) = &mut self.stage {
            let turn = waiting.await;
            self.stage = match turn {
                Ok(()) => Stage::Opening,
                // The line gave it up, and with that its place.
                Err(_) => Stage::Open,
            };
            return turn.map_err(|_| Turned::Busy);
        }
        Ok(())
    }

    /// Where it comes from: an IPv4 address or the first of an IPv6 /64.
    pub(crate) fn network(&self) -> IpAddr {
        self.key
    }

    /// Whether it may open without waiting.
    pub(crate) fn is_its_turn(&self) -> bool {
        !matches!(self.stage, Stage::Waiting(_))
    }

    /// It has its session: the next may open.
    pub(crate) fn opened(&mut self) {
        self.leave_stage();
    }

    fn leave_stage(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Open);
        let mut state = self.admission.lock();
        match stage {
            Stage::Open => return,
            Stage::Opening => state.opened(self.key),
            // Its turn may have come without its knowing; under the lock no more can change.
            Stage::Waiting(mut waiting) => match waiting.try_recv() {
                Ok(()) => state.opened(self.key),
                Err(oneshot::error::TryRecvError::Closed) => {}
                Err(oneshot::error::TryRecvError::Empty) => {
                    drop(waiting);
                    state.leave_line(self.key);
                }
            },
        }
        state.let_in();
        state.report();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.leave_stage();
        let mut state = self.admission.lock();
        state.connections -= 1;
        state.change(self.key, |address| address.connections -= 1);
    }
}

impl Drop for Courtesy {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.turned_away -= 1;
        state.change(self.key, |address| address.turned_away -= 1);
    }
}

impl State {
    fn admit(&mut self, key: IpAddr) -> Result<Stage, Turned> {
        let bounds = self.bounds;
        let address = self.addresses.get(&key);
        if self.connections >= bounds.connections {
            return Err(Turned::Full);
        }
        let opening = address.map_or(0, |address| address.opening);
        let line = address.map_or(0, |address| address.line.len());
        if line == 0 && self.opening < bounds.opening && opening < bounds.share() {
            self.opening += 1;
            self.connections += 1;
            let address = self.addresses.entry(key).or_default();
            address.opening += 1;
            address.connections += 1;
            return Ok(Stage::Opening);
        }
        if self.waiting >= bounds.waiting {
            self.shorten_a_line_longer_than(line + 1)?;
        }
        let (turn, waiting) = oneshot::channel();
        self.waiting += 1;
        self.connections += 1;
        let address = self.addresses.entry(key).or_default();
        address.connections += 1;
        address.line.push_back(turn);
        if line == 0 {
            self.turns.push_back(key);
        }
        Ok(Stage::Waiting(waiting))
    }

    /// Gives up the newest of the longest line.
    fn shorten_a_line_longer_than(&mut self, length: usize) -> Result<(), Turned> {
        // Whoever has a fair part of the places takes none of another's.
        if length > self.bounds.waiting.div_ceil(self.turns.len().max(1)) {
            return Err(Turned::Busy);
        }
        let lines = self.addresses.values_mut().map(|address| &mut address.line);
        let longest = lines.max_by_key(|line| line.len());
        let longest = longest.filter(|line| line.len() > length);
        let line = longest.ok_or(Turned::Busy)?;
        line.pop_back();
        self.waiting -= 1;
        Ok(())
    }

    /// Lets in who waits, one of each address in turn, while there is room.
    fn let_in(&mut self) {
        // Only so many addresses can be at their share, so this does not go round for long.
        let mut passed_over = 0;
        while self.opening < self.bounds.opening && passed_over < self.turns.len() {
            let Some(key) = self.turns.pop_front() else {
                return;
            };
            let Some(address) = self.addresses.get_mut(&key) else {
                continue;
            };
            if address.opening >= self.bounds.share() {
                self.turns.push_back(key);
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            if let Some(turn) = address.line.pop_front() {
                self.waiting -= 1;
                // Whoever leaves the line takes its place out of it under the lock.
                if turn.send(()).is_ok() {
                    address.opening += 1;
                    self.opening += 1;
                }
            }
            if !address.line.is_empty() {
                self.turns.push_back(key);
            }
        }
    }

    fn opened(&mut self, key: IpAddr) {
        self.opening -= 1;
        self.change(key, |address| address.opening -= 1);
    }

    fn leave_line(&mut self, key: IpAddr) {
        let Some(address) = self.addresses.get_mut(&key) else {
            return;
        };
        let before = address.line.len();
        address.line.retain(|turn| !turn.is_closed());
        self.waiting -= before - address.line.len();
        if address.line.is_empty() {
            self.turns.retain(|turn| *turn != key);
        }
    }

    fn change(&mut self, key: IpAddr, change: impl FnOnce(&mut Address)) {
        if let Some(address) = self.addresses.get_mut(&key) {
            change(address);
            if address.connections == 0 && address.turned_away == 0 {
                self.addresses.remove(&key);
            }
        }
    }

    fn report(&self) {
        figures::on_their_way_in(self.opening, self.waiting);
    }
}

impl Bounds {
    fn share(&self) -> usize {
        (self.opening / SHARE).max(1)
    }

    fn turned_away(&self) -> usize {
        (self.connections / TURNED_AWAY_OF).clamp(1, TURNED_AWAY_MAX)
    }
}

/// What counts as one address: an IPv4 address or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests;
