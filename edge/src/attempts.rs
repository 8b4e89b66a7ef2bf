//! How often one may try: new accounts by address, passwords and codes by name and address.

use crate::AddressKey;
use crate::limit::LimitReached;
use belfry_acl::limit::{Limits, Name};
use belfry_acl::rate::{Cell, Limit};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Addresses whose new accounts are counted, about 60 bytes each; few under test, so that they are
/// reached. Beyond, the calmer half is forgotten.
const ADDRESSES_MAX: usize = if cfg!(test) { 100 } else { 100_000 };
/// Names and addresses whose failures are remembered, about 150 bytes each: more than argon2 can
/// produce before the first are forgotten, so that no flood clears an offender.
const GUESSED_MAX: usize = 100_000;
/// Taken names that an address may ask for in an hour: more than a person tries, and a bound for one
/// who lists accounts.
const TAKEN_PER_HOUR: u32 = 60;
/// The longest wait that failures earn, and how long they are remembered after it.
const WAIT_MAX: Duration = HOUR;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Attempts by address and name.
pub struct Attempts {
    accounts_per_hour: u32,
    failures_per_minute: u32,
    /// What was set over these since the start.
    set: Option<watch::Receiver<Arc<Limits>>>,
    new_accounts: Mutex<HashMap<AddressKey, NewAccounts>>,
    guessed: Mutex<HashMap<Guessed, Arc<tokio::sync::Mutex<Failures>>>>,
}

#[derive(Default)]
struct NewAccounts {
    made: Cell,
    taken: Cell,
}

impl NewAccounts {
    fn full_at_micros(&self) -> u64 {
        self.made.full_at_micros().max(self.taken.full_at_micros())
    }
}

/// What is tried. Each is counted by itself, so that whoever has the one right gains nothing for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What who signs in knows. A few mistakes are forgotten in a minute.
    Password,
    /// What an authenticator shows. It is short enough to be met by trying a few a minute for weeks, so
    /// that no mistake is forgotten as soon.
    Code,
}

/// What of whom is tried from where; the name is hashed, so that its length does not matter.
type Guessed = (Kind, SecretHash, AddressKey);

fn hourly(count: u32) -> Limit {
    Limit::new(u64::from(count), HOUR, count)
}

impl Attempts {
    /// With these limits.
    pub fn new(accounts_per_hour: u32, failures_per_minute: u32) -> Self {
        Self {
            accounts_per_hour,
            failures_per_minute,
            set: None,
            new_accounts: Mutex::default(),
            guessed: Mutex::default(),
        }
    }

    /// The same, unless these say otherwise.
    #[must_use]
    pub fn following(mut self, set: watch::Receiver<Arc<Limits>>) -> Self {
        self.set = Some(set);
        self
    }

    fn accounts_per_hour(&self) -> u32 {
        self.in_force(Name::AccountsPerHour, self.accounts_per_hour)
    }

    fn failures_per_minute(&self) -> u32 {
        self.in_force(Name::SignInFailuresPerMinute, self.failures_per_minute)
    }

    fn in_force(&self, name: Name, configured: u32) -> u32 {
        let set = self.set.as_ref().and_then(|set| set.borrow().set(name));
        set.map_or(configured, |set| u32::try_from(set).unwrap_or(u32::MAX))
    }

    /// Counts a new account.
    ///
    /// # Errors
    /// Too many from this address.
    pub fn account(&self, address: AddressKey, now: Timestamp) -> Result<(), LimitReached> {
        self.count(
            address,
            now,
            self.accounts_per_hour(),
            "accounts/address",
            |counted| &mut counted.made,
        )
    }

    /// The account was not made: the name was taken. That is counted apart.
    ///
    /// # Errors
    /// Too many from this address.
    pub fn taken(&self, address: AddressKey, now: Timestamp) -> Result<(), LimitReached> {
        self.refund(address);
        self.count(address, now, TAKEN_PER_HOUR, "names/address", |counted| {
            &mut counted.taken
        })
    }

    /// The account was not made.
    pub fn refund(&self, address: AddressKey) {
        let mut addresses = self
            .new_accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = addresses.get_mut(&address) {
            counted.made.refund(hourly(self.accounts_per_hour()));
        }
    }

