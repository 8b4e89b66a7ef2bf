//! Account passwords: argon2id, a bounded number at a time, on threads that step back for all others.

mod argon;
mod queue;
mod threads;

use crate::{AddressKey, ApiError};
use queue::{Queue, Ticket};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use threads::Threads;
use tokio::sync::oneshot;

/// Shortest and longest password, in characters and bytes (NIST SP 800-63B §5.1.1.2).
const CHARS_MIN: usize = 8;
const BYTES_MAX: usize = 1_024;
/// Guesses that a password must withstand, as zxcvbn counts them. Sign-in takes five failures a minute,
/// so this is a day and a half of them; what is common, a row of keys or the user's name falls sooner.
const GUESSES_MIN: u64 = 10_000;
/// Hashes and checks passwords.
pub struct Hashing {
    turns: Arc<Turns>,
    threads: Threads,
}

/// A place in the queue, taken before anything else that is bounded by how much can be hashed. Until it
/// hashes, one who comes to a full queue with fewer may take it.
pub struct Place<'a> {
    hashing: &'a Hashing,
    ticket: Ticket,
}

/// Turns to hash: 19 MiB and a core each.
struct Turns(Mutex<Waiting>);

struct Waiting {
    queue: Queue,
    /// Those who asked for a turn. Who loses the place learns it by the end of this.
    asked: HashMap<Ticket, oneshot::Sender<Turn>>,
}

/// One turn, which ends with this.
struct Turn {
    turns: Arc<Turns>,
    ticket: Ticket,
}

/// Refuses passwords that are guessed first.
///
/// # Errors
/// 422, with the field.
pub fn check_strength(field: &str, password: &str, username: &str) -> Result<(), ApiError> {
    let weak = |detail| Err(ApiError::invalid(field, detail));
    if password.chars().count() < CHARS_MIN {
        return weak("a password has at least 8 characters");
    }
    if password.len() > BYTES_MAX {
        return weak("a password has at most 1024 bytes");
    }
    if zxcvbn::zxcvbn(password, &[username]).guesses() < GUESSES_MIN {
        return weak("this password is guessed at once; a few unrelated words are better");
    }
    Ok(())
}

impl Hashing {
    /// So many at a time.
    pub fn new(at_a_time: usize) -> Self {
        let waiting = Waiting {
            queue: Queue::new(at_a_time),
            asked: HashMap::new(),
        };
        Self {
            turns: Arc::new(Turns(Mutex::new(waiting))),
            threads: Threads::start(at_a_time),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// 503 where all are taken and nobody holds more than this address would, or all that one address may
    /// have.
    pub fn place(&self, address: AddressKey) -> Result<Place<'_>, ApiError> {
        let mut waiting = self.turns.waiting();
        let entered = waiting.queue.enter(address);
        let (ticket, robbed) = entered.ok_or_else(ApiError::unavailable)?;
        robbed.and_then(|robbed| waiting.asked.remove(&robbed));
        drop(waiting);
        Ok(Place {
            hashing: self,
            ticket,
        })
    }

    /// Leaves nobody a place, ever: for those who try what needs no password and have no time for any.
    pub fn fill(&self) {
        self.turns.waiting().queue.close();
    }
}

impl Turns {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the free turns to those whose turn it is.
    fn give(self: &Arc<Self>) {
        let mut given = Vec::new();
        let mut waiting = self.waiting();
        while let Some(ticket) = waiting.queue.turn() {
            let turns = Arc::clone(self);
            given.push((waiting.asked.remove(&ticket), Turn { turns, ticket }));
        }
        // A turn that nobody takes any more ends here, which locks again.
        drop(waiting);
        for (asked, turn) in given {
            if let Some(asked) = asked {
                let _ = asked.send(turn);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.waiting().queue.done(self.ticket);
        self.turns.give();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.hashing.turns.waiting();
        waiting.queue.leave(self.ticket);
        waiting.asked.remove(&self.ticket);
    }
}

impl Place<'_> {
    /// The hash to keep, in PHC form.
    ///
    /// # Errors
    /// 503.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        let salt = crate::random::<16>()?;
        self.run(move |memory| argon::hash(password.as_bytes(), &salt, memory))
            .await?
            .map_err(|_| ApiError::unavailable())
    }

