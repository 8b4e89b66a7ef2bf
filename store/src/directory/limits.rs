//! Limits that go over the configuration: for all, and of one site or user. As bans are, they are one
//! value in memory that the act itself replaces.

use super::{Directory, DirectoryError, fetch, transact};
use belfry_acl::limit::{Limits, Name, Of, Whose};
use belfry_protocol::id::UserId;
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
    pub async fn set_limits(&self, changes: &[(Name, Option<u64>)]) -> Result<(), DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        transact!(self, |transaction| {
            for (name, value) in changes {
                sqlx::query("DELETE FROM settings WHERE name = $1")
                    .bind(name.key())
                    .execute(&mut *transaction)
                    .await?;
                if let Some(value) = value {
                    sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2)")
                        .bind(name.key())
                        .bind(i64::try_from(*value).unwrap_or(i64::MAX))
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        });
        self.read_limits().await
    }

    /// Gives one site or user limits of its own, or takes them away; all or none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_own_limits(
        &self,
        whose: &Whose,
        changes: &[(Name, Option<u64>)],
    ) -> Result<(), DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        let (kind, text) = written(whose);
        transact!(self, |transaction| {
            for (name, value) in changes {
                sqlx::query("DELETE FROM overrides WHERE kind = $1 AND whose = $2 AND name = $3")
                    .bind(kind)
                    .bind(&text)
                    .bind(name.short())
                    .execute(&mut *transaction)
                    .await?;
                if let Some(value) = value {
                    sqlx::query(
                        "INSERT INTO overrides (kind, whose, name, value) VALUES ($1, $2, $3, $4)",
                    )
                    .bind(kind)
                    .bind(&text)
                    .bind(name.short())
                    .bind(i64::try_from(*value).unwrap_or(i64::MAX))
                    .execute(&mut *transaction)
                    .await?;
                }
            }
        });
        self.read_limits().await
    }

    /// Forgets what a user who is erased had of their own.
    pub(super) async fn forget_own_limits(&self, user: UserId) -> Result<(), DirectoryError> {
        let whose = Whose::User(user);
        if !self.limits().has_own(&whose) {
            return Ok(());
        }
        let all = Name::ALL.iter().filter(|name| name.of() == Of::User);
        let none: Vec<_> = all.map(|name| (*name, None)).collect();
        self.set_own_limits(&whose, &none).await
    }
}
