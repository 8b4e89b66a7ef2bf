//! Sign-ins that wait for their second half. They are in memory alone: a restart asks for the password
//! again.

use belfry_edge::{ApiError, random};
use belfry_protocol::id::UserId;
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one waits.
const WAITS: Duration = Duration::from_secs(300);
/// Codes that may be tried in one.
const TRIES_MAX: u8 = 5;
/// Sign-ins that wait at a time: each but those by passkey alone took the right password. Beyond, the
/// oldest goes.
const WAITING_MAX: usize = 1_000;

/// What a sign-in waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Whose, where the password has said it.
    pub(crate) user: Option<UserId>,
    /// What they are called.
    pub(crate) name: String,
}

struct Challenge {
    waiting: Waiting,
    until: Timestamp,
    tries: u8,
}

/// Those that wait.
#[derive(Default)]
pub(crate) struct Challenges(Mutex<HashMap<SecretHash, Challenge>>);

impl Challenges {
    /// Has one wait; what it is answered with.
    pub(crate) fn begin(&self, waiting: Waiting, now: Timestamp) -> Result<Secret, ApiError> {
        let secret = Secret::from_random(random()?);
        let mut all = self.all();
        all.retain(|_, challenge| challenge.until > now);
        if all.len() >= WAITING_MAX {
            let oldest = all.iter().min_by_key(|(_, challenge)| challenge.until);
            let oldest = oldest.map(|(secret, _)| *secret);
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        let challenge = Challenge {
            waiting,
            until: now.plus(WAITS),
            tries: 0,
        };
        all.insert(secret.hash(), challenge);
        Ok(secret)
    }

    /// Takes one more try of it; none where it is over, or was tried too often.
    pub(crate) fn again(&self, secret: &str, now: Timestamp) -> Option<Waiting> {
        let secret = SecretHash::of(secret.as_bytes());
        let mut all = self.all();
        let challenge = all.get_mut(&secret)?;
        if challenge.until <= now || challenge.tries >= TRIES_MAX {
            all.remove(&secret);
            return None;
        }
        challenge.tries += 1;
        Some(challenge.waiting.clone())
    }

    /// It is over; whether it was still there, so that it ends once.
    pub(crate) fn end(&self, secret: &str) -> bool {
        let secret = SecretHash::of(secret.as_bytes());
        self.all().remove(&secret).is_some()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SecretHash, Challenge>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_waits_for_five_minutes_and_five_tries() {
        let challenges = Challenges::default();
        let at = |secs: u64| Timestamp::from_millis(secs * 1_000);
        let waiting = Waiting {
            user: Some(UserId::from_bytes([1; 16])),
            name: "ada".to_owned(),
        };
        let begin = |now| {
            let begun = challenges.begin(waiting.clone(), at(now));
            begun.expect("random numbers").expose().to_owned()
        };
        let first = begin(0);
        for _ in 0..TRIES_MAX {
            assert_eq!(challenges.again(&first, at(1)), Some(waiting.clone()));
        }
        assert_eq!(challenges.again(&first, at(1)), None);
        let second = begin(0);
        assert!(challenges.again(&second, at(299)).is_some());
        assert_eq!(challenges.again(&second, at(300)), None);
        let third = begin(0);
        assert!(challenges.end(&third) && !challenges.end(&third));
        assert_eq!(challenges.again(&third, at(1)), None);
    }

    #[test]
    fn however_many_begin_only_so_many_wait() {
        let challenges = Challenges::default();
        for secs in 0..WAITING_MAX as u64 + 10 {
            let waiting = Waiting {
                user: None,
                name: String::new(),
            };
            let now = Timestamp::from_millis(secs);
            challenges.begin(waiting, now).expect("random numbers");
        }
        assert_eq!(challenges.all().len(), WAITING_MAX);
    }
}