    /// Whether the password is the one of this hash. Takes as long where there is none.
    ///
    /// # Errors
    /// 503.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
        let right = self
            .run(move |memory| argon::verify(password.as_bytes(), &hash, memory))
            .await?
            .map_err(|_| ApiError::unavailable())?;
        Ok(right && exists)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut argon::Memory) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = self.turn().await?;
        let work = move |memory: &mut argon::Memory| {
            let _turn = turn;
            work(memory)
        };
        self.hashing.threads.run(work).await
    }

    /// Waits for a turn.
    async fn turn(&self) -> Result<Turn, ApiError> {
        let turn = self.ask().ok_or_else(ApiError::unavailable)?;
        self.hashing.turns.give();
        turn.await.map_err(|_| ApiError::unavailable())
    }

    /// Asks for a turn; none where the place was taken away.
    fn ask(&self) -> Option<oneshot::Receiver<Turn>> {
        let mut waiting = self.hashing.turns.waiting();
        if !waiting.queue.wait(self.ticket) {
            return None;
        }
        let (given, turn) = oneshot::channel();
        waiting.asked.insert(self.ticket, given);
        Some(turn)
    }
}

/// A hash with the same parameters as every other, of a password that nobody has.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::queue::{WAITING_MAX, WAITING_PER_ADDRESS_MAX};
    use super::*;
    use std::task::Poll;

    fn address(last: u8) -> AddressKey {
        crate::ClientAddress([192, 0, 2, last].into()).key()
    }

    #[test]
    fn one_address_does_not_take_all_places_and_none_is_lost() {
        let hashing = Hashing::new(1);
        let take = |last| {
            let places = std::iter::from_fn(|| hashing.place(address(last)).ok());
            places.take(WAITING_MAX + 1).collect::<Vec<_>>()
        };
        let first = take(1);
        assert_eq!(first.len(), WAITING_PER_ADDRESS_MAX);
        let others: Vec<_> = (2..9).map(take).collect();
        assert!(others.iter().all(|places| !places.is_empty()));
        drop((first, others));
        assert!(hashing.turns.waiting().queue.is_idle(1));
    }

    #[tokio::test]
    async fn those_who_take_all_places_make_room_for_who_comes_alone() {
        let hashing = Hashing::new(1);
        let take = |last| {
            let places = std::iter::from_fn(|| hashing.place(address(last)).ok());
            places.take(WAITING_PER_ADDRESS_MAX).collect::<Vec<_>>()
        };
        let crowd: Vec<_> = (1..5).flat_map(take).collect();
        assert_eq!(crowd.len(), WAITING_MAX);
        let alone = hashing.place(address(9)).expect("a place");
        let robbed = crowd.last().expect("the newest").hash("x".to_owned());
        assert!(robbed.await.is_err());
        alone.hash("x".to_owned()).await.expect("a hash");
        let others = crowd[0].hash("x".to_owned());
        others.await.expect("a hash");
    }

    #[tokio::test]
    async fn whoever_waits_learns_that_the_place_is_gone() {
        let hashing = Hashing::new(1);
        let hashes = hashing.place(address(9)).expect("a place");
        let turn = hashes.turn().await.expect("the only turn");
        let take = |last| {
            let places = std::iter::from_fn(|| hashing.place(address(last)).ok());
            places.take(WAITING_PER_ADDRESS_MAX).collect::<Vec<_>>()
        };
        let crowd: Vec<_> = (1..5).flat_map(take).collect();
        let mut waits: Vec<_> = crowd.iter().map(|place| Box::pin(place.turn())).collect();
        for wait in &mut waits {
            assert!(by_now(wait).await.is_none(), "the turn is taken");
        }
        let alone = hashing.place(address(8)).expect("a place");
        // The fourth holds one less than the others, who left it no more.
        let lost = waits.remove(3 * WAITING_PER_ADDRESS_MAX - 1);
        assert!(lost.await.is_err());
        drop((turn, waits));
        drop(alone.turn().await.expect("a turn"));
        drop((alone, hashes, crowd));
        assert!(hashing.turns.waiting().queue.is_idle(1));
    }

    /// What it has come to by now, if anything.
    async fn by_now<F: std::future::Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let hashing = Hashing::new(1);
        let place = || hashing.place(address(1)).expect("room");
        let hash = place()
            .hash("correct horse".to_owned())
            .await
            .expect("a hash");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let verify = async |password: &str, hash: Option<&str>| {
            place()
                .verify(password.to_owned(), hash.map(str::to_owned))
                .await
                .expect("an answer")
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("wrong horse", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
    }

    #[test]
    fn weak_passwords_are_refused() {
        let refused =
            |password: &str, name: &str| check_strength("password", password, name).is_err();
        for weak in [
            "short",
            "aaaaaaaaaa",
            "password",
            "12345678",
            "abcdefgh",
            "qwertyui",
            "password123",
            "iloveyou",
            "adalovelace",
            &"x".repeat(2_000),
        ] {
            assert!(refused(weak, "adalovelace"), "{weak}");
        }
        for (good, name) in [
            ("correct horse", "ada"),
            ("alice-password-123", "alice"),
            ("bobby tables 77", "bob"),
            ("quiet orange lamp", "q"),
            ("s3cret-Passw0rd!", "test"),
            ("hunter2hunter2", "eve"),
        ] {
            assert!(!refused(good, name), "{good}");
        }
    }
}
