//! Links that are good for one use: to become the first admin, to make an account, and to set a new
//! password. What a link lets somebody do and its end are one transaction.

use super::accounts::{MadeAccount, insert};
use super::admin_sessions::{AdminSession, keep};
use super::admins::Role;
use super::audit::{Act, Actor, append};
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, execute, fetch, id, millis, time};
use belfry_protocol::id::{LinkId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use serde::Serialize;
use serde_json::json;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// To make an account.
    Invite,
    /// To set a new password.
    Reset,
}

impl LinkKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Reset => "reset",
        }
    }
}

/// A link as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id, which is not what is in the link.
    pub id: LinkId,
    /// What it is for.
    pub kind: LinkKind,
    /// Whose password it sets.
    pub about: Option<String>,
    /// Who made it, by the name then.
    pub author: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
}

/// Who the first admin is to be.
#[derive(Debug, Clone, Copy)]
pub enum Founder<'a> {
    /// Somebody new.
    New {
        /// Whose password this is the hash of.
        password_hash: &'a str,
    },
    /// Somebody who has an account.
    Known,
}

/// Ends what would set a user's password; how many links it was.
pub(super) async fn end_resets(
    transaction: &mut Transaction,
    user: UserId,
) -> Result<u64, DirectoryError> {
    Ok(execute_in!(
        transaction,
        "DELETE FROM links WHERE kind = 'reset' AND user_id = $1",
        &user.as_bytes()[..]
    )?)
}

