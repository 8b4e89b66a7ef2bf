//! Account passwords: argon2id, off the async threads, a bounded number at a time.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use belfry_edge::ApiError;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Shortest and longest password, in characters and bytes (NIST SP 800-63B §5.1.1.2).
const CHARS_MIN: usize = 8;
const BYTES_MAX: usize = 1_024;
/// Guesses that a password must withstand, as zxcvbn counts them. Sign-in takes five failures a minute,
/// so this is a day and a half of them; what is common, a row of keys or the user's name falls sooner.
const GUESSES_MIN: u64 = 10_000;
/// Callers that may wait for their turn; each turn takes some 50 ms, so the last waits a few seconds.
const WAITING_MAX: usize = 256;

/// Hashes and checks passwords.
pub(crate) struct Hashing {
    /// Places to wait.
    waiting: Semaphore,
    /// Turns to hash: 19 MiB and a core each.
    running: Arc<Semaphore>,
}

/// A place in the queue, taken before anything else that is bounded by how much can be hashed.
pub(crate) struct Place<'a> {
    running: &'a Arc<Semaphore>,
    _place: SemaphorePermit<'a>,
}

/// Refuses passwords that are guessed first.
pub(crate) fn check_strength(field: &str, password: &str, username: &str) -> Result<(), ApiError> {
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
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self {
            waiting: Semaphore::new(WAITING_MAX),
            running: Arc::new(Semaphore::new(at_a_time)),
        }
    }

    /// Takes a place; 503 where all are taken.
    pub(crate) fn place(&self) -> Result<Place<'_>, ApiError> {
        let place = self.waiting.try_acquire();
        Ok(Place {
            running: &self.running,
            _place: place.map_err(|_| ApiError::unavailable())?,
        })
    }
}

impl Place<'_> {
    /// The hash to keep, in PHC form.
    pub(crate) async fn hash(&self, password: String) -> Result<String, ApiError> {
        let salt =
            SaltString::encode_b64(&crate::random::<16>()?).map_err(|_| ApiError::unavailable())?;
        self.run(move || {
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
                .map_err(|_| ApiError::unavailable())
        })
        .await?
    }

    /// Whether the password is the one of this hash. Takes as long where there is none.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ApiError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
        self.run(move || {
            let parsed = PasswordHash::new(&hash).map_err(|_| ApiError::unavailable())?;
            Ok(Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok()
                && exists)
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = Arc::clone(self.running)
            .acquire_owned()
            .await
            .map_err(|_| ApiError::unavailable())?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        work.await.map_err(|_| ApiError::unavailable())
    }
}

/// A hash with the same parameters as every other, of a password that nobody has.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let hashing = Hashing::new(1);
        let place = || hashing.place().expect("room");
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
            "ada-lovelace",
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
