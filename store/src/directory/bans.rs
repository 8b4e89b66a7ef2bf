//! Bans: their rows, and the one value in memory that requests are judged by.
//!
//! That value is replaced by the act itself before it is answered, so that a ban holds on the next
//! request. It is read as often as anybody asks anything and never waits for the database.

use super::audit::{Act, Actor, append};
use super::transaction::{Transaction, execute_in};
use super::{Directory, DirectoryError, execute, fetch, id, millis, time};
use belfry_acl::ban::{Ban, Bans, Kind, Subject};
use belfry_protocol::id::{BanId, UserId};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Bans in force at a time: some tens of megabytes. Whoever has more to keep out names ranges.
pub const BANS_MAX: usize = 100_000;

/// A ban as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanRow {
    /// Its id.
    pub id: BanId,
    /// What is kept out.
    pub subject: Subject,
    /// What people call that.
    pub label: String,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: Timestamp,
    /// When it ends, or ended.
    pub ends: Option<Timestamp>,
}

impl BanRow {
    /// Whether it is over.
    pub fn ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// What is to be another of a ban in force; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct BanChange {
    /// Why.
    pub reason: Option<String>,
    /// When it ends.
    pub ends: Option<Option<Timestamp>>,
}

/// What became of bans that were handed over together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BanImport {
    /// New ones.
    pub added: usize,
    /// Those there were, with another reason or end.
    pub changed: usize,
    /// Those there were.
    pub unchanged: usize,
}

type Row = (
    Vec<u8>,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
);

fn ban(row: Row) -> Result<BanRow, DirectoryError> {
    let (ban, kind, value, label, reason, author, created, ends) = row;
    let unreadable = || DirectoryError::Unreadable("a ban");
    let kind = Kind::read(&kind).ok_or_else(unreadable)?;
    Ok(BanRow {
        id: id(&ban)?,
        subject: Subject::read(kind, &value).map_err(|_| unreadable())?,
        label,
        reason,
        author,
        created: time(created),
        ends: ends.map(time),
    })
}

/// Users who have a permission at the first of two origins that takes a key, and none at the second.
macro_rules! users {
    ($here:literal, $not_there:literal) => {
        concat!(
            "(SELECT count(DISTINCT here.user_id) FROM permissions here WHERE here.site = ",
            $here,
            " AND here.state < 2 AND (here.application_server_key = seen.public_key OR here.application_server_key IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM permissions there WHERE there.user_id = here.user_id AND there.site = ",
            $not_there,
            " AND there.state < 2 AND (there.application_server_key = seen.public_key OR there.application_server_key IS NULL)))"
        )
    };
}

/// That a key is as much another origin's: as many users say so as say the one that it was seen with, or
/// all who say the one say the other, and it was proven there first.
macro_rules! as_much_the_others {
    () => {
        concat!(
            " other.site <> seen.site AND ",
            users!("seen.site", "other.site"),
            " <= ",
            users!("other.site", "seen.site"),
            " AND (EXISTS (SELECT 1 FROM vapid_seen earlier WHERE earlier.public_key = seen.public_key \
                 AND earlier.site = other.site AND earlier.proven < seen.proven) OR ",
            users!("other.site", "seen.site"),
            " > 0)"
        )
    };
}

/// Which key that was seen with a site is its own: it was proven there, and is not as much that of any
/// other origin where it was seen or that a permission is restricted to it for. So one user's made-up
/// permission, for a name of their own and restricted to a key that is not theirs, neither takes that key
/// along nor lets one escape. A key that is another proven site's by registration is that one's alone.
macro_rules! its_own {
    () => {
        concat!(
            "seen.proven IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM site_vapid_keys theirs JOIN sites ON sites.site = theirs.site \
                 WHERE theirs.public_key = seen.public_key AND theirs.site <> seen.site AND sites.proven IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM vapid_seen other WHERE other.public_key = seen.public_key AND",
            as_much_the_others!(),
            ") AND NOT EXISTS (SELECT 1 FROM permissions other \
                 WHERE other.application_server_key = seen.public_key AND other.state < 2 AND",
            as_much_the_others!(),
            ")"
        )
    };
}

/// The keys that the bans of sites cover: those that are a site's own, and those registered for it if it
/// is proven.
const COVERED: &str = concat!(
    "SELECT seen.site, seen.public_key FROM vapid_seen seen \
     JOIN bans ON bans.kind = 'site' AND bans.value = seen.site AND (bans.ends IS NULL OR bans.ends > $1) WHERE ",
    its_own!(),
    " UNION SELECT registered.site, registered.public_key FROM site_vapid_keys registered \
     JOIN sites ON sites.site = registered.site AND sites.proven IS NOT NULL \
     JOIN bans ON bans.kind = 'site' AND bans.value = registered.site AND (bans.ends IS NULL OR bans.ends > $2)"
);

