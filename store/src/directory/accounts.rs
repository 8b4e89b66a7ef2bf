//! Accounts and their sign-ins.

use super::admins::{Role, may_go};
use super::audit::{Act, Actor, append};
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, execute, fetch, fold, id, millis, time, unique};
use belfry_protocol::id::{DeviceId, SessionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: UserId,
    /// The name as the user wrote it.
    pub display_name: String,
    /// The argon2id hash in PHC form; none where the user signs in elsewhere.
    pub password_hash: Option<String>,
    /// How long active devices have notifications to themselves, in whole seconds; none where that is
    /// left to the server.
    pub away_grace: Option<Duration>,
    /// What it may administer.
    pub role: Role,
}

/// A sign-in behind a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn {
    /// Its id, which is not the token.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The device that was made with it, or on which it was made.
    pub device: Option<DeviceId>,
    /// When the password was given.
    pub created: Timestamp,
    /// When it was last used, to the hour.
    pub used: Timestamp,
    /// When it ends unless it is used.
    pub expires: Timestamp,
}

/// How stale the noted use of a token may get: a write an hour, not one a request.
const USE_NOTED_EVERY: Duration = Duration::from_secs(3_600);

type SignInRow = (Vec<u8>, Vec<u8>, Option<Vec<u8>>, i64, i64, i64);

fn sign_in(row: SignInRow) -> Result<SignIn, DirectoryError> {
    let (session, user, device, created, used, expires) = row;
    Ok(SignIn {
        id: id(&session)?,
        user: id(&user)?,
        device: device.map(|device| id(&device)).transpose()?,
        created: time(created),
        used: time(used),
        expires: time(expires),
    })
}

type AccountRow = (Vec<u8>, String, Option<String>, Option<i64>, i64);

fn account(row: Option<AccountRow>) -> Result<Option<Account>, DirectoryError> {
    let Some((user, display_name, password_hash, away_grace, role)) = row else {
        return Ok(None);
    };
    Ok(Some(Account {
        user: id(&user)?,
        display_name,
        password_hash,
        away_grace: away_grace.map(seconds),
        role: Role::of(role),
    }))
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

/// An account that is made.
#[derive(Debug, Clone, Copy)]
pub struct MadeAccount<'a> {
    /// Whose it is to be.
    pub user: UserId,
    /// The name as it is written.
    pub name: &'a str,
    /// The argon2id hash in PHC form.
    pub password_hash: &'a str,
    /// What it may administer.
    pub role: Role,
}

/// Makes an account, as part of what else is done; [`DirectoryError::Taken`] where the name is.
pub(super) async fn insert(
    transaction: &mut Transaction,
    made: &MadeAccount<'_>,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    execute_in!(
        transaction,
        "INSERT INTO accounts (user_id, name, display_name, password_hash, created, words, role) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &made.user.as_bytes()[..],
        made.name.to_lowercase(),
        made.name,
        made.password_hash,
        millis(now),
        fold(made.name),
        made.role.number()
    )
    .map_err(unique)?;
    Ok(())
}

async fn give_role_up(
    transaction: &mut Transaction,
    user: UserId,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    let bytes = &user.as_bytes()[..];
    // As where a role is changed: not the last two admins go at once.
    execute_in!(transaction, "UPDATE audit_head SET n = n")?;
    let row = fetch_in!(
        transaction,
        fetch_optional,
        (String, i64),
        "SELECT display_name, role FROM accounts WHERE user_id = $1",
        bytes
    )?;
    let Some((name, role)) = row.filter(|(_, role)| Role::of(*role) > Role::None) else {
        return Ok(());
    };
    let role = Role::of(role);
    may_go(transaction, role).await?;
    execute_in!(
        transaction,
        "UPDATE accounts SET role = 0 WHERE user_id = $1",
        bytes
    )?;
    let by = Actor::Account {
        id: user,
        name: name.clone(),
    };
    let act = Act {
        act: "user.role",
        target: Some(name),
        before: Some(json!({ "role": role })),
        after: Some(json!({ "role": Role::None, "erased": true })),
    };
    append(transaction, &by, &act, now).await
}

