//! Account passwords: argon2id, a bounded number at a time, on threads that step back for all others.

mod argon;
mod threads;

use crate::{AddressKey, ApiError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use threads::Threads;
use tokio::sync::Semaphore;

/// Shortest and longest password, in characters and bytes (NIST SP 800-63B §5.1.1.2).
const CHARS_MIN: usize = 8;
const BYTES_MAX: usize = 1_024;
/// Guesses that a password must withstand, as zxcvbn counts them. Sign-in takes five failures a minute,
/// so this is a day and a half of them; what is common, a row of keys or the user's name falls sooner.
const GUESSES_MIN: u64 = 10_000;
/// Callers that may wait for their turn; each turn takes some 50 ms, so the last waits a few seconds.
const WAITING_MAX: usize = 256;
/// Of them from one address: whoever guesses in parallel leaves room for others.
const WAITING_PER_ADDRESS_MAX: usize = WAITING_MAX / 4;

/// Hashes and checks passwords.
pub struct Hashing {
    /// Those who wait or hash, by address.
    places: Mutex<HashMap<AddressKey, usize>>,
    /// Turns to hash: 19 MiB and a core each.
    running: Arc<Semaphore>,
    threads: Threads,
}

/// A place in the queue, taken before anything else that is bounded by how much can be hashed.
pub struct Place<'a> {
    hashing: &'a Hashing,
    address: AddressKey,
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
        Self {
            places: Mutex::default(),
            running: Arc::new(Semaphore::new(at_a_time)),
            threads: Threads::start(at_a_time),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// 503 where all are taken, or all that one address may have.
    pub fn place(&self, address: AddressKey) -> Result<Place<'_>, ApiError> {
        let mut places = self.places();
        let taken: usize = places.values().sum();
        let own = places.entry(address).or_default();
        if taken >= WAITING_MAX || *own >= WAITING_PER_ADDRESS_MAX {
            if *own == 0 {
                places.remove(&address);
            }
            return Err(ApiError::unavailable());
        }
        *own += 1;
        drop(places);
        Ok(Place {
            hashing: self,
            address,
        })
    }

    /// Leaves nobody a place, ever: for those who try what needs no password and have no time for any.
    pub fn fill(&self) {
        let nobody = crate::ClientAddress([192, 0, 2, 255].into()).key();
        self.places().insert(nobody, WAITING_MAX);
    }

    fn places(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.hashing.places();
        if let Some(own) = places.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                places.remove(&self.address);
            }
        }
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
        let running = Arc::clone(&self.hashing.running);
        let turn = running.acquire_owned().await;
        let turn = turn.map_err(|_| ApiError::unavailable())?;
        let work = move |memory: &mut argon::Memory| {
            let _turn = turn;
            work(memory)
        };
        self.hashing.threads.run(work).await
    }
}

/// A hash with the same parameters as every other, of a password that nobody has.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

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
        let all = first.len() + others.iter().map(Vec::len).sum::<usize>();
        assert_eq!(all, WAITING_MAX);
        drop((first, others));
        assert!(hashing.places().is_empty());
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
