//! Devices that stay away and accounts at which nobody is: warned of through the user's events, and, a
//! week later, removed, unless somebody came back meanwhile.
//!
//! How long somebody may stay away is an admin's to say (`retention.device_idle`,
//! `retention.account_idle`); without that nobody is looked for. Who is connected is not away, and who
//! administers is left alone.

use crate::Accounts;
use belfry_acl::limit::Name;
use belfry_edge::ApiError;
use belfry_protocol::event::Event;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{IDLE_PAGE, Idle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked for them.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// How long a warning comes before.
const WARNED: Duration = Duration::from_secs(7 * 86_400);

/// What is to be done about something idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Warning,
    Removal,
}

/// What is due for one that may be idle for so long. Whoever was never warned is warned first, however
/// long it is away.
fn due(idle: &Idle, age: Duration, now: Timestamp) -> Due {
    match idle.warned {
        None if idle.since.plus(age.saturating_sub(WARNED)) <= now => Due::Warning,
        Some(warned) if warned.plus(WARNED) <= now && idle.since.plus(age) <= now => Due::Removal,
        None | Some(_) => Due::Nothing,
    }
}

impl Accounts {
    /// Looks for them until `stopping`.
    pub async fn remove_idle(self, stopping: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.look_for_idle().await {
                let (problem, _) = error.into_problem();
                let why = problem.problem.detail;
                tracing::warn!(%why, "idle devices and accounts are not removed yet");
            }
        }
    }

    /// Warns of and removes what is due now.
    pub(crate) async fn look_for_idle(&self) -> Result<(), ApiError> {
        let inner = &self.0;
        inner.directory.forget_idle_warnings().await?;
        let limits = inner.directory.limits();
        let settings = &inner.settings;
        let age = |name, configured: Duration| {
            let seconds = limits.for_all(name, configured.as_secs());
            (seconds > 0).then(|| Duration::from_secs(seconds))
        };
        if let Some(age) = age(Name::DeviceIdle, settings.device_idle) {
            self.look_for_idle_devices(age).await?;
        }
        if let Some(age) = age(Name::AccountIdle, settings.account_idle) {
            self.look_for_idle_accounts(age).await?;
        }
        Ok(())
    }

    /// The time before which it has to be looked at what is idle.
    fn looked_at(&self, age: Duration) -> Timestamp {
        self.0.now().minus(age.saturating_sub(WARNED))
    }

    async fn look_for_idle_devices(&self, age: Duration) -> Result<(), ApiError> {
        let inner = &self.0;
        let mut after = None;
        loop {
            let idle = inner.directory.idle_devices(self.looked_at(age), after);
            let idle = idle.await?;
            for one in &idle {
                let Some(device) = one.device else { continue };
                after = Some((one.user, device));
                let online = inner.broker.online(one.user);
                if online.iter().any(|(connected, _)| *connected == device) {
                    continue;
                }
                let now = inner.now();
                match due(one, age, now) {
                    Due::Nothing => {}
                    Due::Warning => {
                        inner.directory.warn_idle(one, now).await?;
                        let removed = end(one, age, now);
                        let event = Event::DeviceIdle { device, removed };
                        inner.broker.publish_event(one.user, &event);
                    }
                    Due::Removal => {
                        let _changing = inner.changing(one.user).await;
                        inner.remove_device(one.user, device).await?;
                        tracing::info!(device.id = %device, "an idle device is removed");
                    }
                }
            }
            if idle.len() < IDLE_PAGE as usize {
                return Ok(());
            }
        }
    }

    async fn look_for_idle_accounts(&self, age: Duration) -> Result<(), ApiError> {
        let inner = &self.0;
        let mut after = None;
        loop {
            let idle = inner.directory.idle_accounts(self.looked_at(age), after);
            let idle = idle.await?;
            for one in &idle {
                after = Some(one.user);
                if !inner.broker.online(one.user).is_empty() {
                    continue;
                }
                let now = inner.now();
                match due(one, age, now) {
                    Due::Nothing => {}
                    Due::Warning => {
                        inner.directory.warn_idle(one, now).await?;
                        let removed = end(one, age, now);
                        let event = Event::AccountIdle { removed };
                        inner.broker.publish_event(one.user, &event);
                    }
                    Due::Removal => {
                        let _changing = inner.changing(one.user).await;
                        inner.erase(one.user).await?;
                        tracing::info!(user.id = %one.user, "an idle account is removed");
                    }
                }
            }
            if idle.len() < IDLE_PAGE as usize {
                return Ok(());
            }
        }
    }
}

/// When one that is warned of now is removed if nobody comes back.
fn end(idle: &Idle, age: Duration, now: Timestamp) -> Timestamp {
    idle.since.plus(age).max(now.plus(WARNED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_protocol::id::UserId;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn nobody_is_removed_who_was_not_warned_a_week_before() {
        let begin = Timestamp::from_millis(1_800_000_000_000);
        let days = |count| begin.plus(DAY * count);
        let idle = |warned: Option<u32>| Idle {
            user: UserId::from_bytes([1; 16]),
            device: None,
            since: begin,
            warned: warned.map(days),
        };
        for (warned, today, expected) in [
            (None, 22, Due::Nothing),
            (None, 23, Due::Warning),
            (None, 300, Due::Warning),
            (Some(23), 29, Due::Nothing),
            (Some(23), 30, Due::Removal),
            (Some(300), 306, Due::Nothing),
            (Some(300), 307, Due::Removal),
        ] {
            let found = due(&idle(warned), DAY * 30, days(today));
            assert_eq!(found, expected, "{warned:?} on day {today}");
        }
        assert_eq!(end(&idle(None), DAY * 30, days(23)), days(30));
        assert_eq!(end(&idle(None), DAY * 30, days(300)), days(307));
    }
}