impl Directory {
    /// Makes the link by which somebody becomes the first admin; one that was made before is void. `by`
    /// is nobody where the server does it by itself at each start.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_setup_link(
        &self,
        link: LinkId,
        secret: SecretHash,
        ends: Timestamp,
        by: Option<&Actor>,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(&mut transaction, "DELETE FROM links WHERE kind = 'setup'")?;
        execute_in!(
            &mut transaction,
            "INSERT INTO links (link_hash, link_id, kind, author, created, ends) VALUES ($1, $2, 'setup', $3, $4, $5)",
            &secret.as_bytes()[..],
            &link.as_bytes()[..],
            by.unwrap_or(&Actor::Server).name(),
            millis(now),
            millis(ends)
        )?;
        if let Some(by) = by {
            let act = Act {
                act: "setup.link",
                ..Act::default()
            };
            append(&mut transaction, by, &act, now).await?;
        }
        transaction.commit().await
    }

    /// Takes back the link by which somebody becomes the first admin.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn void_setup_link(&self) -> Result<(), DirectoryError> {
        execute!(self, "DELETE FROM links WHERE kind = 'setup'")?;
        Ok(())
    }

    /// Whether this is the link by which somebody becomes the first admin.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn is_setup_link(
        &self,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (i64,),
            "SELECT created FROM links WHERE link_hash = $1 AND kind = 'setup' AND ends > $2",
            &secret.as_bytes()[..],
            millis(now)
        )?;
        Ok(row.is_some() && !self.has_admin().await?)
    }

    /// Makes the first admin and signs them in; false where the link is not good, or there is one.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn set_up(
        &self,
        secret: SecretHash,
        (user, name): (UserId, &str),
        founder: Founder<'_>,
        (cookie, session): (SecretHash, &AdminSession),
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let used = execute_in!(
            &mut transaction,
            "DELETE FROM links WHERE link_hash = $1 AND kind = 'setup' AND ends > $2",
            &secret.as_bytes()[..],
            millis(now)
        )?;
        // Whoever is given a role holds this row too, so that there is not another first admin meanwhile.
        execute_in!(&mut transaction, "UPDATE audit_head SET n = n")?;
        let (admins,) = fetch_in!(
            &mut transaction,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM accounts WHERE role = 2"
        )?;
        if used == 0 || admins > 0 {
            return Ok(false);
        }
        match founder {
            Founder::New { password_hash } => {
                let made = MadeAccount {
                    user,
                    name,
                    password_hash,
                    role: Role::Admin,
                };
                insert(&mut transaction, &made, now).await?;
            }
            Founder::Known => {
                execute_in!(
                    &mut transaction,
                    "UPDATE accounts SET role = 2 WHERE user_id = $1",
                    &user.as_bytes()[..]
                )?;
            }
        }
        let resets = end_resets(&mut transaction, user).await?;
        keep(&mut transaction, cookie, session).await?;
        let by = Actor::Account {
            id: user,
            name: name.to_owned(),
        };
        let mut after = json!({ "role": "admin", "new": matches!(founder, Founder::New { .. }) });
        if resets > 0 {
            after["resets_ended"] = json!(resets);
        }
        let act = Act {
            act: "setup",
            target: Some(name.to_owned()),
            before: None,
            after: Some(after),
        };
        append(&mut transaction, &by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes a link to make an account with.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_invite(
        &self,
        link: LinkId,
        secret: SecretHash,
        ends: Timestamp,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(
            &mut transaction,
            "INSERT INTO links (link_hash, link_id, kind, author, created, ends) VALUES ($1, $2, 'invite', $3, $4, $5)",
            &secret.as_bytes()[..],
            &link.as_bytes()[..],
            by.name(),
            millis(now),
            millis(ends)
        )?;
        let act = Act {
            act: "user.invite",
            target: None,
            before: None,
            after: Some(json!({ "id": link, "ends": ends })),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await
    }

    /// Makes a link to set a user's password with; an older one of the same user ends. Whether there is
    /// such a user.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_reset(
        &self,
        user: UserId,
        (link, secret): (LinkId, SecretHash),
        ends: Timestamp,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        end_resets(&mut transaction, user).await?;
        let bytes = &user.as_bytes()[..];
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String,),
            "SELECT display_name FROM accounts WHERE user_id = $1",
            bytes
        )?;
        let Some((name,)) = row else {
            return Ok(false);
        };
        execute_in!(
            &mut transaction,
            "INSERT INTO links (link_hash, link_id, kind, user_id, author, created, ends) \
             VALUES ($1, $2, 'reset', $3, $4, $5, $6)",
            &secret.as_bytes()[..],
            &link.as_bytes()[..],
            bytes,
            by.name(),
            millis(now),
            millis(ends)
        )?;
        let act = Act {
            act: "user.reset",
            target: Some(name),
            before: None,
            after: Some(json!({ "id": link, "ends": ends })),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The invitations and resets that are good now, newest first.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn links(&self, now: Timestamp) -> Result<Vec<Link>, DirectoryError> {
        type Row = (Vec<u8>, String, Option<String>, String, i64, i64);
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT l.link_id, l.kind, a.display_name, l.author, l.created, l.ends \
             FROM links l LEFT JOIN accounts a ON a.user_id = l.user_id \
             WHERE l.ends > $1 AND l.kind <> 'setup' ORDER BY l.created DESC, l.link_id",
            millis(now)
        )?;
        let links = rows
            .into_iter()
            .map(|(link, kind, about, author, created, ends)| {
                Ok(Link {
                    id: id(&link)?,
                    kind: match &*kind {
                        "invite" => LinkKind::Invite,
                        _ => LinkKind::Reset,
                    },
                    about,
                    author,
                    created: time(created),
                    ends: time(ends),
                })
            });
        links.collect()
    }

    /// Forgets the links that have ended.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_links(&self, now: Timestamp) -> Result<(), DirectoryError> {
        execute!(self, "DELETE FROM links WHERE ends <= $1", millis(now))?;
        Ok(())
    }

    /// Ends an invitation or a reset; whether there was one.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn end_link(
        &self,
        link: LinkId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String,),
            "DELETE FROM links WHERE link_id = $1 AND kind <> 'setup' RETURNING kind",
            &link.as_bytes()[..]
        )?;
        let Some((kind,)) = row else {
            return Ok(false);
        };
        let act = Act {
            act: "link.end",
            target: None,
            before: Some(json!({ "id": link, "kind": kind })),
            after: None,
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether this is an invitation that is good now.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn is_invite(
        &self,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (i64,),
            "SELECT created FROM links WHERE link_hash = $1 AND kind = $2 AND ends > $3",
            &secret.as_bytes()[..],
            LinkKind::Invite.as_str(),
            millis(now)
        )?;
        Ok(row.is_some())
    }

    /// Makes an account by invitation, which is used up; false where the invitation is not good.
    ///
    /// # Errors
    /// The name is taken; the invitation is then still good.
    pub async fn create_invited_account(
        &self,
        invite: SecretHash,
        (user, name): (UserId, &str),
        password_hash: &str,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String, Vec<u8>),
            "DELETE FROM links WHERE link_hash = $1 AND kind = $2 AND ends > $3 RETURNING author, link_id",
            &invite.as_bytes()[..],
            LinkKind::Invite.as_str(),
            millis(now)
        )?;
        let Some((author, link)) = row else {
            return Ok(false);
        };
        let made = MadeAccount {
            user,
            name,
            password_hash,
            role: Role::None,
        };
        insert(&mut transaction, &made, now).await?;
        let by = Actor::Account {
            id: user,
            name: name.to_owned(),
        };
        let link: LinkId = id(&link)?;
        let act = Act {
            act: "user.create",
            target: Some(name.to_owned()),
            before: None,
            after: Some(json!({ "invited_by": author, "invite": link })),
        };
        append(&mut transaction, &by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whose password this link sets, where it is good now.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn reset_of(
        &self,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<(UserId, String)>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>, String),
            "SELECT a.user_id, a.display_name FROM links l JOIN accounts a ON a.user_id = l.user_id \
             WHERE l.link_hash = $1 AND l.kind = $2 AND l.ends > $3",
            &secret.as_bytes()[..],
            LinkKind::Reset.as_str(),
            millis(now)
        )?;
        row.map(|(user, name)| Ok((id(&user)?, name))).transpose()
    }

    /// Sets a password by link, which is used up, and ends every sign-in of the user's; false where the
    /// link is not good any more.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn reset_password(
        &self,
        secret: SecretHash,
        (user, name): (UserId, &str),
        password_hash: &str,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let bytes = &user.as_bytes()[..];
        let used = execute_in!(
            &mut transaction,
            "DELETE FROM links WHERE link_hash = $1 AND kind = $2 AND user_id = $3 AND ends > $4",
            &secret.as_bytes()[..],
            LinkKind::Reset.as_str(),
            bytes,
            millis(now)
        )?;
        if used == 0 {
            return Ok(false);
        }
        execute_in!(
            &mut transaction,
            "UPDATE accounts SET password_hash = $1 WHERE user_id = $2",
            password_hash,
            bytes
        )?;
        execute_in!(
            &mut transaction,
            "DELETE FROM sessions WHERE user_id = $1",
            bytes
        )?;
        execute_in!(
            &mut transaction,
            "DELETE FROM admin_sessions WHERE user_id = $1",
            bytes
        )?;
        let by = Actor::Account {
            id: user,
            name: name.to_owned(),
        };
        let act = Act {
            act: "user.reset.used",
            target: Some(name.to_owned()),
            ..Act::default()
        };
        append(&mut transaction, &by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
