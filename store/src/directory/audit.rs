//! What admins did: rows that are only ever appended, each hashed together with the hash before it, so
//! that a row which is changed or missing shows.
//!
//! A row is written by the transaction of the act itself. Its hash is SHA-256(hash of the row before ‖
//! the row as canonical JSON): keys sorted, no white space, without `hash`; 32 zero bytes stand before the
//! first. Whoever can write here can make the whole chain anew, so the head goes to the log as well.

use super::search::{Words, escaped, fold};
use super::transaction::{Transaction, execute_in, fetch_in};
use super::{Directory, DirectoryError, fetch, millis, time};
use belfry_protocol::id::{AdminTokenId, UserId};
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Rows that are read at a time where all are.
const ROWS_PER_READ: u32 = 1_000;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who signed in.
    Account {
        /// The account.
        id: UserId,
        /// Its name then.
        name: String,
    },
    /// A program with an API token.
    Token {
        /// The token.
        id: AdminTokenId,
        /// What it is called.
        name: String,
    },
    /// Whoever may write to the directory itself, by the command line.
    Operator,
    /// The server, by itself.
    Server,
}

impl Actor {
    /// As it is shown.
    pub fn name(&self) -> &str {
        match self {
            Self::Account { name, .. } | Self::Token { name, .. } => name,
            Self::Operator => "operator on the machine",
            Self::Server => "server",
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Account { .. } => "account",
            Self::Token { .. } => "token",
            Self::Operator => "operator",
            Self::Server => "server",
        }
    }

    fn id(&self) -> Option<String> {
        match self {
            Self::Account { id, .. } => Some(id.to_string()),
            Self::Token { id, .. } => Some(id.to_string()),
            Self::Operator | Self::Server => None,
        }
    }
}

/// What was done. Nothing secret goes here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Act<'a> {
    /// Its word, such as `ban.create`.
    pub act: &'a str,
    /// What it was done to, as people call it.
    pub target: Option<String>,
    /// How that was before.
    pub before: Option<Value>,
    /// How it is now.
    pub after: Option<Value>,
}

/// A row as it is shown, exported and hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its number, from 1 and without gaps.
    pub n: u64,
    /// When, in whole seconds.
    pub at: Timestamp,
    /// Who, by the name then.
    pub actor: String,
    /// `account`, `token`, `operator` or `server`.
    pub actor_kind: String,
    /// The id of the account or token.
    pub actor_id: Option<String>,
    /// What was done.
    pub act: String,
    /// To what.
    pub target: Option<String>,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
    /// In hexadecimal.
    pub hash: String,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Words that all occur.
    pub words: Words,
    /// What the act begins with.
    pub act: String,
    /// The oldest first; else the newest.
    pub oldest_first: bool,
    /// Beyond this one, in that order.
    pub beyond: Option<u64>,
}

/// The newest row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number; 0 where there is none yet.
    pub n: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// What a look through the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were read.
    pub rows: u64,
    /// The first row that is missing, changed, or not the one that was expected. An expected row that was
    /// removed for its age is that too: nobody can tell any more what its hash was.
    pub broken_at: Option<u64>,
    /// Up to which row all were removed for their age, as the head has it; 0 where none was.
    pub removed: u64,
    /// The head as it is kept.
    pub head: AuditHead,
}

type Row = (
    i64,
    i64,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Vec<u8>,
);

/// A row and what it is found by.
type FoundRow = (
    i64,
    i64,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Vec<u8>,
    String,
);

type HeadRow = (i64, Option<Vec<u8>>, i64, Option<Vec<u8>>);

fn json(text: Option<String>) -> Result<Option<Value>, DirectoryError> {
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| DirectoryError::Unreadable("an audit row"))
}

fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn row(row: Row) -> Result<AuditRow, DirectoryError> {
    let (n, at, actor_kind, actor_id, actor, act, target, before, after, hash) = row;
    Ok(AuditRow {
        n: number(n),
        at: time(at),
        actor,
        actor_kind,
        actor_id,
        act,
        target,
        before: json(before)?,
        after: json(after)?,
        hash: hex(&hash),
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Keys sorted and no white space (RFC 8785, for what is in a row: texts, whole numbers and flags).
fn canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_str());
            into.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    into.push(',');
                }
                let _ = write!(into, "{}:", Value::from(key.as_str()));
                canonical(value, into);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    into.push(',');
                }
                canonical(value, into);
            }
            into.push(']');
        }
        scalar => {
            let _ = write!(into, "{scalar}");
        }
    }
}

/// The act that removes rows for their age.
const PRUNE: &str = "audit.prune";

impl AuditRow {
    /// What it is found by.
    fn words(&self) -> String {
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        [&self.actor, &self.act]
            .into_iter()
            .chain(&self.target)
            .chain(&text(&self.before))
            .chain(&text(&self.after))
            .map(|text| fold(text))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The newest row that it says was removed, and that one's hash.
    fn removed(&self) -> Option<AuditHead> {
        let after = self.after.as_ref().filter(|_| self.act == PRUNE)?;
        Some(AuditHead {
            n: after.get("removed_n")?.as_u64()?,
            hash: after.get("removed_hash")?.as_str()?.to_owned(),
        })
    }

    /// What its hash has to be.
    fn hashed(&self, previous: &[u8]) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(members) = &mut value {
            members.remove("hash");
        }
        let mut text = String::new();
        canonical(&value, &mut text);
        let mut hasher = Sha256::new();
        hasher.update(previous);
        hasher.update(text);
        hasher.finalize().to_vec()
    }
}

