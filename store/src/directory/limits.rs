//! Limits that go over the configuration: for all, and of one site or user. As bans are, they are one
//! value in memory that the act itself replaces.

use super::audit::{Act, Actor, append};
use super::transaction::execute_in;
use super::{Directory, DirectoryError, execute, fetch};
use belfry_acl::limit::{Limits, Name, Whose};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

fn written(whose: &Whose) -> (&'static str, String) {
    match whose {
        Whose::Site(site) => ("site", site.as_str().to_owned()),
        Whose::User(user) => ("user", user.to_string()),
    }
}

fn read(kind: &str, whose: &str) -> Option<Whose> {
    match kind {
        "site" => whose.parse().ok().map(Whose::Site),
        "user" => whose.parse().ok().map(Whose::User),
        _ => None,
    }
}

impl Directory {
    /// What holds now.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.standing.limits.borrow())
    }

    /// The same, and when it changes.
    pub fn watch_limits(&self) -> watch::Receiver<Arc<Limits>> {
        self.standing.limits.subscribe()
    }

    /// Reads what was set into memory. A row that another version wrote and this one does not know is
    /// passed over.
    ///
    /// # Errors
    /// The directory is unavailable; what was in memory holds on.
    pub(super) async fn read_limits(&self) -> Result<(), DirectoryError> {
        let set = fetch!(
            self,
            fetch_all,
            (String, i64),
            "SELECT name, value FROM settings"
        )?;
        let own = fetch!(
            self,
            fetch_all,
            (String, String, String, i64),
            "SELECT kind, whose, name, value FROM overrides"
        )?;
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let set = set
            .iter()
            .filter_map(|(key, value)| Some((Name::of_key(key)?, number(*value))));
        let own = own.iter().filter_map(|(kind, whose, name, value)| {
            let whose = read(kind, whose)?;
            let name = Name::of_short(whose.of(), name)?;
            Some((whose, name, number(*value)))
        });
        let limits = Arc::new(Limits::new(set, own));
        self.standing.limits.send_replace(limits);
        Ok(())
    }

    /// Sets limits for all, or gives them back to the configuration; all or none. They hold when this is
    /// answered.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_limits(
        &self,
        changes: &[(Name, Option<u64>)],
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        let limits = self.limits();
        let mut transaction = self.begin().await?;
        for (name, value) in changes {
            let sql = "DELETE FROM settings WHERE name = $1";
            execute_in!(&mut transaction, sql, name.key())?;
            if let Some(value) = value {
                let sql = "INSERT INTO settings (name, value) VALUES ($1, $2)";
                execute_in!(&mut transaction, sql, name.key(), signed(*value))?;
            }
        }
        let before = changes.iter().map(|(name, _)| (*name, limits.set(*name)));
        let act = Act {
            act: "limits.set",
            target: None,
            before: Some(told(before, Name::key)),
            after: Some(told(changes.iter().copied(), Name::key)),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        self.read_limits().await
    }

    /// Gives one site or user limits of its own, or takes them away; all or none. `label` is what people
    /// call it.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_own_limits(
        &self,
        (whose, label): (&Whose, &str),
        changes: &[(Name, Option<u64>)],
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        let limits = self.limits();
        let (kind, text) = written(whose);
        let mut transaction = self.begin().await?;
        for (name, value) in changes {
            let (sql, short) = (
                "DELETE FROM overrides WHERE kind = $1 AND whose = $2 AND name = $3",
                name.short(),
            );
            execute_in!(&mut transaction, sql, kind, text.as_str(), short)?;
            if let Some(value) = value {
                let sql =
                    "INSERT INTO overrides (kind, whose, name, value) VALUES ($1, $2, $3, $4)";
                let value = signed(*value);
                execute_in!(&mut transaction, sql, kind, text.as_str(), short, value)?;
            }
        }
        let before = changes
            .iter()
            .map(|(name, _)| (*name, limits.own(whose, *name)));
        let act = Act {
            act: match whose {
                Whose::Site(_) => "site.limits",
                Whose::User(_) => "user.limits",
            },
            target: Some(label.to_owned()),
            before: Some(told(before, Name::short)),
            after: Some(told(changes.iter().copied(), Name::short)),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        self.read_limits().await
    }

    /// Forgets what a user who is erased had of their own.
    pub(super) async fn forget_own_limits(&self, user: UserId) -> Result<(), DirectoryError> {
        if !self.limits().has_own(&Whose::User(user)) {
            return Ok(());
        }
        let _changing = self.standing.changing.lock().await;
        execute!(
            self,
            "DELETE FROM overrides WHERE kind = 'user' AND whose = $1",
            user.to_string()
        )?;
        self.read_limits().await
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Limits as the audit has them; null where the configuration holds.
fn told(
    values: impl Iterator<Item = (Name, Option<u64>)>,
    called: impl Fn(Name) -> &'static str,
) -> Value {
    let values = values.map(|(name, value)| (called(name).to_owned(), json!(value)));
    Value::Object(values.collect())
}
