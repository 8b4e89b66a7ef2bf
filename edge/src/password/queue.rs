//! Who waits to hash, and whose turn is next. Addresses are served in turn, however many places one of
//! them holds, and a full queue makes room for who holds fewer: whoever comes alone waits for about as many
//! hashes as there are addresses.

use crate::AddressKey;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Callers that may wait for their turn; each turn takes some 50 ms, so the last waits a few seconds.
pub(super) const WAITING_MAX: usize = 256;
/// Of them from one address: whoever guesses in parallel leaves room for others.
pub(super) const WAITING_PER_ADDRESS_MAX: usize = WAITING_MAX / 4;

/// A place in the queue: the later taken, the higher.
pub(super) type Ticket = u64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Has not asked for a turn, or is done with one.
    Idle,
    Waiting,
    Hashing,
}

/// The places, oldest first, and the turns.
pub(super) struct Queue {
    places: BTreeMap<Ticket, (AddressKey, Stage)>,
    /// The addresses of those who wait, next first; each once.
    next: VecDeque<AddressKey>,
    turns_free: usize,
    last: Ticket,
    closed: bool,
}

impl Queue {
    pub(super) fn new(turns: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            next: VecDeque::new(),
            turns_free: turns,
            last: 0,
            closed: false,
        }
    }

    /// Gives nobody a place any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes a place; beside it the one that was taken from somebody for it. None where all are taken by
    /// those who hold no more, or all that one address may have.
    pub(super) fn enter(&mut self, address: AddressKey) -> Option<(Ticket, Option<Ticket>)> {
        let own = self.held_by(address);
        if self.closed || own >= WAITING_PER_ADDRESS_MAX {
            return None;
        }
        let robbed = match self.places.len() < WAITING_MAX {
            true => None,
            false => Some(self.newest_of_most(own)?),
        };
        if let Some(robbed) = robbed {
            self.leave(robbed);
        }
        self.last += 1;
        self.places.insert(self.last, (address, Stage::Idle));
        Some((self.last, robbed))
    }

    /// The newest place that hashes nothing of who holds most, where that is still as many as the other
    /// has once it changes hands: two who hold the same would rob each other for ever.
    fn newest_of_most(&self, own: usize) -> Option<Ticket> {
        let mut held: HashMap<AddressKey, usize> = HashMap::new();
        for (address, _) in self.places.values() {
            *held.entry(*address).or_default() += 1;
        }
        let robbable = self
            .places
            .iter()
            .filter(|(_, (_, stage))| *stage != Stage::Hashing);
        let (held, newest) = robbable
            .map(|(ticket, (address, _))| (held[address], *ticket))
            .max()?;
        (own + 1 < held).then_some(newest)
    }

    fn held_by(&self, address: AddressKey) -> usize {
        self.places
            .values()
            .filter(|(holder, _)| *holder == address)
            .count()
    }

    /// Gives a place back, if it is still held.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        if let Some((address, _)) = self.places.remove(&ticket)
            && self.oldest_waiting(address).is_none()
        {
            self.next.retain(|waiting| *waiting != address);
        }
    }

    /// Asks for a turn; false where the place was taken away.
    pub(super) fn wait(&mut self, ticket: Ticket) -> bool {
        let Some((address, stage)) = self.places.get_mut(&ticket) else {
            return false;
        };
        *stage = Stage::Waiting;
        if !self.next.contains(address) {
            self.next.push_back(*address);
        }
        true
    }

    /// Whose turn it is, if there is one; it lasts until [`Self::done`].
    pub(super) fn turn(&mut self) -> Option<Ticket> {
        if self.turns_free == 0 {
            return None;
        }
        let address = self.next.pop_front()?;
        let ticket = self.oldest_waiting(address)?;
        self.places.insert(ticket, (address, Stage::Hashing));
        self.turns_free -= 1;
        if self.oldest_waiting(address).is_some() {
            self.next.push_back(address);
        }
        Some(ticket)
    }

    /// A turn is over, whether or not its place is still held.
    pub(super) fn done(&mut self, ticket: Ticket) {
        self.turns_free += 1;
        if let Some((_, stage)) = self.places.get_mut(&ticket) {
            *stage = Stage::Idle;
        }
    }

    fn oldest_waiting(&self, address: AddressKey) -> Option<Ticket> {
        let mut waiting = self
            .places
            .iter()
            .filter(|(_, place)| **place == (address, Stage::Waiting));
        waiting.next().map(|(ticket, _)| *ticket)
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self, turns: usize) -> bool {
        self.places.is_empty() && self.next.is_empty() && self.turns_free == turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> AddressKey {
        let [.., high, low] = number.to_be_bytes();
        crate::ClientAddress([198, 18, high, low].into()).key()
    }

    /// Takes a place and asks for a turn.
    fn come(queue: &mut Queue, from: usize) -> Option<(Ticket, Option<Ticket>)> {
        let (ticket, robbed) = queue.enter(address(from))?;
        assert!(queue.wait(ticket));
        Some((ticket, robbed))
    }

    #[test]
    fn who_comes_alone_waits_for_a_hash_of_each_address() {
        let mut queue = Queue::new(1);
        for from in 0..3 {
            for _ in 0..WAITING_PER_ADDRESS_MAX {
                come(&mut queue, from).expect("room");
            }
        }
        let mut hashing = queue.turn().expect("a turn");
        let (alone, _) = come(&mut queue, 9).expect("room");
        let mut before = 0;
        loop {
            assert_eq!(queue.turn(), None, "one at a time");
            queue.done(hashing);
            queue.leave(hashing);
            hashing = queue.turn().expect("a turn");
            if hashing == alone {
                break;
            }
            before += 1;
        }
        assert_eq!(before, 3);
    }

    #[test]
    fn a_full_queue_takes_the_newest_place_of_who_holds_most() {
        let mut queue = Queue::new(1);
        let mut taken = Vec::new();
        for from in [0, 1, 2, 3] {
            let tickets = std::iter::from_fn(|| come(&mut queue, from));
            taken.push(tickets.map(|(ticket, _)| ticket).collect::<Vec<_>>());
        }
        assert_eq!(taken.iter().map(Vec::len).sum::<usize>(), WAITING_MAX);
        let newest = taken[3].pop();
        let (_, robbed) = come(&mut queue, 9).expect("a place");
        assert_eq!(robbed, newest);
        assert!(!queue.wait(newest.expect("a ticket")), "it has none");
        let (_, robbed) = come(&mut queue, 9).expect("a place");
        assert_eq!(robbed, taken[2].pop(), "the fourth holds one less now");
        assert_eq!(queue.places.len(), WAITING_MAX);
    }

    #[test]
    fn those_who_hold_the_same_do_not_rob_each_other() {
        let mut queue = Queue::new(1);
        for from in 0..WAITING_MAX {
            come(&mut queue, from).expect("room");
        }
        assert_eq!(come(&mut queue, WAITING_MAX), None);
        let mut queue = Queue::new(1);
        for place in 0..WAITING_MAX {
            come(&mut queue, place % 8).expect("room");
        }
        assert_eq!(come(&mut queue, 0), None);
    }

    #[test]
    fn whoever_hashes_keeps_the_place() {
        let mut queue = Queue::new(WAITING_MAX);
        for place in 0..WAITING_MAX {
            come(&mut queue, place % 4).expect("room");
        }
        while queue.turn().is_some() {}
        assert_eq!(come(&mut queue, 9), None);
    }

    #[test]
    fn whoever_leaves_is_not_waited_for() {
        let mut queue = Queue::new(1);
        let (first, _) = come(&mut queue, 1).expect("room");
        let (second, _) = come(&mut queue, 2).expect("room");
        queue.leave(first);
        assert_eq!(queue.turn(), Some(second));
        queue.leave(second);
        assert_eq!(queue.turn(), None, "it still hashes");
        queue.done(second);
        assert!(queue.is_idle(1));
    }
}
