//! Who administers: the roles of accounts, and API tokens. Nothing of it is cached, so that what is taken
//! away is gone at the next request.

use super::audit::{Act, Actor, append};
use super::links::end_resets;
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, execute, fetch, id, millis, time};
use belfry_protocol::id::{AdminTokenId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// How stale the noted use of a token may get.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// What somebody may administer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing.
    None,
    /// Sees all of it.
    Viewer,
    /// Sees and changes all of it.
    Admin,
}

impl Role {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Viewer => 1,
            Self::Admin => 2,
        }
    }

    pub(super) fn of(number: i64) -> Self {
        match number {
            2 => Self::Admin,
            1 => Self::Viewer,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        })
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is admin, viewer or none")]
pub struct NoRole;

impl std::str::FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        match text {
            "admin" => Ok(Self::Admin),
            "viewer" => Ok(Self::Viewer),
            "none" => Ok(Self::None),
            _ => Err(NoRole),
        }
    }
}

/// An API token as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Its id, which is not the token.
    pub id: AdminTokenId,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it, by the name then.
    pub author: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub ends: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

type TokenRow = (Vec<u8>, String, i64, String, i64, Option<i64>, Option<i64>);

fn token(row: TokenRow) -> Result<AdminToken, DirectoryError> {
    let (token, name, role, author, created, ends, last_used) = row;
    Ok(AdminToken {
        id: id(&token)?,
        name,
        role: Role::of(role),
        author,
        created: time(created),
        ends: ends.map(time),
        last_used: last_used.map(time),
    })
}

/// Refuses to let the last go who may administer all. To be asked with the row of the audit's head held.
pub(super) async fn may_go(
    transaction: &mut Transaction,
    role: Role,
) -> Result<(), DirectoryError> {
    if role != Role::Admin {
        return Ok(());
    }
    let (admins,) = fetch_in!(
        transaction,
        fetch_one,
        (i64,),
        "SELECT count(*) FROM accounts WHERE role = $1",
        Role::Admin.number()
    )?;
    match admins <= 1 {
        true => Err(DirectoryError::LastAdmin),
        false => Ok(()),
    }
}

impl Directory {
    /// What a user may administer; nothing where there is no such account.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn role(&self, user: UserId) -> Result<Role, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (i64,),
            "SELECT role FROM accounts WHERE user_id = $1",
            &user.as_bytes()[..]
        )?;
        Ok(row.map_or(Role::None, |(role,)| Role::of(role)))
    }

    /// Whether any account may administer all.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn has_admin(&self) -> Result<bool, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (i64,),
            "SELECT role FROM accounts WHERE role = $1 LIMIT 1",
            Role::Admin.number()
        )?;
        Ok(row.is_some())
    }

    /// Changes what a user may administer; whether there is such a user. Links to set their password end
    /// where it is something: they were given to somebody who may do less.
    ///
    /// # Errors
    /// It would leave nobody who may administer all.
    pub async fn set_role(
        &self,
        user: UserId,
        role: Role,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        // One role changes after the other, so that not the last two admins go at once.
        execute_in!(&mut transaction, "UPDATE audit_head SET n = n")?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String, i64),
            "SELECT display_name, role FROM accounts WHERE user_id = $1",
            &user.as_bytes()[..]
        )?;
        let Some((name, before)) = row else {
            return Ok(false);
        };
        let before = Role::of(before);
        if before == role {
            return Ok(true);
        }
        may_go(&mut transaction, before).await?;
        execute_in!(
            &mut transaction,
            "UPDATE accounts SET role = $1 WHERE user_id = $2",
            role.number(),
            &user.as_bytes()[..]
        )?;
        let resets = match role {
            Role::None => 0,
            Role::Viewer | Role::Admin => end_resets(&mut transaction, user).await?,
        };
        let mut after = json!({ "role": role });
        if resets > 0 {
            after["resets_ended"] = json!(resets);
        }
        let act = Act {
            act: "user.role",
            target: Some(name),
            before: Some(json!({ "role": before })),
            after: Some(after),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes an API token; its author is who acts.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_admin_token(
        &self,
        token: &AdminToken,
        secret: SecretHash,
        by: &Actor,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(
            &mut transaction,
            "INSERT INTO admin_tokens (token_hash, token_id, name, role, author, created, ends) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &secret.as_bytes()[..],
            &token.id.as_bytes()[..],
            token.name.as_str(),
            token.role.number(),
            by.name(),
            millis(token.created),
            token.ends.map(millis)
        )?;
        let act = Act {
            act: "token.create",
            target: Some(token.name.clone()),
            before: None,
            after: Some(json!({ "id": token.id, "role": token.role, "ends": token.ends })),
        };
        append(&mut transaction, by, &act, token.created).await?;
        transaction.commit().await
    }

    /// All API tokens, newest first, those that ended by themselves too.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn admin_tokens(&self) -> Result<Vec<AdminToken>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            TokenRow,
            "SELECT token_id, name, role, author, created, ends, last_used FROM admin_tokens \
             ORDER BY created DESC, token_id"
        )?;
        rows.into_iter().map(token).collect()
    }

    /// The API token of this secret, where it is good now; notes its use.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn admin_token(
        &self,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<AdminToken>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            TokenRow,
            "SELECT token_id, name, role, author, created, ends, last_used FROM admin_tokens \
             WHERE token_hash = $1",
            &secret.as_bytes()[..]
        )?;
        let good = |token: &AdminToken| token.ends.is_none_or(|ends| ends > now);
        let Some(found) = row.map(token).transpose()?.filter(good) else {
            return Ok(None);
        };
        if found
            .last_used
            .is_none_or(|used| now.since(used) > USE_NOTED_EVERY)
        {
            execute!(
                self,
                "UPDATE admin_tokens SET last_used = $1 WHERE token_hash = $2",
                millis(now),
                &secret.as_bytes()[..]
            )?;
        }
        Ok(Some(found))
    }

    /// Ends an API token at once; whether there was one.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn end_admin_token(
        &self,
        token: AdminTokenId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String, i64),
            "DELETE FROM admin_tokens WHERE token_id = $1 RETURNING name, role",
            &token.as_bytes()[..]
        )?;
        let Some((name, role)) = row else {
            return Ok(false);
        };
        let act = Act {
            act: "token.end",
            target: Some(name),
            before: Some(json!({ "id": token, "role": Role::of(role) })),
            after: None,
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
