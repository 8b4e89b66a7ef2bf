//! What somebody who administers proves beside their password: codes of an authenticator (RFC 6238), and
//! passkeys.

use super::audit::{Act, Actor, append};
use super::transaction::{execute_in, fetch_in};
use super::{Directory, DirectoryError, execute, fetch, id, millis, time, unique};
use belfry_protocol::id::{PasskeyId, UserId};
use belfry_protocol::time::Timestamp;
use serde_json::json;

/// An authenticator.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    /// What it and the server both have.
    pub secret: Vec<u8>,
    /// Since when a code is asked for; none until a first one was given.
    pub since: Option<Timestamp>,
}

/// A passkey.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its id here.
    pub id: PasskeyId,
    /// Its id to the authenticator.
    pub credential_id: Vec<u8>,
    /// What a signature is checked against.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

type PasskeyRow = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, Option<i64>);

fn passkey(row: PasskeyRow) -> Result<Passkey, DirectoryError> {
    let (passkey, credential_id, credential, name, created, last_used) = row;
    Ok(Passkey {
        id: id(&passkey)?,
        credential_id,
        credential,
        name,
        created: time(created),
        last_used: last_used.map(time),
    })
}

impl Directory {
    /// A user's authenticator, whether codes of it are asked for yet or not.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn totp(&self, user: UserId) -> Result<Option<Totp>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>, Option<i64>),
            "SELECT secret, since FROM totp WHERE user_id = $1",
            &user.as_bytes()[..]
        )?;
        Ok(row.map(|(secret, since)| Totp {
            secret,
            since: since.map(time),
        }))
    }

    /// Keeps what an authenticator is offered, until a first code shows that it has it. False where codes
    /// are asked for already.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn offer_totp(&self, user: UserId, secret: &[u8]) -> Result<bool, DirectoryError> {
        let offered = execute!(
            self,
            "INSERT INTO totp (user_id, secret, last_step) VALUES ($1, $2, 0) \
             ON CONFLICT (user_id) DO UPDATE SET secret = $2, last_step = 0 WHERE totp.since IS NULL",
            &user.as_bytes()[..],
            secret
        )?;
        Ok(offered > 0)
    }

    /// Takes the code of a step, each once and none older than one that was taken; whether it was.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn take_totp_step(&self, user: UserId, step: u64) -> Result<bool, DirectoryError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let taken = execute!(
            self,
            "UPDATE totp SET last_step = $1 WHERE user_id = $2 AND last_step < $1",
            step,
            &user.as_bytes()[..]
        )?;
        Ok(taken > 0)
    }

    /// From now on codes are asked for; false where nothing was offered.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn begin_totp(
        &self,
        user: UserId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let begun = execute_in!(
            &mut transaction,
            "UPDATE totp SET since = $1 WHERE user_id = $2 AND since IS NULL",
            millis(now),
            &user.as_bytes()[..]
        )?;
        if begun == 0 {
            return Ok(false);
        }
        let act = Act {
            act: "account.totp",
            target: None,
            before: Some(json!({ "totp": false })),
            after: Some(json!({ "totp": true })),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// No codes any more; whether they were asked for.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn end_totp(
        &self,
        user: UserId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let ended = fetch_in!(
            &mut transaction,
            fetch_optional,
            (Option<i64>,),
            "DELETE FROM totp WHERE user_id = $1 RETURNING since",
            &user.as_bytes()[..]
        )?;
        let was_on = ended.is_some_and(|(since,)| since.is_some());
        if was_on {
            let act = Act {
                act: "account.totp",
                target: None,
                before: Some(json!({ "totp": true })),
                after: Some(json!({ "totp": false })),
            };
            append(&mut transaction, by, &act, now).await?;
        }
        transaction.commit().await?;
        Ok(was_on)
    }

    /// A user's passkeys, oldest first.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            PasskeyRow,
            "SELECT passkey_id, credential_id, credential, name, created, last_used FROM passkeys \
             WHERE user_id = $1 ORDER BY created, passkey_id",
            &user.as_bytes()[..]
        )?;
        rows.into_iter().map(passkey).collect()
    }

    /// The passkey of this id to its authenticator, and whose it is.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn passkey(
        &self,
        credential_id: &[u8],
    ) -> Result<Option<(UserId, Passkey)>, DirectoryError> {
        type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, String, i64, Option<i64>);
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT user_id, passkey_id, credential_id, credential, name, created, last_used FROM passkeys \
             WHERE credential_id = $1",
            credential_id
        )?;
        row.map(
            |(user, key, credential_id, credential, name, created, last_used)| {
                let row = (key, credential_id, credential, name, created, last_used);
                Ok((id(&user)?, passkey(row)?))
            },
        )
        .transpose()
    }

    /// Adds a passkey.
    ///
    /// # Errors
    /// The credential is known already.
    pub async fn add_passkey(
        &self,
        user: UserId,
        passkey: &Passkey,
        by: &Actor,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        execute_in!(
            &mut transaction,
            "INSERT INTO passkeys (user_id, passkey_id, credential_id, credential, name, created) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &user.as_bytes()[..],
            &passkey.id.as_bytes()[..],
            &passkey.credential_id,
            &passkey.credential,
            passkey.name.as_str(),
            millis(passkey.created)
        )
        .map_err(unique)?;
        let act = Act {
            act: "account.passkey",
            target: Some(passkey.name.clone()),
            before: None,
            after: Some(json!({ "id": passkey.id })),
        };
        append(&mut transaction, by, &act, passkey.created).await?;
        transaction.commit().await
    }

    /// Notes the use of a passkey, and what a signature is checked against from now on.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn note_passkey(
        &self,
        user: UserId,
        passkey: PasskeyId,
        credential: &[u8],
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE passkeys SET credential = $1, last_used = $2 WHERE user_id = $3 AND passkey_id = $4",
            credential,
            millis(now),
            &user.as_bytes()[..],
            &passkey.as_bytes()[..]
        )?;
        Ok(())
    }

    /// Removes a passkey; whether there was one.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn remove_passkey(
        &self,
        user: UserId,
        passkey: PasskeyId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String,),
            "DELETE FROM passkeys WHERE user_id = $1 AND passkey_id = $2 RETURNING name",
            &user.as_bytes()[..],
            &passkey.as_bytes()[..]
        )?;
        let Some((name,)) = row else {
            return Ok(false);
        };
        let act = Act {
            act: "account.passkey",
            target: Some(name),
            before: Some(json!({ "id": passkey })),
            after: None,
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes every second factor from a user who has lost theirs; whether there was any.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn remove_second_factors(
        &self,
        user: UserId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let mut transaction = self.begin().await?;
        let bytes = &user.as_bytes()[..];
        let codes = execute_in!(
            &mut transaction,
            "DELETE FROM totp WHERE user_id = $1",
            bytes
        )?;
        let keys = execute_in!(
            &mut transaction,
            "DELETE FROM passkeys WHERE user_id = $1",
            bytes
        )?;
        if codes + keys == 0 {
            return Ok(false);
        }
        let row = fetch_in!(
            &mut transaction,
            fetch_optional,
            (String,),
            "SELECT display_name FROM accounts WHERE user_id = $1",
            bytes
        )?;
        let act = Act {
            act: "user.second-factor",
            target: row.map(|(name,)| name),
            before: Some(json!({ "totp": codes > 0, "passkeys": keys })),
            after: None,
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