/// The same of one site, banned or not.
const COVERED_BY_SITE: &str = concat!(
    "SELECT seen.public_key FROM vapid_seen seen WHERE seen.site = $1 AND ",
    its_own!(),
    " UNION SELECT registered.public_key FROM site_vapid_keys registered \
     JOIN sites ON sites.site = registered.site AND sites.proven IS NOT NULL WHERE registered.site = $2"
);

/// What the audit says of a ban.
fn told(ban: &BanRow) -> Value {
    json!({
        "kind": ban.subject.kind().as_str(),
        "value": ban.subject.value(),
        "reason": ban.reason,
        "ends": ban.ends,
    })
}

/// What was done to a ban.
fn act<'a>(word: &'a str, before: Option<&BanRow>, after: Option<&BanRow>) -> Act<'a> {
    Act {
        act: word,
        target: before.or(after).map(|ban| ban.label.clone()),
        before: before.map(told),
        after: after.map(told),
    }
}

async fn insert(transaction: &mut Transaction, ban: &BanRow) -> Result<(), DirectoryError> {
    execute_in!(
        transaction,
        "INSERT INTO bans (ban_id, kind, value, label, reason, author, created, ends) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &ban.id.as_bytes()[..],
        ban.subject.kind().as_str(),
        ban.subject.value(),
        ban.label.as_str(),
        ban.reason.as_str(),
        ban.author.as_str(),
        millis(ban.created),
        ban.ends.map(millis)
    )?;
    Ok(())
}

/// Writes what may change of a row.
async fn update(transaction: &mut Transaction, ban: &BanRow) -> Result<(), DirectoryError> {
    execute_in!(
        transaction,
        "UPDATE bans SET reason = $1, ends = $2 WHERE ban_id = $3",
        ban.reason.as_str(),
        ban.ends.map(millis),
        &ban.id.as_bytes()[..]
    )?;
    Ok(())
}

impl Directory {
    /// What requests are judged by now.
    pub fn bans(&self) -> Arc<Bans> {
        Arc::clone(&self.standing.bans.borrow())
    }

    /// The same, and when it changes.
    pub fn watch_bans(&self) -> watch::Receiver<Arc<Bans>> {
        self.standing.bans.subscribe()
    }

    /// Reads what is in force at this time into memory.
    ///
    /// # Errors
    /// The directory is unavailable; what was in memory holds on.
    pub(super) async fn read_bans(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let rows = self.bans_in_force(now).await?;
        let covered = fetch!(
            self,
            fetch_all,
            (String, Vec<u8>),
            COVERED,
            millis(now),
            millis(now)
        )?;
        let mut bans: Vec<(Subject, Ban)> = rows
            .into_iter()
            .map(|row| {
                let reason = row.reason.into();
                let ends = row.ends;
                (row.subject, Ban { reason, ends })
            })
            .collect();
        for kind in Kind::ALL {
            let of = bans.iter().filter(|(subject, _)| subject.kind() == kind);
            metrics::gauge!("belfry_bans", "kind" => kind.as_str()).set(of.count() as f64);
        }
        let sites: Bans = bans.iter().cloned().collect();
        for (site, key) in covered {
            let site: Origin = site
                .parse()
                .map_err(|_| DirectoryError::Unreadable("a site"))?;
            if let Some(ban) = sites.site(&site, now) {
                bans.push((Subject::Vapid(key), ban.clone()));
            }
        }
        let bans = Arc::new(bans.into_iter().collect());
        self.standing.bans.send_replace(bans);
        Ok(())
    }