    fn count(
        &self,
        address: AddressKey,
        now: Timestamp,
        limit: u32,
        scope: &'static str,
        cell: impl Fn(&mut NewAccounts) -> &mut Cell,
    ) -> Result<(), LimitReached> {
        let mut addresses = self
            .new_accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&address) {
            forget_the_calmer_half(&mut addresses);
        }
        let counted = addresses.entry(address).or_default();
        cell(counted).count(hourly(limit), now).map_err(|wait| {
            let detail = format!("this address may do that {limit} times an hour");
            let reached = u64::from(limit);
            LimitReached::rate(&detail, scope, (reached, reached), (now, wait))
        })
    }

    /// The failures under this name from this address. Held until the answer is known, so that
    /// guesses of one kind are judged one after the other, however many are sent at once.
    pub async fn of(
        &self,
        kind: Kind,
        name: &str,
        address: AddressKey,
        now: Timestamp,
    ) -> tokio::sync::OwnedMutexGuard<Failures> {
        let guessed = (
            kind,
            SecretHash::of(name.to_lowercase().as_bytes()),
            address,
        );
        let failures = {
            let mut all = self.guessed.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= GUESSED_MAX {
                let allowed = self.failures_per_minute();
                all.retain(|_, failures| {
                    failures
                        .try_lock()
                        .is_ok_and(|f| !f.is_forgotten(allowed, now))
                        || Arc::strong_count(failures) > 1
                });
            }
            let failures = all.entry(guessed);
            Arc::clone(failures.or_insert_with(|| Arc::new(Failures::of(kind).into())))
        };
        failures.lock_owned().await
    }

    /// Whether one more may be tried.
    ///
    /// # Errors
    /// Not before a wait is over.
    pub fn may(&self, failures: &Failures, now: Timestamp) -> Result<(), LimitReached> {
        if failures.until <= now {
            return Ok(());
        }
        tried("limited");
        let limit = u64::from(self.failures_per_minute());
        let counts = (limit, u64::from(failures.streak));
        let detail = "too many failures under this name from this address";
        let wait = failures.until.since(now);
        Err(LimitReached::rate(
            detail,
            "sign-in failures/name and address",
            counts,
            (now, wait),
        ))
    }

    /// Counts a failure. From the last allowed one on each brings a wait, twice as long as the one
    /// before.
    pub fn failed(&self, failures: &mut Failures, now: Timestamp) {
        tried("wrong");
        let allowed = self.failures_per_minute().max(1);
        if failures.is_forgotten(allowed, now) {
            *failures = Failures::of(failures.kind);
        }
        if failures.streak == 0 {
            failures.first = now;
        }
        failures.until = now;
        failures.streak = failures.streak.saturating_add(1);
        if let Some(beyond) = failures.streak.checked_sub(allowed) {
            let wait = (MINUTE / allowed).saturating_mul(1 << beyond.min(16));
            failures.until = now.plus(wait.clamp(Duration::from_secs(1), WAIT_MAX));
        }
    }

    /// What is right forgives what was wrong before, of its own kind.
    pub fn succeeded(&self, failures: &mut Failures) {
        tried("right");
        *failures = Failures::of(failures.kind);
    }
}

/// A password or a code was tried, or not looked at.
fn tried(result: &'static str) {
    metrics::counter!("belfry_passwords_total", "result" => result).increment(1);
}

/// Failed attempts under one name from one address.
pub struct Failures {
    kind: Kind,
    streak: u32,
    /// The first of the streak.
    first: Timestamp,
    /// No attempt is looked at before; of a failure that brought no wait, when it was.
    until: Timestamp,
}

impl Failures {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            streak: 0,
            first: Timestamp::default(),
            until: Timestamp::default(),
        }
    }

    /// A few passwords are forgotten a minute after the first; codes, and what brought waits, only after a
    /// long quiet, or pausing would pay.
    fn is_forgotten(&self, allowed: u32, now: Timestamp) -> bool {
        if self.kind == Kind::Password && self.streak < allowed {
            now.since(self.first) >= MINUTE
        } else {
            now.since(self.until) >= WAIT_MAX
        }
    }
}

/// Makes room: who made most lately is remembered, however many strangers come.
fn forget_the_calmer_half(addresses: &mut HashMap<AddressKey, NewAccounts>) {
    let mut full_at: Vec<u64> = addresses
        .values()
        .map(NewAccounts::full_at_micros)
        .collect();
    let half = full_at.len() / 2;
    let median = *full_at.select_nth_unstable(half).1;
    addresses.retain(|_, counted| counted.full_at_micros() > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn codes_are_forgotten_by_a_right_code_or_a_long_quiet_alone() {
        let attempts = Attempts::new(5, 5);
        let from = crate::ClientAddress([192, 0, 2, 1].into()).key();
        let at = |secs: u64| Timestamp::from_millis((1_800_000_000 + secs) * 1_000);
        let fail = async |kind, secs| {
            let mut failures = attempts.of(kind, "ada", from, at(secs)).await;
            let looked_at = attempts.may(&failures, at(secs)).is_ok();
            if looked_at {
                attempts.failed(&mut failures, at(secs));
            }
            looked_at
        };
        let succeed = async |kind| {
            let mut failures = attempts.of(kind, "ada", from, at(0)).await;
            attempts.succeeded(&mut failures);
        };
        let four_a_minute = async |kind| {
            let mut looked_at = 0;
            for minute in 0..30 {
                for _ in 0..4 {
                    looked_at += u32::from(fail(kind, minute * 61).await);
                    succeed(Kind::Password).await;
                }
            }
            looked_at
        };
        // Waits of 12, 24, 48, 96, 192, 384 and 768 s begin with the fifth.
        assert_eq!(four_a_minute(Kind::Code).await, 11);
        assert!(!fail(Kind::Code, 29 * 61).await);
        succeed(Kind::Code).await;
        assert!(fail(Kind::Code, 29 * 61).await);
        assert_eq!(four_a_minute(Kind::Password).await, 120);
    }

    #[test]
    fn a_flood_of_addresses_does_not_forgive_one() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let address = |text: &str| crate::ClientAddress(text.parse().expect("an address")).key();
        let attempts = Attempts::new(5, 5);
        let offender = || attempts.account(address("192.0.2.1"), now);
        while offender().is_ok() {}
        for stranger in 0..1_000 {
            let stranger = address(&format!("2001:db8:0:{stranger:x}::1"));
            assert!(attempts.account(stranger, now).is_ok());
            assert!(offender().is_err());
        }
    }
}