const ZERO: [u8; 32] = [0; 32];

/// Appends a row, in the transaction of what it tells of.
pub(super) async fn append(
    transaction: &mut Transaction,
    by: &Actor,
    act: &Act<'_>,
    at: Timestamp,
) -> Result<(), DirectoryError> {
    let (n, previous) = fetch_in!(
        &mut *transaction,
        fetch_one,
        (i64, Option<Vec<u8>>),
        "UPDATE audit_head SET n = n + 1 RETURNING n, hash"
    )?;
    let mut row = AuditRow {
        n: number(n),
        at: Timestamp::from_millis(at.as_millis() / 1_000 * 1_000),
        actor: by.name().to_owned(),
        actor_kind: by.kind().to_owned(),
        actor_id: by.id(),
        act: act.act.to_owned(),
        target: act.target.clone(),
        before: act.before.clone(),
        after: act.after.clone(),
        hash: String::new(),
    };
    let hash = row.hashed(previous.as_deref().unwrap_or(&ZERO));
    row.hash = hex(&hash);
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let (before, after) = (text(&row.before), text(&row.after));
    let words = row.words();
    execute_in!(
        &mut *transaction,
        "INSERT INTO audit (n, at, actor_kind, actor_id, actor, act, target, before_json, after_json, hash, words) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        n,
        millis(row.at),
        row.actor_kind.as_str(),
        row.actor_id.as_deref(),
        row.actor.as_str(),
        row.act.as_str(),
        row.target.as_deref(),
        before.as_deref(),
        after.as_deref(),
        &hash,
        words.as_str()
    )?;
    execute_in!(transaction, "UPDATE audit_head SET hash = $1", &hash)?;
    // Where the transaction fails after this it is one too many, which is no reason to count elsewhere.
    metrics::counter!("belfry_audit_total", "act" => row.act).increment(1);
    Ok(())
}