impl Directory {
    /// Makes an account. Names are unique without regard to case.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn create_account(
        &self,
        user: UserId,
        name: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        let made = MadeAccount {
            user,
            name,
            password_hash,
            role: Role::None,
        };
        insert(&mut transaction, &made, now).await?;
        transaction.commit().await
    }

    /// Makes an account with a role for somebody else.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn create_account_for(
        &self,
        made: &MadeAccount<'_>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        insert(&mut transaction, made, now).await?;
        let act = Act {
            act: "user.create",
            target: Some(made.name.to_owned()),
            after: Some(json!({ "id": made.user, "role": made.role })),
            ..Act::default()
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await
    }

    /// The account with this name, in any case.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn account_by_name(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        account(fetch!(
            self,
            fetch_optional,
            AccountRow,
            "SELECT user_id, display_name, password_hash, away_grace, role FROM accounts WHERE name = $1",
            name.to_lowercase()
        )?)
    }

    /// The account of a user.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn account(&self, user: UserId) -> Result<Option<Account>, DirectoryError> {
        account(fetch!(
            self,
            fetch_optional,
            AccountRow,
            "SELECT user_id, display_name, password_hash, away_grace, role FROM accounts WHERE user_id = $1",
            &user.as_bytes()[..]
        )?)
    }

    /// How long the user's active devices have notifications to themselves, as [`Account::away_grace`];
    /// asked for each connection, and kept in memory.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn away_grace(&self, user: UserId) -> Result<Option<Duration>, DirectoryError> {
        if let Some(known) = self.away_graces.get(&user).await {
            return Ok(known);
        }
        let since = self.moment();
        let account = self.account(user).await?;
        let grace = account.and_then(|account| account.away_grace);
        self.remember(&self.away_graces, user, grace, since).await;
        Ok(grace)
    }

    /// Changes the grace; `None` leaves it to the server.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_away_grace(
        &self,
        user: UserId,
        grace: Option<Duration>,
    ) -> Result<(), DirectoryError> {
        let seconds = grace.map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX));
        execute!(
            self,
            "UPDATE accounts SET away_grace = $1 WHERE user_id = $2",
            seconds,
            &user.as_bytes()[..]
        )?;
        self.changed();
        self.away_graces.invalidate(&user).await;
        Ok(())
    }

    /// Replaces the password and ends every sign-in but one, those to administer all.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_password(
        &self,
        user: UserId,
        hash: &str,
        keep: SessionId,
    ) -> Result<(), DirectoryError> {
        let user = &user.as_bytes()[..];
        execute!(
            self,
            "UPDATE accounts SET password_hash = $1 WHERE user_id = $2",
            hash,
            user
        )?;
        execute!(
            self,
            "DELETE FROM sessions WHERE user_id = $1 AND session_id <> $2",
            user,
            &keep.as_bytes()[..]
        )?;
        execute!(self, "DELETE FROM admin_sessions WHERE user_id = $1", user)?;
        Ok(())
    }

    /// Takes the role of one who erases their own account, before anything else of it goes.
    ///
    /// # Errors
    /// It would leave nobody who may administer all.
    pub async fn give_role_up(&self, user: UserId, now: Timestamp) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        give_role_up(&mut transaction, user, now).await?;
        transaction.commit().await
    }

    /// Removes the account and all that the directory holds of it; its role and its sign-ins go first, so
    /// that nothing is added meanwhile.
    ///
    /// # Errors
    /// It would leave nobody who may administer all. Where the directory is unavailable, trying again goes
    /// on where it stopped.
    pub async fn erase_account(&self, user: UserId, now: Timestamp) -> Result<(), DirectoryError> {
        self.give_role_up(user, now).await?;
        let bytes = &user.as_bytes()[..];
        execute!(self, "DELETE FROM sessions WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM admin_sessions WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM links WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM totp WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM passkeys WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM devices WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM permissions WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM keyrings WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM keyring_wraps WHERE user_id = $1", bytes)?;
        execute!(self, "DELETE FROM idle_warnings WHERE user_id = $1", bytes)?;
        self.forget_own_limits(user).await?;
        // It may have been given one again.
        let mut transaction = self.begin().await?;
        give_role_up(&mut transaction, user, now).await?;
        execute_in!(
            &mut transaction,
            "DELETE FROM accounts WHERE user_id = $1",
            bytes
        )?;
        transaction.commit().await?;
        self.changed();
        self.endpoints.invalidate_all();
        self.known_devices.invalidate_all();
        self.away_graces.invalidate(&user).await;
        Ok(())
    }

    /// Keeps a sign-in.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_sign_in(
        &self,
        token: SecretHash,
        sign_in: &SignIn,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "INSERT INTO sessions (token_hash, user_id, session_id, device_id, created, used, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &token.as_bytes()[..],
            &sign_in.user.as_bytes()[..],
            &sign_in.id.as_bytes()[..],
            sign_in.device.as_ref().map(|device| &device.as_bytes()[..]),
            millis(sign_in.created),
            millis(sign_in.used),
            millis(sign_in.expires)
        )?;
        self.note_account_used(sign_in.user, sign_in.created).await
    }

    /// The sign-in behind a token that is good now; using it extends it by `lifetime`.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn sign_in_by_token(
        &self,
        token: SecretHash,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Option<SignIn>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            SignInRow,
            "SELECT session_id, user_id, device_id, created, used, expires FROM sessions WHERE token_hash = $1",
            &token.as_bytes()[..]
        )?;
        let Some(found) = row
            .map(sign_in)
            .transpose()?
            .filter(|found| found.expires > now)
        else {
            return Ok(None);
        };
        if now.since(found.used) > USE_NOTED_EVERY {
            execute!(
                self,
                "UPDATE sessions SET used = $1, expires = $2 WHERE token_hash = $3",
                millis(now),
                millis(now.plus(lifetime)),
                &token.as_bytes()[..]
            )?;
            self.note_account_used(found.user, now).await?;
        }
        Ok(Some(found))
    }

    async fn note_account_used(&self, user: UserId, at: Timestamp) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE accounts SET last_used = $1 WHERE user_id = $2",
            millis(at),
            &user.as_bytes()[..]
        )?;
        Ok(())
    }

    /// A user's sign-ins that are good now, newest first.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn sign_ins(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SignIn>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            SignInRow,
            "SELECT session_id, user_id, device_id, created, used, expires FROM sessions \
             WHERE user_id = $1 AND expires > $2 ORDER BY created DESC LIMIT 1000",
            &user.as_bytes()[..],
            millis(now)
        )?;
        rows.into_iter().map(sign_in).collect()
    }

    /// Ends a sign-in; false where there is none.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn end_sign_in(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<bool, DirectoryError> {
        let ended = execute!(
            self,
            "DELETE FROM sessions WHERE user_id = $1 AND session_id = $2",
            &user.as_bytes()[..],
            &session.as_bytes()[..]
        )?;
        Ok(ended > 0)
    }
}