    async fn bans_in_force(&self, now: Timestamp) -> Result<Vec<BanRow>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT ban_id, kind, value, label, reason, author, created, ends FROM bans \
             WHERE ends IS NULL OR ends > $1",
            millis(now)
        )?;
        rows.into_iter().map(ban).collect()
    }

    /// Every ban, also those that are over, in no order.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn all_bans(&self) -> Result<Vec<BanRow>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT ban_id, kind, value, label, reason, author, created, ends FROM bans"
        )?;
        rows.into_iter().map(ban).collect()
    }

    /// A ban.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn ban(&self, which: BanId) -> Result<Option<BanRow>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT ban_id, kind, value, label, reason, author, created, ends FROM bans WHERE ban_id = $1",
            &which.as_bytes()[..]
        )?;
        row.map(ban).transpose()
    }

    /// The ban over this that is in force: its own, not that of a range that it is in.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn ban_over(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Option<BanRow>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT ban_id, kind, value, label, reason, author, created, ends FROM bans \
             WHERE kind = $1 AND value = $2 AND (ends IS NULL OR ends > $3) ORDER BY created LIMIT 1",
            subject.kind().as_str(),
            subject.value(),
            millis(now)
        )?;
        row.map(ban).transpose()
    }

    /// The bans over any of these that are in force, for lists.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn bans_over(
        &self,
        subjects: &[Subject],
        now: Timestamp,
    ) -> Result<Vec<BanRow>, DirectoryError> {
        let bans = self.bans();
        let mut found = Vec::new();
        for subject in subjects {
            // Most are not banned, which memory knows.
            let banned = match subject {
                Subject::Site(site) => bans.site(site, now).is_some(),
                Subject::Vapid(key) => bans.vapid(key, now).is_some(),
                Subject::User(user) => bans.user(*user, now).is_some(),
                Subject::Address(_) => true,
            };
            if banned {
                found.extend(self.ban_over(subject, now).await?);
            }
        }
        Ok(found)
    }

    /// Makes a ban; it holds when this is answered.
    ///
    /// # Errors
    /// There is one over the same that is in force, or there are too many.
    pub async fn create_ban(
        &self,
        new: &BanRow,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        if self.ban_over(&new.subject, now).await?.is_some() {
            return Err(DirectoryError::Taken);
        }
        self.room_for(1, now).await?;
        self.write_down_notes().await?;
        let mut transaction = self.begin().await?;
        insert(&mut transaction, new).await?;
        let act = act("ban.create", None, Some(new));
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        self.read_bans(now).await
    }

    /// Refuses more than there may be.
    async fn room_for(&self, more: usize, now: Timestamp) -> Result<(), DirectoryError> {
        let (in_force,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM bans WHERE ends IS NULL OR ends > $1",
            millis(now)
        )?;
        let in_force = usize::try_from(in_force).unwrap_or(0);
        match in_force + more <= BANS_MAX {
            true => Ok(()),
            false => Err(DirectoryError::Full),
        }
    }

    /// Makes those of these that there are not, and gives those there are this reason and end; all or
    /// none. Each is written down as if it had been made or changed alone. Where it is only asked for,
    /// nothing is done.
    ///
    /// # Errors
    /// There would be too many.
    pub async fn import_bans(
        &self,
        wanted: &[BanRow],
        only_asked: bool,
        by: &Actor,
        now: impl Fn() -> Timestamp + Send,
    ) -> Result<BanImport, DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        // Not before: what was lifted while this waited is over.
        let now = now();
        let in_force = self.bans_in_force(now).await?;
        let in_force: HashMap<&Subject, &BanRow> =
            in_force.iter().map(|ban| (&ban.subject, ban)).collect();
        let mut done = BanImport::default();
        let (mut made, mut changed, mut acts) = (Vec::new(), Vec::new(), Vec::new());
        for new in wanted {
            match in_force.get(&new.subject) {
                None => {
                    acts.push(act("ban.create", None, Some(new)));
                    made.push(new);
                }
                Some(there) if (&there.reason, there.ends) == (&new.reason, new.ends) => {
                    done.unchanged += 1;
                }
                Some(there) => {
                    let other = BanRow {
                        reason: new.reason.clone(),
                        ends: new.ends,
                        ..(*there).clone()
                    };
                    acts.push(act("ban.change", Some(there), Some(&other)));
                    changed.push(other);
                }
            }
        }
        (done.added, done.changed) = (made.len(), changed.len());
        if !made.is_empty() {
            self.room_for(made.len(), now).await?;
        }
        if only_asked || acts.is_empty() {
            return Ok(done);
        }
        self.write_down_notes().await?;
        let mut transaction = self.begin().await?;
        for new in made {
            insert(&mut transaction, new).await?;
        }
        for other in &changed {
            update(&mut transaction, other).await?;
        }
        acts.push(Act {
            act: "ban.import",
            after: Some(json!({"added": done.added, "changed": done.changed})),
            ..Act::default()
        });
        for act in &acts {
            append(&mut transaction, by, act, now).await?;
        }
        transaction.commit().await?;
        self.read_bans(now).await?;
        Ok(done)
    }

    /// Gives a ban in force another reason or end; how it is then. None where there is none in force:
    /// what was lifted meanwhile stays so.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn change_ban(
        &self,
        which: BanId,
        change: &BanChange,
        by: &Actor,
        now: impl Fn() -> Timestamp + Send,
    ) -> Result<Option<BanRow>, DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        let now = now();
        let Some(before) = self.ban(which).await?.filter(|ban| !ban.ended(now)) else {
            return Ok(None);
        };
        let mut changed = before.clone();
        if let Some(reason) = &change.reason {
            changed.reason.clone_from(reason);
        }
        if let Some(ends) = change.ends {
            changed.ends = ends;
        }
        let mut transaction = self.begin().await?;
        update(&mut transaction, &changed).await?;
        let act = act("ban.change", Some(&before), Some(&changed));
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        self.read_bans(now).await?;
        Ok(Some(changed))
    }

    /// Ends a ban now; whether it was in force.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn lift_ban(
        &self,
        which: BanId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let _changing = self.standing.changing.lock().await;
        let Some(before) = self.ban(which).await?.filter(|ban| !ban.ended(now)) else {
            return Ok(false);
        };
        let lifted = BanRow {
            ends: Some(now),
            ..before.clone()
        };
        let mut transaction = self.begin().await?;
        update(&mut transaction, &lifted).await?;
        let act = act("ban.lift", Some(&before), None);
        append(&mut transaction, by, &act, now).await?;
        transaction.commit().await?;
        self.read_bans(now).await?;
        Ok(true)
    }

    /// Forgets bans that ended before this; how many.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_bans(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        Ok(execute!(
            self,
            "DELETE FROM bans WHERE ends < $1",
            millis(before)
        )?)
    }

    /// Forgets VAPID keys that were last seen before this and were proven with no site.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_unproven_keys(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        Ok(execute!(
            self,
            "DELETE FROM vapid_seen WHERE proven IS NULL AND last_seen < $1",
            millis(before)
        )?)
    }

    /// The VAPID keys that a ban of this site covers.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn covered_keys(&self, site: &Origin) -> Result<Vec<Vec<u8>>, DirectoryError> {
        self.write_down_notes().await?;
        let rows = fetch!(
            self,
            fetch_all,
            (Vec<u8>,),
            COVERED_BY_SITE,
            site.as_str(),
            site.as_str()
        )?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }

    /// How many permissions in force a ban over this would refuse posts to: of an address it cannot be
    /// known.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn permissions_under(&self, subject: &Subject) -> Result<u64, DirectoryError> {
        let count = match subject {
            Subject::Site(site) => fetch!(
                self,
                fetch_one,
                (i64,),
                "SELECT count(*) FROM permissions WHERE site = $1 AND state < 2",
                site.as_str()
            )?,
            Subject::Vapid(key) => fetch!(
                self,
                fetch_one,
                (i64,),
                "SELECT count(*) FROM permissions WHERE application_server_key = $1 AND state < 2",
                &key[..]
            )?,
            Subject::User(user) => fetch!(
                self,
                fetch_one,
                (i64,),
                "SELECT count(*) FROM permissions WHERE user_id = $1 AND state < 2",
                &user.as_bytes()[..]
            )?,
            Subject::Address(_) => (0,),
        };
        Ok(u64::try_from(count.0).unwrap_or(0))
    }

    /// The users who have a permission in force for this site, or one that is restricted to this key.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn users_under(&self, subject: &Subject) -> Result<u64, DirectoryError> {
        let count = match subject {
            Subject::Site(site) => fetch!(
                self,
                fetch_one,
                (i64,),
                "SELECT count(DISTINCT user_id) FROM permissions WHERE site = $1 AND state < 2",
                site.as_str()
            )?,
            Subject::Vapid(key) => fetch!(
                self,
                fetch_one,
                (i64,),
                "SELECT count(DISTINCT user_id) FROM permissions WHERE application_server_key = $1 AND state < 2",
                &key[..]
            )?,
            Subject::User(_) => (1,),
            Subject::Address(_) => (0,),
        };
        Ok(u64::try_from(count.0).unwrap_or(0))
    }

    /// The sites that this key posted to permissions of.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn sites_of_key(&self, key: &[u8]) -> Result<u64, DirectoryError> {
        let (count,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM vapid_seen WHERE public_key = $1",
            key
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// What people call a user: the name; none where there is no such account.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn user_name(&self, user: UserId) -> Result<Option<String>, DirectoryError> {
        let account = self.account(user).await?;
        Ok(account.map(|account| account.display_name))
    }
}
