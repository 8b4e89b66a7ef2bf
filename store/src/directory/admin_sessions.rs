//! Sign-ins of those who administer. They are apart from the users' sign-ins: one opens nothing of the
//! other's.

use super::admins::Role;
use super::audit::{Act, Actor, append};
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, execute, fetch, id, millis, time};
use belfry_protocol::id::{SessionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Sessions of one account: the oldest beyond goes.
const SESSIONS_MAX: i64 = 50;
/// How long one that ended is remembered, to say so.
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// A sign-in behind a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSession {
    /// Its id, which is not the cookie.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created: Timestamp,
    /// When somebody last used it.
    pub used: Timestamp,
    /// When a password or a passkey was last given.
    pub proven: Timestamp,
    /// Where it began.
    pub address: String,
    /// What it began in, such as "Firefox on Linux".
    pub client: String,
}

/// A session with its account as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatedSession {
    /// The session.
    pub session: AdminSession,
    /// What the account is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

type SessionRow = (Vec<u8>, Vec<u8>, i64, i64, i64, String, String);

fn session(row: SessionRow) -> Result<AdminSession, DirectoryError> {
    let (session, user, created, used, proven, address, client) = row;
    Ok(AdminSession {
        id: id(&session)?,
        user: id(&user)?,
        created: time(created),
        used: time(used),
        proven: time(proven),
        address,
        client,
    })
}

/// Keeps a session in a transaction; the oldest beyond what an account may have goes.
pub(super) async fn keep(
    transaction: &mut Transaction,
    secret: SecretHash,
    session: &AdminSession,
) -> Result<(), DirectoryError> {
    let user = &session.user.as_bytes()[..];
    let long_ago = session.created.as_millis();
    let long_ago = long_ago.saturating_sub(u64::try_from(REMEMBERED.as_millis()).unwrap_or(0));
    execute_in!(
        &mut *transaction,
        "DELETE FROM admin_sessions WHERE used < $1",
        millis(Timestamp::from_millis(long_ago))
    )?;
    execute_in!(
        &mut *transaction,
        "DELETE FROM admin_sessions WHERE user_id = $1 AND session_id NOT IN \
         (SELECT session_id FROM admin_sessions WHERE user_id = $1 ORDER BY created DESC, session_id LIMIT $2)",
        user,
        SESSIONS_MAX - 1
    )?;
    execute_in!(
        transaction,
        "INSERT INTO admin_sessions (session_hash, user_id, session_id, created, used, proven, address, client) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &secret.as_bytes()[..],
        user,
        &session.id.as_bytes()[..],
        millis(session.created),
        millis(session.used),
        millis(session.proven),
        session.address.as_str(),
        session.client.as_str()
    )?;
    Ok(())
}

impl Directory {
    /// Keeps a session that begins.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_admin_session(
        &self,
        secret: SecretHash,
        session: &AdminSession,
        by: &Actor,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        keep(&mut transaction, secret, session).await?;
        let act = Act {
            act: "sign-in",
            target: None,
            before: None,
            after: Some(json!({ "address": session.address, "client": session.client })),
        };
        append(&mut transaction, by, &act, session.created).await?;
        transaction.commit().await
    }

    /// The session of this secret with its account, whether it is good or not.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn admin_session(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SeatedSession>, DirectoryError> {
        type Row = (Vec<u8>, Vec<u8>, i64, i64, i64, String, String, String, i64);
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT s.session_id, s.user_id, s.created, s.used, s.proven, s.address, s.client, a.display_name, a.role \
             FROM admin_sessions s JOIN accounts a ON a.user_id = s.user_id WHERE s.session_hash = $1",
            &secret.as_bytes()[..]
        )?;
        let Some((id, user, created, used, proven, address, client, name, role)) = row else {
            return Ok(None);
        };
        Ok(Some(SeatedSession {
            session: session((id, user, created, used, proven, address, client))?,
            name,
            role: Role::of(role),
        }))
    }

    /// Notes that somebody used a session.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn note_admin_session(
        &self,
        session: SessionId,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE admin_sessions SET used = $1 WHERE user_id = $2 AND session_id = $3",
            millis(now),
            &user.as_bytes()[..],
            &session.as_bytes()[..]
        )?;
        Ok(())
    }

    /// Notes that a password or a passkey was given in a session.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn prove_admin_session(
        &self,
        session: SessionId,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE admin_sessions SET used = $1, proven = $1 WHERE user_id = $2 AND session_id = $3",
            millis(now),
            &user.as_bytes()[..],
            &session.as_bytes()[..]
        )?;
        Ok(())
    }

    /// An account's sessions, newest first, those that ended by themselves too.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn admin_sessions(&self, user: UserId) -> Result<Vec<AdminSession>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            SessionRow,
            "SELECT session_id, user_id, created, used, proven, address, client FROM admin_sessions \
             WHERE user_id = $1 ORDER BY created DESC, session_id",
            &user.as_bytes()[..]
        )?;
        rows.into_iter().map(session).collect()
    }

    /// Ends a session that signs out; that is no act.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn sign_admin_out(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "DELETE FROM admin_sessions WHERE user_id = $1 AND session_id = $2",
            &user.as_bytes()[..],
            &session.as_bytes()[..]
        )?;
        Ok(())
    }

    /// Ends one of an account's sessions, or all; how many.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn end_admin_sessions(
        &self,
        user: UserId,
        only: Option<SessionId>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let mut transaction = self.begin().await?;
        let bytes = &user.as_bytes()[..];
        let (ended, after) = match only {
            Some(session) => {
                let ended = fetch_in!(
                    &mut transaction,
                    fetch_all,
                    (String, String),
                    "DELETE FROM admin_sessions WHERE user_id = $1 AND session_id = $2 RETURNING address, client",
                    bytes,
                    &session.as_bytes()[..]
                )?;
                let one = ended.first();
                let after = one.map(|(address, client)| json!({ "ended": { "address": address, "client": client } }));
                (u64::try_from(ended.len()).unwrap_or(u64::MAX), after)
            }
            None => {
                let ended = execute_in!(
                    &mut transaction,
                    "DELETE FROM admin_sessions WHERE user_id = $1",
                    bytes
                )?;
                (ended, Some(json!({ "ended": "all" })))
            }
        };
        if ended > 0 {
            let act = Act {
                act: "account.sessions",
                after,
                ..Act::default()
            };
            append(&mut transaction, by, &act, now).await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }

    /// Replaces the password of somebody who administers, and ends every other sign-in of theirs, here
    /// and as a user.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_admin_password(
        &self,
        user: UserId,
        hash: &str,
        keep: SessionId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        let user = &user.as_bytes()[..];
        execute_in!(
            &mut transaction,
            "UPDATE accounts SET password_hash = $1 WHERE user_id = $2",
            hash,
            user
        )?;
        execute_in!(
            &mut transaction,
            "DELETE FROM sessions WHERE user_id = $1",
            user
        )?;
        execute_in!(
            &mut transaction,
            "DELETE FROM admin_sessions WHERE user_id = $1 AND session_id <> $2",
            user,
            &keep.as_bytes()[..]
        )?;
        let act = Act {
            act: "account.password",
            ..Act::default()
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await
    }
}