impl Directory {
    /// Appends a row about an act that is in no transaction of the directory's.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn note_act(
        &self,
        by: &Actor,
        act: &Act<'_>,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut transaction = self.begin().await?;
        append(&mut transaction, by, act, now).await?;
        transaction.commit().await
    }

    /// A page of the rows.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<AuditRow>, DirectoryError> {
        let beyond = filter.beyond.and_then(|n| i64::try_from(n).ok());
        let [first, second, third, fourth] = filter.words.patterns();
        let (newest_first, oldest_first) = (
            "SELECT n, at, actor_kind, actor_id, actor, act, target, before_json, after_json, hash FROM audit \
             WHERE n < $1 AND act LIKE $2 ESCAPE '\\' AND words LIKE $3 ESCAPE '\\' AND words LIKE $4 ESCAPE '\\' \
             AND words LIKE $5 ESCAPE '\\' AND words LIKE $6 ESCAPE '\\' ORDER BY n DESC LIMIT $7",
            "SELECT n, at, actor_kind, actor_id, actor, act, target, before_json, after_json, hash FROM audit \
             WHERE n > $1 AND act LIKE $2 ESCAPE '\\' AND words LIKE $3 ESCAPE '\\' AND words LIKE $4 ESCAPE '\\' \
             AND words LIKE $5 ESCAPE '\\' AND words LIKE $6 ESCAPE '\\' ORDER BY n LIMIT $7",
        );
        let (statement, from) = match filter.oldest_first {
            true => (oldest_first, 0),
            false => (newest_first, i64::MAX),
        };
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            statement,
            beyond.unwrap_or(from),
            format!("{}%", escaped(&filter.act)),
            first.as_str(),
            second.as_str(),
            third.as_str(),
            fourth.as_str(),
            i64::from(limit)
        )?;
        rows.into_iter().map(row).collect()
    }

    /// Rows after this number, oldest first, at most a thousand.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn audit_after(&self, n: u64) -> Result<Vec<AuditRow>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT n, at, actor_kind, actor_id, actor, act, target, before_json, after_json, hash FROM audit \
             WHERE n > $1 ORDER BY n LIMIT $2",
            i64::try_from(n).unwrap_or(i64::MAX),
            i64::from(ROWS_PER_READ)
        )?;
        rows.into_iter().map(row).collect()
    }

    async fn audit_heads(&self) -> Result<HeadRow, DirectoryError> {
        Ok(fetch!(
            self,
            fetch_one,
            HeadRow,
            "SELECT n, hash, removed_n, removed_hash FROM audit_head"
        )?)
    }

    /// The newest row.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn audit_head(&self) -> Result<AuditHead, DirectoryError> {
        let (n, hash, ..) = self.audit_heads().await?;
        Ok(AuditHead {
            n: number(n),
            hash: hex(hash.as_deref().unwrap_or(&ZERO)),
        })
    }

    /// Rows after this number with what each is found by, oldest first, at most a thousand.
    async fn found_after(&self, n: u64) -> Result<Vec<(AuditRow, String)>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            FoundRow,
            "SELECT n, at, actor_kind, actor_id, actor, act, target, before_json, after_json, hash, words \
             FROM audit WHERE n > $1 ORDER BY n LIMIT $2",
            i64::try_from(n).unwrap_or(i64::MAX),
            i64::from(ROWS_PER_READ)
        )?;
        let each = rows.into_iter().map(|found| {
            let (n, at, kind, id, actor, act, target, before, after, hash, words) = found;
            let read = row((n, at, kind, id, actor, act, target, before, after, hash))?;
            Ok((read, words))
        });
        each.collect()
    }

    /// Looks through the chain, up to where its head was when the look began. Where a head is expected,
    /// such as one from the log, the row of its number must have its hash. What is not there from the
    /// front counts as removed only if the newest row of a removal says so.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn verify_audit(
        &self,
        expected: Option<&AuditHead>,
    ) -> Result<Verified, DirectoryError> {
        let (head_n, head_hash, removed_n, removed_hash) = self.audit_heads().await?;
        let head = AuditHead {
            n: number(head_n),
            hash: hex(head_hash.as_deref().unwrap_or(&ZERO)),
        };
        let mut previous = removed_hash.unwrap_or(ZERO.to_vec());
        let removed = AuditHead {
            n: number(removed_n),
            hash: hex(&previous),
        };
        let mut said = AuditHead {
            n: 0,
            hash: hex(&ZERO),
        };
        let mut n = removed.n;
        let mut rows = 0;
        let found = |rows, broken_at| Verified {
            rows,
            broken_at,
            removed: removed.n,
            head: head.clone(),
        };
        if let Some(expected) = expected
            && expected.n > head.n
        {
            return Ok(found(0, Some(head.n + 1)));
        }
        while n < head.n {
            // One that cannot be read at all was changed too.
            let page = match self.found_after(n).await {
                Err(DirectoryError::Unreadable(_)) => {
                    let bad = self.unreadable_after(n).await?;
                    return Ok(found(rows, Some(bad)));
                }
                page => page?,
            };
            if page.is_empty() {
                return Ok(found(rows, Some(n + 1)));
            }
            for (row, words) in page {
                let hash = row.hashed(&previous);
                let wrong = row.n != n + 1 || row.hash != hex(&hash) || row.words() != words;
                let other = |expected: &AuditHead| expected.n == row.n && expected.hash != row.hash;
                if wrong || expected.is_some_and(other) {
                    return Ok(found(rows, Some(n + 1)));
                }
                // What was removed since the look began is not looked for.
                if row.n <= head.n {
                    said = row.removed().unwrap_or(said);
                }
                (n, previous, rows) = (row.n, hash, rows + 1);
            }
        }
        // What was appended meanwhile is of the same chain, and so is the head where nothing was.
        if n == head.n && hex(&previous) != head.hash {
            return Ok(found(rows, Some(n)));
        }
        if said != removed {
            return Ok(found(rows, Some(said.n.min(removed.n) + 1)));
        }
        let gone = |expected: &&AuditHead| {
            expected.n < removed.n || (expected.n == removed.n && expected.hash != removed.hash)
        };
        Ok(found(rows, expected.filter(gone).map(|row| row.n)))
    }

    /// Which of the next rows does not even read.
    async fn unreadable_after(&self, after: u64) -> Result<u64, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (i64, Option<String>, Option<String>),
            "SELECT n, before_json, after_json FROM audit WHERE n > $1 ORDER BY n LIMIT $2",
            i64::try_from(after).unwrap_or(i64::MAX),
            i64::from(ROWS_PER_READ)
        )?;
        let bad = rows.into_iter().find(|(_, before, after)| {
            [before, after]
                .iter()
                .any(|text| json((*text).clone()).is_err())
        });
        Ok(bad.map_or(after + 1, |(n, ..)| number(n)))
    }

    /// Removes rows from before a time, and says so in a row; how many. The chain goes on from the hash
    /// of the newest that was removed, which that row has in it.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn prune_audit(
        &self,
        before: Timestamp,
        by: &Actor,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let mut transaction = self.begin().await?;
        let newest = fetch_in!(
            &mut transaction,
            fetch_optional,
            (i64, Vec<u8>),
            "SELECT n, hash FROM audit WHERE at < $1 ORDER BY n DESC LIMIT 1",
            millis(before)
        )?;
        let Some((n, hash)) = newest else {
            return Ok(0);
        };
        let removed = execute_in!(&mut transaction, "DELETE FROM audit WHERE n <= $1", n)?;
        execute_in!(
            &mut transaction,
            "UPDATE audit_head SET removed_n = $1, removed_hash = $2",
            n,
            &hash
        )?;
        let act = Act {
            act: PRUNE,
            target: None,
            before: None,
            after: Some(serde_json::json!({
                "removed": removed,
                "removed_n": n,
                "removed_hash": hex(&hash),
            })),
        };
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        Ok(removed)
    }
}
